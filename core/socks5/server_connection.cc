#include "core/socks5/server_connection.h"

#include <array>
#include <cassert>
#include <utility>

#include "core/base/log.h"
#include "core/socks5/answer.h"
#include "core/socks5/reply.h"
#include "core/socks5/server.h"

namespace tunproxy::socks5 {
namespace {

// How long a refused client may take to read the answer and to close.
constexpr Duration kLinger = 2s;

constexpr std::array<std::string_view, 10> kStateNames = {
    "securing", "handshake", "checking",   "dialing", "listening",
    "replying", "relaying",  "associated", "parting", "over"};

}  // namespace

// What a connection needs before it has a flow, and to part; an idle flow does without.
struct ServerConnection::Setup {
  explicit Setup(ServerConnection& connection)
      : handshake(connection.server_.authenticator_.required()),
        timer(connection.server_.loop_, [&connection] { connection.on_timeout(); }) {}

  ServerHandshake handshake;
  std::optional<ClientPath> path;
  ByteVector out;
  size_t sent = 0;  // of `out`
  io::Timer timer;
  std::unique_ptr<net::Attempt> attempt;
  std::unique_ptr<net::Stream> upstream;
  bool binds = false;  // counted in the server's binds_
};

ServerConnection::ServerConnection(Server& server, uint64_t id, std::unique_ptr<net::Stream> client,
                                   std::optional<ClientPath> path)
    : server_(server),
      id_(id),
      opened_(server.loop_.now()),
      client_(std::move(client)),
      setup_(std::make_unique<Setup>(*this)) {
  setup_->path = std::move(path);
}

ServerConnection::~ServerConnection() = default;

void ServerConnection::start(std::unique_ptr<Admission::Ticket> ticket) {
  ticket_ = std::move(ticket);
  setup_->timer.start(server_.options_.handshake_timeout);
  const net::Secure& secure = server_.options_.secure;
  if (!secure) return on_secured(std::move(client_));
  setup_->attempt =
      secure(std::move(client_), [this](auto secured) { on_secured(std::move(secured)); });
}

void ServerConnection::on_secured(Result<std::unique_ptr<net::Stream>> secured) {
  setup_->attempt.reset();
  if (!secured) {
    server_.on_insecure(setup_->path, secured.error());
    return close(secured.error().message);
  }
  client_ = std::move(*secured);
  set_state(State::handshake);
  client_->on_progress([this] { look_again(); });
}

void ServerConnection::evict() {
  close("too many others have not made their request either");
}

bool ServerConnection::is_half_closed_and_still() {
  const bool half_closed = relay_ && relay_->half_closed();
  const auto [up, down] = bytes();
  const uint64_t moved = half_closed ? up + down : UINT64_MAX;
  return std::exchange(moved_when_half_closed_, moved) == moved && half_closed;
}

void ServerConnection::give_up() {
  close("half-closed, and nothing more came");
}

void ServerConnection::look_again() {
  switch (state_) {
    case State::handshake:
      return shake_hands();
    case State::checking:
    case State::dialing:
    case State::listening:
      return watch_client();
    case State::replying:
      return reply();
    case State::associated:
      return watch_association();
    case State::parting:
      return linger();
    case State::securing:
    case State::relaying:
    case State::over:
      return;
  }
}

void ServerConnection::shake_hands() {
  ServerHandshake& handshake = setup_->handshake;
  for (Bytes bytes = client_->peek(); !bytes.empty(); bytes = client_->peek()) {
    client_->consume(handshake.feed(bytes, setup_->out));
    if (handshake.state() == ServerHandshake::State::checking) return check_credentials();
    if (handshake.state() == ServerHandshake::State::complete) return on_request();
    if (handshake.state() == ServerHandshake::State::failed) return on_failed_handshake();
  }
  watch_client();
}

void ServerConnection::check_credentials() {
  set_state(State::checking);
  Authenticator& authenticator = server_.authenticator_;
  const Credentials& given = setup_->handshake.credentials();
  if (authenticator.remembers(given)) return on_checked(true);
  setup_->attempt = authenticator.check(given, [this](bool right) { on_checked(right); });
  if (!setup_->attempt) {
    ++server_.stats_.over_limit;
    setup_->handshake.on_overload(setup_->out);
    return on_failed_handshake();
  }
  watch_client();
}

void ServerConnection::on_checked(bool right) {
  setup_->attempt.reset();
  ServerHandshake& handshake = setup_->handshake;
  handshake.on_checked(right, setup_->out);
  ++(right ? server_.stats_.credentials_right : server_.stats_.credentials_wrong);
  if (!right) return on_failed_handshake();
  set_state(State::handshake);
  if (handshake.state() == ServerHandshake::State::complete) return on_request();
  shake_hands();
}

void ServerConnection::on_failed_handshake() {
  if (state_ == State::handshake) ++server_.stats_.malformed;
  log::debug("SOCKS {}: {}", id_, setup_->handshake.failure());
  part();
}

void ServerConnection::on_request() {
  const ServerHandshake& handshake = setup_->handshake;
  ++server_.stats_.protocols[static_cast<size_t>(handshake.protocol())];
  setup_->timer.stop();
  set_state(State::dialing);
  if (!ticket_->refusal().empty()) return refuse_at_limit(ticket_->refusal());
  ClientIdentity client{handshake.user(), handshake.protocol(), std::nullopt};
  if (setup_->path) client.peer = setup_->path->peer;
  const Result<WayOut> way = server_.way_out(client, handshake.request());
  if (!way) return refuse(way.error().code, way.error().message);
  ticket_->settle();
  way_out_ = way->owner;
  carry(*way);
}

void ServerConnection::carry(const WayOut& way) {
  const Request& request = setup_->handshake.request();
  switch (request.command) {
    case Command::connect:
      return connect(*way.proxy, request.target);
    case Command::bind:
      return bind(*way.proxy, request.target);
    case Command::udp_associate:
      return associate(way.datagrams, request.target);
    case Command::udp_in_tcp:
      break;
  }
  ++server_.stats_.unknown_commands;
  refuse(ErrorCode::command_not_supported, "only CONNECT, BIND and UDP ASSOCIATE are served");
}

// Bytes that the client sends ahead stay in its stream. One that closes does not want the flow any
// more.
void ServerConnection::watch_client() {
  flush();
  if (client_->error() != nullptr || client_->ended()) {
    close("the client left" + net::because(*client_));
  }
}

void ServerConnection::connect(net::Proxy& proxy, const Target& target) {
  ++server_.stats_.connects;
  log::debug("SOCKS {}: connect to {}", id_, target.to_string());
  setup_->attempt = proxy.connect(target, [this](Result<std::unique_ptr<net::Stream>> upstream) {
    on_dialed(std::move(upstream));
  });
  watch_client();
}

void ServerConnection::on_dialed(Result<std::unique_ptr<net::Stream>> upstream) {
  setup_->attempt.reset();
  if (!upstream) return refuse(upstream.error().code, upstream.error().message);
  setup_->upstream = std::move(*upstream);
  succeed({});
}

void ServerConnection::bind(net::Proxy& proxy, const Target& from) {
  ++server_.stats_.binds;
  if (server_.binds_ >= server_.options_.max_binds) {
    return refuse_at_limit("too many BINDs wait for their peers");
  }
  log::debug("SOCKS {}: bind for {}", id_, from.to_string());
  setup_->attempt = proxy.bind(
      {from}, [this](const Endpoint& listening) { on_bound(listening); },
      [this](Result<net::Accepted> peer) { on_peer(std::move(peer)); });
  if (!setup_->attempt) return refuse(ErrorCode::command_not_supported, "BIND is not carried");
  setup_->binds = true;
  ++server_.binds_;
  setup_->timer.start(server_.options_.bind_timeout);
  watch_client();
}

// The first of two answers (RFC 1928 §6).
void ServerConnection::on_bound(const Endpoint& listening) {
  Endpoint told = listening;
  const auto& outside = server_.options_.outside_address;
  if (told.address.is_any() && outside) told.address = outside().value_or(told.address);
  log::debug("SOCKS {}: listens at {}", id_, told.to_string());
  ++server_.stats_.replies[kSucceeded];
  append_success(setup_->handshake.protocol(), told, setup_->out);
  set_state(State::listening);
  watch_client();
}

void ServerConnection::on_peer(Result<net::Accepted> peer) {
  release_bind();
  if (!peer) return refuse(peer.error().code, peer.error().message);
  setup_->upstream = std::move(peer->stream);
  succeed(peer->peer);
}

void ServerConnection::release_bind() {
  setup_->attempt.reset();
  if (std::exchange(setup_->binds, false)) --server_.binds_;
}

void ServerConnection::associate(net::DatagramProxy* datagrams, const Target& claimed) {
  ++server_.stats_.associates;
  if (datagrams == nullptr || !setup_->path) {
    return refuse(ErrorCode::command_not_supported, "UDP is not carried");
  }
  if (server_.associations_ >= server_.options_.max_associations) {
    ++server_.traffic_.stats.refused;
    return refuse_at_limit("too many associations");
  }
  log::debug("SOCKS {}: associate", id_);
  ++server_.associations_;
  association_ = std::make_unique<UdpAssociation>(
      server_.loop_, *datagrams, server_.traffic_,
      UdpAssociation::Options{*setup_->path, claimed, server_.options_.udp_idle},
      [this](Result<Endpoint> bound) {
        if (bound) return succeed(*bound);
        release_association();
        refuse(bound.error().code, bound.error().message);
      },
      [this](const Error& error) { on_association_end(error); });
  watch_client();
}

void ServerConnection::succeed(const Target& bound) {
  ++server_.stats_.replies[kSucceeded];
  append_success(setup_->handshake.protocol(), bound, setup_->out);
  setup_->timer.start(server_.options_.handshake_timeout);
  set_state(State::replying);
  reply();
}

void ServerConnection::reply() {
  if (flush()) return association_ ? start_association() : start_relay();
  if (client_->error() != nullptr) close("the client left" + net::because(*client_));
}

void ServerConnection::start_relay() {
  set_state(State::relaying);
  const std::unique_ptr<Setup> setup = std::move(setup_);
  relay_ = std::make_unique<net::Relay>(
      std::move(client_), std::move(setup->upstream),
      [this](const Error* error) { close(error != nullptr ? error->message : "complete"); });
}

void ServerConnection::start_association() {
  set_state(State::associated);
  setup_.reset();
  watch_association();
}

// Its TCP connection carries nothing more, yet its end is the association's.
void ServerConnection::watch_association() {
  for (Bytes bytes = client_->peek(); !bytes.empty(); bytes = client_->peek()) {
    client_->consume(bytes.size());
  }
  if (client_->ended()) client_->finish();
  if (client_->error() != nullptr || client_->ended()) {
    close("the client left" + net::because(*client_));
  }
}

void ServerConnection::on_association_end(const Error& error) {
  log::debug("SOCKS {}: the association ended after {} bytes up, {} down: {}", id_,
             association_->bytes_up(), association_->bytes_down(), error.message);
  release_association();
  part();
}

void ServerConnection::drop_quiet_udp(Duration quiet) {
  if (association_) association_->end_if_quiet(quiet);
}

void ServerConnection::release_association() {
  if (!association_) return;
  association_->stop();
  --server_.associations_;
  server_.loop_.retire(std::move(association_));
}

void ServerConnection::refuse_at_limit(std::string_view limit) {
  if (server_.options_.on_limit) server_.options_.on_limit(limit);
  refuse(ErrorCode::limit, limit);
}

void ServerConnection::refuse(ErrorCode why, std::string_view reason) {
  const uint8_t code = reply_for_error(why);
  log::debug("SOCKS {}: {} ({})", id_, reply_text(code), reason);
  if (why == ErrorCode::limit) ++server_.stats_.over_limit;
  ++server_.stats_.replies[code];
  append_refusal(setup_->handshake.protocol(), why, reason, setup_->out);
  part();
}

void ServerConnection::part() {
  set_state(State::parting);
  if (!setup_) setup_ = std::make_unique<Setup>(*this);
  setup_->timer.start(kLinger);
  linger();
}

// Closing with bytes unread would reset the connection and could destroy the answer on its way.
void ServerConnection::linger() {
  for (Bytes bytes = client_->peek(); !bytes.empty(); bytes = client_->peek()) {
    client_->consume(bytes.size());
  }
  if (flush()) client_->finish();
  if (client_->error() != nullptr || (client_->ended() && client_->finished())) close("parted");
}

void ServerConnection::on_timeout() {
  switch (state_) {
    case State::securing:
    case State::handshake:
    case State::checking:
      ++server_.stats_.late;
      return close("no request in time");
    case State::dialing:
    case State::listening:
      release_bind();
      return refuse(ErrorCode::timed_out, "nobody came in time");
    case State::replying:
    case State::relaying:
    case State::associated:
    case State::parting:
    case State::over:
      return close("the client does not read");
  }
}

// True if everything has been taken.
bool ServerConnection::flush() {
  const Bytes rest = Bytes(setup_->out).subspan(setup_->sent);
  setup_->sent += client_->write(rest);
  return setup_->sent == setup_->out.size();
}

void ServerConnection::close(std::string_view reason) {
  const auto [up, down] = bytes();
  log::debug("SOCKS {}: closed after {} ms, {} bytes up, {} down: {}", id_,
             (server_.loop_.now() - opened_).count(), up, down, reason);
  set_state(State::over);
  if (setup_) {
    release_bind();
    setup_->timer.stop();
  }
  release_association();
  ticket_.reset();
  server_.retire(this);
}

std::pair<uint64_t, uint64_t> ServerConnection::bytes() const {
  if (relay_) return {relay_->bytes_a_to_b(), relay_->bytes_b_to_a()};
  if (association_) return {association_->bytes_up(), association_->bytes_down()};
  return {0, 0};
}

void ServerConnection::set_state(State next) {
  assert(state_ != State::over);
  assert(next != State::handshake || state_ == State::checking || state_ == State::securing);
  log::emit(log::Level::trace, "SOCKS {}: {} -> {}", id_, kStateNames[static_cast<size_t>(state_)],
            kStateNames[static_cast<size_t>(next)]);
  state_ = next;
}

}  // namespace tunproxy::socks5
