#include "core/udp/stream_wire.h"

#include <fmt/format.h>

#include "core/socks5/address_wire.h"
#include "core/socks5/cursor.h"

namespace tunproxy::udp {
namespace {

using socks5::Cursor;

constexpr size_t kHevPrefix = 3;
constexpr size_t kMaxData = 65535;

// UoT numbers address types in its own way.
constexpr uint8_t kUotIpv4 = 0;
constexpr uint8_t kUotIpv6 = 1;
constexpr uint8_t kUotNamed = 2;

Result<Target> read_uot_address(Cursor& cursor) {
  const uint8_t type = cursor.u8();
  if (cursor.is_short()) return Target();
  if (type == kUotIpv4 || type == kUotIpv6) return read_ip_and_port(cursor, type == kUotIpv6);
  if (type != kUotNamed) {
    return Error{ErrorCode::protocol, fmt::format("unknown UDP over TCP address type {}", type)};
  }
  const size_t length = cursor.u8();
  if (cursor.is_short()) return Target();
  return read_name_and_port(cursor, length);
}

Result<void> check_size(size_t size, size_t most) {
  if (size <= most) return {};
  return Error{ErrorCode::limit, fmt::format("a datagram of {} bytes; {} fit", size, most)};
}

}  // namespace

Result<std::optional<StreamDatagram>> decode_hev(Bytes& input) {
  Cursor cursor(input);
  const size_t data_size = cursor.be16();
  const size_t header_size = cursor.u8();
  const Bytes before = cursor.rest();
  Result<Target> address = socks5::read_address(cursor);
  if (!address) return Error{ErrorCode::protocol, address.error().message};
  if (cursor.is_short()) return std::optional<StreamDatagram>();
  if (header_size != kHevPrefix + before.size() - cursor.rest().size()) {
    return Error{ErrorCode::protocol, "the header length of a UDP in TCP frame is wrong"};
  }
  const Bytes data = cursor.take(data_size);
  if (cursor.is_short()) return std::optional<StreamDatagram>();
  cursor.commit(input);
  return std::optional<StreamDatagram>(StreamDatagram{*std::move(address), data});
}

Result<void> encode_hev(const StreamDatagram& datagram, ByteVector& to) {
  const size_t header_size = kHevPrefix + socks5::address_size(datagram.address);
  if (header_size > 255) return Error{ErrorCode::limit, "the name is too long for UDP in TCP"};
  if (auto fits = check_size(datagram.data.size(), kHevMaxData); !fits) return fits;
  append_be16(to, static_cast<uint16_t>(datagram.data.size()));
  to.push_back(static_cast<uint8_t>(header_size));
  socks5::append_address(to, datagram.address);
  append(to, datagram.data);
  return {};
}

Result<std::optional<UotRequest>> decode_uot_request(Bytes& input) {
  Cursor cursor(input);
  const uint8_t connected = cursor.u8();
  if (connected > 1) return Error{ErrorCode::protocol, "a UDP over TCP request with a wrong flag"};
  Result<Target> destination = socks5::read_address(cursor);
  if (!destination) return Error{ErrorCode::protocol, destination.error().message};
  if (cursor.is_short()) return std::optional<UotRequest>();
  cursor.commit(input);
  return std::optional<UotRequest>(UotRequest{connected == 1, *std::move(destination)});
}

void encode(const UotRequest& request, ByteVector& to) {
  to.push_back(request.connected ? 1 : 0);
  socks5::append_address(to, request.destination);
}

Result<std::optional<StreamDatagram>> decode_uot(Bytes& input) {
  Cursor cursor(input);
  Result<Target> address = read_uot_address(cursor);
  if (!address) return address.error();
  const Bytes data = cursor.take(cursor.be16());
  if (cursor.is_short()) return std::optional<StreamDatagram>();
  cursor.commit(input);
  return std::optional<StreamDatagram>(StreamDatagram{*std::move(address), data});
}

Result<void> encode_uot(const StreamDatagram& datagram, ByteVector& to) {
  if (auto fits = check_size(datagram.data.size(), kMaxData); !fits) return fits;
  const Target& address = datagram.address;
  if (address.is_name()) {
    to.insert(to.end(), {kUotNamed, static_cast<uint8_t>(address.name().size())});
    append(to, as_bytes(address.name()));
  } else {
    to.push_back(address.address().is_v4() ? kUotIpv4 : kUotIpv6);
    append(to, address.address().bytes());
  }
  append_be16(to, address.port());
  return encode_uot_connected(datagram.data, to);
}

Result<std::optional<Bytes>> decode_uot_connected(Bytes& input) {
  Cursor cursor(input);
  const Bytes data = cursor.take(cursor.be16());
  if (cursor.is_short()) return std::optional<Bytes>();
  cursor.commit(input);
  return std::optional<Bytes>(data);
}

Result<void> encode_uot_connected(Bytes data, ByteVector& to) {
  if (auto fits = check_size(data.size(), kMaxData); !fits) return fits;
  append_be16(to, static_cast<uint16_t>(data.size()));
  append(to, data);
  return {};
}

}  // namespace tunproxy::udp
