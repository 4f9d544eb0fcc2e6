// delay_link: a slow wire between two network namespaces, in user space: a TUN in each, and between
// them a queue that holds each packet for a while. For kernels without netem.
//
//   delay_link NAMESPACE_A NAMESPACE_B TUN_NAME DELAY_MS [RATE_MBIT [QUEUE_KB]]
//
// Delay and rate are those of one direction. In front of the wire stands a queue, first in first
// out: what finds it full is dropped, as at a router before a slow line. The TUNs go away with the
// process; it prints "ready" when they are there. The names are those of `ip netns`.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
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

constexpr size_t kMaxHeld = 64 << 20;  // bytes a direction, in the queue and on the wire

struct Speed {
  nanoseconds delay{};
  double bits_per_ns = 0;   // 0: as fast as it goes
  size_t queue = kMaxHeld;  // bytes
};

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
  Wire(int from, int to, const Speed& speed) : from_(from), to_(to), speed_(speed) {}

  int source() const { return from_; }

  void take_all() {
    uint8_t packet[65536];
    for (;;) {
      const ssize_t n = ::read(from_, packet, sizeof packet);
      if (n <= 0) return;
      take(Bytes(packet, static_cast<size_t>(n)));
    }
  }

  void deliver_due() {
    for (const auto now = Clock::now(); !held_.empty() && held_.front().due <= now;) {
      const ByteVector& bytes = held_.front().bytes;
      held_bytes_ -= bytes.size();
      // An end that is full or down drops the packet, as that of a wire does.
      if (::write(to_, bytes.data(), bytes.size()) < 0) ++dropped_;
      held_.pop_front();
    }
  }

  Clock::time_point next() const {
    return held_.empty() ? Clock::time_point::max() : held_.front().due;
  }

 private:
  struct Packet {
    Clock::time_point due;
    ByteVector bytes;
  };

  void take(Bytes packet) {
    const auto now = Clock::now();
    free_at_ = std::max(free_at_, now);
    const double waits = static_cast<double>((free_at_ - now).count()) * speed_.bits_per_ns / 8;
    const auto queued = static_cast<size_t>(waits);  // bytes in front of it
    if (queued + packet.size() > speed_.queue || held_bytes_ + packet.size() > kMaxHeld) {
      ++dropped_;
      return;
    }
    if (speed_.bits_per_ns > 0) {
      const double takes = static_cast<double>(packet.size()) * 8 / speed_.bits_per_ns;
      free_at_ += nanoseconds(static_cast<int64_t>(takes));
    }
    held_bytes_ += packet.size();
    held_.push_back({free_at_ + speed_.delay, ByteVector(packet.begin(), packet.end())});
  }

  const int from_;
  const int to_;
  const Speed speed_;
  size_t held_bytes_ = 0;
  uint64_t dropped_ = 0;
  Clock::time_point free_at_;  // of the line
  std::deque<Packet> held_;
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

int run(char** arguments, int count) {
  const UniqueFd a = open_tun(arguments[0], arguments[2]);
  const UniqueFd b = open_tun(arguments[1], arguments[2]);
  Speed speed;
  speed.delay = nanoseconds(static_cast<int64_t>(std::atof(arguments[3]) * 1e6));
  if (count > 4) speed.bits_per_ns = std::atof(arguments[4]) / 1000;
  if (count > 5) speed.queue = static_cast<size_t>(std::atof(arguments[5]) * 1000);
  std::array<Wire, 2> wires = {Wire(a.get(), b.get(), speed), Wire(b.get(), a.get(), speed)};
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
  if (argc < 5 || argc > 7) {
    std::fprintf(stderr,
                 "usage: %s NAMESPACE_A NAMESPACE_B TUN_NAME DELAY_MS [RATE_MBIT [QUEUE_KB]]\n",
                 argv[0]);
    return 2;
  }
  return tunproxy::run(argv + 1, argc - 1);
}
