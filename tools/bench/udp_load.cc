// udp_load: datagrams for measurements.
//
//   udp_load serve ADDRESS PORT                        answers the other three
//   udp_load ping  ADDRESS PORT COUNT INTERVAL_MS      prints: answered p50 p95 p99 (µs)
//   udp_load up    ADDRESS PORT SIZE SECONDS RATE      prints: sent received received/s
//   udp_load down  ADDRESS PORT SIZE SECONDS RATE      the same, the server being the sender
//
// RATE is in datagrams a second; one that the sender cannot reach is as much as it can. One client
// at a time: the server counts all data of a run as one.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t kBatch = 32;
constexpr std::size_t kMostBytes = 65507;
constexpr std::uint64_t kMostBehind = 128;  // a sender that slept does not make up for more

enum class Type : std::uint32_t { kPing, kData, kReport, kSend, kEnd };

/// The beginning of every datagram, in the machine's own byte order: both ends are on it.
struct Message {
  Type type = Type::kPing;
  std::uint32_t size = 0;    // kSend: bytes a datagram
  std::uint64_t run = 0;     // tells one measurement from the one before
  std::uint64_t number = 0;  // kPing: which; kReport, kEnd: how many; kSend: milliseconds
  std::uint64_t rate = 0;    // kSend: datagrams a second
};

[[noreturn]] void fail(const char* what) {
  std::exit((std::perror(what), 1));
}

class Socket {
 public:
  Socket() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (fd_ < 0) fail("socket");
    const int bytes = 4 << 20;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }
  void set_receive_timeout(microseconds timeout) const {
    const timeval value{timeout.count() / 1000000, timeout.count() % 1000000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
  }

  void send(const Message& message, const sockaddr_in* to = nullptr) const {
    ::sendto(fd_, &message, sizeof message, 0, reinterpret_cast<const sockaddr*>(to),
             to ? sizeof *to : 0);
  }

 private:
  int fd_;
};

/// A batch of datagrams of one size, all with the same beginning.
class Batch {
 public:
  Batch(std::size_t size, const Message& message, sockaddr_in* to) : bytes_(size) {
    std::memcpy(bytes_.data(), &message, sizeof message);
    vector_ = {bytes_.data(), bytes_.size()};
    for (auto& header : headers_) {
      header = {};
      header.msg_hdr.msg_iov = &vector_;
      header.msg_hdr.msg_iovlen = 1;
      header.msg_hdr.msg_name = to;
      header.msg_hdr.msg_namelen = to ? sizeof *to : 0;
    }
  }

  /// How many went; a full queue on the way is no error.
  std::uint64_t send(int fd, std::uint64_t count) {
    const auto limit = static_cast<unsigned>(std::min<std::uint64_t>(count, kBatch));
    const int sent = ::sendmmsg(fd, headers_.data(), limit, 0);
    return sent > 0 ? static_cast<std::uint64_t>(sent) : 0;
  }

 private:
  std::vector<char> bytes_;
  iovec vector_{};
  std::array<mmsghdr, kBatch> headers_;
};

/// Sends at an even pace; returns how many.
std::uint64_t send_for(int fd, Batch& batch, milliseconds duration, std::uint64_t rate) {
  const auto start = Clock::now();
  std::uint64_t sent = 0;
  std::uint64_t forgiven = 0;
  for (;;) {
    const auto elapsed = std::chrono::duration_cast<microseconds>(Clock::now() - start);
    if (elapsed >= duration) return sent;
    const auto due = static_cast<std::uint64_t>(elapsed.count()) * rate / 1000000;
    if (due > sent + forgiven + kMostBehind) forgiven = due - sent - kMostBehind;
    if (due > sent + forgiven) {
      sent += batch.send(fd, due - sent - forgiven);
    } else {
      std::this_thread::sleep_for(microseconds(50));
    }
  }
}

/// Receives in batches, into memory of its own.
class Receiver {
 public:
  Receiver() : bytes_(kBatch * kMostBytes) {
    for (std::size_t i = 0; i < kBatch; ++i) vectors_[i] = {&bytes_[i * kMostBytes], kMostBytes};
  }

  /// 0 when the socket's time is up.
  std::size_t receive(int fd) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      headers_[i] = {};
      headers_[i].msg_hdr.msg_iov = &vectors_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
      headers_[i].msg_hdr.msg_name = &from_[i];
      headers_[i].msg_hdr.msg_namelen = sizeof from_[i];
    }
    const int count = ::recvmmsg(fd, headers_.data(), kBatch, MSG_WAITFORONE, nullptr);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  sockaddr_in& from(std::size_t i) { return from_[i]; }

  std::optional<Message> message(std::size_t i) const {
    if (headers_[i].msg_len < sizeof(Message)) return std::nullopt;
    Message message;
    std::memcpy(&message, vectors_[i].iov_base, sizeof message);
    return message;
  }

 private:
  std::vector<char> bytes_;
  std::array<iovec, kBatch> vectors_{};
  std::array<mmsghdr, kBatch> headers_{};
  std::array<sockaddr_in, kBatch> from_{};
};

