#include "core/socks5/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "core/socks5/address_wire.h"
#include "core/socks5/cursor.h"

namespace tunproxy::socks5 {
namespace {

constexpr uint8_t kCredentialsVersion = 1;

Error wrong_version(uint8_t version, uint8_t expected) {
  return {ErrorCode::protocol, fmt::format("version byte {} where {} is due", version, expected)};
}

// Reads the version byte; true if there is one and it is right.
Result<bool> read_version(Cursor& cursor, uint8_t expected) {
  const uint8_t version = cursor.u8();
  if (cursor.is_short()) return false;
  if (version != expected) return wrong_version(version, expected);
  return true;
}

// Requests and replies: version, a code, a reserved byte, an address.
struct Framed {
  uint8_t code = 0;
  Target address;
};

Result<std::optional<Framed>> decode_framed(Bytes& input) {
  Cursor cursor(input);
  const Result<bool> version = read_version(cursor, kVersion);
  if (!version) return version.error();
  Framed framed;
  framed.code = cursor.u8();
  cursor.u8();  // reserved; not every peer sends 0
  Result<Target> address = read_address(cursor);
  if (!address) return address.error();
  if (cursor.is_short()) return std::optional<Framed>();
  framed.address = *std::move(address);
  cursor.commit(input);
  return std::optional<Framed>(std::move(framed));
}

void encode_framed(uint8_t code, const Target& address, ByteVector& to) {
  to.insert(to.end(), {kVersion, code, 0});
  append_address(to, address);
}

// Two bytes, of which the first is a version.
Result<std::optional<uint8_t>> decode_pair(Bytes& input, uint8_t expected) {
  Cursor cursor(input);
  const Result<bool> version = read_version(cursor, expected);
  if (!version) return version.error();
  const uint8_t value = cursor.u8();
  if (cursor.is_short()) return std::optional<uint8_t>();
  cursor.commit(input);
  return std::optional<uint8_t>(value);
}

void append_counted(ByteVector& to, Bytes bytes) {
  assert(bytes.size() <= 255);
  to.push_back(static_cast<uint8_t>(bytes.size()));
  append(to, bytes);
}

}  // namespace

bool Greeting::offers(Method method) const {
  return std::find(methods.begin(), methods.end(), static_cast<uint8_t>(method)) != methods.end();
}

Result<void> Credentials::check() const {
  for (const std::string& text : {std::cref(user), std::cref(password)}) {
    if (text.empty() || text.size() > kMaxCredential) {
      return Error{ErrorCode::usage, "a SOCKS5 user name and password have 1 to 255 bytes each"};
    }
  }
  return {};
}

Result<std::optional<Greeting>> decode_greeting(Bytes& input) {
  Cursor cursor(input);
  const Result<bool> version = read_version(cursor, kVersion);
  if (!version) return version.error();
  const uint8_t count = cursor.u8();
  if (!cursor.is_short() && count == 0) {
    return Error{ErrorCode::protocol, "a greeting without a method"};
  }
  const Bytes methods = cursor.take(count);
  if (cursor.is_short()) return std::optional<Greeting>();
  cursor.commit(input);
  return std::optional<Greeting>(Greeting{{methods.begin(), methods.end()}});
}

Result<std::optional<MethodChoice>> decode_method_choice(Bytes& input) {
  const Result<std::optional<uint8_t>> value = decode_pair(input, kVersion);
  if (!value) return value.error();
  if (!value->has_value()) return std::optional<MethodChoice>();
  return std::optional<MethodChoice>(MethodChoice{static_cast<Method>(**value)});
}

Result<std::optional<Credentials>> decode_credentials(Bytes& input) {
  Cursor cursor(input);
  const Result<bool> version = read_version(cursor, kCredentialsVersion);
  if (!version) return version.error();
  Credentials credentials;
  for (std::string* text : {&credentials.user, &credentials.password}) {
    const size_t length = cursor.u8();
    const std::string_view bytes = as_text(cursor.take(length));
    if (cursor.is_short()) return std::optional<Credentials>();
    if (bytes.empty()) return Error{ErrorCode::protocol, "an empty user name or password"};
    *text = bytes;
  }
  cursor.commit(input);
  return std::optional<Credentials>(std::move(credentials));
}

Result<std::optional<CredentialsStatus>> decode_credentials_status(Bytes& input) {
  const Result<std::optional<uint8_t>> value = decode_pair(input, kCredentialsVersion);
  if (!value) return value.error();
  if (!value->has_value()) return std::optional<CredentialsStatus>();
  return std::optional<CredentialsStatus>(CredentialsStatus{**value});
}

Result<std::optional<Request>> decode_request(Bytes& input) {
  Result<std::optional<Framed>> framed = decode_framed(input);
  if (!framed) return framed.error();
  if (!framed->has_value()) return std::optional<Request>();
  return std::optional<Request>(
      Request{static_cast<Command>((*framed)->code), std::move((*framed)->address)});
}

Result<std::optional<Reply>> decode_reply(Bytes& input) {
  Result<std::optional<Framed>> framed = decode_framed(input);
  if (!framed) return Error{ErrorCode::protocol, framed.error().message};
  if (!framed->has_value()) return std::optional<Reply>();
  return std::optional<Reply>(Reply{(*framed)->code, std::move((*framed)->address)});
}

Result<Datagram> decode_datagram(Bytes datagram) {
  Cursor cursor(datagram);
  cursor.be16();  // reserved
  Datagram decoded;
  decoded.fragment = cursor.u8();
  Result<Target> address = read_address(cursor);
  if (!address) return address.error();
  if (cursor.is_short()) return Error{ErrorCode::protocol, "a datagram's header is cut off"};
  decoded.address = *std::move(address);
  decoded.data = cursor.take_rest();
  return decoded;
}

void encode(const Greeting& message, ByteVector& to) {
  to.push_back(kVersion);
  append_counted(to, message.methods);
}

void encode(const MethodChoice& message, ByteVector& to) {
  to.insert(to.end(), {kVersion, static_cast<uint8_t>(message.method)});
}

void encode(const Credentials& message, ByteVector& to) {
  to.push_back(kCredentialsVersion);
  append_counted(to, as_bytes(message.user));
  append_counted(to, as_bytes(message.password));
}

void encode(const CredentialsStatus& message, ByteVector& to) {
  to.insert(to.end(), {kCredentialsVersion, message.status});
}

void encode(const Request& message, ByteVector& to) {
  encode_framed(static_cast<uint8_t>(message.command), message.target, to);
}

void encode(const Reply& message, ByteVector& to) {
  encode_framed(message.code, message.bound, to);
}

void encode(const Datagram& message, ByteVector& to) {
  to.insert(to.end(), {0, 0, message.fragment});
  append_address(to, message.address);
  append(to, message.data);
}

Protocol detect(uint8_t first_byte) {
  if (first_byte == kVersion) return Protocol::socks5;
  if (first_byte == 4) return Protocol::socks4;
  if (first_byte >= 'A' && first_byte <= 'Z') return Protocol::http;
  return Protocol::unknown;
}

}  // namespace tunproxy::socks5
