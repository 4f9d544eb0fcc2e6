#include "core/ssh/channel_open.h"

#include <utility>

#include "core/ssh/channel.h"

namespace tunproxy::ssh {

ChannelOpen::ChannelOpen(ChannelMux& mux, const Target& target, Priority priority, Done done)
    : ChannelOpen(mux, std::move(done)) {
  wait_for(mux.open_direct_tcpip(target, this, priority));
}

ChannelOpen::ChannelOpen(ChannelMux& mux, std::string command, Done done)
    : ChannelOpen(mux, std::move(done)) {
  command_ = std::move(command);
  wait_for(mux.open_session(this));
}

ChannelOpen::ChannelOpen(ChannelMux& mux, Done done)
    : mux_(mux), slot_(nullptr), done_(std::move(done)), deliver_(mux.loop(), [this] {
        auto outcome = std::move(*outcome_);
        std::exchange(done_, nullptr)(std::move(outcome));  // may destroy this
      }) {}

void ChannelOpen::wait_for(Slot* slot) {
  slot_ = slot;
  if (slot_ != nullptr) return;
  settle(mux_.error() != nullptr ? Error{ErrorCode::host_unreachable, mux_.error()->message}
                                 : Error{ErrorCode::limit, "too many connections"});
}

ChannelOpen::~ChannelOpen() {
  if (slot_ != nullptr) mux_.release(*slot_);
}

void ChannelOpen::on_open() {
  if (command_.empty()) {
    hand_over();
  } else if (!mux_.request_exec(*slot_, command_)) {
    settle(Error{ErrorCode::limit, "the command is too long for an SSH connection"});
  }
}

void ChannelOpen::on_reply(bool success) {
  if (success) return hand_over();
  settle(  // the destructor closes the channel
      Error{ErrorCode::not_allowed, "the SSH server does not run commands"});
}

// The channel takes over at once, since data may follow in the same breath.
void ChannelOpen::hand_over() {
  Slot& slot = *std::exchange(slot_, nullptr);
  settle(std::unique_ptr<net::Stream>(std::make_unique<Channel>(mux_, slot)));
}

void ChannelOpen::on_open_failed(const Error& error) {
  slot_ = command_.empty() ? nullptr : mux_.take_standing_session(this);
  if (slot_ != nullptr) return on_open();
  const bool forbidden =
      error.code == ErrorCode::not_allowed || error.code == ErrorCode::command_not_supported;
  if (forbidden && command_.empty()) mux_.tell_forbidden(error);
  settle(error);
}

void ChannelOpen::on_lost(const Error& error) {
  slot_ = nullptr;
  settle(error);
}

void ChannelOpen::on_close() {
  slot_ = nullptr;
  settle(Error{ErrorCode::reset, "the SSH server closed the channel"});
}

void ChannelOpen::settle(Result<std::unique_ptr<net::Stream>> outcome) {
  if (outcome_) return;  // the first counts
  outcome_ = std::move(outcome);
  deliver_.schedule();
}

}  // namespace tunproxy::ssh
