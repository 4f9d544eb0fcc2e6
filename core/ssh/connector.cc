#include "core/ssh/connector.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/io/resolver.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kBetweenLookUps = 30s;
constexpr size_t kMostAddresses = 16;

}  // namespace

bool permanent(const Error& error) {
  return error.code == ErrorCode::host_key_refused ||
         error.code == ErrorCode::authentication_failed || error.code == ErrorCode::usage;
}

Connector::Connector(io::Loop& loop, const SupervisorOptions& options)
    : loop_(loop), options_(options), addresses_(options.addresses) {}

void Connector::start(Duration patience, std::function<void()> reached,
                      net::Done<std::unique_ptr<Session>> done) {
  state_ = State::reaching;
  patience_ = patience;
  reached_ = std::move(reached);
  done_ = std::move(done);
  began_ = loop_.now();
  if (addresses_.empty() && options_.way == nullptr) return look_up();
  reach();
}

void Connector::cancel() {
  step_.reset();
  done_ = nullptr;
  state_ = State::idle;
}

void Connector::look_up() {
  looked_up_ = loop_.now();
  step_ = io::resolve(loop_, options_.server, [this](Result<std::vector<Endpoint>> found) {
    if (!found) return end(Error{ErrorCode::server_unreachable, found.error().message});
    addresses_ = std::move(*found);
    reach();
  });
}

void Connector::reach() {
  auto login = options_.make_login();
  if (!login) return end(login.error());
  login_ = std::move(*login);
  if (options_.way != nullptr) {
    if (!options_.server.is_name()) server_address_ = options_.server.address();
    step_ = options_.way->connect(
        options_.server,
        [this](Result<std::unique_ptr<net::Stream>> stream) { authenticate(std::move(stream)); });
    return;
  }
  io::DialOptions dial = options_.dial;
  dial.timeout = std::min(dial.timeout, patience_);
  step_ = io::dial(loop_, addresses_, dial, [this](auto stream) {
    if (!stream) {
      look_up_again();
      return authenticate(stream.error());
    }
    server_address_ = (*stream)->peer().address.unmapped();
    authenticate(std::unique_ptr<net::Stream>(std::move(*stream)));
  });
}

void Connector::look_up_again() {
  const bool soon = looked_up_ != Instant{} && loop_.now() - looked_up_ < kBetweenLookUps;
  if (!options_.look_up_again || addition_ || soon || !options_.server.is_name()) return;
  looked_up_ = loop_.now();
  addition_ = options_.look_up_again([this](Result<std::vector<Endpoint>> found) {
    addition_.reset();
    if (!found) return log::debug("ssh: no other address found: {}", found.error().message);
    for (const Endpoint& known : addresses_) {
      if (found->size() == kMostAddresses) break;
      if (std::find(found->begin(), found->end(), known) == found->end()) found->push_back(known);
    }
    addresses_ = std::move(*found);
  });
}

void Connector::authenticate(Result<std::unique_ptr<net::Stream>> stream) {
  if (!stream) {
    const ErrorCode code = stream.error().code;  // a jump host may have refused for good
    return end(Error{permanent(stream.error()) ? code : ErrorCode::server_unreachable,
                     fmt::format("cannot reach the SSH server {}: {}", options_.server.to_string(),
                                 stream.error().message)});
  }
  state_ = State::authenticating;
  SessionOptions options = options_.session;
  if (!options.server_address) options.server_address = server_address_;
  step_ =
      Session::open(loop_, std::move(*stream), std::move(login_), options,
                    [this](Result<std::unique_ptr<Session>> session) { end(std::move(session)); });
  reached_();
}

void Connector::end(Result<std::unique_ptr<Session>> outcome) {
  step_.reset();
  state_ = State::idle;
  std::exchange(done_, nullptr)(std::move(outcome));
}

}  // namespace tunproxy::ssh
