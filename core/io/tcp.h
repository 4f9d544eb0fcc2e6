// TCP sockets: a stream, a listener and a dialer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/base/address.h"
#include "core/base/byte_queue.h"
#include "core/base/time.h"
#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/net/stream.h"

namespace tunproxy::io {

/// A connected stream socket (TCP or Unix). It has no send queue: write() takes what the kernel
/// takes. It reads into the loop's scratch buffer, no more than the loop's memory budget allows it,
/// and keeps only what was not consumed at once; while there is such a rest it does not read.
class TcpStream final : public net::Stream {
 public:
  /// Makes the socket non-blocking and, for TCP, TCP_NODELAY.
  TcpStream(Loop& loop, UniqueFd socket);
  ~TcpStream() override;

  void on_progress(std::function<void()> look_again) override;
  Bytes peek() const override { return scratch_rest_.empty() ? rest_.front() : scratch_rest_; }
  void consume(size_t n) override;
  size_t write(Bytes bytes) override;
  void limit_unsent(size_t bytes) override;
  void outlast(Duration silence) override;
  void finish() override;
  bool finished() const override { return finished_; }
  bool ended() const override { return at_end_ && peek().empty(); }
  const Error* error() const override {
    return failed_ || (broken_ && ended()) ? &error_ : nullptr;
  }

  Endpoint local() const;
  Endpoint peer() const;
  int fd() const { return socket_.get(); }

 private:
  void on_ready(FdWatcher::Ready ready);
  void receive();
  void fail();
  void watch();

  Loop& loop_;
  UniqueFd socket_;
  std::function<void()> look_again_;
  Bytes scratch_rest_;  // in the loop's scratch buffer, while its callback runs
  ByteQueue rest_;
  bool at_end_ = false;
  bool finished_ = false;
  std::optional<Duration> outlasts_;
  Duration longest_resend_{};  // between two tries to send the same bytes; 0: the system's
  bool blocked_ = false;       // the kernel took less than write() offered
  bool broken_ = false;        // nothing can be written any more: error_ says why
  bool failed_ = false;
  Error error_;
  Task progress_;
  FdWatcher watcher_;
};

/// Prepares a socket between socket() and connect() (a firewall mark; VpnService.protect); may
/// refuse.
using PrepareSocket = std::function<Result<void>(int fd)>;

/// Makes the kernel end a connection whose peer has not acknowledged anything, data or probe, for
/// about `within`. Idle connections are probed each third of that.
Result<void> notice_dead_peer(int fd, Duration within);

/// Looks up the addresses of a server that may have moved.
using LookUp = std::function<std::unique_ptr<net::Attempt>(const Target& server,
                                                           net::Done<std::vector<Endpoint>> done)>;

struct DialOptions {
  Duration timeout = 15s;  ///< for everything: look-up and all addresses
  PrepareSocket prepare;   ///< may be empty
  bool for_flow = false;   ///< fails with limit rather than touch the reserve of descriptors
  /// Addresses that have not answered are tried anew this often, beside a few of the former tries,
  /// so that a network that comes back is noticed then; 0: each is tried once.
  Duration again{};
  /// For those who dial a server again and again (KnownServer). It must ask beside the tunnel that
  /// the server carries. Empty: known addresses are all there are.
  LookUp look_up_again;
};

/// Connects to a target: looks the name up and tries its addresses, a quarter of a second apart,
/// until one answers (RFC 8305). The error is that of the most telling failure.
std::unique_ptr<net::Attempt> dial(Loop& loop, const Target& target, const DialOptions& options,
                                   net::Done<std::unique_ptr<TcpStream>> done);
/// The same for addresses that are known. REQUIRES: !endpoints.empty()
std::unique_ptr<net::Attempt> dial(Loop& loop, std::vector<Endpoint> endpoints,
                                   const DialOptions& options,
                                   net::Done<std::unique_ptr<TcpStream>> done);

/// Accepts connections. On a shortage of descriptors it pauses for a moment instead of spinning.
class TcpListener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<TcpStream>)>;

  /// Port 0 takes a free port; see local(). What `prepare` sets goes on to accepted sockets.
  static Result<std::unique_ptr<TcpListener>> listen(Loop& loop, const Endpoint& at,
                                                     OnAccept on_accept,
                                                     const PrepareSocket& prepare = {});
  ~TcpListener();
  TcpListener(const TcpListener&) = delete;
  TcpListener& operator=(const TcpListener&) = delete;

  Endpoint local() const;

 private:
  TcpListener(Loop& loop, UniqueFd socket, OnAccept on_accept);
  void accept_all();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tunproxy::io
