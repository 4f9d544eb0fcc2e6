#include "core/ssh/channel_message.h"

#include <utility>

namespace tunproxy::ssh {
namespace {

constexpr uint32_t kProhibited = 1;  // SSH_OPEN_ADMINISTRATIVELY_PROHIBITED

ByteVector about(MessageType type, uint32_t peer_id) {
  return MessageWriter(type).u32(peer_id).take();
}

}  // namespace

MessageWriter& MessageWriter::u8(uint8_t value) {
  bytes_.push_back(value);
  return *this;
}

MessageWriter& MessageWriter::u32(uint32_t value) {
  append_be16(bytes_, static_cast<uint16_t>(value >> 16));
  append_be16(bytes_, static_cast<uint16_t>(value));
  return *this;
}

MessageWriter& MessageWriter::string(std::string_view text) {
  u32(static_cast<uint32_t>(text.size()));
  append(bytes_, as_bytes(text));
  return *this;
}

Bytes MessageReader::take(size_t n) {
  if (n > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  return std::exchange(rest_, rest_.subspan(n)).first(n);
}

uint8_t MessageReader::u8() {
  const Bytes bytes = take(1);
  return bytes.empty() ? uint8_t{0} : bytes[0];
}

uint32_t MessageReader::u32() {
  const Bytes bytes = take(4);
  return bytes.empty() ? 0 : load_be32(bytes.data());
}

Bytes MessageReader::string() {
  return take(u32());
}

ByteVector keepalive_request() {
  return MessageWriter(MessageType::global_request).string("keepalive@openssh.com").u8(1).take();
}

ByteVector session_open(uint32_t id, uint32_t window, uint32_t packet_size) {
  return MessageWriter(MessageType::channel_open)
      .string("session")
      .u32(id)
      .u32(window)
      .u32(packet_size)
      .take();
}

ByteVector direct_tcpip_open(uint32_t id, uint32_t window, uint32_t packet_size,
                             const Target& target) {
  return MessageWriter(MessageType::channel_open)
      .string("direct-tcpip")
      .u32(id)
      .u32(window)
      .u32(packet_size)
      .string(target.host())
      .u32(target.port())
      .string("127.0.0.1")  // the originator is nobody's business
      .u32(0)
      .take();
}

ByteVector tcpip_forward(std::string_view address) {
  return MessageWriter(MessageType::global_request)
      .string("tcpip-forward")
      .u8(1)
      .string(address)
      .u32(0)
      .take();
}

ByteVector cancel_tcpip_forward(std::string_view address, uint32_t port) {
  return MessageWriter(MessageType::global_request)
      .string("cancel-tcpip-forward")
      .u8(0)
      .string(address)
      .u32(port)
      .take();
}

std::optional<ForwardedOpen> parse_open(MessageReader message) {
  ForwardedOpen open;
  open.type = message.text();
  open.peer_id = message.u32();
  open.window = message.u32();
  open.max_packet = message.u32();
  if (open.type == kForwardedTcpip) {
    open.address = message.text();
    open.port = message.u32();
    open.originator = message.text();
    open.originator_port = message.u32();
  }
  if (!message.ok()) return std::nullopt;
  return open;
}

ByteVector open_confirmation(uint32_t peer_id, uint32_t id, uint32_t window, uint32_t packet_size) {
  return MessageWriter(MessageType::channel_open_confirmation)
      .u32(peer_id)
      .u32(id)
      .u32(window)
      .u32(packet_size)
      .take();
}

ByteVector open_refusal(uint32_t peer_id) {
  return MessageWriter(MessageType::channel_open_failure)
      .u32(peer_id)
      .u32(kProhibited)
      .string("not wanted")
      .string("")
      .take();
}

ByteVector window_adjust(uint32_t peer_id, uint32_t bytes) {
  return MessageWriter(MessageType::channel_window_adjust).u32(peer_id).u32(bytes).take();
}

ByteVector end_of_file(uint32_t peer_id) {
  return about(MessageType::channel_eof, peer_id);
}

ByteVector close_channel(uint32_t peer_id) {
  return about(MessageType::channel_close, peer_id);
}

ByteVector exec_request(uint32_t peer_id, std::string_view command) {
  return MessageWriter(MessageType::channel_request)
      .u32(peer_id)
      .string("exec")
      .u8(1)
      .string(command)
      .take();
}

ByteVector request_refusal(uint32_t peer_id) {
  return about(MessageType::channel_failure, peer_id);
}

}  // namespace tunproxy::ssh
