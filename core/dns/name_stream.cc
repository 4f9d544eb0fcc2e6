#include "core/dns/name_stream.h"

#include <algorithm>
#include <utility>

#include "core/dns/fake_answer.h"

namespace tunproxy::dns {
namespace {

constexpr size_t kLength = 2;  // bytes in front of a message (RFC 1035 §4.2.2)

bool is_transfer(const Question& question) {
  return question.type == kTypeIxfr || question.type == kTypeAxfr;
}

}  // namespace

NameStream::NameStream(io::Loop& loop, net::NameService& names, const Endpoint& server,
                       Duration idle)
    : loop_(loop),
      names_(names),
      server_(server),
      idle_after_(idle),
      charge_(loop.memory()),
      progress_(loop,
                [this] {
                  if (look_again_) look_again_();
                }),
      idle_(loop, [this] {
        over_ = true;
        progress_.schedule();
      }) {
  settle();
}

NameStream::~NameStream() = default;

void NameStream::on_progress(std::function<void()> look_again) {
  look_again_ = std::move(look_again);
  progress_.schedule();
}

size_t NameStream::write(Bytes bytes) {
  if (finished_ || error_) return 0;
  if (over_) return bytes.size();  // too late: the client sees the end, and asks elsewhere
  size_t taken = 0;
  while (!error_ && taken < bytes.size()) {
    const size_t fits = in_.append(bytes.subspan(taken));
    if (fits == 0) break;
    taken += fits;
    serve();
  }
  return taken;
}

void NameStream::finish() {
  finished_ = true;
  serve();
  progress_.schedule();
}

// A message that the client did not finish before it half-closed is nobody's.
void NameStream::serve() {
  const size_t most = std::min(kMaxAnswers, loop_.memory().allowance());
  while (!error_ && queries_.size() < kMaxPending && out_.size() < most) {
    const std::optional<Bytes> message = next_query();
    if (!message) break;
    ask(*message);
    in_.consume(kLength + message->size());
    progress_.schedule();  // there is room again
  }
  settle();
}

std::optional<Bytes> NameStream::next_query() {
  const Bytes bytes = in_.front();
  if (bytes.size() < kLength) return std::nullopt;
  const size_t length = load_be16(bytes.data());
  if (length > kMaxQuery) return fail("a DNS query that is too long"), std::nullopt;
  if (bytes.size() < kLength + length) return std::nullopt;
  return bytes.subspan(kLength, length);
}

// It leaves in_ alone, where the message is.
void NameStream::ask(Bytes message) {
  Result<Question> question = parse_question(message);
  if (!question || parse_header(message)->is_response()) return fail("not a DNS query");
  if (is_transfer(*question)) return put(empty_answer(message, *question, kNotImplemented));
  queries_.push_front({{message.begin(), message.end()}, std::move(*question), nullptr});
  const auto query = queries_.begin();
  query->attempt = names_.exchange(
      server_, message, [this, query](Result<ByteVector> answer) { answered(query, answer); });
}

void NameStream::answered(Queries::iterator query, const Result<ByteVector>& answer) {
  if (answer) {
    put(*answer);
  } else {
    put(empty_answer(query->message, query->question, kServerFailure));
  }
  loop_.retire(std::move(query->attempt));
  queries_.erase(query);
  serve();
}

void NameStream::put(Bytes answer) {
  ByteVector length;
  append_be16(length, static_cast<uint16_t>(answer.size()));
  out_.append_all(length);
  out_.append_all(answer);
  progress_.schedule();
}

Bytes NameStream::peek() const {
  return error_ ? Bytes() : out_.front();
}

void NameStream::consume(size_t n) {
  out_.consume(n);
  serve();
}

bool NameStream::ended() const {
  return (finished_ || over_) && queries_.empty() && out_.empty();
}

void NameStream::fail(const char* why) {
  error_ = Error{ErrorCode::protocol, why};
  queries_.clear();
  progress_.schedule();
}

void NameStream::settle() {
  size_t held = in_.size() + out_.size();
  for (const Query& query : queries_) held += query.message.size();
  charge_.set(held);
  const bool idle = queries_.empty() && out_.empty() && !finished_ && !over_ && !error_;
  if (!idle) return idle_.stop();
  if (!idle_.active()) idle_.start(idle_after_);
}

}  // namespace tunproxy::dns
