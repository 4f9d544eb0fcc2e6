#include "core/socks5/socks4_wire.h"

#include <array>

#include "core/socks5/cursor.h"

namespace tunproxy::socks5 {
namespace {

constexpr uint8_t kSocks4Version = 4;

// 0.0.0.x with x ≠ 0: the name comes behind the user (SOCKS4a).
bool announces_name(Bytes ip) {
  return ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] != 0;
}

Error not_ipv4() {
  return {ErrorCode::address_not_supported, "SOCKS4 carries IPv4 addresses and names only"};
}

}  // namespace

Result<std::optional<Socks4Request>> decode_socks4_request(Bytes& input) {
  Cursor cursor(input);
  const uint8_t version = cursor.u8();
  if (!cursor.is_short() && version != kSocks4Version) {
    return Error{ErrorCode::protocol, "not a SOCKS4 request"};
  }
  Socks4Request request;
  request.command = cursor.u8();
  const uint16_t port = cursor.be16();
  const Bytes ip = cursor.take(4);
  bool too_long = false;
  if (!cursor.is_short()) request.user = as_text(cursor.take_until_nul(kSocks4MaxUser, &too_long));
  if (too_long) return Error{ErrorCode::protocol, "the user of a SOCKS4 request is too long"};
  if (cursor.is_short()) return std::optional<Socks4Request>();
  request.target = Target(IpAddress::v4(ip.data()), port);
  if (announces_name(ip)) {
    const std::string_view name = as_text(cursor.take_until_nul(Target::kMaxName, &too_long));
    if (cursor.is_short()) return std::optional<Socks4Request>();
    if (too_long || !Target::valid_name(name)) {
      return Error{ErrorCode::protocol,
                   "the name in a SOCKS4a request is empty, too long or malformed"};
    }
    request.target = Target::from_host(name, port);
  }
  cursor.commit(input);
  return std::optional<Socks4Request>(std::move(request));
}

Result<std::optional<Socks4Reply>> decode_socks4_reply(Bytes& input) {
  Cursor cursor(input);
  if (cursor.u8() != 0) return Error{ErrorCode::protocol, "not a SOCKS4 reply"};
  Socks4Reply reply;
  reply.code = cursor.u8();
  reply.bound.port = cursor.be16();
  const Bytes ip = cursor.take(4);
  if (cursor.is_short()) return std::optional<Socks4Reply>();
  reply.bound.address = IpAddress::v4(ip.data());
  cursor.commit(input);
  return std::optional<Socks4Reply>(reply);
}

Result<void> encode(const Socks4Request& message, ByteVector& to) {
  const Target& target = message.target;
  if (!target.is_name() && !target.address().is_v4()) {
    // An IPv6 address can travel as text in a SOCKS4a name, but no server is bound to take it.
    return not_ipv4();
  }
  if (!target.is_name() && announces_name(target.address().bytes())) {
    return Error{ErrorCode::address_not_supported, "0.0.0.x means a name in SOCKS4a"};
  }
  if (message.user.size() > kSocks4MaxUser || message.user.find('\0') != std::string::npos) {
    return Error{ErrorCode::usage, "a SOCKS4 user has at most 255 bytes and no NUL"};
  }
  to.insert(to.end(), {kSocks4Version, message.command});
  append_be16(to, target.port());
  if (target.is_name()) {
    append(to, std::array<uint8_t, 4>{0, 0, 0, 1});
  } else {
    append(to, target.address().bytes());
  }
  append(to, as_bytes(message.user));
  to.push_back(0);
  if (target.is_name()) {
    append(to, as_bytes(target.name()));
    to.push_back(0);
  }
  return {};
}

Result<void> encode(const Socks4Reply& message, ByteVector& to) {
  if (!message.bound.address.is_v4()) return not_ipv4();
  to.insert(to.end(), {0, message.code});
  append_be16(to, message.bound.port);
  append(to, message.bound.address.bytes());
  return {};
}

}  // namespace tunproxy::socks5
