// The messages of the SSH connection protocol (RFC 4254), as far as a client of channels needs
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/address.h"
#include "core/base/bytes.h"

namespace tunproxy::ssh {

/// RFC 4254 §9.
enum class MessageType : uint8_t {
  unimplemented = 3,  // RFC 4253 §11.4
  global_request = 80,
  request_success = 81,
  request_failure = 82,
  channel_open = 90,
  channel_open_confirmation = 91,
  channel_open_failure = 92,
  channel_window_adjust = 93,
  channel_data = 94,
  channel_extended_data = 95,
  channel_eof = 96,
  channel_close = 97,
  channel_request = 98,
  channel_success = 99,
  channel_failure = 100,
};

/// Builds a message from RFC 4251's data types.
class MessageWriter {
 public:
  explicit MessageWriter(MessageType type) { bytes_.push_back(static_cast<uint8_t>(type)); }
  MessageWriter& u8(uint8_t value);
  MessageWriter& u32(uint32_t value);
  MessageWriter& string(std::string_view text);
  ByteVector take() { return std::move(bytes_); }

 private:
  ByteVector bytes_;
};

/// Reads RFC 4251's data types one after the other. Past the end it gives zeros and empty strings,
/// and ok() is false from then on.
class MessageReader {
 public:
  explicit MessageReader(Bytes message) : rest_(message) {}
  uint8_t u8();
  uint32_t u32();
  Bytes string();
  std::string_view text() { return as_text(string()); }
  bool ok() const { return ok_; }

 private:
  Bytes take(size_t n);

  Bytes rest_;
  bool ok_ = true;
};

/// §4: the one that OpenSSH sends to see whether somebody is there. All refuse it.
ByteVector keepalive_request();

/// CHANNEL_OPEN, §5.1. A session channel, and §7.2's direct-tcpip.
ByteVector session_open(uint32_t id, uint32_t window, uint32_t packet_size);
ByteVector direct_tcpip_open(uint32_t id, uint32_t window, uint32_t packet_size,
                             const Target& target);
/// §7.1: listen at `address` (a name of §7.1, or an address), at a port of the server's choice.
ByteVector tcpip_forward(std::string_view address);
/// §7.1; wants no reply.
ByteVector cancel_tcpip_forward(std::string_view address, uint32_t port);

/// A channel that the server opens, §5.1 and §7.2. The texts lie in the message.
struct ForwardedOpen {
  std::string_view type;
  uint32_t peer_id = 0;
  uint32_t window = 0;
  uint32_t max_packet = 0;
  std::string_view address;  ///< as it was asked for; this and what follows: of "forwarded-tcpip"
  uint32_t port = 0;
  std::string_view originator;
  uint32_t originator_port = 0;
};
constexpr std::string_view kForwardedTcpip = "forwarded-tcpip";
/// `message` stands behind its type. Malformed: nothing.
std::optional<ForwardedOpen> parse_open(MessageReader message);
/// §5.1: we take it.
ByteVector open_confirmation(uint32_t peer_id, uint32_t id, uint32_t window, uint32_t packet_size);
/// §5.1: a channel of the server's that we do not want.
ByteVector open_refusal(uint32_t peer_id);
ByteVector window_adjust(uint32_t peer_id, uint32_t bytes);           ///< §5.2
ByteVector end_of_file(uint32_t peer_id);                             ///< §5.3
ByteVector close_channel(uint32_t peer_id);                           ///< §5.3
ByteVector exec_request(uint32_t peer_id, std::string_view command);  ///< §6.5
ByteVector request_refusal(uint32_t peer_id);                         ///< §5.4

}  // namespace tunproxy::ssh
