// ControlServer: answers `tunproxy status` on a Unix socket, and Prometheus on a local port.
#pragma once

#include <memory>
#include <string>

#include "core/account/account.h"
#include "core/base/address.h"
#include "core/base/result.h"
#include "core/control/line_server.h"
#include "core/control/status.h"
#include "core/control/unix_listener.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"

namespace tunproxy::control {

/// The control socket of this process where none was named: /run/tunproxy/control-PID.sock for
/// root, $XDG_RUNTIME_DIR/tunproxy/control-PID.sock for others; empty if they have no such folder.
std::string default_control_path();
/// The folder of these; empty as above.
std::string control_folder();

/// One request and one reply a line, both JSON:
///   {"command": "status", "show_hosts": false, "max_flows": 1000}
/// Lives in one loop thread.
class ControlServer {
 public:
  /// REQUIRES: `source` and `account` outlive it.
  static Result<std::unique_ptr<ControlServer>> listen(io::Loop& loop, const std::string& path,
                                                       const StatusSource& source,
                                                       const account::Account& account);
  const std::string& path() const { return listener_->path(); }

 private:
  ControlServer(io::Loop& loop, const StatusSource& source, const account::Account& account);

  LineServer server_;
  std::unique_ptr<UnixListener> listener_;
};

/// Answers GET /metrics over HTTP/1 (RFC 9112), one request a connection.
class MetricsServer {
 public:
  /// Error usage unless `at` is a loopback address: the text says much about its user. REQUIRES: as
  /// ControlServer.
  static Result<std::unique_ptr<MetricsServer>> listen(io::Loop& loop, const Endpoint& at,
                                                       const StatusSource& source,
                                                       const account::Account& account);
  Endpoint local() const { return listener_->local(); }

 private:
  MetricsServer(io::Loop& loop, const StatusSource& source, const account::Account& account);

  LineServer server_;
  std::unique_ptr<io::TcpListener> listener_;
};

/// The reply to one line; for the socket and for tests.
std::string control_reply(std::string_view line, const StatusSource& source,
                          const account::Account& account, Instant now);
/// The answer to an HTTP request's head; nullopt: its end has not come.
std::optional<LineServer::Answer> metrics_answer(std::string_view text, const StatusSource& source,
                                                 const account::Account& account);

}  // namespace tunproxy::control
