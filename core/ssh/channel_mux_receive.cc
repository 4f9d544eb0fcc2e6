// What the server says: one function a message (RFC 4254).
#include <algorithm>
#include <utility>

#include "core/ssh/channel_mux.h"
#include "core/ssh/failure.h"

namespace tunproxy::ssh {
namespace {

constexpr int kKilled = 128;  // as a shell says it, without the signal's number

const Error kMalformed{ErrorCode::protocol, "the SSH server sent a malformed message"};
const Error kFlooded{ErrorCode::protocol, "the SSH server sent more than its window"};

}  // namespace

void ChannelMux::on_packet(Bytes packet, Buffer& buffer) {
  if (failed_) return;
  MessageReader message(packet);
  switch (static_cast<MessageType>(message.u8())) {
    case MessageType::channel_open:
      return on_channel_open(message);
    case MessageType::channel_open_confirmation:
      return on_confirmation(message);
    case MessageType::channel_open_failure:
      return on_failure(message);
    case MessageType::channel_window_adjust:
      return on_window_adjust(message);
    case MessageType::channel_data:
      return on_data(message, buffer);
    case MessageType::channel_extended_data:
      return on_extended_data(message);
    case MessageType::channel_eof:
      return on_eof(message);
    case MessageType::channel_close:
      return on_close(message);
    case MessageType::channel_request:
      return on_request(message);
    case MessageType::channel_success:
      return on_reply(message, true);
    case MessageType::channel_failure:
      return on_reply(message, false);
    case MessageType::request_success:
      requests_.answer(true, message);  // or nobody asked: then libssh2 has, before us
      return;
    case MessageType::request_failure:
    case MessageType::unimplemented:
      requests_.answer(false, message);
      return;
    case MessageType::global_request:  // libssh2 answers it
      return;
  }
}

Slot* ChannelMux::find(uint32_t id, Slot::State state) {
  const auto found = slots_.find(id);
  return found != slots_.end() && found->second.state == state ? &found->second : nullptr;
}

void ChannelMux::on_channel_open(MessageReader message) {
  const std::optional<ForwardedOpen> open = parse_open(message);
  if (!open) return fail(kMalformed);
  const bool wanted = open->type == kForwardedTcpip && open->max_packet > 0 && forwarded_;
  if (!wanted || !forwarded_(*open)) control(open_refusal(open->peer_id));
}

void ChannelMux::on_confirmation(MessageReader message) {
  const uint32_t id = message.u32();
  const uint32_t peer_id = message.u32();
  const uint32_t window = message.u32();
  const uint32_t max_packet = message.u32();
  Slot* slot = find(id, Slot::State::opening);
  if (!message.ok() || slot == nullptr || max_packet == 0) return fail(kMalformed);
  slot->peer_id = peer_id;
  slot->send_window = window;
  slot->max_packet = std::min(max_packet, kMaxPacket);
  slot->state = Slot::State::open;
  forget_settled_opens();
  if (slot->user == nullptr) return release(*slot);
  slot->user->on_open();
}

void ChannelMux::on_failure(MessageReader message) {
  const uint32_t id = message.u32();
  const uint32_t reason = message.u32();
  const std::string_view text = message.text();
  Slot* slot = find(id, Slot::State::opening);
  if (!message.ok() || slot == nullptr) return fail(kMalformed);
  ChannelUser* user = slot->user;
  erase_slot(id);
  forget_settled_opens();
  if (user != nullptr) user->on_open_failed(open_failure(reason, text));
}

void ChannelMux::on_window_adjust(MessageReader message) {
  const uint32_t id = message.u32();
  const uint32_t bytes = message.u32();
  if (!message.ok()) return fail(kMalformed);
  Slot* slot = find(id, Slot::State::open);
  if (slot == nullptr) return;
  slot->send_window = std::min<size_t>(slot->send_window + bytes, UINT32_MAX);
  if (slot->user != nullptr) slot->user->on_writable();
}

void ChannelMux::on_data(MessageReader message, Buffer& buffer) {
  const uint32_t id = message.u32();
  const Bytes bytes = message.string();
  if (!message.ok()) return fail(kMalformed);
  Slot* slot = find(id, Slot::State::open);
  if (slot == nullptr) return;  // of a channel that we closed
  if (!windows_.on_received(slot->receive_window, bytes.size(), loop_.now())) {
    return fail(kFlooded);
  }
  carried();
  received_ += bytes.size();
  if (slot->user != nullptr) slot->user->on_data(bytes, buffer);
}

// A command's standard error, which nobody wants: the credit goes back at once.
void ChannelMux::on_extended_data(MessageReader message) {
  const uint32_t id = message.u32();
  message.u32();
  const Bytes bytes = message.string();
  if (!message.ok()) return fail(kMalformed);
  Slot* slot = find(id, Slot::State::open);
  if (slot == nullptr) return;
  if (bytes.size() > slot->receive_window.open) return fail(kFlooded);
  control(window_adjust(slot->peer_id, static_cast<uint32_t>(bytes.size())));
}

void ChannelMux::on_eof(MessageReader message) {
  const uint32_t id = message.u32();
  if (!message.ok()) return fail(kMalformed);
  Slot* slot = find(id, Slot::State::open);
  if (slot != nullptr && slot->user != nullptr) slot->user->on_eof();
}

void ChannelMux::on_close(MessageReader message) {
  const uint32_t id = message.u32();
  const auto found = slots_.find(id);
  if (!message.ok() || found == slots_.end()) return fail(kMalformed);
  ChannelUser* user = found->second.user;
  if (found->second.state == Slot::State::open) control(close_channel(found->second.peer_id));
  erase_slot(id);
  if (user != nullptr) user->on_close();
}

void ChannelMux::on_request(MessageReader message) {
  const uint32_t id = message.u32();
  const std::string_view name = message.text();
  const bool wants_reply = message.u8() != 0;
  if (!message.ok()) return fail(kMalformed);
  Slot* slot = find(id, Slot::State::open);
  if (slot == nullptr) return;
  if (name == "exit-status" && slot->user != nullptr) {
    slot->user->on_exit_status(static_cast<int>(message.u32()));
  } else if (name == "exit-signal" && slot->user != nullptr) {
    slot->user->on_exit_status(kKilled);
  }
  if (wants_reply) control(request_refusal(slot->peer_id));
}

void ChannelMux::on_reply(MessageReader message, bool success) {
  const uint32_t id = message.u32();
  if (!message.ok()) return fail(kMalformed);
  Slot* slot = find(id, Slot::State::open);
  if (slot != nullptr && slot->user != nullptr) slot->user->on_reply(success);
}

}  // namespace tunproxy::ssh
