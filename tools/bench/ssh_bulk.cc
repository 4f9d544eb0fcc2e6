// Throughput and client CPU of one SSH session against `ssh -D`, over loopback, with a real sshd:
//   ssh_bulk [MEGABYTES] [CHANNELS] [ROUNDS] [NAME [up|down]]
// Prints one line a cipher and direction: medians of interleaved rounds. NAME limits it to
// contestants whose name holds it. Not a test.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/unique_fd.h"
#include "core/io/loop.h"
#include "core/io/tcp.h"
#include "core/ssh/session.h"
#include "tests/support/key_login.h"
#include "tests/support/memory_stream.h"
#include "tests/support/sshd.h"

namespace tunproxy {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBlock = 256 * 1024;

struct Figure {
  double seconds = 0;
  double cpu = 0;
};

struct Job {
  bool down;
  uint64_t bytes;  // a channel
  size_t channels;
};

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "ssh_bulk: %s\n", text.c_str());
  std::exit(1);
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

UniqueFd connect_to(uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return UniqueFd();
  }
  return fd;
}

bool transfer(int fd, MutableBytes buffer, uint64_t bytes, bool receive) {
  while (bytes > 0) {
    const size_t want = std::min<uint64_t>(buffer.size(), bytes);
    const ssize_t n = receive ? ::read(fd, buffer.data(), want) : ::write(fd, buffer.data(), want);
    if (n <= 0) return false;
    bytes -= static_cast<uint64_t>(n);
  }
  return true;
}

// A process of its own, so that its time is not the client's: sends or takes what each connection's
// job says, then gives one byte.
class Peer {
 public:
  explicit Peer(const Job& job) {
    UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length);
    ::listen(listener.get(), 1024);
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    pid_ = ::fork();
    if (pid_ == 0) serve(listener.get(), job);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  uint16_t port() const { return port_; }

 private:
  [[noreturn]] static void serve(int listener, const Job& job) {
    std::vector<std::thread> threads;
    for (;;) {
      const int fd = ::accept(listener, nullptr, nullptr);
      threads.emplace_back([fd, job] {
        ByteVector buffer(kBlock, 'x');
        const UniqueFd owned(fd);
        if (transfer(fd, buffer, job.bytes, !job.down)) transfer(fd, buffer, 1, false);
      });
    }
  }

  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// One channel's client: takes or sends, then waits for the byte that ends it.
struct Client {
  std::unique_ptr<net::Stream> stream;
  uint64_t to_send = 0;
  uint64_t to_receive = 0;
  Bytes block;

