#include "core/ssh/session_login.h"

#include <libssh2.h>

#include <optional>
#include <string_view>
#include <utility>

#include "core/base/log.h"
#include "core/ssh/turned_away.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kSecond = 1s;
const Error kClosed{ErrorCode::server_unreachable, "the SSH server closed the connection"};

// A server that was not there long enough to say who it is did not want this connection.
Error why_not_exchanged(LIBSSH2_SESSION* session, const Error& error) {
  const char* banner = libssh2_session_banner_get(session);
  const std::string_view line = banner != nullptr ? banner : "";
  if (error.code != ErrorCode::server_unreachable || line.starts_with("SSH-")) return error;
  return turned_away(line);
}

}  // namespace

// What a step uses; the step may outlive the SessionLogin.
struct SessionLogin::Shared {
  std::unique_ptr<Login> login;
  std::shared_ptr<Transport> transport;
  Result<bool> outcome = false;  // of the last step: true, the phase is over
};

SessionLogin::SessionLogin(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                           std::unique_ptr<Login> login, const SessionOptions& options,
                           net::Done<LoggedIn> done)
    : loop_(loop),
      stream_(std::move(stream)),
      shared_(std::make_shared<Shared>()),
      options_(options),
      done_(std::move(done)),
      last_heard_(loop.now()),
      second_(loop, [this] { on_second(); }),
      look_(loop, [this] { look(); }) {
  shared_->login = std::move(login);
  Algorithms algorithms = options_.algorithms;
  algorithms.host_keys = shared_->login->host_key_algorithms();
  auto transport = Transport::create(algorithms);
  if (transport) {
    shared_->transport = std::move(*transport);
  } else {
    shared_->outcome = transport.error();
  }
  second_.start(kSecond);
  stream_->on_progress([this] { look(); });
  look_.schedule();
}

SessionLogin::~SessionLogin() {
  if (step_) shared_->login->cancel();
}

void SessionLogin::set_state(State next) {
  log::debug("ssh login: state {} -> {}", static_cast<int>(state_), static_cast<int>(next));
  state_ = next;
  spent_ = {};
}

void SessionLogin::look() {
  if (state_ == State::ended) return;
  if (!stream_->peek().empty()) last_heard_ = loop_.now();
  if (!shared_->outcome) return end(&shared_->outcome.error());
  if (step_) {  // the transport is not ours now
    if (stream_->error() != nullptr) return end(stream_->error());
    if (stream_->ended() && shared_->login->waits_for_user()) return end(&kClosed);
    return;
  }
  switch (state_) {
    case State::key_exchange:
      return exchange_keys();
    case State::host_key:
      return check_host_key();
    case State::authentication:
      return authenticate();
    case State::ended:
      return;
  }
}

void SessionLogin::exchange_keys() {
  auto done = shared_->transport->handshake(*stream_);
  shared_->transport->flush(*stream_);
  if (!done) {
    // A way that tells why it ended, as a ProxyCommand does, knows better than we could guess.
    const Error* told = stream_->error();
    if (told != nullptr && told->code != ErrorCode::server_unreachable) told = nullptr;
    const Error error =
        told ? *told : why_not_exchanged(shared_->transport->session(), done.error());
    return end(&error);
  }
  if (*done) {
    set_state(State::host_key);
    look_.schedule();
  }
}

void SessionLogin::check_host_key() {
  run_step([](Shared& shared) {
    auto trusted = shared.login->check_host_key(shared.transport->host_key());
    shared.outcome = trusted ? Result<bool>(true) : Result<bool>(trusted.error());
  });
}

void SessionLogin::authenticate() {
  shared_->transport->fill(*stream_);
  run_step([](Shared& shared) {
    shared.outcome = shared.login->authenticate(shared.transport->session());
  });
}

void SessionLogin::run_step(std::function<void(Shared&)> step) {
  step_ = loop_.run_in_thread([shared = shared_, step = std::move(step)] { step(*shared); },
                              [this] { on_step_done(); });
}

void SessionLogin::on_step_done() {
  step_.reset();
  shared_->transport->flush(*stream_);
  if (!shared_->outcome) return end(&shared_->outcome.error());
  if (!*shared_->outcome) {
    // Bytes that came during the step bring the next one; so does the stream's own callback.
    if (!stream_->peek().empty() || stream_->ended() || stream_->error() != nullptr) {
      look_.schedule();
    }
    return;
  }
  if (state_ == State::authentication) return end(nullptr);
  set_state(State::authentication);
  look_.schedule();
}

void SessionLogin::on_second() {
  second_.start(kSecond);
  if (step_ && shared_->login->waits_for_user()) return;
  spent_ += kSecond;
  const bool exchanging = state_ == State::key_exchange;
  if (spent_ < (exchanging ? options_.key_exchange_timeout : options_.authentication_timeout)) {
    return;
  }
  const Error error{ErrorCode::timed_out, exchanging
                                              ? "the SSH server did not exchange keys in time"
                                              : "authentication at the SSH server took too long"};
  end(&error);
}

void SessionLogin::end(const Error* error) {
  set_state(State::ended);
  second_.stop();
  if (step_) shared_->login->cancel();
  step_.reset();
  stream_->on_progress(nullptr);
  const auto done = std::exchange(done_, nullptr);
  if (error == nullptr) return done(LoggedIn{std::move(stream_), shared_->transport});
  const Error copy = *error;
  done(copy);  // destroys this
}

}  // namespace tunproxy::ssh
