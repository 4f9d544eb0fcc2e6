// delay_link: a slow wire between two network namespaces, in user space: a TUN in each, and between
// them a queue that holds each packet for a while. For kernels without netem.
//
//   delay_link NAMESPACE_A NAMESPACE_B TUN_NAME DELAY_MS [RATE_MBIT]
//
// The delay is that of one direction. The TUNs go away with the process; it prints "ready" when
// they are there. The names are those of `ip netns`.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/unique_fd.h"

namespace tunproxy {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr size_t kMaxQueued = 64 << 20;  // bytes a direction; what comes above is dropped

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "delay_link: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

UniqueFd open_tun(const std::string& netns, const std::string& name) {
  const UniqueFd space(::open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC));
  if (!space || ::setns(space.get(), CLONE_NEWNET) != 0) die("namespace " + netns);
  UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun) die("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (::ioctl(tun.get(), TUNSETIFF, &request) != 0) die("TUN " + name);
  return tun;
}

// One direction.
class Wire {
 public:
  Wire(int from, int to, nanoseconds delay, double bits_per_ns)
      : from_(from), to_(to), delay_(delay), bits_per_ns_(bits_per_ns) {}

  int source() const { return from_; }

  void take_all() {
    uint8_t packet[65536];
    for (;;) {
      const ssize_t n = ::read(from_, packet, sizeof packet);
      if (n <= 0) return;
      const auto size = static_cast<size_t>(n);
      if (queued_ + size > kMaxQueued) continue;
      queued_ += size;
      free_at_ = std::max(free_at_, Clock::now());
      if (bits_per_ns_ > 0) {
        free_at_ += nanoseconds(static_cast<int64_t>(static_cast<double>(size) * 8 / bits_per_ns_));
      }
      queue_.push_back({free_at_ + delay_, ByteVector(packet, packet + size)});
    }
  }

  void deliver_due() {
    for (const auto now = Clock::now(); !queue_.empty() && queue_.front().due <= now;) {
      const ByteVector& bytes = queue_.front().bytes;
      queued_ -= bytes.size();
      // An end that is full or down drops the packet, as that of a wire does.
      if (::write(to_, bytes.data(), bytes.size()) < 0) ++dropped_;
      queue_.pop_front();
    }
  }

  Clock::time_point next() const {
    return queue_.empty() ? Clock::time_point::max() : queue_.front().due;
  }

 private:
  struct Packet {
    Clock::time_point due;
    ByteVector bytes;
  };

  const int from_;
  const int to_;
  const nanoseconds delay_;
  const double bits_per_ns_;  // 0: as fast as it goes
  size_t queued_ = 0;
  uint64_t dropped_ = 0;
  Clock::time_point free_at_;
  std::deque<Packet> queue_;
};

void wait_for(std::array<Wire, 2>& wires) {
  std::array<pollfd, 2> sources{};
  for (size_t i = 0; i < 2; ++i) sources[i] = {wires[i].source(), POLLIN, 0};
  const auto due = std::min(wires[0].next(), wires[1].next());
  timespec timeout{};
  if (due != Clock::time_point::max()) {
    const nanoseconds left = std::max<nanoseconds>(due - Clock::now(), nanoseconds(0));
    timeout.tv_sec = left.count() / 1000000000;
    timeout.tv_nsec = left.count() % 1000000000;
  }
  ::ppoll(sources.data(), sources.size(), due == Clock::time_point::max() ? nullptr : &timeout,
          nullptr);
}

int run(char** arguments, double rate_mbit) {
  const UniqueFd a = open_tun(arguments[0], arguments[2]);
  const UniqueFd b = open_tun(arguments[1], arguments[2]);
  const nanoseconds delay(static_cast<int64_t>(std::atof(arguments[3]) * 1e6));
  const double bits_per_ns = rate_mbit / 1000;
  std::array<Wire, 2> wires = {Wire(a.get(), b.get(), delay, bits_per_ns),
                               Wire(b.get(), a.get(), delay, bits_per_ns)};
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    wait_for(wires);
    for (Wire& wire : wires) {
      wire.take_all();
      wire.deliver_due();
    }
  }
}

}  // namespace
}  // namespace tunproxy

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::fprintf(stderr, "usage: %s NAMESPACE_A NAMESPACE_B TUN_NAME DELAY_MS [RATE_MBIT]\n",
                 argv[0]);
    return 2;
  }
  return tunproxy::run(argv + 1, argc == 6 ? std::atof(argv[5]) : 0);
}
