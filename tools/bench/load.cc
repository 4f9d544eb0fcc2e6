// load: makes and takes traffic for measurements, with a thread for each connection.
//
//   load serve ADDRESS:PORT
//   load run   --to A:P [--socks A:P] --direction up|down --streams N --bytes TOTAL [--verify]
//   load open  --to A:P [--socks A:P] --streams N       all at once; seconds until each has its
//   answer load hold  --to A:P [--socks A:P] --streams N       idle connections until standard
//   input ends
//
// Prints one line: the bytes moved and the seconds that it took. A connection begins with a byte
// that says what it is for: U (the server counts what comes and tells), D and a count (the server
// sends that many), E (an echo).
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/address.h"
#include "core/base/unique_fd.h"
#include "core/socks5/reply.h"
#include "core/socks5/wire.h"

namespace tunproxy {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBlock = 1 << 20;
constexpr size_t kChunk = 256 * 1024;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "load: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

// What every stream carries: the byte at position i is block()[i % kBlock], twice over so that a
// chunk never wraps.
const ByteVector& block() {
  static const ByteVector bytes = [] {
    ByteVector made(2 * kBlock);
    uint32_t state = 2463534242;
    for (size_t i = 0; i < kBlock; ++i) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      made[i] = made[i + kBlock] = static_cast<uint8_t>(state);
    }
    return made;
  }();
  return bytes;
}

void must(bool done, const char* what) {
  if (!done) die(what);
}

bool send_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return true;
}

bool read_exactly(int fd, MutableBytes to) {
  while (!to.empty()) {
    const ssize_t n = ::recv(fd, to.data(), to.size(), 0);
    if (n <= 0) return false;
    to = to.subspan(static_cast<size_t>(n));
  }
  return true;
}

bool send_pattern(int fd, uint64_t count) {
  for (uint64_t sent = 0; sent < count;) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(kChunk, count - sent));
    if (!send_all(fd, Bytes(block()).subspan(sent % kBlock, n))) return false;
    sent += n;
  }
  return true;
}

// Until the end; without `verify` the kernel drops the bytes where they are.
uint64_t receive_pattern(int fd, bool verify) {
  ByteVector buffer(verify ? kChunk : 0);
  for (uint64_t received = 0;;) {
    const ssize_t n = verify ? ::recv(fd, buffer.data(), buffer.size(), 0)
                             : ::recv(fd, nullptr, 1 << 20, MSG_TRUNC);
    if (n <= 0) return received;  // an error shows as a wrong count
    const auto size = static_cast<size_t>(n);
    if (verify && std::memcmp(buffer.data(), &block()[received % kBlock], size) != 0) {
      std::fprintf(stderr, "load: wrong data near byte %llu\n",
                   static_cast<unsigned long long>(received));
      std::exit(1);
    }
    received += size;
  }
}

ByteVector be64(uint64_t value) {
  ByteVector bytes(8);
  store_be32(bytes.data(), static_cast<uint32_t>(value >> 32));
  store_be32(&bytes[4], static_cast<uint32_t>(value));
  return bytes;
}

uint64_t read_be64(int fd) {
  uint8_t bytes[8] = {};
  if (!read_exactly(fd, bytes)) return 0;
  return static_cast<uint64_t>(load_be32(bytes)) << 32 | load_be32(bytes + 4);
}

void serve_one(UniqueFd socket, bool verify) {
  uint8_t kind = 0;
  if (::recv(socket.get(), &kind, 1, 0) != 1) return;
  if (kind == 'U') {
    send_all(socket.get(), be64(receive_pattern(socket.get(), verify)));
  } else if (kind == 'D') {
    send_pattern(socket.get(), read_be64(socket.get()));
  } else if (kind == 'E') {
    uint8_t byte = 0;
    while (::recv(socket.get(), &byte, 1, 0) == 1 && send_all(socket.get(), {&byte, 1})) continue;
  }
}

// Where a socket's route does not say so already (that of a TUN). Fails without privilege: no
// matter.
void use_cubic(int fd) {
  ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
}

