#include "core/http/connect_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/support/memory_stream.h"

namespace tunproxy::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::MemoryStream;
using testing::run_until;
using ::testing::StartsWith;
using Opened = Result<std::unique_ptr<net::Stream>>;

constexpr const char* kOk = "HTTP/1.1 200 Connection established\r\n\r\n";
const Target kTarget = Target::from_host("ssh.example", 22);

/// A proxy that sends `answer` once a request is whole, and keeps what it received.
class ScriptedProxy {
 public:
  ScriptedProxy(io::Loop& loop, std::string answer) : answer_(std::move(answer)) {
    listener_ = std::move(*io::TcpListener::listen(loop, {*IpAddress::parse("127.0.0.1"), 0},
                                                   [this](std::unique_ptr<io::TcpStream> stream) {
                                                     stream_ = std::move(stream);
                                                     stream_->on_progress([this] { look_again(); });
                                                   }));
  }

  Endpoint at() const { return listener_->local(); }
  const std::string& received() const { return received_; }
  bool closed() const { return stream_ && (stream_->ended() || stream_->error() != nullptr); }
  void hang_up() { stream_->finish(); }
  void write(std::string_view text) { stream_->write(as_bytes(text)); }

 private:
  void look_again() {
    received_ += as_text(stream_->peek());
    stream_->consume(stream_->peek().size());
    if (answered_ || !received_.ends_with("\r\n\r\n")) return;
    answered_ = true;
    write(answer_);
  }

  const std::string answer_;
  bool answered_ = false;
  std::string received_;
  std::unique_ptr<io::TcpStream> stream_;
  std::unique_ptr<io::TcpListener> listener_;
};

class ConnectClientTest : public ::testing::Test {
 protected:
  void start(const std::string& answer, ConnectOptions options = {}) {
    proxy_ = std::make_unique<ScriptedProxy>(loop_, answer);
    client_ = std::make_unique<ConnectClient>(loop_, proxy_->at(), std::move(options));
  }
  void begin() {
    outcome_.reset();
    attempt_ = client_->connect(kTarget, [this](Opened opened) { outcome_ = std::move(opened); });
  }
  Opened connect() {
    begin();
    EXPECT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
    return outcome_ ? std::move(*outcome_) : Opened(Error{});
  }
  /// Everything until `length` bytes came.
  std::string read(net::Stream& stream, size_t length) {
    std::string text;
    stream.on_progress([&] {
      text += as_text(stream.peek());
      stream.consume(stream.peek().size());
    });
    EXPECT_TRUE(run_until(loop_, [&] { return text.size() >= length; }));
    stream.on_progress(nullptr);
    return text;
  }

  io::Loop loop_;
  std::unique_ptr<ScriptedProxy> proxy_;
  std::unique_ptr<ConnectClient> client_;
  std::unique_ptr<net::Attempt> attempt_;
  std::optional<Opened> outcome_;
};

TEST_F(ConnectClientTest, WhatComesBehindTheHeaderIsTheTargets) {
  start(std::string(kOk) + "SSH-2.0-early\r\n");
  auto stream = connect();
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_THAT(proxy_->received(), StartsWith("CONNECT ssh.example:22 HTTP/1.1\r\n"));
  EXPECT_EQ(read(**stream, 15), "SSH-2.0-early\r\n");
  EXPECT_EQ((*stream)->write(as_bytes("hello")), 5U);
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_->received().ends_with("\r\n\r\nhello"); }));
}