  void work() {
    for (Bytes bytes = stream->peek(); !bytes.empty(); bytes = stream->peek()) {
      to_receive -= std::min<uint64_t>(to_receive, bytes.size());
      stream->consume(bytes.size());
    }
    while (to_send > 0) {
      const Bytes piece = block.first(std::min<uint64_t>(block.size(), to_send));
      const size_t taken = stream->write(piece);
      to_send -= taken;
      if (taken < piece.size()) return;
    }
  }
};

double own_cpu() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double cpu_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  long user = 0;
  long system = 0;
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  std::sscanf(text.c_str() + end_of_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
              &user, &system);
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// What a Done of the loop brings.
template <typename T>
T await(io::Loop& loop, const std::function<std::unique_ptr<net::Attempt>(net::Done<T>)>& start) {
  std::optional<Result<T>> outcome;
  const auto attempt = start([&](Result<T> result) { outcome = std::move(result); });
  testing::run_until(loop, [&] { return outcome.has_value(); });
  if (!outcome || !*outcome) die(outcome ? outcome->error().message : "no answer");
  return std::move(**outcome);
}

Figure run_ours(const testing::Sshd& sshd, const std::string& cipher, const Job& job) {
  const Peer peer(job);
  io::Loop loop;
  auto transport = await<std::unique_ptr<io::TcpStream>>(loop, [&](auto done) {
    return io::dial(loop, Target::from_host("127.0.0.1", sshd.port()), {}, std::move(done));
  });
  ssh::SessionOptions options;
  options.algorithms.ciphers = cipher;
  auto session = await<std::unique_ptr<ssh::Session>>(loop, [&](auto done) {
    return ssh::Session::open(loop, std::move(transport),
                              std::make_unique<testing::KeyLogin>(sshd.user(), sshd.identity()),
                              options, std::move(done));
  });
  const ByteVector block(kBlock, 'y');
  std::vector<std::unique_ptr<Client>> clients;
  const double cpu = own_cpu();
  const auto begin = Clock::now();
  for (size_t i = 0; i < job.channels; ++i) {
    auto stream = await<std::unique_ptr<net::Stream>>(loop, [&](auto done) {
      return session->connect(Target::from_host("127.0.0.1", peer.port()), std::move(done));
    });
    clients.push_back(std::make_unique<Client>(
        Client{std::move(stream), job.down ? 0 : job.bytes, job.down ? job.bytes + 1 : 1, block}));
    clients.back()->stream->on_progress([client = clients.back().get()] { client->work(); });
  }
  const auto all_done = [&] {
    return std::all_of(clients.begin(), clients.end(),
                       [](const auto& client) { return client->to_receive == 0; });
  };
  if (!testing::run_until(loop, all_done, 120s)) die("ours did not finish");
  const std::chrono::duration<double> elapsed = Clock::now() - begin;
  return {elapsed.count(), own_cpu() - cpu};
}

pid_t start_ssh(const testing::Sshd& sshd, const std::string& cipher, uint16_t socks_port) {
  const std::string port = std::to_string(sshd.port());
  const std::string identity = sshd.identity();
  const std::string dynamic = "127.0.0.1:" + std::to_string(socks_port);
  const std::string to = sshd.user() + "@127.0.0.1";
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  if (cipher.empty()) {
    ::execlp("ssh", "ssh", "-F", "none", "-N", "-o", "StrictHostKeyChecking=no", "-o",
             "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-i", identity.c_str(), "-p",
             port.c_str(), "-D", dynamic.c_str(), to.c_str(), nullptr);
  } else {
    ::execlp("ssh", "ssh", "-F", "none", "-N", "-c", cipher.c_str(), "-o",
             "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
             "LogLevel=ERROR", "-i", identity.c_str(), "-p", port.c_str(), "-D", dynamic.c_str(),
             to.c_str(), nullptr);
  }
  ::_exit(127);
}

void socks_client(uint16_t socks_port, uint16_t target_port, const Job& job) {
  const UniqueFd fd = connect_to(socks_port);
  const uint8_t request[] = {5,
                             1,
                             0,
                             5,
                             1,
                             0,
                             1,
                             127,
                             0,
                             0,
                             1,
                             static_cast<uint8_t>(target_port >> 8),
                             static_cast<uint8_t>(target_port)};
  ByteVector buffer(kBlock);
  if (::write(fd.get(), request, sizeof request) != sizeof request) die("SOCKS");
  if (!transfer(fd.get(), MutableBytes(buffer).first(1), 12, true)) die("SOCKS");
  if (!transfer(fd.get(), buffer, job.bytes, job.down)) die("ssh -D broke off");
  if (!transfer(fd.get(), buffer, 1, true)) die("ssh -D broke off");
}

Figure run_ssh(const testing::Sshd& sshd, const std::string& cipher, const Job& job) {
  const Peer peer(job);
  const auto socks_port = static_cast<uint16_t>(20000 + ::getpid() % 20000);
  const pid_t pid = start_ssh(sshd, cipher, socks_port);
  for (int i = 0; i < 1000 && !connect_to(socks_port); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const double cpu = cpu_of(pid);
  const auto begin = Clock::now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < job.channels; ++i) {
    threads.emplace_back([&] { socks_client(socks_port, peer.port(), job); });
  }
  for (auto& thread : threads) thread.join();
  const std::chrono::duration<double> elapsed = Clock::now() - begin;
  const Figure figure{elapsed.count(), cpu_of(pid) - cpu};
  ::kill(pid, SIGTERM);
  ::waitpid(pid, nullptr, 0);
  return figure;
}

Figure median(std::vector<Figure> figures) {
  const auto pick = [&](double Figure::*member) {
    std::sort(figures.begin(), figures.end(),
              [&](const Figure& a, const Figure& b) { return a.*member < b.*member; });
    return figures[figures.size() / 2].*member;
  };
  const double seconds = pick(&Figure::seconds);
  return {seconds, pick(&Figure::cpu)};
}

struct Contestant {
  const char* name;
  const char* cipher;
  bool ours;
};

constexpr Contestant kContestants[] = {
    {"ours aes256-gcm", "aes256-gcm@openssh.com", true},
    {"ours aes128-gcm", "aes128-gcm@openssh.com", true},
    {"ours aes128-ctr etm", "aes128-ctr", true},
    {"ours chacha20", "chacha20-poly1305@openssh.com", true},
    {"ssh -D aes256-gcm", "aes256-gcm@openssh.com", false},
    {"ssh -D default", "", false},
};

void compare(const testing::Sshd& sshd, const Job& job, int rounds, const std::string& only) {
  std::vector<Contestant> contestants;
  std::copy_if(
      std::begin(kContestants), std::end(kContestants), std::back_inserter(contestants),
      [&](const Contestant& c) { return std::string(c.name).find(only) != std::string::npos; });
  std::vector<std::vector<Figure>> figures(contestants.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < contestants.size(); ++i) {
      const Contestant& contestant = contestants[i];
      figures[i].push_back(contestant.ours ? run_ours(sshd, contestant.cipher, job)
                                           : run_ssh(sshd, contestant.cipher, job));
    }
  }
  const double gigabytes = static_cast<double>(job.bytes * job.channels) / 1e9;
  for (size_t i = 0; i < contestants.size(); ++i) {
    const Figure figure = median(figures[i]);
    std::printf("%-4s %4zu ch  %-20s %7.0f MB/s  %5.2f CPU-s/GB\n", job.down ? "down" : "up",
                job.channels, contestants[i].name, 1000 * gigabytes / figure.seconds,
                figure.cpu / gigabytes);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace tunproxy

int main(int argc, char** argv) {
  const uint64_t megabytes = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 500;
  const size_t channels = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
  const tunproxy::testing::Sshd sshd("Ciphers +aes128-cbc");
  const std::string only = argc > 4 ? argv[4] : "";
  const std::string direction = argc > 5 ? argv[5] : "";
  for (const bool down : {true, false}) {
    if (!direction.empty() && (direction == "down") != down) continue;
    tunproxy::compare(sshd, {down, megabytes * 1000000 / channels, channels}, rounds, only);
  }
}
