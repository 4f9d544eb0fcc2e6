#include "core/socks5/negotiate.h"

#include <gtest/gtest.h>

#include "core/socks5/reply.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::Manners;
using testing::MemoryStream;
using testing::run_until;

const Request kRequest{Command::connect, Target::from_host("example.com", 443)};

// A server whose answers the test writes, and the outcome at the client.
class NegotiateTest : public ::testing::TestWithParam<Manners> {
 protected:
  void start(std::optional<Request> request, NegotiateOptions options = {}) {
    auto [near, far] = MemoryStream::make_pair(loop_, GetParam());
    server_ = std::move(far);
    below_ = near.get();
    server_->on_progress([this] {
      append(received_, as_bytes(server_->read_all()));
      pump();
    });
    attempt_ = negotiate(loop_, std::move(near), std::move(request), std::move(options),
                         [this](Result<Negotiated> result) {
                           done_ = true;
                           attempt_.reset();  // allowed from within
                           if (result) {
                             stream_ = std::move(result->stream);
                             bound_ = result->bound;
                           } else {
                             error_ = result.error();
                           }
                         });
  }
  void answer(const ByteVector& bytes) {
    append(unsent_, bytes);
    pump();
  }
  void pump() {
    const size_t taken = server_->write(unsent_);
    unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<ptrdiff_t>(taken));
  }
  bool server_receives(const ByteVector& expected) {
    const bool came = run_until(loop_, [&] { return received_ == expected; });
    received_.clear();
    return came;
  }
  bool fails_with(ErrorCode code) {
    return run_until(loop_, [&] { return done_; }) && error_ && error_->code == code &&
           !error_->message.empty();
  }

  io::Loop loop_;
  std::unique_ptr<MemoryStream> server_;
  MemoryStream* below_ = nullptr;  // the client's end, while it negotiates
  ByteVector received_;
  ByteVector unsent_;
  std::unique_ptr<net::Attempt> attempt_;
  bool done_ = false;
  std::unique_ptr<net::Stream> stream_;
  Target bound_;
  std::optional<Error> error_;
};

INSTANTIATE_TEST_SUITE_P(Streams, NegotiateTest,
                         ::testing::Values(Manners{}, Manners{1, SIZE_MAX, 64 * 1024},
                                           Manners{SIZE_MAX, 1, 64 * 1024}, Manners{1, 1, 2}));

NegotiateOptions with_password() {
  NegotiateOptions options;
  options.account = Account{"user", Secret("secret")};
  return options;
}

TEST_P(NegotiateTest, ConnectsAndLeavesTheTargetsBytesAlone) {
  start(kRequest);
  ASSERT_TRUE(server_receives(bytes_of({5, 1, 0})));
  answer(bytes_of({5, 0}));
  ASSERT_TRUE(server_receives(testing::encoded(kRequest)));
  ByteVector reply = testing::encoded(Reply{0, *Target::parse("[2001:db8::1]:7")});
  append(reply, as_bytes("welcome"));
  answer(reply);
  ASSERT_TRUE(run_until(loop_, [&] { return stream_ != nullptr; }));
  EXPECT_EQ(bound_, *Target::parse("[2001:db8::1]:7"));
  std::string got;
  EXPECT_TRUE(run_until(loop_, [&] {
    got += static_cast<MemoryStream&>(*stream_).read_all();
    return got == "welcome";
  }));
  stream_->write(as_bytes("x"));
  EXPECT_TRUE(server_receives(bytes_of({'x'})));
}

TEST_P(NegotiateTest, AuthenticatesWhereTheServerAsksForIt) {
  start(kRequest, with_password());
  ASSERT_TRUE(server_receives(bytes_of({5, 2, 0, 2})));
  answer(bytes_of({5, 2}));
  ASSERT_TRUE(server_receives(testing::encoded(Credentials{"user", "secret"})));
  answer(bytes_of({1, 0}));
  ASSERT_TRUE(server_receives(testing::encoded(kRequest)));
  answer(testing::encoded(Reply{0, {}}));
  EXPECT_TRUE(run_until(loop_, [&] { return stream_ != nullptr; }));
}

