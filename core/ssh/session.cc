#include "core/ssh/session.h"

#include <utility>

#include "core/base/log.h"
#include "core/ssh/channel_mux.h"
#include "core/ssh/channel_open.h"
#include "core/ssh/exec.h"
#include "core/ssh/probe.h"
#include "core/ssh/remote_bind.h"
#include "core/ssh/session_login.h"

namespace tunproxy::ssh {
namespace {

constexpr Duration kExecTimeout = 5s;

// A session channel in which nothing ever runs. Servers turn TCP_NODELAY on with the first of them;
// without it, small answers wait for acknowledgements. Where none is permitted it goes without;
// where one is permitted, the first command gets it.
class StandingChannel final : public ChannelUser {
  void on_open_failed(const Error& error) override {
    log::debug("no standing session channel: {}", error.message);
  }
  void on_data(Bytes, Buffer&) override {}
  void on_close() override {}
  void on_lost(const Error&) override {}
};

class Expedited final : public net::Proxy {
 public:
  explicit Expedited(ChannelMux& mux) : mux_(mux) {}
  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override {
    return std::make_unique<ChannelOpen>(mux_, target, Priority::expedited, std::move(done));
  }

 private:
  ChannelMux& mux_;
};

}  // namespace

class Session::Impl {
 public:
  Impl(io::Loop& loop, SessionLogin::LoggedIn logged_in, const SessionOptions& options)
      : mux_(loop, std::move(logged_in.stream), std::move(logged_in.transport),
             options.windows ? options.windows : std::make_shared<WindowShare>(loop.memory()),
             options.open_timeout, [this](const Error& error) { on_lost(error); }),
        forwards_(mux_, options.server_address) {
    mux_.open_standing_session(&standing_);
  }

  ChannelMux& mux() { return mux_; }
  net::Proxy& expedited() { return expedited_; }
  RemoteForwards& forwards() { return forwards_; }

  SessionLoad load() const {
    SessionLoad load = mux_.load(&standing_);
    load.listening = forwards_.count();
    return load;
  }

  void on_closed(std::function<void(const Error&)> closed) { closed_ = std::move(closed); }

 private:
  void on_lost(const Error& error) {
    log::info("SSH connection lost: {}", error.message);
    forwards_.lose({ErrorCode::reset, error.message});
    if (closed_) std::exchange(closed_, nullptr)(error);
  }

  std::function<void(const Error&)> closed_;
  StandingChannel standing_;
  ChannelMux mux_;
  Expedited expedited_{mux_};
  RemoteForwards forwards_;
};

namespace {

// Open, as an attempt: the login, then the session made from it.
class SessionAttempt final : public Session::Opening {
 public:
  using Make = std::function<std::unique_ptr<Session>(SessionLogin::LoggedIn)>;

  SessionAttempt(io::Loop& loop, std::unique_ptr<net::Stream> transport,
                 std::unique_ptr<Login> login, const SessionOptions& options, Make make,
                 net::Done<std::unique_ptr<Session>> done)
      : loop_(loop), make_(std::move(make)), done_(std::move(done)) {
    login_ = std::make_unique<SessionLogin>(
        loop, std::move(transport), std::move(login), options,
        [this](Result<SessionLogin::LoggedIn> outcome) { on_login(std::move(outcome)); });
  }

  Instant last_heard() const override { return login_->last_heard(); }
  bool waits_for_server() const override { return login_->waits_for_server(); }

 private:
  void on_login(Result<SessionLogin::LoggedIn> outcome) {
    loop_.retire(std::move(login_));  // it is calling
    const auto done = std::exchange(done_, nullptr);
    if (!outcome) return done(outcome.error());
    done(make_(std::move(*outcome)));  // may destroy this
  }

  io::Loop& loop_;
  Make make_;
  net::Done<std::unique_ptr<Session>> done_;
  std::unique_ptr<SessionLogin> login_;
};

}  // namespace

std::unique_ptr<Session::Opening> Session::open(io::Loop& loop,
                                                std::unique_ptr<net::Stream> transport,
                                                std::unique_ptr<Login> login,
                                                SessionOptions options,
                                                net::Done<std::unique_ptr<Session>> done) {
  auto make = [&loop, options](SessionLogin::LoggedIn logged_in) {
    auto impl = std::make_unique<Impl>(loop, std::move(logged_in), options);
    return std::unique_ptr<Session>(new Session(std::move(impl)));
  };
  return std::make_unique<SessionAttempt>(loop, std::move(transport), std::move(login), options,
                                          std::move(make), std::move(done));
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Session::~Session() = default;

std::unique_ptr<net::Attempt> Session::connect(const Target& target,
                                               net::Done<std::unique_ptr<net::Stream>> done) {
  return std::make_unique<ChannelOpen>(impl_->mux(), target, Priority::bulk, std::move(done));
}

std::unique_ptr<net::Attempt> Session::bind(const net::Expected& expected, net::OnBound on_bound,
                                            net::Done<net::Accepted> done) {
  return std::make_unique<RemoteBind>(impl_->forwards(), expected, std::move(on_bound),
                                      std::move(done));
}

net::Proxy& Session::expedited() {
  return impl_->expedited();
}

std::unique_ptr<net::Attempt> Session::run(std::string command,
                                           net::Done<std::unique_ptr<net::Stream>> done) {
  return std::make_unique<ChannelOpen>(impl_->mux(), std::move(command), std::move(done));
}

std::unique_ptr<net::Attempt> Session::exec(std::string command, net::Done<ExecResult> done) {
  return std::make_unique<Exec>(impl_->mux(), std::move(command), kExecTimeout, std::move(done));
}

std::unique_ptr<net::Attempt> Session::probe(net::Done<void> done) {
  return std::make_unique<Probe>(impl_->mux(), std::move(done));
}

Duration Session::round_trip() const {
  return impl_->mux().round_trip();
}

Instant Session::last_heard() const {
  return impl_->mux().last_heard();
}

Instant Session::last_carried() const {
  return impl_->mux().last_carried();
}

void Session::on_stir(std::function<void()> stirred) {
  impl_->mux().on_stir(std::move(stirred));
}

void Session::outlast(Duration silence) {
  impl_->mux().outlast(silence);
}

SessionLoad Session::load() const {
  return impl_->load();
}

void Session::on_closed(std::function<void(const Error&)> closed) {
  impl_->on_closed(std::move(closed));
}

const Error* Session::error() const {
  return impl_->mux().error();
}

}  // namespace tunproxy::ssh
