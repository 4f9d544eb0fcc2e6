// What a Supervisor, and a Pool of them, is told.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/io/tcp.h"
#include "core/net/proxy.h"
#include "core/ssh/login.h"
#include "core/ssh/session.h"

namespace tunproxy::ssh {

struct SupervisorOptions {
  Target server;
  std::vector<Endpoint> addresses;  ///< of the server, if they are known; else they are looked up
  io::DialOptions dial;
  /// What reaches the server (jump hosts, a proxy, a command); it looks the name up in its own way.
  /// Null: dialled from here. Outlives the supervisor.
  net::Proxy* way = nullptr;
  SessionOptions session;
  std::function<Result<std::unique_ptr<Login>>()> make_login;  ///< called for each connection
  bool reconnect = true;  ///< false: one connection, and `failed` when it is lost
  /// The first connection is tried again as a lost one is, and start() waits for it: only a refusal
  /// that stays ends that.
  bool keep_trying = false;
  bool bears_others = false;  ///< what it carries are SSH connections to other servers
  Duration keepalive = 5s;    ///< silence after which the server is probed (see Liveness); 0: never
  Duration wait_for_session = 10s;  ///< how long a flow waits for a reconnect
  Duration first_pause = 250ms;     ///< before a reconnect; grows up to (see Backoff):
  Duration longest_pause = 30s;
  std::function<Duration()> asleep;  ///< for tests, in place of io::time_asleep()

  /// After which a server is dead; 0: never.
  Duration longest_silence() const { return 3 * keepalive; }
};

}  // namespace tunproxy::ssh
