// Datagrams on a proxy's TCP stream, in the two ways that servers in use offer: "UDP in TCP" of the
// hev SOCKS5 server (command 5), and sing's UDP over TCP. Pure.
//
// decode_*(input): nullopt, if more bytes are needed; on success `input` moves behind the message;
// data lies in the bytes that were decoded. encode_*() appends. Errors are protocol.
#pragma once

#include <optional>
#include <string_view>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::udp {

/// A datagram and the other end: the destination, or the real sender.
struct StreamDatagram {
  Target address;
  Bytes data;
};

/// What the hev server's slot holds: a larger one would end the session.
inline constexpr size_t kHevMaxData = 1500;

/// u16 datlen | u8 hdrlen | atyp addr port | data, where hdrlen counts 3 bytes and the address.
Result<std::optional<StreamDatagram>> decode_hev(Bytes& input);
/// Error limit above kHevMaxData.
Result<void> encode_hev(const StreamDatagram& datagram, ByteVector& to);

/// The names to CONNECT to, at port 0.
inline constexpr std::string_view kUotName = "sp.v2.udp-over-tcp.arpa";
inline constexpr std::string_view kUotNameV1 = "sp.udp-over-tcp.arpa";

/// What a stream of version 2 begins with.
struct UotRequest {
  bool connected = false;  ///< one destination for the whole stream; frames carry no address then
  Target destination;
  bool operator==(const UotRequest&) const = default;
};
Result<std::optional<UotRequest>> decode_uot_request(Bytes& input);
void encode(const UotRequest& request, ByteVector& to);

/// at addr port | u16 len | data, with its own numbers for address types; version 1 and not
/// connected.
Result<std::optional<StreamDatagram>> decode_uot(Bytes& input);
/// Error limit above 65535 bytes.
Result<void> encode_uot(const StreamDatagram& datagram, ByteVector& to);

/// u16 len | data; connected.
Result<std::optional<Bytes>> decode_uot_connected(Bytes& input);
Result<void> encode_uot_connected(Bytes data, ByteVector& to);

}  // namespace tunproxy::udp