TEST_P(NegotiateTest, WithoutARequestItStopsBehindTheGreeting) {
  start(std::nullopt);
  ASSERT_TRUE(server_receives(bytes_of({5, 1, 0})));
  answer(bytes_of({5, 0}));
  EXPECT_TRUE(run_until(loop_, [&] { return stream_ != nullptr; }));
}

TEST_P(NegotiateTest, ReportsWhatTheReplySays) {
  for (const ErrorCode code : {ErrorCode::refused, ErrorCode::network_unreachable,
                               ErrorCode::host_unreachable, ErrorCode::not_allowed}) {
    done_ = false;
    received_.clear();
    start(kRequest);
    answer(bytes_of({5, 0}));
    answer(testing::encoded(Reply{reply_for_error(code), {}}));
    EXPECT_TRUE(fails_with(code));
  }
}

TEST_P(NegotiateTest, AServerThatWantsAPasswordFailsWithoutOne) {
  start(kRequest);
  answer(bytes_of({5, 0xff}));
  EXPECT_TRUE(fails_with(ErrorCode::authentication_failed));
}

TEST_P(NegotiateTest, AServerThatChoosesWhatWasNotOfferedFails) {
  start(kRequest);
  answer(bytes_of({5, 2}));
  EXPECT_TRUE(fails_with(ErrorCode::authentication_failed));
}

TEST_P(NegotiateTest, ARefusedPasswordFails) {
  start(kRequest, with_password());
  answer(bytes_of({5, 2, 1, 1}));
  EXPECT_TRUE(fails_with(ErrorCode::authentication_failed));
}

TEST_P(NegotiateTest, AnotherProtocolFails) {
  start(kRequest);
  const Bytes banner = as_bytes("SSH-2.0-OpenSSH_9.2\r\n");
  answer(ByteVector(banner.begin(), banner.end()));
  EXPECT_TRUE(fails_with(ErrorCode::protocol));
}

TEST_P(NegotiateTest, ACloseBeforeTheRequestMeansTheServerIsOfNoUse) {
  start(kRequest);
  server_->finish();
  EXPECT_TRUE(fails_with(ErrorCode::server_unreachable));
}

TEST_P(NegotiateTest, WhatEndedTheConnectionIsSaid) {
  start(kRequest);
  below_->break_with({ErrorCode::reset, "a peer's whim"});
  EXPECT_TRUE(fails_with(ErrorCode::server_unreachable));
  EXPECT_EQ(error_->message, "the SOCKS5 server closed the connection: a peer's whim");
  done_ = false;
  start(kRequest);
  below_->break_with({ErrorCode::authentication_failed, "TLS: no certificate"});
  EXPECT_TRUE(fails_with(ErrorCode::authentication_failed));
  EXPECT_EQ(error_->message, "the SOCKS5 server closed the connection: TLS: no certificate");
}

TEST_P(NegotiateTest, ACloseInsteadOfAReplyIsAFailureOfTheFlow) {
  start(kRequest);
  answer(bytes_of({5, 0}));
  ASSERT_TRUE(run_until(loop_, [&] { return received_.size() > 3; }));
  server_->finish();
  EXPECT_TRUE(fails_with(ErrorCode::general));
}

TEST_P(NegotiateTest, SilenceEndsInTime) {
  NegotiateOptions options;
  options.greeting_timeout = 10ms;
  options.reply_timeout = 10ms;
  start(kRequest, options);
  EXPECT_TRUE(fails_with(ErrorCode::server_unreachable));
  done_ = false;
  options.greeting_timeout = 10s;
  start(kRequest, options);
  answer(bytes_of({5, 0}));
  EXPECT_TRUE(fails_with(ErrorCode::timed_out));
}

TEST_P(NegotiateTest, CancellingClosesTheConnection) {
  start(kRequest);
  ASSERT_TRUE(server_receives(bytes_of({5, 1, 0})));
  attempt_.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return server_->error() != nullptr; }));
  EXPECT_FALSE(done_);
}

}  // namespace
}  // namespace tunproxy::socks5