TEST_F(ConnectClientTest, SendsCredentialsWithTheFirstRequest) {
  ConnectOptions options;
  options.credentials = Credentials{"Aladdin", Secret("open sesame")};
  start(kOk, options);
  EXPECT_TRUE(connect());
  EXPECT_THAT(proxy_->received(), HasSubstr("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

// The stream that TLS would give, one byte at a time both ways.
class OneByteStreams {
 public:
  explicit OneByteStreams(io::Loop& loop) {
    auto [ours, theirs] = MemoryStream::make_pair(loop, {1, 1, 64 * 1024});
    client_ = std::move(ours);
    proxy = std::move(theirs);
  }
  net::Secure secure(io::Loop& loop) {
    return [this, &loop](std::unique_ptr<net::Stream> plain, auto done) {
      plain_ = std::move(plain);
      return loop.work([] {}, [this, done = std::move(done)] { done(std::move(client_)); });
    };
  }
  std::unique_ptr<MemoryStream> proxy;

 private:
  std::unique_ptr<net::Stream> plain_;
  std::unique_ptr<net::Stream> client_;
};

TEST_F(ConnectClientTest, SpeaksThroughASecuredStreamByteByByte) {
  OneByteStreams streams(loop_);
  ConnectOptions options;
  options.secure = streams.secure(loop_);
  start("", options);
  std::string request;
  streams.proxy->on_progress([&] {
    const bool whole = request.ends_with("\r\n\r\n");
    request += streams.proxy->read_all();
    if (!whole && request.ends_with("\r\n\r\n")) {
      for (const char c : std::string(kOk) + "early") {
        streams.proxy->write(as_bytes(std::string_view(&c, 1)));
      }
    }
  });
  auto stream = connect();
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_EQ(request, encode_connect(kTarget, std::nullopt).text());
  EXPECT_EQ(read(**stream, 5), "early");
  EXPECT_EQ(proxy_->received(), "") << "nothing beside the secured stream";
}

TEST_F(ConnectClientTest, ASecuringThatFailsNamesTheProxy) {
  ConnectOptions options;
  options.secure = [this](auto plain, auto done) {
    loop_.retire(std::move(plain));
    return loop_.work([] {},
                      [done = std::move(done)] {
                        done(Error{ErrorCode::protocol, "bad name"});
                      });
  };
  start("", options);
  const auto stream = connect();
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::server_unreachable);
  EXPECT_THAT(stream.error().message, HasSubstr(proxy_->at().to_string() + ": bad name"));
}

TEST_F(ConnectClientTest, ARefusalIsItsError) {
  start(
      "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 3\r\n\r\nwho");
  const auto stream = connect();
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::authentication_failed);
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_->closed(); }));
}

TEST_F(ConnectClientTest, WhatIsNoProxyIsSaidToBeNone) {
  start("SSH-2.0-OpenSSH_9.2\r\n");
  const auto stream = connect();
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::protocol);
  EXPECT_THAT(stream.error().message, HasSubstr(proxy_->at().to_string() + " is none"));
}

TEST_F(ConnectClientTest, AHeaderWithoutEndIsAnError) {
  start("HTTP/1.1 200 ok\r\n" + std::string(kMaxHeader + 10, 'x'));
  const auto stream = connect();
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::protocol);
}

TEST_F(ConnectClientTest, AProxyThatHangsUpIsAnError) {
  start("HTTP/1.1 200 o");
  begin();
  ASSERT_TRUE(run_until(loop_, [&] { return proxy_->received().ends_with("\r\n\r\n"); }));
  proxy_->hang_up();
  ASSERT_TRUE(run_until(loop_, [&] { return outcome_.has_value(); }));
  ASSERT_FALSE(*outcome_);
  EXPECT_EQ(outcome_->error().code, ErrorCode::server_unreachable);
}

TEST_F(ConnectClientTest, ASilentProxyIsATimeout) {
  ConnectOptions options;
  options.reply_timeout = 20ms;
  start("", options);
  const auto stream = connect();
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::timed_out);
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_->closed(); }));
}

TEST_F(ConnectClientTest, AProxyThatIsNotThereIsNamed) {
  start(kOk);
  const std::string at = proxy_->at().to_string();
  proxy_.reset();
  const auto stream = connect();
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().code, ErrorCode::server_unreachable);
  EXPECT_THAT(stream.error().message, HasSubstr("cannot reach the HTTP proxy " + at));
}

TEST_F(ConnectClientTest, CancellingClosesTheConnection) {
  start("");
  begin();
  ASSERT_TRUE(run_until(loop_, [&] { return proxy_->received().ends_with("\r\n\r\n"); }));
  attempt_.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_->closed(); }));
  EXPECT_FALSE(outcome_);
}

TEST_F(ConnectClientTest, PreparesItsSocketsAndLooksTheNameUpOnce) {
  size_t prepared = 0;
  ConnectOptions options;
  options.dial.prepare = [&prepared](int) -> Result<void> {
    ++prepared;
    return {};
  };
  proxy_ = std::make_unique<ScriptedProxy>(loop_, kOk);
  client_ = std::make_unique<ConnectClient>(
      loop_, Target::from_host("localhost", proxy_->at().port), options);
  EXPECT_TRUE(client_->addresses().empty());
  EXPECT_TRUE(connect());
  EXPECT_GE(prepared, 1U);
  ASSERT_FALSE(client_->addresses().empty());
  EXPECT_EQ(client_->addresses().front(), proxy_->at());
}

}  // namespace
}  // namespace tunproxy::http
