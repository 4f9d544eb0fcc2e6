#include "tools/relay/question.h"

#include <algorithm>
#include <random>
#include <utility>

namespace tunproxy::relay {
namespace {

constexpr uint8_t kAnyV6[16] = {};
constexpr size_t kLengthSize = 2;

uint16_t random_id() {
  static thread_local std::random_device source;
  return static_cast<uint16_t>(source());
}

bool refuses(uint8_t response_code) {
  return response_code == 2 || response_code == 4 || response_code == 5;
}

}  // namespace

Question::Question(io::Loop& loop, std::vector<Endpoint> resolvers, Bytes query,
                   std::function<void(Bytes)> done)
    : loop_(loop),
      resolvers_(std::move(resolvers)),
      query_(query.begin(), query.end()),
      id_(load_be16(query.data())),
      done_(std::move(done)),
      timer_(loop, [this] { ask(); }) {
  timer_.start(Duration(0));
}

Question::~Question() {
  end_try();
}

// Sockets may be on the stack here.
void Question::end_try() {
  if (socket_) loop_.retire(std::move(socket_));
  if (stream_) {
    stream_->on_progress(nullptr);
    loop_.retire(std::move(stream_));
  }
  dialing_.reset();
}

void Question::ask() {
  end_try();
  if (tries_ == kTries) return settle(last_);
  const Endpoint& resolver = resolvers_[tries_++ % resolvers_.size()];
  timer_.start(kTryTime);
  dns::set_id(query_, random_id());
  const Endpoint any{resolver.address.is_v6() ? IpAddress::v6(kAnyV6) : IpAddress(), 0};
  auto socket =
      io::UdpSocket::bind(loop_, any, [this, resolver](const Endpoint& from, Bytes answer) {
        if (from == resolver && socket_ != nullptr) on_answer(answer, false);
      });
  if (!socket || !(*socket)->send(resolver, query_)) {
    timer_.start(Duration(0));
    return;
  }
  socket_ = *std::move(socket);
}

void Question::ask_tcp() {
  end_try();
  timer_.start(2 * kTryTime);
  incoming_.clear();
  outgoing_.clear();
  append_be16(outgoing_, static_cast<uint16_t>(query_.size()));
  append(outgoing_, query_);
  const Endpoint& resolver = resolvers_[(tries_ - 1) % resolvers_.size()];
  io::DialOptions options;
  options.timeout = 2 * kTryTime;
  dialing_ = io::dial(loop_, Target(resolver), options,
                      [this](Result<std::unique_ptr<io::TcpStream>> stream) {
                        if (!stream) return ask();
                        on_connected(*std::move(stream));
                      });
}

void Question::on_connected(std::unique_ptr<io::TcpStream> stream) {
  stream_ = std::move(stream);
  stream_->on_progress([this] { on_progress(); });
}

void Question::on_progress() {
  const size_t written = stream_->write(outgoing_);
  outgoing_.erase(outgoing_.begin(), outgoing_.begin() + static_cast<ptrdiff_t>(written));
  for (Bytes bytes = stream_->peek(); !bytes.empty(); bytes = stream_->peek()) {
    append(incoming_, bytes);
    stream_->consume(bytes.size());
  }
  if (incoming_.size() >= kLengthSize) {
    const size_t length = load_be16(incoming_.data());
    if (incoming_.size() >= kLengthSize + length) {
      const ByteVector answer = std::move(incoming_);
      return on_answer(Bytes(answer).subspan(kLengthSize, length), true);
    }
  }
  if (stream_->ended() || stream_->error() != nullptr) ask();
}

void Question::on_answer(Bytes answer, bool tcp) {
  if (!fits(answer)) {
    if (tcp) ask();
    return;
  }
  const dns::Header header = *dns::parse_header(answer);
  const bool truncated = (header.flags & dns::Header::kTruncated) != 0;
  if (!(truncated && !tcp) && !refuses(header.response_code())) return settle(answer);
  last_.assign(answer.begin(), answer.end());
  if (truncated && !tcp) {
    ask_tcp();
  } else {
    ask();
  }
}

// A server that did not understand the question need not repeat it.
bool Question::fits(Bytes answer) const {
  const auto header = dns::parse_header(answer);
  if (!header || header->id != load_be16(query_.data()) || !header->is_response()) return false;
  const auto asked = dns::parse_question(query_);
  const auto answered = dns::parse_question(answer);
  if (!asked || header->questions == 0) return true;
  return answered && answered->matches(*asked);
}

void Question::settle(Bytes answer) {
  timer_.stop();
  ByteVector message(answer.begin(), answer.end());
  if (!message.empty()) dns::set_id(message, id_);
  end_try();
  done_(message);
}

}  // namespace tunproxy::relay
