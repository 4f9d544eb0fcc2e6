#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/io/descriptors.h"
#include "core/io/resolver.h"
#include "core/io/system.h"
#include "core/io/tcp.h"
#include "core/io/timer.h"

namespace tunproxy::io {
namespace {

constexpr Duration kStagger = 250ms;  // RFC 8305 §5, "Connection Attempt Delay"
constexpr Duration kClosest = 50ms;   // two tries with `again`
constexpr ptrdiff_t kTriesEach = 5;   // of one address, at the same time

// The more it tells, the higher: a refusal says that somebody is there.
int telling(ErrorCode code) {
  switch (code) {
    case ErrorCode::no_permission:
    case ErrorCode::limit:
      return 4;
    case ErrorCode::refused:
      return 3;
    case ErrorCode::host_unreachable:
      return 2;
    case ErrorCode::network_unreachable:
      return 1;
    default:
      return 0;
  }
}

Result<UniqueFd> start_connect(const Endpoint& to, const PrepareSocket& prepare, bool for_flow) {
  if (for_flow) {
    if (auto spare = check_descriptors(); !spare) return spare.error();
  }
  const int family = to.address.is_v4() ? AF_INET : AF_INET6;
  UniqueFd socket = open_socket(family, SOCK_STREAM, Blocking::no);
  if (!socket) return error_from_errno(errno, "cannot make a socket");
  if (prepare) {
    if (auto prepared = prepare(socket.get()); !prepared) return prepared.error();
  }
  sockaddr_storage address{};
  const unsigned length = to.to_sockaddr(&address);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 &&
      errno != EINPROGRESS) {
    return error_from_errno(errno, "cannot connect");
  }
  return socket;
}

// One socket that is being connected.
struct Candidate {
  Candidate(Loop& loop, size_t endpoint, UniqueFd connecting,
            std::function<void(Candidate*)> on_outcome)
      : to(endpoint),
        socket(std::move(connecting)),
        watcher(loop, socket.get(), [this, on_outcome](auto) {
          watcher.release();
          on_outcome(this);
        }) {
    watcher.want(false, true);
  }

  const size_t to;  // index in the endpoints
  UniqueFd socket;
  FdWatcher watcher;
};

class Dial final : public net::Attempt {
 public:
  Dial(Loop& loop, const DialOptions& options, net::Done<std::unique_ptr<TcpStream>> done)
      : loop_(loop),
        prepare_(options.prepare),
        for_flow_(options.for_flow),
        again_(options.again),
        done_(std::move(done)),
        deadline_(loop,
                  [this] {
                    finish(Error{ErrorCode::timed_out, "no answer in time"});
                  }),
        stagger_(loop, [this] { try_next(); }) {
    deadline_.start(options.timeout);
  }

  void look_up(const Target& target) {
    lookup_ = resolve(loop_, target, [this](Result<std::vector<Endpoint>> found) {
      lookup_.reset();
      if (found) {
        connect_to(std::move(*found));
      } else {
        finish(found.error());
      }
    });
  }

  void connect_to(std::vector<Endpoint> endpoints) {
    assert(!endpoints.empty());
    endpoints_ = std::move(endpoints);
    stagger_.start(0ms);
  }

 private:
  void try_next() {
    if (next_ == endpoints_.size()) {
      next_ = 0;
      first_round_ = false;
    }
    const size_t to = next_++;
    auto socket = start_connect(endpoints_[to], prepare_, for_flow_);
    if (!socket) return failed(socket.error());
    make_room(to);
    candidates_.push_back(std::make_unique<Candidate>(
        loop_, to, std::move(*socket), [this](Candidate* candidate) { on_outcome(candidate); }));
    wait_for_next();
  }

  void wait_for_next() {
    const Duration apart = std::max<Duration>(again_ / endpoints_.size(), kClosest);
    if (next_ < endpoints_.size()) {
      stagger_.start(first_round_ ? kStagger : apart);
    } else if (again_ > 0ms) {
      stagger_.start(apart);
    }
  }