class Server {
 public:
  explicit Server(const sockaddr_in& at) {
    if (::bind(socket_.fd(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("bind");
  }

  [[noreturn]] void run() {
    for (;;) {
      const auto count = receiver_.receive(socket_.fd());
      for (std::size_t i = 0; i < count; ++i) {
        if (const auto message = receiver_.message(i)) handle(*message, receiver_.from(i));
      }
    }
  }

 private:
  void handle(Message message, sockaddr_in from) {
    if (message.type == Type::kPing) return socket_.send(message, &from);
    if (message.type == Type::kSend) return send(message, from);
    if (message.run != run_) received_ = 0;
    run_ = message.run;
    if (message.type == Type::kData) ++received_;
    if (message.type != Type::kReport) return;
    message.number = received_;
    socket_.send(message, &from);
  }

  void send(const Message& order, sockaddr_in to) {
    if (order.run == run_ || order.size < sizeof order || order.size > kMostBytes) return;
    run_ = order.run;
    Message message{.type = Type::kData, .run = order.run};
    Batch batch(order.size, message, &to);
    message.number = send_for(socket_.fd(), batch, milliseconds(order.number), order.rate);
    message.type = Type::kEnd;
    for (int i = 0; i < 5; ++i) {  // what is under way may push some of them out
      std::this_thread::sleep_for(milliseconds(100));
      socket_.send(message, &to);
    }
  }

  Socket socket_;
  Receiver receiver_;
  std::uint64_t run_ = 0;
  std::uint64_t received_ = 0;
};

void print_rate(std::uint64_t sent, std::uint64_t received, milliseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  std::printf("%ju %ju %.0f\n", static_cast<std::uintmax_t>(sent),
              static_cast<std::uintmax_t>(received), static_cast<double>(received) / seconds);
}

std::uint64_t new_run() {
  return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
}

/// Sends, then asks what came, 10 times if need be.
int up(const Socket& socket, std::size_t size, milliseconds duration, std::uint64_t rate) {
  Message message{.type = Type::kData, .run = new_run()};
  Batch batch(size, message, nullptr);
  const auto sent = send_for(socket.fd(), batch, duration, rate);
  message.type = Type::kReport;
  socket.set_receive_timeout(milliseconds(300));
  for (int i = 0; i < 10; ++i) {
    std::this_thread::sleep_for(milliseconds(300));  // queues on the way run empty
    socket.send(message);
    Message answer;
    if (::recv(socket.fd(), &answer, sizeof answer, 0) != sizeof answer) continue;
    if (answer.run != message.run) continue;
    print_rate(sent, answer.number, duration);
    return 0;
  }
  return 1;
}

int down(const Socket& socket, std::size_t size, milliseconds duration, std::uint64_t rate) {
  Message order{.type = Type::kSend, .size = static_cast<std::uint32_t>(size), .run = new_run()};
  order.number = static_cast<std::uint64_t>(duration.count());
  order.rate = rate;
  socket.send(order);
  socket.set_receive_timeout(duration + milliseconds(3000));
  Receiver receiver;
  std::uint64_t received = 0;
  while (const auto count = receiver.receive(socket.fd())) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto message = receiver.message(i);
      if (!message || message->run != order.run) continue;
      if (message->type == Type::kData) ++received;
      if (message->type != Type::kEnd) continue;
      print_rate(message->number, received, duration);
      return 0;
    }
  }
  return 1;
}

int ping(const Socket& socket, std::uint64_t count, milliseconds interval) {
  std::vector<double> times;
  socket.set_receive_timeout(milliseconds(1000));
  Message message{.run = new_run()};
  for (; message.number < count; ++message.number) {
    const auto start = Clock::now();
    socket.send(message);
    Message answer;
    while (::recv(socket.fd(), &answer, sizeof answer, 0) == sizeof answer) {
      if (answer.run != message.run || answer.number != message.number) continue;  // a late one
      times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
      break;
    }
    std::this_thread::sleep_until(start + interval);
  }
  if (times.empty()) return 1;
  std::sort(times.begin(), times.end());
  const auto at = [&](std::size_t percent) { return times[(times.size() - 1) * percent / 100]; };
  std::printf("%zu %.0f %.0f %.0f\n", times.size(), at(50), at(95), at(99));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const bool serves = argc == 4 && mode == "serve", pings = argc == 6 && mode == "ping";
  const bool sends = argc == 7 && (mode == "up" || mode == "down") &&
                     number(4) >= sizeof(Message) && number(4) <= kMostBytes;
  if (!(serves || pings || sends) || ::inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) {
    std::fprintf(stderr, "usage: udp_load serve|ping|up|down ADDRESS PORT ...\n");
    return 2;
  }
  address.sin_port = htons(static_cast<std::uint16_t>(number(3)));
  if (serves) Server(address).run();
  const Socket socket;
  if (::connect(socket.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    fail("connect");
  }
  if (pings) return ping(socket, number(4), milliseconds(number(5)));
  const milliseconds duration(1000 * number(5));
  return (mode == "up" ? up : down)(socket, number(4), duration, number(6));
}
