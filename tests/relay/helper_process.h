// A relay helper as a child process, and what the tests of both helpers share.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/unique_fd.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/io/udp_socket.h"
#include "core/udp/relay_client.h"
#include "core/udp/relay_wire.h"

namespace tunproxy::testing {

/// Runs `command` with a socket as stdin and stdout, as sshd does. Killed with this object.
class HelperProcess {
 public:
  /// `environment`: replaces the test's own, if there is one.
  explicit HelperProcess(const std::vector<std::string>& command,
                         const std::vector<std::string>& environment = {});
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;
  ~HelperProcess();

  /// Our end of the socket; once.
  std::unique_ptr<io::TcpStream> stream(io::Loop& loop) {
    return std::make_unique<io::TcpStream>(loop, std::move(socket_));
  }
  /// Runs the loop until the process has ended; its exit status, -1 if it was killed or has not.
  int wait(io::Loop& loop);
  std::string errors() const;  ///< what it wrote to stderr
  pid_t pid() const { return pid_; }

 private:
  UniqueFd socket_;
  UniqueFd errors_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

enum class Kind { cpp, python };
inline std::string kind_name(const ::testing::TestParamInfo<Kind>& test) {
  return test.param == Kind::cpp ? "cpp" : "python";
}
/// TUNPROXY_TEST_PYTHON names another Python than the system's.
std::vector<std::string> helper_command(Kind kind, std::vector<std::string> arguments = {});

/// Starts a client on the stream and waits; the error if it does not come up.
Result<std::unique_ptr<udp::RelayClient>> start_client(io::Loop& loop,
                                                       std::unique_ptr<net::Stream> stream,
                                                       const udp::RelayOptions& options = {});

/// A UDP socket that answers what comes, and remembers who sent.
class EchoServer {
 public:
  explicit EchoServer(io::Loop& loop, const char* address = "127.0.0.1");

  Endpoint local() const { return socket_->local(); }
  void send(const Endpoint& to, std::string_view text) { socket_->send(to, as_bytes(text)); }

  std::vector<Endpoint> seen;
  bool answers = true;

 private:
  std::unique_ptr<io::UdpSocket> socket_;
};

/// An association that keeps what it receives.
struct Flow {
  /// Waits until it is open, or `failure` says why not.
  Flow(io::Loop& loop, udp::RelayClient& client);

  void send(const Target& to, std::string_view text) { session->send(to, as_bytes(text)); }
  bool wait_for(size_t datagrams);

  io::Loop& loop;
  std::vector<std::pair<Endpoint, std::string>> received;
  std::optional<Error> failure;
  std::optional<Error> closed;
  std::unique_ptr<net::DatagramSession> session;
};

/// Speaks in raw bytes.
class RawClient {
 public:
  RawClient(io::Loop& loop, HelperProcess& helper);

  void write(Bytes bytes);
  void say(uint32_t connection, const udp::RelayBody& body);
  /// Says hello and takes the helper's; false if it does not come.
  bool greet();
  /// The next message: its type by `body`, whose spans live until the next call.
  std::optional<udp::RelayMessage> next_of_all();
  /// The same without those that come when the helper likes.
  std::optional<udp::RelayMessage> next();
  /// The stream has ended, after whatever messages.
  bool ended();
  void finish() { stream_->finish(); }

  void read(bool reads);

 private:
  void take();
  bool read_until(const std::function<bool()>& condition);

  io::Loop& loop_;
  std::unique_ptr<io::TcpStream> stream_;
  bool reads_ = true;
  ByteVector outgoing_;
  ByteVector incoming_;
  ByteVector last_;
};

}  // namespace tunproxy::testing
