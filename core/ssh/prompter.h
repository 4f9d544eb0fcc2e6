// Prompter: how the SSH layer asks the user. A terminal on Linux; callbacks of an app elsewhere.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/secret.h"
#include "core/io/event.h"

namespace tunproxy::ssh {

/// A host key that no known_hosts file has.
struct UnknownHostKey {
  std::string host;         ///< as in a known_hosts file: "host" or "[host]:port"
  std::string type;         ///< "ssh-ed25519" …
  std::string fingerprint;  ///< "SHA256:…"
  std::string line;         ///< what a known_hosts file would say of it
};

/// Called from worker threads. Several logins may ask at the same time: a Prompter that cannot
/// deal with that lets them take turns. A question blocks until the user answered it, or until
/// `cancelled` is set, as its login is given up: then the Error's code is cancelled. Others go on.
class Prompter {
 public:
  enum class Trust : uint8_t { yes, no, ask_in_words };

  virtual ~Prompter() = default;
  /// Shows text that needs no answer (a banner, the instruction of a keyboard-interactive round).
  virtual void show(std::string_view text) = 0;
  /// Asks one question; `echo` false for secrets. Another Error: nobody is there, or refuses.
  virtual Result<Secret> ask(std::string_view question, bool echo, const io::Event& cancelled) = 0;
  /// Shall this key be trusted from now on? Who prefers a question in words is asked by ask().
  virtual Result<Trust> trust(const UnknownHostKey&, const io::Event&) {
    return Trust::ask_in_words;
  }
};

}  // namespace tunproxy::ssh
