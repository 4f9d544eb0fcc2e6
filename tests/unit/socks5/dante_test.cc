// The client against a SOCKS5 server of others: dante, on loopback. Needs danted and root.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/io/tcp.h"
#include "core/io/timer.h"
#include "core/socks5/client.h"
#include "tests/unit/socks5/udp_peer.h"

namespace tunproxy::socks5 {
namespace {

using testing::run_until;
using testing::UdpPeer;

namespace fs = std::filesystem;

constexpr const char* kDanted = "/usr/sbin/danted";

// Dies with this object, and its processes with it.
class Dante {
 public:
  Dante(uint16_t port, const char* commands) {
    std::string pattern = (fs::temp_directory_path() / "tunproxy-dante-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    const std::string config = directory_ / "danted.conf";
    std::ofstream(config) << "logoutput: " << (directory_ / "log").string()
                          << "\ninternal: 127.0.0.1 port = " << port
                          << "\nexternal: 127.0.0.1\nsocksmethod: none\nclientmethod: none\n"
                             "user.privileged: root\nuser.unprivileged: nobody\n"
                             "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
                             "socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: "
                          << commands << " }\n";
    const std::string pid_file = directory_ / "pid";
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // should the test die without a destructor
    ::execl(kDanted, kDanted, "-f", config.c_str(), "-p", pid_file.c_str(), nullptr);
    ::_exit(127);
  }
  Dante(const Dante&) = delete;
  Dante& operator=(const Dante&) = delete;
  ~Dante() {
    ::kill(-pid_, SIGKILL);  // after SIGTERM those with an association would stay
    ::waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

  std::string log() const {
    std::ifstream file(directory_ / "log");
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  fs::path directory_;
  pid_t pid_ = -1;
};

class DanteTest : public ::testing::Test {
 protected:
  void start(const char* commands) {
    if (::geteuid() != 0) GTEST_SKIP() << "danted has to begin as root";
    ASSERT_EQ(::access(kDanted, X_OK), 0) << "no danted: tools/setup.sh --tests installs it";
    const Endpoint any_port{*IpAddress::parse("127.0.0.1"), 0};
    const Endpoint at = (*io::TcpListener::listen(loop_, any_port, [](auto) {}))->local();
    dante_ = std::make_unique<Dante>(at.port, commands);
    client_ = std::make_unique<Client>(loop_, at);
    bool listens = false;
    std::unique_ptr<net::Attempt> attempt;
    io::Timer again(loop_, [&] {
      attempt = client_->probe([&](Result<void> probed) {
        listens = probed.has_value();
        again.start(20ms);
      });
    });
    again.start(0ms);
    ASSERT_TRUE(run_until(loop_, [&] { return listens; })) << dante_->log();
  }

  void associate() {
    attempt_ = client_->associate(
        [this](const Endpoint& from, Bytes data) {
          got_.emplace_back(from, std::string(as_text(data)));
        },
        [this](const Error&) { closed_ = true; },
        [this](auto result) {
          done_ = true;
          if (result) {
            session_ = std::move(*result);
          } else {
            failed_ = result.error().code;
          }
        });
    ASSERT_TRUE(run_until(loop_, [&] { return done_; })) << dante_->log();
  }

  io::Loop loop_;
  std::unique_ptr<Dante> dante_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<net::Attempt> attempt_;
  std::unique_ptr<net::DatagramSession> session_;
  bool done_ = false;
  bool closed_ = false;
  std::optional<ErrorCode> failed_;
  std::vector<std::pair<Endpoint, std::string>> got_;
};

TEST_F(DanteTest, CarriesDatagramsBothWays) {
  start("udpassociate udpreply");
  if (IsSkipped() || HasFatalFailure()) return;
  associate();
  ASSERT_TRUE(session_);
  UdpPeer one(loop_, "127.0.0.1");
  UdpPeer two(loop_, "127.0.0.1");
  for (const size_t length : {size_t{5}, size_t{0}, size_t{1200}, size_t{60000}}) {
    for (UdpPeer* target : {&one, &two}) {
      target->got.clear();
      got_.clear();
      session_->send(target->local(), ByteVector(length, 'x'));
      ASSERT_TRUE(target->receives(1)) << length << ": " << dante_->log();
      EXPECT_EQ(target->got[0].wire, ByteVector(length, 'x'));
      target->send(target->got[0].from, ByteVector(length, 'y'));
      ASSERT_TRUE(run_until(loop_, [&] { return got_.size() == 1; })) << length << dante_->log();
      EXPECT_EQ(got_[0], std::pair(target->local(), std::string(length, 'y')));
    }
  }
  session_->send(Target::from_host("localhost", one.local().port), as_bytes("by name"));
  ASSERT_TRUE(one.receives(2)) << dante_->log();
  EXPECT_EQ(as_text(one.got[1].wire), "by name");
  dante_.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return closed_; }));
}

TEST_F(DanteTest, ReportsThatUdpIsForbidden) {
  start("connect");
  if (IsSkipped() || HasFatalFailure()) return;
  associate();
  EXPECT_FALSE(session_);
  EXPECT_EQ(failed_, ErrorCode::not_allowed) << dante_->log();
}

}  // namespace
}  // namespace tunproxy::socks5
