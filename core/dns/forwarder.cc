#include "core/dns/forwarder.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"

namespace tunproxy::dns {

class Forwarder::Exchange final : public net::Attempt {
 public:
  Exchange(Forwarder& forwarder, uint64_t key) : forwarder_(forwarder), key_(key) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() override { forwarder_.cancel(key_); }

 private:
  Forwarder& forwarder_;
  const uint64_t key_;
};

Forwarder::Forwarder(io::Loop& loop, net::Proxy& proxy,
                     std::optional<std::vector<Endpoint>> resolvers)
    : loop_(loop),
      proxy_(proxy),
      resolvers_(std::move(resolvers)),
      timer_(loop, [this] { on_timer(); }),
      settle_(loop, [this] { settle(); }) {}

std::unique_ptr<net::Attempt> Forwarder::exchange(const Endpoint&, Bytes query,
                                                  net::Done<ByteVector> done) {
  const bool full = queries_.size() >= kMaxPending;
  const uint64_t key = ++last_key_;
  Query& entry = queries_[key];
  entry.done = std::move(done);
  Result<Question> question = parse_question(query);
  if (full) {
    entry.failure = Error{ErrorCode::limit, "too many DNS queries are pending"};
  } else if (!question) {
    entry.failure = question.error();
  } else if (parse_header(query)->is_response() || query.size() > kMaxQuery) {
    entry.failure = Error{ErrorCode::protocol, "not a DNS query, or too long a one"};
  }
  if (entry.failure) {
    settle_.schedule();
  } else {
    entry.message.assign(query.begin(), query.end());
    entry.id = load_be16(query.data());
    entry.question = std::move(*question);
    send(key, entry);
  }
  return std::make_unique<Exchange>(*this, key);
}

void Forwarder::set_resolvers(std::vector<Endpoint> resolvers) {
  const bool were_known = resolvers_.has_value();
  resolvers_ = std::move(resolvers);
  preferred_ = 0;
  if (were_known) return;
  for (auto& [key, query] : queries_) {
    if (!query.failure) send(key, query);
  }
}

void Forwarder::send(uint64_t key, Query& query) {
  if (!resolvers_) return set_deadline(query, kResolverWait);
  query.resolver = (*resolvers_)[preferred_];
  Connection* connection = connection_for(query.resolver);
  if (connection == nullptr) {
    query.failure = Error{ErrorCode::limit, "too many resolvers are being asked"};
    return settle_.schedule();
  }
  query.connection = connection;
  query.sent = loop_.now();
  set_deadline(query, kTryTimeout);
  connection->send(key, query.message, query.question);
}

Connection* Forwarder::connection_for(const Endpoint& resolver) {
  Connection* best = nullptr;
  size_t count = 0;
  for (const auto& connection : connections_) {
    if (connection->resolver() != resolver) continue;
    ++count;
    if (best == nullptr || connection->load() < best->load()) best = connection.get();
  }
  const bool wants_more =
      best == nullptr || (best->load() >= kPipelined && count < kMaxPerResolver);
  if (!wants_more || !make_room()) return best;
  connections_.push_back(std::make_unique<Connection>(
      loop_, proxy_, resolver,
      [this](uint64_t key, ByteVector answer) { on_answer(key, std::move(answer)); },
      [this](Connection& connection, const Error& why) { on_closed(connection, why); }));
  return connections_.back().get();
}

bool Forwarder::make_room() {
  if (connections_.size() < kMaxConnections) return true;
  const auto idle = std::find_if(connections_.begin(), connections_.end(),
                                 [](const auto& connection) { return connection->load() == 0; });
  if (idle == connections_.end()) return false;
  drop(**idle);
  return true;
}

void Forwarder::on_answer(uint64_t key, ByteVector answer) {
  const auto found = queries_.find(key);
  if (found == queries_.end()) return;
  set_id(answer, found->second.id);
  found->second.connection = nullptr;
  complete(key, std::move(answer));
}

// Resolvers close connections when they like; a query that was on its way then is asked once more
// (RFC 7766 §6.2.4). A connection that never came about speaks against the resolver.
void Forwarder::on_closed(Connection& connection, const Error& why) {
  const std::vector<uint64_t> keys = connection.unanswered();
  const bool was_established = connection.established();
  if (!keys.empty()) {
    log::debug("DNS: {}: {}; {} queries are asked again", connection.resolver().to_string(),
               why.message, keys.size());
  }
  if (!was_established) pass_over(connection.resolver());
  drop(connection);
  for (const uint64_t key : keys) {
    const auto found = queries_.find(key);
    if (found == queries_.end()) continue;
    Query& query = found->second;
    query.connection = nullptr;
    if (was_established && !std::exchange(query.resent, true)) {
      send(key, query);
    } else {
      try_next(key, why);
    }
  }
}

void Forwarder::drop(Connection& connection) {
  const auto found =
      std::find_if(connections_.begin(), connections_.end(),
                   [&](const auto& candidate) { return candidate.get() == &connection; });
  connection.detach();
  loop_.retire(std::move(*found));
  connections_.erase(found);
}

void Forwarder::set_deadline(Query& query, Duration from_now) {
  query.deadline = loop_.now() + from_now;
  if (timer_.active() && timer_due_ <= query.deadline) return;
  timer_due_ = query.deadline;
  timer_.start(from_now);
}

void Forwarder::on_timer() {
  std::vector<uint64_t> due;
  for (const auto& [key, query] : queries_) {
    if (!query.failure && query.deadline <= loop_.now()) due.push_back(key);
  }
  for (const uint64_t key : due) on_silence(key);
  for (auto& [key, query] : queries_) {
    if (!query.failure) set_deadline(query, query.deadline - loop_.now());
  }
}

// A connection on which nothing at all came meanwhile is given up with everything that waits for
// it.
void Forwarder::on_silence(uint64_t key) {
  const auto found = queries_.find(key);
  if (found == queries_.end() || found->second.deadline > loop_.now()) return;
  const Error silence{ErrorCode::timed_out, "no resolver answered in time"};
  if (!resolvers_) return complete(key, silence);
  pass_over(found->second.resolver);
  Connection* connection = std::exchange(found->second.connection, nullptr);
  if (connection != nullptr) {
    const bool dead = connection->last_heard() <= found->second.sent;
    connection->forget(key);
    if (dead) on_closed(*connection, silence);
  }
  try_next(key, silence);
}

// The next one of the list is asked from now on, unless another query has seen to that.
void Forwarder::pass_over(const Endpoint& resolver) {
  if ((*resolvers_)[preferred_] != resolver) return;
  preferred_ = (preferred_ + 1) % resolvers_->size();
}

void Forwarder::try_next(uint64_t key, const Error& why) {
  const auto found = queries_.find(key);
  if (found == queries_.end()) return;
  if (++found->second.tries >= kMaxTries) return complete(key, why);
  send(key, found->second);
}

void Forwarder::complete(uint64_t key, Result<ByteVector> result) {
  const auto found = queries_.find(key);
  const net::Done<ByteVector> done = std::move(found->second.done);
  queries_.erase(found);
  if (queries_.empty()) timer_.stop();
  done(std::move(result));
}

void Forwarder::cancel(uint64_t key) {
  const auto found = queries_.find(key);
  if (found == queries_.end()) return;
  if (found->second.connection != nullptr) found->second.connection->forget(key);
  queries_.erase(found);
  if (queries_.empty()) timer_.stop();
}

void Forwarder::settle() {
  std::vector<uint64_t> failed;
  for (const auto& [key, query] : queries_) {
    if (query.failure) failed.push_back(key);
  }
  for (const uint64_t key : failed) {
    const auto found = queries_.find(key);
    if (found != queries_.end()) complete(key, *found->second.failure);
  }
}

}  // namespace tunproxy::dns
