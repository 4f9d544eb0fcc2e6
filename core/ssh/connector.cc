#include "core/ssh/connector.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace tunproxy::ssh {
namespace {

constexpr Duration kDoubt = 1s;

const Error kSilent{ErrorCode::timed_out, "no answer in time"};

}  // namespace

bool permanent(const Error& error) {
  return error.code == ErrorCode::host_key_refused ||
         error.code == ErrorCode::authentication_failed || error.code == ErrorCode::usage;
}

log::Level level_of_refusal(const Error& error) {
  return error.code == ErrorCode::host_key_refused ? log::Level::warn : log::Level::info;
}

Connector::Connector(io::Loop& loop, const SupervisorOptions& options)
    : loop_(loop),
      options_(options),
      server_(loop, options.server, options.dial, options.addresses),
      patience_(loop, [this] { lose_patience(); }) {}

void Connector::start(const Pace& pace, std::function<void()> reached,
                      net::Done<std::unique_ptr<Session>> done) {
  state_ = State::reaching;
  pace_ = pace;
  reached_ = std::move(reached);
  done_ = std::move(done);
  began_ = loop_.now();
  reach();
}

void Connector::cancel() {
  step_.reset();
  opening_.reset();
  patience_.stop();
  done_ = nullptr;
  state_ = State::idle;
}

void Connector::reach() {
  auto login = options_.make_login();
  if (!login) return end(login.error());
  login_ = std::move(*login);
  if (options_.way != nullptr) {
    if (!options_.server.is_name()) server_address_ = options_.server.address();
    patience_.start(pace_.patience);
    step_ = options_.way->connect(
        options_.server,
        [this](Result<std::unique_ptr<net::Stream>> stream) { authenticate(std::move(stream)); });
    return;
  }
  const Duration patience = std::min(options_.dial.timeout, pace_.patience);
  step_ = server_.dial(patience, pace_.again, [this](auto stream) {
    if (!stream) return authenticate(stream.error());
    server_address_ = (*stream)->peer().address.unmapped();
    authenticate(std::unique_ptr<net::Stream>(std::move(*stream)));
  });
}

void Connector::authenticate(Result<std::unique_ptr<net::Stream>> stream) {
  patience_.stop();
  if (!stream) {
    const ErrorCode code = stream.error().code;  // a jump host may have refused for good
    return end(Error{permanent(stream.error()) ? code : ErrorCode::server_unreachable,
                     fmt::format("cannot reach the SSH server {}: {}", options_.server.to_string(),
                                 stream.error().message)});
  }
  state_ = State::authenticating;
  (*stream)->outlast(options_.longest_silence());
  SessionOptions options = options_.session;
  if (!options.server_address) options.server_address = server_address_;
  step_.reset();
  opening_ =
      Session::open(loop_, std::move(*stream), std::move(login_), options,
                    [this](Result<std::unique_ptr<Session>> session) { end(std::move(session)); });
  reached_();
}

void Connector::doubt() {
  if (state_ != State::authenticating || patience_.active()) return;
  doubted_at_ = loop_.now();
  its_turn_ = opening_->waits_for_server();
  patience_.start(kDoubt);
}

void Connector::lose_patience() {
  if (state_ == State::reaching) return authenticate(kSilent);
  if (opening_->last_heard() > doubted_at_) return;
  // It has all of that time from when nothing is waited for here any more.
  const bool was_its_turn = std::exchange(its_turn_, opening_->waits_for_server());
  if (!was_its_turn || !its_turn_) return patience_.start(kDoubt);
  end(Error{ErrorCode::timed_out, "the network changed, and the server does not answer any more"});
}

void Connector::end(Result<std::unique_ptr<Session>> outcome) {
  step_.reset();
  opening_.reset();
  patience_.stop();
  state_ = State::idle;
  std::exchange(done_, nullptr)(std::move(outcome));
}

}  // namespace tunproxy::ssh
