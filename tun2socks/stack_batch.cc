// The end of a batch, and the ends of connections.
#include <algorithm>

#include "tun2socks/stack_internal.h"

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kSpareChunks = 8;
constexpr size_t kEnoughMemory = MemoryBudget::kSmallestLeast;

}  // namespace

void Stack::touch(Connection& connection) {
  if (connection.slot != Connection::kNotTouched) return;
  if (!timer_.active()) catch_up_ticks();
  connection.slot = touched_.size();
  touched_.push_back(&connection);
  settle_.schedule();
}

void Stack::schedule_progress(TcpFlow& flow) {
  if (flow.connection_ != nullptr) {
    flow.connection_->notify = true;
    touch(*flow.connection_);
    return;
  }
  forget(flow);
  orphans_.push_back(&flow);
  settle_.schedule();
}

void Stack::forget(TcpFlow& flow) {
  std::replace(orphans_.begin(), orphans_.end(), &flow, static_cast<TcpFlow*>(nullptr));
}

void Stack::settle() {
  for (size_t i = 0; i < touched_.size(); ++i) {
    if (touched_[i] != nullptr) work_on(*touched_[i]);
  }
  touched_.clear();
  for (size_t i = 0; i < orphans_.size(); ++i) {
    if (TcpFlow* const flow = std::exchange(orphans_[i], nullptr)) flow->look_again();
  }
  orphans_.clear();
  feed_starved();
}

void Stack::work_on(Connection& connection) {
  const size_t slot = connection.slot;
  if (std::exchange(connection.notify, false) && connection.flow != nullptr) {
    connection.blocked = false;
    connection.flow->look_again();
    if (touched_[slot] == nullptr) return;
  }
  connection.finish_batch();
  if (connection.fin_sent && connection.flow != nullptr) connection.flow->finished_ = true;
  rearm(connection);
  touched_[slot] = nullptr;
  connection.slot = Connection::kNotTouched;
  if (connection.notify) touch(connection);
}

void Stack::wait_for_memory(Connection& connection) {
  if (connection.starved || budget_.allowance() >= kEnoughMemory) return;
  connection.starved = true;
  starved_.push_back(&connection);
}

void Stack::feed_starved() {
  if (starved_.empty() || budget_.allowance() < kEnoughMemory) return;
  for (Connection* const connection : std::exchange(starved_, {})) {
    connection->starved = false;
    connection->notify = true;
    touch(*connection);
  }
}

size_t Stack::unread(const Connection& connection) const {
  return connection.flow != nullptr ? connection.flow->unread_ : 0;
}

std::unique_ptr<SendChunk> Stack::take_chunk(size_t size) {
  if (size < SendChunk::kFull || chunks_.empty()) return std::make_unique<SendChunk>(size);
  std::unique_ptr<SendChunk> chunk = std::move(chunks_.back());
  chunks_.pop_back();
  return chunk;
}

void Stack::give_back(std::unique_ptr<SendChunk> chunk) {
  if (chunk->capacity != SendChunk::kFull || chunks_.size() >= kSpareChunks) return;
  chunk->used = chunk->acknowledged = 0;
  chunks_.push_back(std::move(chunk));
}

// --- ends ---

bool Stack::shut_down(Connection& connection) {
  const Entered entered(*this, connection.bucket);
  if (tcp_shutdown(connection.pcb, 0, 1) != ERR_OK) return false;
  if (options_.on_half_closed) options_.on_half_closed();
  return true;
}

void Stack::close(Connection& connection, bool orderly) {
  connection.flow = nullptr;
  const Entered entered(*this, connection.bucket);
  if (!orderly) {
    tcp_abort(connection.pcb);
    return;
  }
  tcp_close(connection.pcb);
  touch(connection);
}

void Stack::destroyed(Connection& connection) {
  disarm(connection);
  if (connection.slot != Connection::kNotTouched) touched_[connection.slot] = nullptr;
  if (connection.starved) std::erase(starved_, &connection);
  if (connection.flow == nullptr) return;
  const bool silent = connection.pcb->nrtx >= TCP_MAXRTX;
  connection.flow->lose_connection(
      connection.complete(), silent
                                 ? Error{ErrorCode::timed_out, "the application does not answer"}
                                 : Error{ErrorCode::reset, "the application reset the connection"});
}

}  // namespace tunproxy::tun2socks
