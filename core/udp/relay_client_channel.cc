#include "core/udp/relay_client_channel.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <random>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::udp {
namespace {

constexpr size_t kLengthSize = 4;
constexpr size_t kFlushAt = 32 * 1024;  // about one packet of SSH
constexpr size_t kMaxQuote = 160;
constexpr uint32_t kPingToken = 1;

Hello::Nonce make_nonce() {
  std::random_device source;
  Hello::Nonce nonce{};
  for (uint8_t& byte : nonce) byte = static_cast<uint8_t>(source());
  return nonce;
}

// The last line with something on it, fit to be shown: why a shell did not do what it was told.
std::string quote(Bytes printed) {
  std::string line;
  std::string last;
  for (const uint8_t byte : printed) {
    const bool ends = byte == '\n' || byte == '\r';
    if (ends && !line.empty()) last = std::exchange(line, {});
    if (byte >= ' ' && byte < 0x7f && line.size() < kMaxQuote)
      line.push_back(static_cast<char>(byte));
  }
  return line.empty() ? last : line;
}

}  // namespace

RelayChannel::RelayChannel(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                           const RelayOptions& options, User& user)
    : loop_(loop),
      stream_(std::move(stream)),
      user_(user),
      opening_(options.program),
      queue_(options.queue),
      watch_(loop, options.silence, [this](auto event) { on_watch(event); }),
      flush_(loop, [this] { flush(); }),
      late_(loop, [this] { on_late(); }) {
  hello_.nonce = make_nonce();
  const bool fits = encode({0, hello_}, opening_).has_value();
  assert(fits);
  (void)fits;
  late_.start(options.probe_timeout);
  stream_->on_progress([this] { on_progress(); });
  flush_.schedule();
}

void RelayChannel::set_state(State next) {
  static constexpr const char* kNames[] = {"connecting", "open", "lost"};
  assert(next > state_);
  log::debug("relay: {} -> {}", kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
  state_ = next;
}

// On the way out.

bool RelayChannel::say(const RelayMessage& message) {
  if (state_ == State::lost || !queue_.push(message)) return false;
  spoke();
  return true;
}

bool RelayChannel::send(uint32_t connection, const Target& to, Bytes payload) {
  if (state_ != State::open) return false;
  if (queue_.full() || queue_.bytes() >= kFlushAt) flush();
  if (!queue_.push_datagram(connection, to, payload, loop_.now())) return false;
  spoke();
  return true;
}

void RelayChannel::spoke() {
  flush_.schedule();
  if (state_ == State::open) watch_.spoke();
}

void RelayChannel::flush() {
  if (state_ == State::lost) return;
  if (!opening_.empty()) {
    const size_t n = stream_->write(opening_);
    opening_.erase(opening_.begin(), opening_.begin() + static_cast<ptrdiff_t>(n));
    if (!opening_.empty()) return;
    opening_.shrink_to_fit();
  }
  for (Bytes bytes = queue_.front(loop_.now()); !bytes.empty(); bytes = queue_.front(loop_.now())) {
    const size_t n = stream_->write(bytes);
    const bool blocked = n < bytes.size();
    queue_.consume(n);
    if (blocked) return;
  }
}

// On the way in. Everything is taken from the stream at once: one that holds a rest back need not
// read on.

void RelayChannel::on_progress() {
  flush();
  while (state_ != State::lost) {
    const Bytes bytes = stream_->peek();
    if (bytes.empty()) break;
    if (greeted_) {
      take(bytes);
    } else {
      greet(bytes);
    }
    if (state_ != State::lost) stream_->consume(bytes.size());
  }
  if (state_ != State::lost && (stream_->error() != nullptr || stream_->ended())) on_end();
}

void RelayChannel::greet(Bytes bytes) {
  append(partial_, bytes);
  const auto start = find_relay_magic(partial_, hello_.nonce);
  if (!start) return fail(start.error());
  if (!*start) return;
  greeted_ = true;
  const ByteVector input = std::exchange(partial_, {});
  take(Bytes(input).subspan(**start));
}

void RelayChannel::take(Bytes bytes) {
  while (state_ != State::lost && !bytes.empty()) {
    if (!partial_.empty()) {
      complete_message(bytes);
    } else if (!decode_one(bytes)) {
      append(partial_, bytes);
      return;
    }
  }
}

// Moves as many bytes to the partial message as it is known to need.
void RelayChannel::complete_message(Bytes& bytes) {
  size_t size = kLengthSize;
  if (partial_.size() >= kLengthSize) size += load_be32(partial_.data());
  const size_t n = std::min(size - partial_.size(), bytes.size());
  append(partial_, bytes.first(n));
  bytes = bytes.subspan(n);
  Bytes whole(partial_);
  if (decode_one(whole)) partial_.clear();
}

// False if there is not yet a whole message.
bool RelayChannel::decode_one(Bytes& bytes) {
  const auto message = decode_relay(bytes);
  if (!message) {
    fail({ErrorCode::protocol, "the relay broke its protocol: " + message.error().message});
    return true;
  }
  if (!*message) return false;
  heard(**message);
  return true;
}

void RelayChannel::heard(const RelayMessage& message) {
  watch_.heard();
  if (state_ == State::connecting) {
    on_hello(message);
  } else if (const auto* ping = std::get_if<Ping>(&message.body)) {
    queue_.push({message.connection, Pong{ping->token}});
    flush_.schedule();
  } else {
    user_.on_message(message);
  }
}

void RelayChannel::on_hello(const RelayMessage& message) {
  const auto* hello = std::get_if<Hello>(&message.body);
  if (hello == nullptr || hello->nonce != hello_.nonce || hello->version == 0) {
    return fail({ErrorCode::protocol, "the relay did not begin with its hello"});
  }
  late_.stop();
  set_state(State::open);
  user_.on_open(*hello);
}

void RelayChannel::on_end() {
  const std::string printed = greeted_ ? std::string() : quote(partial_);
  Error error{ErrorCode::reset, "the relay ended"};
  if (stream_->error() != nullptr) error = *stream_->error();
  if (state_ == State::connecting) error.message = "the far end did not start the relay";
  if (!printed.empty()) error.message += ": " + printed;
  fail(std::move(error));
}

void RelayChannel::on_late() {
  const std::string printed = greeted_ ? std::string() : quote(partial_);
  fail({ErrorCode::timed_out,
        printed.empty() ? "the relay did not start in time"
                        : "the relay did not start in time; the far end says: " + printed});
}

void RelayChannel::on_watch(SilenceWatch::Event event) {
  switch (event) {
    case SilenceWatch::Event::ask:
      say({0, Ping{kPingToken}});
      return;
    case SilenceWatch::Event::silent:
      log::debug("relay: it does not answer");
      return user_.on_silence();
    case SilenceWatch::Event::give_up:
      return fail({ErrorCode::timed_out, "the relay no longer answers"});
  }
}

void RelayChannel::fail(Error error) {
  if (state_ == State::lost) return;
  set_state(State::lost);
  late_.stop();
  watch_.stop();
  flush_.cancel();
  stream_->on_progress(nullptr);
  user_.on_lost(error);
}

}  // namespace tunproxy::udp
