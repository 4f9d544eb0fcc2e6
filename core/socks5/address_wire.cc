#include "core/socks5/address_wire.h"

#include <fmt/format.h>

namespace tunproxy::socks5 {
namespace {

constexpr uint8_t kIpv4 = 1;
constexpr uint8_t kName = 3;
constexpr uint8_t kIpv6 = 4;

}  // namespace

Result<Target> read_name_and_port(Cursor& cursor, size_t length) {
  const std::string_view name = as_text(cursor.take(length));
  const uint16_t port = cursor.be16();
  if (cursor.is_short()) return Target();
  if (!Target::valid_name(name)) {
    return Error{ErrorCode::protocol, "the name in an address is empty or has forbidden bytes"};
  }
  return Target::from_host(name, port);
}

Target read_ip_and_port(Cursor& cursor, bool v6) {
  const Bytes address = cursor.take(v6 ? 16 : 4);
  const uint16_t port = cursor.be16();
  if (cursor.is_short()) return {};
  return {v6 ? IpAddress::v6(address.data()) : IpAddress::v4(address.data()), port};
}

Result<Target> read_address(Cursor& cursor) {
  const uint8_t type = cursor.u8();
  if (cursor.is_short()) return Target();
  switch (type) {
    case kIpv4:
      return read_ip_and_port(cursor, false);
    case kIpv6:
      return read_ip_and_port(cursor, true);
    case kName: {
      const size_t length = cursor.u8();
      if (cursor.is_short()) return Target();
      return read_name_and_port(cursor, length);
    }
    default:
      return Error{ErrorCode::address_not_supported, fmt::format("unknown address type {}", type)};
  }
}

void append_address(ByteVector& to, const Target& address) {
  if (address.is_name()) {
    to.push_back(kName);
    to.push_back(static_cast<uint8_t>(address.name().size()));
    append(to, as_bytes(address.name()));
  } else {
    to.push_back(address.address().is_v4() ? kIpv4 : kIpv6);
    append(to, address.address().bytes());
  }
  append_be16(to, address.port());
}

size_t address_size(const Target& address) {
  const size_t host =
      address.is_name() ? 1 + address.name().size() : address.address().bytes().size();
  return 1 + host + 2;
}

}  // namespace tunproxy::socks5
