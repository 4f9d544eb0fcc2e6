#include "core/ssh/auth_message.h"

#include <algorithm>

#include "core/ssh/algorithms.h"
#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {
namespace {

constexpr std::string_view kCertificate = "-cert-v01@openssh.com";

ByteVector request(std::string_view user, std::string_view method) {
  ByteVector message{static_cast<uint8_t>(AuthMessage::request)};
  append_string(message, as_bytes(user));
  append_string(message, as_bytes("ssh-connection"));
  append_string(message, as_bytes(method));
  return message;
}

ByteVector key_message(std::string_view user, std::string_view algorithm, Bytes blob,
                       bool is_signed) {
  ByteVector message = request(user, "publickey");
  message.push_back(is_signed ? 1 : 0);
  append_string(message, as_bytes(algorithm));
  append_string(message, blob);
  return message;
}

/// Room for all, so that growing leaves no copy of a secret behind.
ByteVector password_message(std::string_view user, bool change, size_t secrets) {
  ByteVector message = request(user, "password");
  message.reserve(message.size() + 1 + secrets);
  message.push_back(change ? 1 : 0);
  return message;
}

Error malformed() {
  return {ErrorCode::protocol, "the server sent a malformed message during authentication"};
}

std::optional<uint32_t> take_number(Bytes& from) {
  if (from.size() < 4) return std::nullopt;
  const uint32_t number = load_be32(from.data());
  from = from.subspan(4);
  return number;
}

}  // namespace

ByteVector none_request(std::string_view user) {
  return request(user, "none");
}

ByteVector password_request(std::string_view user, const Secret& password) {
  ByteVector message = password_message(user, false, 4 + password.size());
  append_string(message, as_bytes(password.text()));
  return message;
}

ByteVector password_change(std::string_view user, const Secret& old_one, const Secret& new_one) {
  ByteVector message = password_message(user, true, 8 + old_one.size() + new_one.size());
  append_string(message, as_bytes(old_one.text()));
  append_string(message, as_bytes(new_one.text()));
  return message;
}

ByteVector keyboard_request(std::string_view user) {
  ByteVector message = request(user, "keyboard-interactive");
  append_string(message, {});  // language
  append_string(message, {});  // submethods: the server's choice
  return message;
}

ByteVector keyboard_response(const std::vector<Secret>& answers) {
  size_t size = 5;
  for (const Secret& answer : answers) size += 4 + answer.size();
  ByteVector message;
  message.reserve(size);
  message.push_back(static_cast<uint8_t>(AuthMessage::info_response));
  uint8_t count[4];
  store_be32(count, static_cast<uint32_t>(answers.size()));
  append(message, count);
  for (const Secret& answer : answers) append_string(message, as_bytes(answer.text()));
  return message;
}

ByteVector key_query(std::string_view user, std::string_view algorithm, Bytes blob) {
  return key_message(user, algorithm, blob, false);
}

ByteVector key_request(std::string_view user, std::string_view algorithm, Bytes blob) {
  return key_message(user, algorithm, blob, true);
}

Result<AuthFailure> parse_failure(Bytes message) {
  message = message.subspan(1);
  const auto methods = take_string(message);
  if (!methods || message.empty()) return malformed();
  return AuthFailure{std::string(as_text(*methods)), message[0] != 0};
}

Result<std::string> parse_text(Bytes message) {
  const bool disconnect = message[0] == static_cast<uint8_t>(AuthMessage::disconnect);
  message = message.subspan(1);
  if (disconnect && !take_number(message)) return malformed();
  const auto text = take_string(message);
  if (!text) return malformed();
  return std::string(as_text(*text));
}

Result<KeyboardRound> parse_keyboard_round(Bytes message) {
  message = message.subspan(1);
  const auto name = take_string(message);
  const auto instruction = take_string(message);
  const auto language = take_string(message);
  const auto count = take_number(message);
  if (!name || !instruction || !language || !count || *count > KeyboardRound::kMaxPrompts) {
    return malformed();
  }
  KeyboardRound round{std::string(as_text(*name)), std::string(as_text(*instruction)), {}};
  for (uint32_t i = 0; i < *count; ++i) {
    const auto text = take_string(message);
    if (!text || message.empty()) return malformed();
    round.prompts.push_back({std::string(as_text(*text)), message[0] != 0});
    message = message.subspan(1);
  }
  return round;
}

std::string signature_algorithm(std::string_view key_type, std::string_view server,
                                const std::vector<std::string>& allowed) {
  std::string plain(key_type);
  if (const size_t at = plain.find(kCertificate); at != plain.npos) {
    plain.resize(at);
    if (plain.starts_with("sk-")) plain += "@openssh.com";
  }
  const auto usable = [&](const std::string& name) {
    return allowed.empty() || std::find(allowed.begin(), allowed.end(), name) != allowed.end() ||
           std::find(allowed.begin(), allowed.end(), request_algorithm(key_type, name)) !=
               allowed.end();
  };
  if (plain != "ssh-rsa") return usable(plain) ? plain : "";
  // RFC 8332 §3.3: servers that name no algorithms may know SHA-1 alone.
  if (server.empty() && usable(plain)) return plain;
  for (const char* name : {"rsa-sha2-512", "rsa-sha2-256"}) {
    if ((server.empty() || list_has(server, name)) && usable(name)) return name;
  }
  return {};
}

std::string request_algorithm(std::string_view key_type, std::string_view signature) {
  if (key_type.find(kCertificate) == key_type.npos) return std::string(signature);
  if (!signature.starts_with("rsa-")) return std::string(key_type);
  return std::string(signature).append(kCertificate);
}

}  // namespace tunproxy::ssh
