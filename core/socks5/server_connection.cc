#include "core/socks5/server_connection.h"

#include <array>
#include <cassert>
#include <utility>

#include "core/base/log.h"
#include "core/socks5/reply.h"
#include "core/socks5/server.h"

namespace tunproxy::socks5 {
namespace {

// How long a refused client may take to read the answer and to close.
constexpr Duration kLinger = 2s;

constexpr std::array<std::string_view, 7> kStateNames = {
    "handshake", "dialing", "replying", "relaying", "associated", "parting", "over"};

}  // namespace

// What a connection needs before it has a flow, and to part; an idle flow does without.
struct ServerConnection::Setup {
  explicit Setup(ServerConnection& connection)
      : handshake(connection.server_.options_.required),
        timer(connection.server_.loop_, [&connection] { connection.on_timeout(); }) {}

  ServerHandshake handshake;
  std::optional<ClientPath> path;
  ByteVector out;
  size_t sent = 0;  // of `out`
  io::Timer timer;
  std::unique_ptr<net::Attempt> attempt;
  std::unique_ptr<net::Stream> upstream;
};

ServerConnection::ServerConnection(Server& server, uint64_t id, std::unique_ptr<net::Stream> client,
                                   std::optional<ClientPath> path, bool refuse)
    : server_(server),
      id_(id),
      opened_(server.loop_.now()),
      refuse_(refuse),
      client_(std::move(client)),
      setup_(std::make_unique<Setup>(*this)) {
  setup_->path = std::move(path);
  setup_->timer.start(server.options_.handshake_timeout);
  client_->on_progress([this] { look_again(); });
}

ServerConnection::~ServerConnection() = default;

void ServerConnection::look_again() {
  switch (state_) {
    case State::handshake:
      return shake_hands();
    case State::dialing:
      return watch_client();
    case State::replying:
      return reply();
    case State::associated:
      return watch_association();
    case State::parting:
      return linger();
    case State::relaying:
    case State::over:
      return;
  }
}

void ServerConnection::shake_hands() {
  ServerHandshake& handshake = setup_->handshake;
  for (Bytes bytes = client_->peek(); !bytes.empty(); bytes = client_->peek()) {
    client_->consume(handshake.feed(bytes, setup_->out));
    if (handshake.state() == ServerHandshake::State::complete) return on_request();
    if (handshake.state() == ServerHandshake::State::failed) {
      log::debug("SOCKS {}: {}", id_, handshake.failure());
      return part();
    }
  }
  flush();
  if (client_->error() != nullptr || client_->ended()) close("the client left");
}

void ServerConnection::on_request() {
  const Request& request = setup_->handshake.request();
  setup_->timer.stop();
  set_state(State::dialing);
  if (refuse_) return refuse(ErrorCode::general, "too many connections");
  if (request.command == Command::udp_associate) return associate(request.target);
  if (request.command != Command::connect) {
    return refuse(ErrorCode::command_not_supported, "only CONNECT and UDP ASSOCIATE are served");
  }
  log::debug("SOCKS {}: connect to {}", id_, request.target.to_string());
  setup_->attempt = server_.proxy_.connect(
      request.target,
      [this](Result<std::unique_ptr<net::Stream>> upstream) { on_dialed(std::move(upstream)); });
  watch_client();
}

void ServerConnection::associate(const Target& claimed) {
  if (server_.datagrams_ == nullptr || !setup_->path) {
    return refuse(ErrorCode::command_not_supported, "UDP is not carried");
  }
  if (server_.associations_ >= server_.options_.max_associations) {
    ++server_.traffic_.stats.refused;
    return refuse(ErrorCode::general, "too many associations");
  }
  log::debug("SOCKS {}: associate", id_);
  ++server_.associations_;
  association_ = std::make_unique<UdpAssociation>(
      server_.loop_, *server_.datagrams_, server_.traffic_,
      UdpAssociation::Options{*setup_->path, claimed, server_.options_.udp_idle},
      [this](Result<Endpoint> bound) {
        if (bound) return succeed(*bound);
        release_association();
        refuse(bound.error().code, bound.error().message);
      },
      [this](const Error& error) { on_association_end(error); });
  watch_client();
}

// Bytes that the client sends ahead stay in its stream. One that closes does not want the flow any
// more.
void ServerConnection::watch_client() {
  flush();
  if (client_->error() != nullptr || client_->ended()) close("the client left");
}

void ServerConnection::on_dialed(Result<std::unique_ptr<net::Stream>> upstream) {
  setup_->attempt.reset();
  if (!upstream) return refuse(upstream.error().code, upstream.error().message);
  setup_->upstream = std::move(*upstream);
  succeed({});
}

void ServerConnection::succeed(const Target& bound) {
  encode(Reply{kSucceeded, bound}, setup_->out);
  setup_->timer.start(server_.options_.handshake_timeout);
  set_state(State::replying);
  reply();
}

void ServerConnection::reply() {
  if (flush()) return association_ ? start_association() : start_relay();
  if (client_->error() != nullptr) close("the client left");
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
  if (client_->error() != nullptr || client_->ended()) close("the client left");
}

void ServerConnection::on_association_end(const Error& error) {
  log::debug("SOCKS {}: the association ended after {} bytes up, {} down: {}", id_,
             association_->bytes_up(), association_->bytes_down(), error.message);
  release_association();
  part();
}

void ServerConnection::release_association() {
  if (!association_) return;
  association_->stop();
  --server_.associations_;
  server_.loop_.retire(std::move(association_));
}

void ServerConnection::refuse(ErrorCode why, std::string_view reason) {
  const uint8_t code = reply_for_error(why);
  log::debug("SOCKS {}: {} ({})", id_, reply_text(code), reason);
  encode(Reply{code, {}}, setup_->out);
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
  close(state_ == State::handshake ? "no request in time" : "the client does not read");
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
    setup_->attempt.reset();
    setup_->timer.stop();
  }
  release_association();
  server_.retire(this);
}

std::pair<uint64_t, uint64_t> ServerConnection::bytes() const {
  if (relay_) return {relay_->bytes_a_to_b(), relay_->bytes_b_to_a()};
  if (association_) return {association_->bytes_up(), association_->bytes_down()};
  return {0, 0};
}

void ServerConnection::set_state(State next) {
  assert(state_ != State::over && next != State::handshake);
  log::emit(log::Level::trace, "SOCKS {}: {} -> {}", id_, kStateNames[static_cast<size_t>(state_)],
            kStateNames[static_cast<size_t>(next)]);
  state_ = next;
}

}  // namespace tunproxy::socks5
