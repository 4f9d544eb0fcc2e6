// Prompter: how the SSH layer asks the user. A terminal on Linux; callbacks of an app elsewhere.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"

namespace tunproxy::ssh {

/// A host key that no known_hosts file has.
struct UnknownHostKey {
  std::string host;         ///< as in a known_hosts file: "host" or "[host]:port"
  std::string type;         ///< "ssh-ed25519" …
  std::string fingerprint;  ///< "SHA256:…"
};

/// Called from a worker thread, one question at a time; may block until the user answered or
/// cancel().
class Prompter {
 public:
  enum class Trust : uint8_t { yes, no, ask_in_words };

  virtual ~Prompter() = default;
  /// Shows text that needs no answer (a banner, the instruction of a keyboard-interactive round).
  virtual void show(std::string_view text) = 0;
  /// Asks one question; `echo` false for secrets. An Error: nobody is there to ask, or cancelled.
  virtual Result<std::string> ask(std::string_view question, bool echo) = 0;
  /// Shall this key be trusted from now on? Who prefers a question in words is asked by ask().
  virtual Trust trust(const UnknownHostKey&) { return Trust::ask_in_words; }
  /// From any thread: makes a pending question and all later ones fail soon.
  virtual void cancel() = 0;
};

}  // namespace tunproxy::ssh
