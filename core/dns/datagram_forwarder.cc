#include "core/dns/datagram_forwarder.h"

#include <random>
#include <utility>
#include <vector>

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

// A question that was asked by UDP, until its answer, or until it is one of TCP's.
class DatagramForwarder::Exchange final : public net::Attempt {
 public:
  Exchange(DatagramForwarder& owner, const Endpoint& server, Bytes query,
           net::Done<ByteVector> done)
      : owner_(owner),
        asked_(server),
        query_(query.begin(), query.end()),
        question_(*parse_question(query)),
        id_(owner.free_id()),
        done_(std::move(done)),
        silence_(owner.loop_, [this] { on_silence(); }) {
    owner_.pending_[id_] = this;
    silence_.start(kTryTimeout);
    owner_.ask(*this);
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() override { leave(); }

  Endpoint resolver() const { return owner_.resolver_.value_or(asked_); }

  ByteVector message() const {
    ByteVector message = query_;
    set_id(message, id_);
    return message;
  }

  void answered(const Endpoint& from, Bytes answer) {
    const Result<Header> header = parse_header(answer);
    const Result<Question> question = parse_question(answer);
    if (from != resolver() || !header->is_response() || !question) return;
    if (!question->matches(question_)) return;
    if ((header->flags & Header::kTruncated) != 0) return over_tcp();
    leave();
    ByteVector whole(answer.begin(), answer.end());
    set_id(whole, load_be16(query_.data()));
    std::exchange(done_, nullptr)(std::move(whole));
  }

  void over_tcp() {
    leave();
    attempt_ = owner_.over_tcp_.exchange(asked_, query_, std::exchange(done_, nullptr));
  }

 private:
  void on_silence() {
    if (++tries_ >= kTries) {
      log::debug("DNS: no answer by UDP; for a while all is asked over TCP");
      return owner_.distrust();
    }
    silence_.start(kTryTimeout);
    owner_.ask(*this);
  }

  void leave() {
    silence_.stop();
    const auto found = owner_.pending_.find(id_);
    if (found != owner_.pending_.end() && found->second == this) owner_.pending_.erase(found);
    owner_.when_idle();
  }

  DatagramForwarder& owner_;
  const Endpoint asked_;
  const ByteVector query_;
  const Question question_;
  const uint16_t id_;
  net::Done<ByteVector> done_;
  unsigned tries_ = 0;
  io::Timer silence_;
  std::unique_ptr<net::Attempt> attempt_;
};

DatagramForwarder::DatagramForwarder(io::Loop& loop, net::DatagramProxy& carrier,
                                     net::NameService& over_tcp, std::optional<Endpoint> resolver,
                                     std::function<bool()> carried)
    : loop_(loop),
      carrier_(carrier),
      over_tcp_(over_tcp),
      resolver_(resolver),
      carried_(std::move(carried)),
      idle_(loop, [this] { closed(); }) {}

std::unique_ptr<net::Attempt> DatagramForwarder::exchange(const Endpoint& server, Bytes query,
                                                          net::Done<ByteVector> done) {
  if (!fits(query)) return over_tcp_.exchange(server, query, std::move(done));
  return std::make_unique<Exchange>(*this, server, query, std::move(done));
}

bool DatagramForwarder::fits(Bytes query) const {
  if (!carried_() || loop_.now() < distrusted_until_) return false;
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
  if (!session) return distrust();
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

// The path is not to be waited for again by each query.
void DatagramForwarder::distrust() {
  distrusted_until_ = loop_.now() + kDistrust;
  while (!pending_.empty()) pending_.begin()->second->over_tcp();
  closed();
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
