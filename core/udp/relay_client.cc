#include "core/udp/relay_client.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/socks5/reply.h"

namespace tunproxy::udp {
namespace {

Error error_of(uint8_t reason, const std::string& text) {
  return {socks5::error_for_reply(reason),
          text.empty() ? std::string(socks5::reply_text(reason)) : text};
}

template <typename Map>
std::vector<uint32_t> ids_of(const Map& map) {
  std::vector<uint32_t> ids;
  for (const auto& [id, value] : map) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

// One association, as its user holds it.
class RelayClient::Session final : public net::DatagramSession {
 public:
  Session(RelayClient& client, uint32_t id) : client_(client), id_(id) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() override { client_.close(id_); }

  void send(const Target& to, Bytes payload) override { client_.send(id_, to, payload); }
  std::string_view carrier() const override { return "relay"; }

 private:
  RelayClient& client_;
  const uint32_t id_;
};

// A request that waits for its answer.
class RelayClient::Pending final : public net::Attempt {
 public:
  Pending(RelayClient& client, uint32_t id) : client_(client), id_(id) {}
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() override { client_.cancel(id_); }

 private:
  RelayClient& client_;
  const uint32_t id_;
};

std::unique_ptr<net::Attempt> RelayClient::start(io::Loop& loop,
                                                 std::unique_ptr<net::Stream> stream,
                                                 const RelayOptions& options,
                                                 net::Done<std::unique_ptr<RelayClient>> done) {
  return std::make_unique<Starting>(loop, std::move(stream), options, std::move(done));
}

RelayClient::RelayClient(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                         const RelayOptions& options, Starting& starting)
    : loop_(loop),
      answer_timeout_(options.answer_timeout),
      starting_(&starting),
      settle_(loop, [this] { settle(); }),
      expiry_(loop, [this] { expire(); }),
      channel_(loop, std::move(stream), options, *this) {}

void RelayClient::on_open(const Hello& helper) {
  helper_ = helper;
  if (starting_ != nullptr) starting_->settle();
}

// Requests: associations that open, and questions.

std::unique_ptr<net::Attempt> RelayClient::associate(
    net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
    net::Done<std::unique_ptr<net::DatagramSession>> done) {
  Request request;
  request.associates = true;
  request.complete = [this, association = Association{std::move(on_datagram), std::move(on_closed)},
                      done = std::move(done)](uint32_t id, const Answer& answer) {
    if (!answer) return done(answer.error());
    associations_.emplace(id, association);
    done(std::unique_ptr<net::DatagramSession>(std::make_unique<Session>(*this, id)));
  };
  return ask(UdpAssociate{}, std::move(request));
}

std::unique_ptr<net::Attempt> RelayClient::resolve(Bytes query, net::Done<ByteVector> done) {
  Request request;
  request.complete = [done = std::move(done)](uint32_t, const Answer& answer) {
    if (!answer) return done(answer.error());
    const Bytes message = std::get<Resolved>(**answer).message;
    if (message.empty()) {
      return done(Error{ErrorCode::host_unreachable, "the server's resolver does not answer"});
    }
    done(ByteVector(message.begin(), message.end()));
  };
  return ask(Resolve{query}, std::move(request));
}

std::unique_ptr<net::Attempt> RelayClient::ask(const RelayBody& body, Request request) {
  const uint32_t id = ++last_id_;
  request.deadline = loop_.now() + answer_timeout_;
  request.refusal = why_not(request);
  if (!request.refusal && !channel_.say({id, body})) {
    request.refusal = Error{ErrorCode::limit, "too much for the relay"};
  }
  if (request.refusal) settle_.schedule();
  requests_.emplace(id, std::move(request));
  if (!expiry_.active()) expiry_.start(answer_timeout_);
  return std::make_unique<Pending>(*this, id);
}

std::optional<Error> RelayClient::why_not(const Request& request) const {
  if (lost_) return lost_;
  if (requests_.size() >= kMaxRequests) {
    return Error{ErrorCode::limit, "too many requests wait for the relay"};
  }
  if (!request.associates) return std::nullopt;
  const auto opening = std::count_if(requests_.begin(), requests_.end(),
                                     [](const auto& entry) { return entry.second.associates; });
  if (associations_.size() + static_cast<size_t>(opening) < helper_.max_associations) {
    return std::nullopt;
  }
  return Error{ErrorCode::limit, "the relay serves no more associations"};
}

void RelayClient::answer(uint32_t id, const Answer& answer) {
  auto request = requests_.extract(id);
  if (!request.empty()) request.mapped().complete(id, answer);
}

void RelayClient::cancel(uint32_t id) {
  const auto request = requests_.find(id);
  if (request == requests_.end()) return;
  if (request->second.associates && !request->second.refusal) {
    channel_.say({id, UdpAssociateClosed{}});
  }
  requests_.erase(request);
}

void RelayClient::settle() {
  for (const uint32_t id : ids_of(requests_)) {
    const auto request = requests_.find(id);
    if (request == requests_.end() || !request->second.refusal) continue;
    const Error refusal = *request->second.refusal;
    answer(id, refusal);
  }
}

void RelayClient::expire() {
  for (const uint32_t id : ids_of(requests_)) {
    const auto request = requests_.find(id);
    if (request == requests_.end() || request->second.deadline > loop_.now()) continue;
    if (request->second.associates) channel_.say({id, UdpAssociateClosed{}});
    answer(id, Error{ErrorCode::timed_out, "the relay does not answer"});
  }
  Instant next = Instant::max();
  for (const auto& [id, request] : requests_) next = std::min(next, request.deadline);
  if (next != Instant::max()) expiry_.start(std::max(next - loop_.now(), Duration(1)));
}

// Datagrams.

void RelayClient::enforce(const std::vector<rules::FarRule>& rules) {
  const size_t count = std::min(rules.size(), Rules::kMaxRules);
  size_t at = 0;
  do {
    Rules part;
    const size_t n = std::min(count - at, Rules::kMaxEach);
    const auto begin = rules.begin() + static_cast<ptrdiff_t>(at);
    part.rules.assign(begin, begin + static_cast<ptrdiff_t>(n));
    at += n;
    part.more = at < count;
    channel_.say({0, std::move(part)});
  } while (at < count);
}

void RelayClient::send(uint32_t id, const Target& to, Bytes payload) {
  ++counters_.sent;
  if (!associations_.contains(id) || !channel_.send(id, to, payload)) ++counters_.gone;
}

void RelayClient::close(uint32_t id) {
  if (associations_.erase(id) > 0) channel_.say({id, UdpAssociateClosed{}});
}

void RelayClient::on_message(const RelayMessage& message) {
  const uint32_t id = message.connection;
  const RelayBody& body = message.body;
  if (const auto* packet = std::get_if<UdpPacket>(&body)) {
    on_packet(id, *packet);
  } else if (const auto* closed = std::get_if<UdpAssociateClosed>(&body)) {
    on_association_closed(id, error_of(closed->reason, closed->text));
  } else if (const auto* stats = std::get_if<Stats>(&body)) {
    counters_.helper = *stats;
  } else if (const auto* ended = std::get_if<CloseConnection>(&body); ended != nullptr && id == 0) {
    channel_.fail({ErrorCode::protocol, "the relay gave up: " + ended->text});
  } else if (const auto request = requests_.find(id); request != requests_.end()) {
    const bool fits = request->second.associates ? std::holds_alternative<UdpAssociateOpened>(body)
                                                 : std::holds_alternative<Resolved>(body);
    if (fits) answer(id, &body);
  }
}

void RelayClient::on_packet(uint32_t id, const UdpPacket& packet) {
  const auto association = associations_.find(id);
  if (association == associations_.end() || packet.address.is_name()) {
    ++counters_.unclaimed;
    return;
  }
  ++counters_.received;
  association->second.on_datagram({packet.address.address(), packet.address.port()}, packet.data);
}

void RelayClient::on_association_closed(uint32_t id, const Error& error) {
  if (const auto association = associations_.extract(id); !association.empty()) {
    association.mapped().on_closed(error);
    return;
  }
  const auto request = requests_.find(id);
  if (request != requests_.end() && request->second.associates) answer(id, error);
}

void RelayClient::on_lost(const Error& error) {
  lost_ = error;
  for (const uint32_t id : ids_of(associations_)) on_association_closed(id, error);
  for (const uint32_t id : ids_of(requests_)) answer(id, error);
  if (starting_ != nullptr) {
    starting_->settle();
  } else {
    tell_closed(error);
  }
}

RelayClient::Counters RelayClient::counters() const {
  Counters counters = counters_;
  counters.queue = channel_.dropped();
  return counters;
}

void RelayClient::add_drops(Drops& to) const {
  const Counters now = counters();
  to["relay/too_old"] += now.queue.too_old;
  to["relay/too_many"] += now.queue.too_many;
  to["relay/association_gone"] += now.gone + now.unclaimed;
  to["helper/denied"] += now.helper.denied;
  to["helper/not_sent"] += now.helper.failed;
  to["helper/no_address"] += now.helper.unresolved;
  to["helper/association_gone"] += now.helper.unclaimed;
  to["helper/too_old"] += now.helper.too_old;
  to["helper/too_many"] += now.helper.too_many;
}

}  // namespace tunproxy::udp
