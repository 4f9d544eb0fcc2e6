#include "core/ssh/channel.h"

#include <cassert>
#include <utility>

namespace tunproxy::ssh {

Channel::Channel(ChannelMux& mux, Slot& slot)
    : mux_(mux), slot_(&slot), received_(mux.loop().memory()), progress_(mux.loop(), [this] {
        if (look_again_) look_again_();
      }) {
  assert(slot.state == Slot::State::open);
  slot.user = this;
}

Channel::~Channel() {
  if (slot_ != nullptr) mux_.release(*slot_);
}

void Channel::on_progress(std::function<void()> look_again) {
  look_again_ = std::move(look_again);
  if (look_again_) progress_.schedule();
}

// The mux keeps the window, and with it the queue, within bounds.
void Channel::on_data(Bytes bytes, Buffer& buffer) {
  received_.append(bytes, buffer);
  at_end_ = false;  // some servers send an end of file and then go on
  progress_.schedule();
}

void Channel::consume(size_t n) {
  received_.consume(n);
  if (slot_ != nullptr) mux_.grant(*slot_, received_.size());
  if (received_.empty() && (at_end_ || failed_)) progress_.schedule();
}

size_t Channel::write(Bytes bytes) {
  if (slot_ == nullptr || finished_ || bytes.empty()) return 0;
  return mux_.write(*slot_, bytes);
}

void Channel::finish() {
  if (finished_ || slot_ == nullptr) return;
  finished_ = true;
  mux_.send_eof(*slot_);
  progress_.schedule();
}

// What came before the failure may still be read.
const Error* Channel::error() const {
  return failed_ && received_.empty() ? &error_ : nullptr;
}

void Channel::on_eof() {
  at_end_ = true;
  progress_.schedule();
}

void Channel::on_close() {
  slot_ = nullptr;
  at_end_ = true;
  if (!finished_) {
    failed_ = true;
    error_ = {ErrorCode::reset, "the target closed the connection"};
  }
  progress_.schedule();
}

void Channel::on_lost(const Error& error) {
  slot_ = nullptr;
  failed_ = true;
  error_ = error;
  received_.clear();
  progress_.schedule();
}

}  // namespace tunproxy::ssh
