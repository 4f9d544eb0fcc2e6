#include "core/udp/udpgw_wire.h"

#include <cassert>

#include "core/socks5/address_wire.h"
#include "core/socks5/cursor.h"

namespace tunproxy::udp {
namespace {

// The only little-endian numbers that we speak.
uint16_t load_le16(Bytes bytes) {
  return static_cast<uint16_t>(bytes[0] | bytes[1] << 8);
}

void append_le16(ByteVector& to, size_t value) {
  to.push_back(static_cast<uint8_t>(value));
  to.push_back(static_cast<uint8_t>(value >> 8));
}

constexpr size_t kHeaderSize = 3;

}  // namespace

Result<std::optional<UdpgwFrame>> decode_udpgw(Bytes& input) {
  socks5::Cursor outer(input);
  const Bytes prefix = outer.take(2);
  if (outer.is_short()) return std::optional<UdpgwFrame>();
  const size_t length = load_le16(prefix);
  if (length < kHeaderSize)
    return Error{ErrorCode::protocol, "a udpgw frame without a whole header"};
  const Bytes body = outer.take(length);
  if (outer.is_short()) return std::optional<UdpgwFrame>();
  socks5::Cursor cursor(body);
  UdpgwFrame frame;
  frame.flags = cursor.u8();
  frame.connection = load_le16(cursor.take(2));
  if ((frame.flags & UdpgwFrame::kKeepalive) == 0) {
    const Target remote = socks5::read_ip_and_port(cursor, (frame.flags & UdpgwFrame::kIpv6) != 0);
    if (cursor.is_short())
      return Error{ErrorCode::protocol, "a udpgw frame without a whole address"};
    frame.remote = {remote.address(), remote.port()};
    frame.data = cursor.take_rest();
  }
  outer.commit(input);
  return std::optional<UdpgwFrame>(frame);
}

void encode(const UdpgwFrame& frame, ByteVector& to) {
  assert(frame.data.size() <= kUdpgwMaxData);
  const bool keepalive = (frame.flags & UdpgwFrame::kKeepalive) != 0;
  const bool v6 = !keepalive && frame.remote.address.is_v6();
  const size_t address_size = keepalive ? 0 : frame.remote.address.bytes().size() + 2;
  const size_t data_size = keepalive ? 0 : frame.data.size();
  append_le16(to, kHeaderSize + address_size + data_size);
  const int family = v6 ? UdpgwFrame::kIpv6 : 0;
  to.push_back(static_cast<uint8_t>((frame.flags & ~UdpgwFrame::kIpv6) | family));
  append_le16(to, frame.connection);
  if (keepalive) return;
  append(to, frame.remote.address.bytes());
  append_be16(to, frame.remote.port);
  append(to, frame.data);
}

}  // namespace tunproxy::udp
