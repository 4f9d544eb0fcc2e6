#include "core/dns/datagram_forwarder.h"

#include <cassert>
#include <optional>
#include <random>
#include <utility>

#include "core/base/log.h"
#include "core/dns/message.h"

namespace tunproxy::dns {
namespace {

// Whoever guesses it could answer in the resolver's place (RFC 5452 §4).
uint16_t random_id() {
  static thread_local std::random_device source;
  return static_cast<uint16_t>(source());
}

}  // namespace

// A question that was asked by UDP, or by both, until its answer.
class DatagramForwarder::Exchange final : public net::Attempt {
 public:
  Exchange(DatagramForwarder& owner, const Endpoint& server, Bytes query,
           net::Done<ByteVector> done)
      : owner_(owner),
        server_(server),
        query_(query.begin(), query.end()),
        question_(*parse_question(query)),
        id_(owner.free_id()),
        first_(owner.preferred_),
        done_(std::move(done)),
        silence_(owner.loop_, [this] { on_silence(); }) {
    owner_.pending_[id_] = this;
    silence_.start(kTryTimeout);
    owner_.ask(*this);
    if (owner_.loop_.now() < owner_.doubted_until_) ask_over_tcp();
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() override { leave(); }

  /// The one whose turn it is.
  const Endpoint& resolver() const { return resolver_of(tries_); }

  ByteVector message() const {
    ByteVector message = query_;
    set_id(message, id_);
    return message;
  }

  void answered(const Endpoint& from, Bytes answer) {
    const Result<Header> header = parse_header(answer);
    const Result<Question> question = parse_question(answer);
    if (!header->is_response() || !question || !question->matches(question_)) return;
    if (!was_asked(from)) return;
    owner_.doubted_until_ = {};
    if ((header->flags & Header::kTruncated) != 0) return give_udp_up();
    ByteVector whole(answer.begin(), answer.end());
    set_id(whole, load_be16(query_.data()));
    finish(std::move(whole));
  }

  /// From now on only TCP may answer.
  void give_udp_up() {
    leave();
    if (failure_) return finish(*failure_);
    ask_over_tcp();
  }

 private:
  const Endpoint& resolver_of(unsigned turn) const {
    return owner_.resolvers_[(first_ + turn) % owner_.resolvers_.size()];
  }

  // And is then the first to be asked.
  bool was_asked(const Endpoint& from) {
    for (unsigned turn = 0; turn <= tries_; ++turn) {
      if (resolver_of(turn) != from) continue;
      owner_.preferred_ = (first_ + turn) % owner_.resolvers_.size();
      return true;
    }
    return false;
  }

  void on_silence() {
    if (tries_ + 1 >= kTries) return give_udp_up();
    ++tries_;
    silence_.start(kTryTimeout);
    owner_.ask(*this);
    ask_over_tcp();
  }

  void ask_over_tcp() {
    if (attempt_ != nullptr || failure_) return;
    attempt_ = owner_.over_tcp_.exchange(
        server_, query_, [this](Result<ByteVector> answer) { over_tcp(std::move(answer)); });
  }

  void over_tcp(Result<ByteVector> answer) {
    const bool udp_waits = silence_.active();
    if (answer && udp_waits && tries_ > 0) {
      log::debug("DNS: only TCP answered; for a while both are asked");
      owner_.doubted_until_ = owner_.loop_.now() + kDoubt;
    }
    if (answer || !udp_waits) return finish(std::move(answer));
    failure_ = answer.error();
  }

  // It may be destroyed from within.
  void finish(Result<ByteVector> result) {
    leave();
    std::exchange(done_, nullptr)(std::move(result));
  }

  void leave() {
    silence_.stop();
    const auto found = owner_.pending_.find(id_);
    if (found != owner_.pending_.end() && found->second == this) owner_.pending_.erase(found);
    owner_.when_idle();
  }

  DatagramForwarder& owner_;
  const Endpoint server_;
  const ByteVector query_;
  const Question question_;
  const uint16_t id_;
  const size_t first_;  // in the owner's resolvers
  net::Done<ByteVector> done_;
  unsigned tries_ = 0;
  io::Timer silence_;  // runs as long as UDP may answer
  std::unique_ptr<net::Attempt> attempt_;
  std::optional<Error> failure_;  // of TCP
};

DatagramForwarder::DatagramForwarder(io::Loop& loop, net::DatagramProxy& carrier,
                                     net::NameService& over_tcp, std::vector<Endpoint> resolvers,
                                     std::function<bool()> carried)
    : loop_(loop),
      carrier_(carrier),
      over_tcp_(over_tcp),
      resolvers_(std::move(resolvers)),
      carried_(std::move(carried)),
      idle_(loop, [this] { closed(); }) {
  assert(!resolvers_.empty());
}

std::unique_ptr<net::Attempt> DatagramForwarder::exchange(const Endpoint& server, Bytes query,
                                                          net::Done<ByteVector> done) {
  if (!fits(query)) return over_tcp_.exchange(server, query, std::move(done));
  return std::make_unique<Exchange>(*this, server, query, std::move(done));
}

bool DatagramForwarder::fits(Bytes query) const {
  if (!carried_() || loop_.now() < refused_until_) return false;
  if (pending_.size() >= kMaxPending || query.size() > kMaxQuery) return false;
  return parse_question(query) && !parse_header(query)->is_response();
}

uint16_t DatagramForwarder::free_id() const {
  uint16_t id = random_id();
  while (pending_.contains(id)) ++id;
  return id;
}

void DatagramForwarder::ask(Exchange& exchange) {
  idle_.stop();
  if (state_ == State::closed) return open();
  if (state_ == State::open) session_->send(exchange.resolver(), exchange.message());
}

void DatagramForwarder::open() {
  state_ = State::opening;
  opening_ = carrier_.associate(
      [this](const Endpoint& from, Bytes answer) { received(from, answer); },
      [this](const Error&) { closed(); }, [this](auto session) { opened(std::move(session)); });
}

void DatagramForwarder::opened(Result<std::unique_ptr<net::DatagramSession>> session) {
  opening_.reset();
  state_ = State::closed;
  if (!session) {
    refused_until_ = loop_.now() + kRefused;
    while (!pending_.empty()) pending_.begin()->second->give_udp_up();
    return;
  }
  state_ = State::open;
  session_ = std::move(*session);
  for (const auto& [id, exchange] : pending_) {
    session_->send(exchange->resolver(), exchange->message());
  }
  when_idle();
}

void DatagramForwarder::received(const Endpoint& from, Bytes answer) {
  if (answer.size() < kHeaderSize) return;
  const auto found = pending_.find(load_be16(answer.data()));
  if (found != pending_.end()) found->second->answered(from, answer);
}

// What waits for an answer asks again when its time is up.
void DatagramForwarder::closed() {
  idle_.stop();
  opening_.reset();
  state_ = State::closed;
  if (session_) loop_.retire(std::exchange(session_, nullptr));
}

void DatagramForwarder::when_idle() {
  if (pending_.empty() && state_ == State::open && !idle_.active()) idle_.start(kIdle);
}

}  // namespace tunproxy::dns