  // The oldest goes: by now its peer would have answered, if it could.
  void make_room(size_t to) {
    const auto same = [to](const auto& candidate) { return candidate->to == to; };
    if (std::count_if(candidates_.begin(), candidates_.end(), same) < kTriesEach) return;
    const auto oldest = std::find_if(candidates_.begin(), candidates_.end(), same);
    candidates_.erase(oldest);
  }

  void on_outcome(Candidate* candidate) {
    int error_number = 0;
    socklen_t length = sizeof error_number;
    ::getsockopt(candidate->socket.get(), SOL_SOCKET, SO_ERROR, &error_number, &length);
    UniqueFd socket = retire(candidate);
    if (error_number == 0) {
      finish(std::make_unique<TcpStream>(loop_, std::move(socket)));
    } else {
      failed(error_from_errno(error_number, "cannot connect"));
    }
  }

  // Takes the socket out; the rest, which is on the stack, dies at the end of the batch.
  UniqueFd retire(Candidate* candidate) {
    for (auto& entry : candidates_) {
      if (entry.get() != candidate) continue;
      UniqueFd socket = std::move(candidate->socket);
      loop_.retire(std::move(entry));
      std::erase(candidates_, nullptr);
      return socket;
    }
    return UniqueFd();
  }

  void failed(Error error) {
    if (!best_ || telling(error.code) > telling(best_->code)) best_ = std::move(error);
    if (next_ < endpoints_.size()) {
      stagger_.start(0ms);
    } else if (candidates_.empty()) {
      finish(*best_);
    } else if (!stagger_.active()) {
      wait_for_next();
    }
  }

  // Last in every path: the attempt may be destroyed by its Done.
  void finish(Result<std::unique_ptr<TcpStream>> result) {
    deadline_.stop();
    stagger_.stop();
    candidates_.clear();
    if (done_) std::exchange(done_, nullptr)(std::move(result));
  }

  Loop& loop_;
  PrepareSocket prepare_;
  const bool for_flow_;
  const Duration again_;
  net::Done<std::unique_ptr<TcpStream>> done_;
  std::unique_ptr<net::Attempt> lookup_;
  std::vector<Endpoint> endpoints_;
  size_t next_ = 0;
  bool first_round_ = true;
  std::vector<std::unique_ptr<Candidate>> candidates_;
  std::optional<Error> best_;
  Timer deadline_;
  Timer stagger_;
};

}  // namespace

Result<void> notice_dead_peer(int fd, Duration within) {
  constexpr int kProbes = 3;
  const auto milliseconds = static_cast<int>(within.count());
  const int interval = std::max(1, milliseconds / 1000 / kProbes);
  const struct {
    int level, name, value;
  } settings[] = {
      {SOL_SOCKET, SO_KEEPALIVE, 1},
#ifdef TCP_KEEPIDLE
      {IPPROTO_TCP, TCP_KEEPIDLE, interval},
#else
      {IPPROTO_TCP, TCP_KEEPALIVE, interval},  // Darwin's name for it
#endif
      {IPPROTO_TCP, TCP_KEEPINTVL, interval},
      {IPPROTO_TCP, TCP_KEEPCNT, kProbes - 1},
#ifdef TCP_USER_TIMEOUT
      {IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds},
#endif
  };
  for (const auto& setting : settings) {
    if (::setsockopt(fd, setting.level, setting.name, &setting.value, sizeof setting.value) != 0) {
      return error_from_errno(errno, "cannot set the connection's keepalive");
    }
  }
  return {};
}

std::unique_ptr<net::Attempt> dial(Loop& loop, const Target& target, const DialOptions& options,
                                   net::Done<std::unique_ptr<TcpStream>> done) {
  auto attempt = std::make_unique<Dial>(loop, options, std::move(done));
  attempt->look_up(target);
  return attempt;
}

std::unique_ptr<net::Attempt> dial(Loop& loop, std::vector<Endpoint> endpoints,
                                   const DialOptions& options,
                                   net::Done<std::unique_ptr<TcpStream>> done) {
  auto attempt = std::make_unique<Dial>(loop, options, std::move(done));
  attempt->connect_to(std::move(endpoints));
  return attempt;
}

}  // namespace tunproxy::io
