// Session: one SSH connection (RFC 4253, 4254) as a codec over a Stream; a Proxy whose CONNECT is
// direct-tcpip.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/ssh/algorithms.h"
#include "core/ssh/login.h"
#include "core/ssh/session_load.h"
#include "core/ssh/window_share.h"

namespace tunproxy::ssh {

struct SessionOptions {
  Duration key_exchange_timeout = 15s;
  Duration authentication_timeout = 60s;  ///< without the time in which the user is asked
  Duration open_timeout = 30s;            ///< for a channel
  /// The server's as its peers see it, if that is known: what bind() reports.
  std::optional<IpAddress> server_address;
  Algorithms algorithms;  ///< but for the host keys, of which the Login decides
  /// With the sessions that have the same one; null: with nobody.
  std::shared_ptr<WindowShare> windows;
};

struct ExecResult {
  std::string output;  ///< standard output, at most 64 KB of it
  int exit_status = 0;
};

class Session final : public net::Proxy {
 public:
  /// A login under way.
  class Opening : public net::Attempt {
   public:
    virtual Instant last_heard() const = 0;     ///< when bytes came from the server
    virtual bool waits_for_server() const = 0;  ///< else for something here: a key, the user
  };

  /// Key exchange, host key check, authentication, and a session channel that stays open (it makes
  /// sshd turn TCP_NODELAY on). `done` gets a session that is ready, or an Error with code
  /// host_key_refused, authentication_failed, timed_out, server_unreachable or protocol.
  static std::unique_ptr<Opening> open(io::Loop& loop, std::unique_ptr<net::Stream> transport,
                                       std::unique_ptr<Login> login, SessionOptions options,
                                       net::Done<std::unique_ptr<Session>> done);
  /// Streams that are still there fail with a reset; attempts end with an error.
  ~Session() override;

  /// Opens a direct-tcpip channel; any number at once. The error's code comes from the server's
  /// text.
  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;
  /// Listens at the server (tcpip-forward) on a port of its choice: on its loopback where
  /// `expected.from` is one, else on all addresses of its family. Whether others than programs at
  /// the server reach it is for the server's GatewayPorts setting to say. Error host_unreachable
  /// for a name, which nobody resolves here; not_allowed where the server forbids it.
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;
  /// The same session as a Proxy whose connections go before those of connect() when both have more
  /// to send than the server's connection takes: for datagrams and names.
  net::Proxy& expedited();
  /// Runs a command at the server, expedited: `done` gets its standard input and output as a
  /// stream; what it writes to standard error is dropped. The reply of the server is not waited for
  /// with a bound. Error not_allowed where the server permits no commands.
  std::unique_ptr<net::Attempt> run(std::string command,
                                    net::Done<std::unique_ptr<net::Stream>> done);
  /// Runs a command at the server and collects its output. Error not_allowed where it permits none.
  std::unique_ptr<net::Attempt> exec(std::string command, net::Done<ExecResult> done);

  /// Asks the server for a sign of life; `done` hears when it answered, or that the connection is
  /// lost. Waits without a bound. Any number at once.
  std::unique_ptr<net::Attempt> probe(net::Done<void> done);
  /// The shortest time in which the server answered; 0: it has not yet.
  Duration round_trip() const;
  /// When bytes came from the server, whatever they were.
  Instant last_heard() const;
  /// When data of a channel passed, either way.
  Instant last_carried() const;
  /// `stirred` is called by the first data after kQuiet without any; it may only schedule.
  void on_stir(std::function<void()> stirred);
  /// How long the network may acknowledge nothing before the connection is given up (0: for ever).
  void outlast(Duration silence);
  SessionLoad load() const;

  /// Called once when the connection is lost; all channels have failed by then. To destroy the
  /// session from it, hand it to Loop::retire().
  void on_closed(std::function<void(const Error&)> closed);
  const Error* error() const;

 private:
  class Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tunproxy::ssh
