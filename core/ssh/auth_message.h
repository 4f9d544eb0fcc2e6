// The messages of user authentication (RFC 4252, RFC 4256, RFC 8332): pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/secret.h"

namespace tunproxy::ssh {

enum class AuthMessage : uint8_t {
  disconnect = 1,
  request = 50,
  failure = 51,
  success = 52,
  banner = 53,
  method_specific = 60,  ///< PK_OK, PASSWD_CHANGEREQ or INFO_REQUEST: the method in use tells
  info_response = 61,
};

/// Messages that begin with SSH_MSG_USERAUTH_REQUEST. Those that hold secrets are wiped by whoever
/// sends them.
ByteVector none_request(std::string_view user);
ByteVector password_request(std::string_view user, const Secret& password);
/// RFC 4252 §8: the answer to PASSWD_CHANGEREQ.
ByteVector password_change(std::string_view user, const Secret& old_one, const Secret& new_one);
ByteVector keyboard_request(std::string_view user);
ByteVector keyboard_response(const std::vector<Secret>& answers);
/// Asks whether the key would do (RFC 4252 §7).
ByteVector key_query(std::string_view user, std::string_view algorithm, Bytes blob);
/// The request to which a signature is to be appended (append_string), and what it is made over is
/// string session id, then this.
ByteVector key_request(std::string_view user, std::string_view algorithm, Bytes blob);

struct AuthFailure {
  std::string methods;   ///< those that can continue, separated by commas
  bool partial = false;  ///< what was refused was taken, but the server wants more
};
struct KeyboardPrompt {
  std::string text;
  bool echo = false;
};
struct KeyboardRound {
  static constexpr uint32_t kMaxPrompts = 100;
  std::string name;
  std::string instruction;
  std::vector<KeyboardPrompt> prompts;  ///< may be none: then an empty answer is due
};

/// Whole messages; Error protocol if one is cut short or too long.
Result<AuthFailure> parse_failure(Bytes message);
/// The text of a banner, a PASSWD_CHANGEREQ or a DISCONNECT.
Result<std::string> parse_text(Bytes message);
Result<KeyboardRound> parse_keyboard_round(Bytes message);

/// The algorithm with which the key signs: "rsa-sha2-512" for "ssh-rsa-cert-v01@openssh.com". Empty
/// if there is none that both sides take. `server`: its server-sig-algs (RFC 8308 §3.1), empty if
/// it sent none; `allowed`: ours, empty if all.
std::string signature_algorithm(std::string_view key_type, std::string_view server,
                                const std::vector<std::string>& allowed);
/// The name of public key and algorithm together in the request: the type of a certificate, else
/// the signature's.
std::string request_algorithm(std::string_view key_type, std::string_view signature);

}  // namespace tunproxy::ssh
