// How many datagrams a helper alone carries, and what each costs it.
//
//   relay_bench SIZE up|down COMMAND...     (a helper's command line)
//
// The helper runs over a socket pair, the peer is a socket on loopback. The sender keeps a bounded
// number of datagrams under way, so that none is lost and the slowest part sets the pace.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/udp/relay_wire.h"

namespace tunproxy {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kUnderWay = 256;
constexpr size_t kBatch = 32;
constexpr auto kTime = std::chrono::seconds(4);

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Wire {
  int fd = -1;
  ByteVector in = ByteVector(512 * 1024);
  size_t filled = 0;

  void write_all(Bytes bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd, bytes.data(), bytes.size());
      if (n <= 0) die("write");
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
  }
  bool read_more() {
    const ssize_t n = ::read(fd, in.data() + filled, in.size() - filled);
    if (n > 0) filled += static_cast<size_t>(n);
    return n > 0;
  }
  void consume(size_t n) {
    std::copy(in.begin() + static_cast<ptrdiff_t>(n), in.begin() + static_cast<ptrdiff_t>(filled),
              in.begin());
    filled -= n;
  }
  Bytes bytes() const { return Bytes(in).first(filled); }
};

void say(const Wire& wire, uint32_t id, const udp::RelayBody& body) {
  ByteVector bytes;
  if (!encode(udp::RelayMessage{id, body}, bytes)) std::exit(1);
  wire.write_all(bytes);
}

// Says hello and opens an association; its port.
uint16_t open(Wire& wire) {
  const udp::Hello hello;
  say(wire, 0, hello);
  say(wire, 1, udp::UdpAssociate{});
  while (wire.read_more()) {
    const auto start = udp::find_relay_magic(wire.bytes(), hello.nonce);
    if (!start || !*start) continue;
    Bytes rest = wire.bytes().subspan(**start);
    for (auto message = udp::decode_relay(rest); message && *message;
         message = udp::decode_relay(rest)) {
      const auto* opened = std::get_if<udp::UdpAssociateOpened>(&(*message)->body);
      if (opened == nullptr) continue;
      wire.filled = 0;
      return opened->bound.port();
    }
  }
  die("no association");
}

struct Batch {
  explicit Batch(size_t size) : buffers(kBatch, ByteVector(size)) {
    for (size_t i = 0; i < kBatch; ++i) {
      parts[i] = {buffers[i].data(), size};
      headers[i].msg_hdr.msg_iov = &parts[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::vector<ByteVector> buffers;
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> headers{};
};

int peer_socket(sockaddr_in* address) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr*>(address), sizeof *address) != 0) die("bind");
  socklen_t length = sizeof *address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(address), &length);
  const timeval patience{0, 200000};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// Sends kBatch at a time while fewer than kUnderWay are under way; how many it sent.
template <typename Send>
uint64_t send_until(Clock::time_point end, const std::atomic<uint64_t>& received, Send send) {
  uint64_t sent = 0;
  while (Clock::now() < end) {
    if (sent - received.load(std::memory_order_relaxed) > kUnderWay) {
      std::this_thread::yield();
      continue;
    }
    send();
    sent += kBatch;
  }
  return sent;
}

uint64_t run_up(Wire& wire, size_t size, std::atomic<uint64_t>& received) {
  open(wire);
  sockaddr_in address{};
  const int peer = peer_socket(&address);
  const ByteVector payload(size, 'x');
  const Target to(IpAddress::v4(reinterpret_cast<const uint8_t*>(&address.sin_addr)),
                  ntohs(address.sin_port));
  ByteVector frames;
  for (size_t i = 0; i < kBatch; ++i) {
    if (!udp::encode({1, udp::UdpPacket{to, payload}}, frames)) std::exit(1);
  }
  std::thread sink([&] {
    Batch batch(size);
    for (int n = 1; n > 0;) {
      n = ::recvmmsg(peer, batch.headers.data(), kBatch, MSG_WAITFORONE, nullptr);
      if (n > 0) received += static_cast<uint64_t>(n);
    }
  });
  const uint64_t sent = send_until(Clock::now() + kTime, received, [&] { wire.write_all(frames); });
  sink.join();
  return sent;
}

uint64_t run_down(Wire& wire, size_t size, std::atomic<uint64_t>& received) {
  sockaddr_in to{};
  const int peer = peer_socket(&to);
  to.sin_port = htons(open(wire));
  if (::connect(peer, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) die("connect");
  const timeval patience{0, 200000};
  ::setsockopt(wire.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::thread sink([&] {
    while (wire.read_more()) {
      Bytes rest = wire.bytes();
      for (auto message = udp::decode_relay(rest); message && *message;
           message = udp::decode_relay(rest)) {
        ++received;
      }
      wire.consume(wire.filled - rest.size());
    }
  });
  Batch batch(size);
  const uint64_t sent = send_until(Clock::now() + kTime, received, [&] {
    if (::sendmmsg(peer, batch.headers.data(), kBatch, 0) != kBatch) die("sendmmsg");
  });
  sink.join();
  return sent;
}

int run(int argc, char** argv) {
  if (argc < 4) return std::puts("relay_bench SIZE up|down COMMAND..."), 2;
  const size_t size = std::stoul(argv[1]);
  const bool up = std::string(argv[2]) == "up";
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) die("socketpair");
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDIN_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::execvp(argv[3], argv + 3);
    die(argv[3]);
  }
  ::close(ends[1]);
  Wire wire;
  wire.fd = ends[0];
  std::atomic<uint64_t> received = 0;
  const uint64_t sent = (up ? run_up : run_down)(wire, size, received);
  ::close(wire.fd);
  rusage usage{};
  ::wait4(child, nullptr, 0, &usage);
  const auto micros = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
  };
  const double cpu = micros(usage.ru_utime) + micros(usage.ru_stime);
  const auto count = static_cast<double>(received.load());
  std::printf("%5zu bytes %-4s  %8.0f datagrams/s  lost %.2f %%  helper %.2f us each, %ld KB\n",
              size, up ? "up" : "down", count / static_cast<double>(kTime.count()),
              100.0 * (static_cast<double>(sent) - count) / static_cast<double>(sent), cpu / count,
              usage.ru_maxrss);
  return 0;
}

}  // namespace
}  // namespace tunproxy

int main(int argc, char** argv) {
  return tunproxy::run(argc, argv);
}
