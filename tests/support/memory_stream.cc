#include "tests/support/memory_stream.h"

#include <algorithm>

#include "core/io/timer.h"

namespace tunproxy::testing {

std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> MemoryStream::make_pair(
    io::Loop& loop, Manners manners) {
  std::unique_ptr<MemoryStream> a(new MemoryStream(loop, manners));
  std::unique_ptr<MemoryStream> b(new MemoryStream(loop, manners));
  a->peer_ = b.get();
  b->peer_ = a.get();
  return {std::move(a), std::move(b)};
}

MemoryStream::~MemoryStream() {
  if (peer_ == nullptr) return;
  if (!(finished_ && ended())) peer_->break_with({ErrorCode::reset, "the other end is gone"});
  peer_->peer_ = nullptr;
}

void MemoryStream::on_progress(std::function<void()> look_again) {
  look_again_ = std::move(look_again);
  progress_.schedule();
}

Bytes MemoryStream::peek() const {
  return Bytes(incoming_).first(std::min(incoming_.size(), manners_.peek_at_most));
}

void MemoryStream::consume(size_t n) {
  incoming_.erase(incoming_.begin(), incoming_.begin() + static_cast<ptrdiff_t>(n));
  if (n > 0 && peer_ != nullptr) peer_->progress_.schedule();
  if (n > 0 && !incoming_.empty()) progress_.schedule();
}

size_t MemoryStream::write(Bytes bytes) {
  if (finished_ || failed_ || peer_ == nullptr) return 0;
  const size_t queued = peer_->incoming_.size();
  const size_t room = manners_.capacity > queued ? manners_.capacity - queued : 0;
  const size_t taken = std::min({bytes.size(), manners_.write_at_most, room});
  append(peer_->incoming_, bytes.first(taken));
  if (taken > 0) peer_->progress_.schedule();
  if (taken < bytes.size() && taken < room) progress_.schedule();
  return taken;
}

void MemoryStream::finish() {
  if (finished_ || failed_) return;
  finished_ = true;
  if (peer_ != nullptr) {
    peer_->peer_finished_ = true;
    peer_->progress_.schedule();
  }
  progress_.schedule();
}

bool MemoryStream::ended() const {
  return peer_finished_ && incoming_.empty();
}

void MemoryStream::break_with(Error error) {
  failed_ = true;
  error_ = std::move(error);
  incoming_.clear();
  progress_.schedule();
}

std::string MemoryStream::read_all() {
  std::string all;
  for (Bytes bytes = peek(); !bytes.empty(); bytes = peek()) {
    all += as_text(bytes);
    consume(bytes.size());
  }
  return all;
}

bool run_until(io::Loop& loop, const std::function<bool()>& condition, Duration limit) {
  const Instant start = loop.now();
  // The loop may wait for an event that never comes, while `condition` came true in a timer.
  io::Timer look(loop, [&] { look.start(10ms); });
  look.start(10ms);
  while (!condition() && loop.now() - start < limit) loop.run_once();
  return condition();
}

}  // namespace tunproxy::testing
