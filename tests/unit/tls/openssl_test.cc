// One end is ours, the other is the openssl program.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/unique_fd.h"
#include "core/io/tcp.h"
#include "core/tls/handshake.h"
#include "core/tls/stream.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/tls/certificates.h"

namespace tunproxy::tls {
namespace {

using testing::Certificates;
using ::testing::HasSubstr;
using testing::run_until;

/// A program whose input is `input` (kept open) and whose output goes to a file.
class Program {
 public:
  Program(std::vector<std::string> command, const std::string& input, const std::string& output) {
    int in[2];
    EXPECT_EQ(::pipe(in), 0);
    std::vector<char*> words;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(out, 1);
      ::dup2(out, 2);
      ::close(in[0]);
      ::close(in[1]);
      ::execvp(words[0], words.data());
      ::_exit(127);
    }
    ::close(in[0]);
    input_.reset(in[1]);
    EXPECT_EQ(::write(in[1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
  UniqueFd input_;
};

class OpensslTest : public ::testing::TestWithParam<const char*> {
 protected:
  static sockaddr_un address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }
  /// Ours is the server; `extra`: s_client's arguments.
  void serve_client(const ServerOptions& options, const std::vector<std::string>& extra) {
    const auto at = address(files_.path("socket"));
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    std::vector<std::string> command = {"openssl",
                                        "s_client",
                                        "-unix",
                                        files_.path("socket"),
                                        "-CAfile",
                                        files_.pem("ca"),
                                        "-verify_return_error",
                                        "-verify_hostname",
                                        "server.example",
                                        "-quiet"};
    command.insert(command.end(), extra.begin(), extra.end());
    program_.emplace(command, "hello\n", files_.path("output"));
    UniqueFd fd(::accept(listener.get(), nullptr, nullptr));
    auto context = ServerContext::create(options);
    ASSERT_TRUE(context);
    attempt_ = accept(loop_, std::make_unique<io::TcpStream>(loop_, std::move(fd)), *context,
                      [this](auto result) { outcome_ = std::move(result); });
    ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  }
  /// Ours is the client of an s_server that echoes lines reversed.
  void ask_server(const ClientOptions& options, const std::vector<std::string>& extra) {
    std::vector<std::string> command = {
        "openssl", "s_server",           "-accept", "127.0.0.1:0", "-cert", files_.pem("server"),
        "-key",    files_.key("server"), "-rev"};
    command.insert(command.end(), extra.begin(), extra.end());
    program_.emplace(command, "", files_.path("output"));
    auto context = ClientContext::create(options);
    ASSERT_TRUE(context);
    context_ = *context;
    connect_to_server();
  }
  void connect_to_server() {
    outcome_.reset();
    ASSERT_TRUE(run_until(loop_, [&] { return port() != 0; }))
        << testing::read_file(files_.path("output"));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port());
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    attempt_ = connect(loop_, std::make_unique<io::TcpStream>(loop_, std::move(fd)), context_,
                       [this](auto result) { outcome_ = std::move(result); });
    ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  }
  /// s_server's, once it has said so; 0 before.
  uint16_t port() const {
    static constexpr std::string_view kBefore = "ACCEPT 127.0.0.1:";
    const std::string output = testing::read_file(files_.path("output"));
    const size_t found = output.find(kBefore);
    if (found == output.npos || output.find('\n', found) == output.npos) return 0;
    return static_cast<uint16_t>(std::stoi(output.substr(found + kBefore.size())));
  }
  std::string error() const { return *outcome_ ? "" : outcome_->error().message; }
  Stream& stream() { return static_cast<Stream&>(***outcome_); }
  void expect_reversed() {
    ASSERT_EQ(stream().write(as_bytes("hello\n")), 6U);
    ASSERT_TRUE(run_until(loop_, [&] { return as_text(stream().peek()) == "olleh\n"; }));
  }

  Certificates files_;
  io::Loop loop_;
  std::optional<Program> program_;
  std::shared_ptr<ClientContext> context_;
  std::unique_ptr<net::Attempt> attempt_;
  std::optional<Result<std::unique_ptr<net::Stream>>> outcome_;
};

TEST_P(OpensslTest, TheirClientIsServed) {
  serve_client(files_.server(), {GetParam()});
  ASSERT_TRUE(*outcome_) << error();
  ASSERT_TRUE(run_until(loop_, [&] { return as_text(stream().peek()) == "hello\n"; }));
  stream().write(as_bytes("and goodbye\n"));
  stream().finish();
  EXPECT_TRUE(run_until(loop_, [&] { return stream().finished(); }));
  EXPECT_TRUE(run_until(loop_, [&] {
    return testing::read_file(files_.path("output")).find("and goodbye") != std::string::npos;
  })) << testing::read_file(files_.path("output"));
}

TEST_P(OpensslTest, TheirServerAnswersAndResumes) {
  ask_server(files_.client(), {GetParam()});
  ASSERT_TRUE(*outcome_) << error();
  EXPECT_FALSE(stream().resumed());
  expect_reversed();
  connect_to_server();
  ASSERT_TRUE(*outcome_) << error();
  EXPECT_TRUE(stream().resumed()) << stream().describe();
  expect_reversed();
}

TEST_P(OpensslTest, BothShowCertificates) {
  files_.make("client", "ca", "DNS:client.example");
  auto options = files_.client();
  options.cert = files_.pem("client");
  options.key = files_.key("client");
  ask_server(options,
             {GetParam(), "-Verify", "1", "-CAfile", files_.pem("ca"), "-verify_return_error"});
  ASSERT_TRUE(*outcome_) << error();
  expect_reversed();
}

// For a client TLS 1.2 has only a general alert for it, and TLS 1.3 tells it after the handshake.
TEST_P(OpensslTest, AClientWithoutACertificateIsRefused) {
  auto options = files_.server();
  options.client_ca = files_.pem("ca");
  serve_client(options, {GetParam()});
  EXPECT_THAT(error(), HasSubstr("the client showed no certificate"));
  EXPECT_TRUE(run_until(loop_, [&] {
    const std::string output = testing::read_file(files_.path("output"));
    return output.find("alert handshake failure") != output.npos ||
           output.find("alert certificate required") != output.npos;
  })) << testing::read_file(files_.path("output"));
}

TEST_P(OpensslTest, AServerThatWantsACertificateSaysSo) {
  ask_server(files_.client(),
             {GetParam(), "-Verify", "1", "-CAfile", files_.pem("ca"), "-verify_return_error"});
  std::string said = error();
  if (*outcome_) {
    ASSERT_TRUE(run_until(loop_, [&] { return stream().error() != nullptr; }));
    said = stream().error()->message;
  }
  EXPECT_THAT(said, HasSubstr("wants a client certificate"));
}

INSTANTIATE_TEST_SUITE_P(All, OpensslTest, ::testing::Values("-tls1_2", "-tls1_3"),
                         [](const auto& instance) { return std::string(instance.param + 1); });

using OpensslOldTest = OpensslTest;

TEST_F(OpensslOldTest, AClientOfTls11IsTooOld) {
  serve_client(files_.server(), {"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"});
  EXPECT_THAT(error(), HasSubstr("too old"));
}

TEST_F(OpensslOldTest, AServerOfTls11IsTooOld) {
  ask_server(files_.client(), {"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"});
  EXPECT_THAT(error(), HasSubstr("none of the versions that are allowed"));
}

TEST_F(OpensslOldTest, TheLeastVersionMayBeRaised) {
  auto options = files_.server();
  options.min_version = Version::v1_3;
  serve_client(options, {"-tls1_2"});
  EXPECT_THAT(error(), HasSubstr("too old"));
}

}  // namespace
}  // namespace tunproxy::tls
