#include "core/dns/connection.h"

#include <cassert>
#include <utility>

namespace tunproxy::dns {
namespace {

constexpr size_t kLengthSize = 2;  // RFC 1035 §4.2.2
// Forgotten queries hold an id each; with so many of them the resolver has stopped to answer.
constexpr size_t kMaxIds = 4096;

}  // namespace

Connection::Connection(io::Loop& loop, net::Proxy& proxy, const Endpoint& resolver,
                       OnAnswer on_answer, OnClosed on_closed)
    : loop_(loop),
      resolver_(resolver),
      on_answer_(std::move(on_answer)),
      on_closed_(std::move(on_closed)),
      last_heard_(loop.now()),
      idle_(loop, [this] {
        close({ErrorCode::cancelled, "idle"});
      }) {
  attempt_ = proxy.connect(resolver, [this](Result<std::unique_ptr<net::Stream>> stream) {
    on_connected(std::move(stream));
  });
}

void Connection::send(uint64_t key, Bytes query, const Question& question) {
  assert(key != 0 && query.size() >= kHeaderSize && query.size() <= kMaxMessage);
  const uint16_t id = free_id();
  pending_[id] = {key, question};
  ++load_;
  idle_.stop();
  append_be16(out_, static_cast<uint16_t>(query.size()));
  const size_t start = out_.size();
  append(out_, query);
  set_id(MutableBytes(out_).subspan(start), id);
  if (stream_) flush();
}

uint16_t Connection::free_id() {
  while (pending_.contains(next_id_)) ++next_id_;
  return next_id_++;
}

void Connection::on_connected(Result<std::unique_ptr<net::Stream>> stream) {
  attempt_.reset();
  if (!stream) return close(stream.error());
  stream_ = std::move(*stream);
  last_heard_ = loop_.now();
  stream_->on_progress([this] { look_again(); });
  watch_idleness();
}

void Connection::look_again() {
  if (!on_closed_) return;
  const Result<void> received = receive();
  if (!received) return close(received.error());
  flush();
  if (stream_->error() != nullptr) return close(*stream_->error());
  if (stream_->ended()) return close({ErrorCode::reset, "the resolver closed the connection"});
  watch_idleness();
}

Result<void> Connection::receive() {
  for (Bytes bytes = stream_->peek(); !bytes.empty(); bytes = stream_->peek()) {
    append(in_, bytes);
    stream_->consume(bytes.size());
    size_t done = 0;
    while (in_.size() - done >= kLengthSize) {
      const size_t length = load_be16(&in_[done]);
      if (in_.size() - done - kLengthSize < length) break;
      const Result<void> taken = on_message(Bytes(in_).subspan(done + kLengthSize, length));
      if (!taken) return taken;
      done += kLengthSize + length;
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(done));
  }
  if (in_.empty()) in_ = {};
  return {};
}

Result<void> Connection::on_message(Bytes message) {
  const Result<Header> header = parse_header(message);
  if (!header) return header.error();
  last_heard_ = loop_.now();
  const auto found = pending_.find(header->id);
  if (!header->is_response() || found == pending_.end()) return {};
  const Result<Question> question = parse_question(message);
  // Some resolvers leave the question out where they answer with an error.
  const bool bare_error = header->questions == 0 && header->response_code() != 0;
  if (!bare_error && !(question && question->matches(found->second.question))) return {};
  const uint64_t key = found->second.key;
  pending_.erase(found);
  if (key == 0) return {};
  --load_;
  on_answer_(key, ByteVector(message.begin(), message.end()));
  return {};
}

void Connection::flush() {
  const size_t taken = stream_->write(out_);
  out_.erase(out_.begin(), out_.begin() + static_cast<ptrdiff_t>(taken));
  if (out_.empty()) out_ = {};
}

void Connection::forget(uint64_t key) {
  for (auto& [id, pending] : pending_) {
    if (pending.key != key) continue;
    pending.key = 0;
    --load_;
    break;
  }
  watch_idleness();
}

void Connection::watch_idleness() {
  if (load_ == 0 && stream_ && on_closed_ && !idle_.active()) {
    idle_.start(pending_.size() < kMaxIds ? kIdleTimeout : Duration(0));
  }
}

std::vector<uint64_t> Connection::unanswered() const {
  std::vector<uint64_t> keys;
  for (const auto& [id, pending] : pending_) {
    if (pending.key != 0) keys.push_back(pending.key);
  }
  return keys;
}

void Connection::detach() {
  on_closed_ = nullptr;
  idle_.stop();
  attempt_.reset();
}

void Connection::close(const Error& why) {
  const OnClosed on_closed = std::move(on_closed_);
  detach();
  if (on_closed) on_closed(*this, why);
}

}  // namespace tunproxy::dns
