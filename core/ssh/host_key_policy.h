// Decides whether a host key is to be trusted, and says why not.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/ssh/accepted_keys.h"
#include "core/ssh/known_hosts.h"
#include "core/ssh/login.h"
#include "core/ssh/prompter.h"

namespace tunproxy::ssh {

enum class HostKeyPolicy : uint8_t {
  strict,      ///< only keys that are known
  ask,         ///< the user is asked about unknown ones
  accept_new,  ///< unknown ones are taken and remembered
};

struct HostKeyCheck {
  std::string host;
  uint16_t port = 22;
  std::string alias;                      ///< stands for host and port, if not empty
  std::vector<std::string> user_files;    ///< a new key goes into the first
  std::vector<std::string> system_files;  ///< only read
  std::vector<std::string> lines;         ///< as in a file
  AcceptedKeys* accepted = nullptr;       ///< takes a new key that no file keeps; may be null
  bool hash = false;                      ///< new names, also if the file has none that are
  HostKeyPolicy policy = HostKeyPolicy::strict;
  Prompter* prompter = nullptr;          ///< may be null: nobody to ask, so that `ask` means strict
  const io::Event* cancelled = nullptr;  ///< given with a prompter: ends its question
  std::atomic<bool>* asking = nullptr;   ///< true while the user is asked; may be null
};

/// Everything that is known to it.
KnownHosts known_hosts(const HostKeyCheck& check);

/// A certificate is good if a @cert-authority line for the host has the key that signed it, and it
/// is valid for the host now; else the key in it counts as a plain one. Where an authority is
/// known, accept_new takes no plain key. Every refusal is an Error host_key_refused of one line
/// with fingerprints, place and remedy; a changed key is also shown at length to the user. Blocks
/// while the user is asked.
Result<void> check_host_key(const HostKeyCheck& check, const HostKey& key);

}  // namespace tunproxy::ssh