int connected_socket(const Endpoint& to) {
  sockaddr_storage address{};
  const unsigned length = to.to_sockaddr(&address);
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  use_cubic(fd);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), length) != 0) {
    die("connect to " + to.to_string());
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// Reads one SOCKS message.
template <typename Decode>
auto await(int fd, Decode decode) {
  for (ByteVector bytes;;) {
    bytes.push_back(0);
    must(read_exactly(fd, MutableBytes(bytes).last(1)), "no answer of the SOCKS server");
    Bytes input = bytes;
    auto message = decode(input);
    if (!message) die(message.error().message);
    if (*message) return **message;
  }
}

void ask_socks(int fd, const Target& target) {
  ByteVector hello;
  encode(socks5::Greeting{{0}}, hello);
  must(send_all(fd, hello), "greeting");
  await(fd, socks5::decode_method_choice);
  ByteVector request;
  encode(socks5::Request{socks5::Command::connect, target}, request);
  must(send_all(fd, request), "request");
  const socks5::Reply reply = await(fd, socks5::decode_reply);
  if (reply.code != socks5::kSucceeded) die(std::string(socks5::reply_text(reply.code)));
}

struct Options {
  Endpoint to;
  std::optional<Endpoint> socks;
  bool up = false;
  bool verify = false;
  size_t streams = 1;
  uint64_t bytes = 0;
};

UniqueFd open_flow(const Options& options) {
  UniqueFd socket(connected_socket(options.socks.value_or(options.to)));
  if (options.socks) ask_socks(socket.get(), options.to);
  return socket;
}

template <typename Function>
void in_threads(size_t count, Function function) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i) threads.emplace_back(function, i);
  for (std::thread& thread : threads) thread.join();
}

uint64_t transfer(const Options& options, int fd) {
  const uint64_t count = options.bytes / options.streams;
  if (!options.up) {
    must(send_all(fd, ByteVector{'D'}) && send_all(fd, be64(count)), "asking for data");
    return receive_pattern(fd, options.verify);
  }
  must(send_all(fd, ByteVector{'U'}) && send_pattern(fd, count), "sending");
  ::shutdown(fd, SHUT_WR);
  return read_be64(fd);
}

void report(uint64_t bytes, Clock::time_point since) {
  const std::chrono::duration<double> seconds = Clock::now() - since;
  std::printf("%llu %.6f\n", static_cast<unsigned long long>(bytes), seconds.count());
  std::fflush(stdout);
}

int run(const Options& options) {
  std::vector<UniqueFd> flows(options.streams);
  in_threads(options.streams, [&](size_t i) { flows[i] = open_flow(options); });
  std::atomic<uint64_t> moved = 0;
  const auto start = Clock::now();
  in_threads(options.streams, [&](size_t i) { moved += transfer(options, flows[i].get()); });
  report(moved, start);
  return moved == options.bytes / options.streams * options.streams ? 0 : 1;
}

int open_all(const Options& options) {
  std::vector<UniqueFd> flows(options.streams);
  const auto start = Clock::now();
  in_threads(options.streams, [&](size_t i) { flows[i] = open_flow(options); });
  report(0, start);
  return 0;
}

int hold(const Options& options) {
  std::vector<UniqueFd> flows(options.streams);
  const auto start = Clock::now();
  for (UniqueFd& flow : flows) {
    flow = open_flow(options);
    uint8_t answer = 0;
    must(send_all(flow.get(), ByteVector{'E', 'x'}) && read_exactly(flow.get(), {&answer, 1}),
         "echo");
  }
  report(0, start);
  while (std::getchar() != EOF) continue;
  return 0;
}

int serve(const Options& options) {
  sockaddr_storage address{};
  const unsigned length = options.to.to_sockaddr(&address);
  const UniqueFd listener(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  use_cubic(listener.get());
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) die("bind");
  if (::listen(listener.get(), 4096) != 0) die("listen");
  for (;;) {
    UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) die("accept");
    std::thread(serve_one, std::move(socket), options.verify).detach();
  }
}

Endpoint endpoint_or_die(const std::string& text) {
  const auto endpoint = Endpoint::parse(text);
  if (!endpoint) die(text);
  return *endpoint;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--verify") {
      options.verify = true;
      continue;
    }
    const std::string value = ++i < argc ? argv[i] : "";
    if (name == "--to") options.to = endpoint_or_die(value);
    if (name == "--socks") options.socks = endpoint_or_die(value);
    if (name == "--direction") options.up = value == "up";
    if (name == "--streams") options.streams = std::stoul(value);
    if (name == "--bytes") options.bytes = std::stoull(value);
  }
  return options;
}

int start(int argc, char** argv) {
  const std::map<std::string, int (*)(const Options&)> modes = {
      {"serve", serve}, {"run", run}, {"open", open_all}, {"hold", hold}};
  const auto mode = argc > 1 ? modes.find(argv[1]) : modes.end();
  const Options options = parse(argc, argv);
  if (mode == modes.end() || options.to.port == 0 || options.streams == 0) {
    std::fprintf(stderr, "usage: see the head of tools/bench/load.cc\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const rlimit small_stacks{256 * 1024, RLIM_INFINITY};  // what new threads get
  ::setrlimit(RLIMIT_STACK, &small_stacks);
  return mode->second(options);
}

}  // namespace
}  // namespace tunproxy

int main(int argc, char** argv) {
  return tunproxy::start(argc, argv);
}
