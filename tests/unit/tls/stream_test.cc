// Both ends are ours, over streams in memory.
#include "core/tls/stream.h"

#include <gmock/gmock.h>

#include <random>

#include "tests/unit/ssh/flow.h"
#include "tests/unit/tls/tls_fixture.h"

namespace tunproxy::tls {
namespace {

using testing::Flow;
using ::testing::HasSubstr;
using testing::Manners;
using testing::MemoryStream;
using testing::run_until;

class TlsStreamTest : public testing::TlsTest {};

struct MannersCase {
  const char* name;
  Manners manners;
  uint64_t bytes;
};

class TlsManners : public TlsStreamTest, public ::testing::WithParamInterface<MannersCase> {};

TEST_P(TlsManners, CarryEveryByteAndBothEnds) {
  shake_hands(files_->server(), files_->client(), GetParam().manners);
  ASSERT_TRUE(*server_ && *client_) << error_of(server_) << error_of(client_);
  const uint64_t bytes = GetParam().bytes;
  Flow one(std::move(**client_), {1, bytes, 2, bytes / 2, false});
  Flow two(std::move(**server_), {2, bytes / 2, 1, bytes, true});  // answers only after the end
  EXPECT_TRUE(run_until(
      loop_, [&] { return one.done() && two.done(); }, 60s));
  EXPECT_TRUE(one.intact() && two.intact());
  EXPECT_EQ(one.error(), nullptr);
  EXPECT_EQ(two.error(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(All, TlsManners,
                         ::testing::Values(MannersCase{"plain", {}, 3000000},
                                           MannersCase{"byte_by_byte", {1, 1, 64 * 1024}, 20000},
                                           MannersCase{"odd", {1000, 333, 4000}, 400000},
                                           MannersCase{"nothing", {}, 0}),
                         [](const auto& instance) { return instance.param.name; });

TEST_F(TlsStreamTest, WhoDoesNotReadStopsWhoWrites) {
  shake_hands(files_->server(), files_->client());
  const ByteVector block(100000, 7);
  size_t written = 0;
  bool again = false;
  client().on_progress([&] { again = true; });
  run_until(
      loop_,
      [&] {
        again = false;
        written += client().write(block);
        return written > 10000000;
      },
      500ms);
  // The two queues here, the two there, and the stream between; each with a record to spare.
  EXPECT_LE(written, 4 * 64 * 1024 + 6 * 16 * 1024);
  EXPECT_LE(server().peek().size(), Stream::kReceived);
  size_t read = 0;
  again = false;
  ASSERT_TRUE(run_until(loop_, [&] {
    read += server().peek().size();
    server().consume(server().peek().size());
    return read == written;
  }));
  EXPECT_TRUE(again) << "there is room again, and the writer heard of it";
  EXPECT_GT(client().write(block), 0U);
}

TEST_F(TlsStreamTest, ASmallMemoryBudgetBoundsWhatWaits) {
  shake_hands(files_->server(), files_->client());
  EXPECT_GE(loop_.memory().used(), 2 * Stream::kFixed);
  loop_.memory().set_cap(64 * 1024);
  const ByteVector block(100000, 7);
  size_t written = 0;
  run_until(
      loop_, [&] { return (written += client().write(block)) > 10000000; }, 300ms);
  // A record and one to spare in each of the queues; the stream between has no budget.
  EXPECT_LE(written, 64 * 1024 + 6 * 16 * 1024);
  EXPECT_LE(server().peek().size(), 16 * 1024U);
  EXPECT_GE(loop_.memory().used(), 2 * Stream::kFixed + server().peek().size());
  size_t read = 0;
  ASSERT_TRUE(run_until(loop_, [&] {
    read += server().peek().size();
    server().consume(server().peek().size());
    return read == written;
  }));
  server_.reset();
  client_.reset();
  EXPECT_EQ(loop_.memory().used(), 0U);
}

/// Copies bytes between two streams, until told otherwise.
class Middle {
 public:
  Middle(io::Loop& loop, std::unique_ptr<MemoryStream> a, std::unique_ptr<MemoryStream> b)
      : work_(loop, [this] { copy(); }), a_(std::move(a)), b_(std::move(b)) {
    a_->on_progress([this] { copy(); });
    b_->on_progress([this] { copy(); });
  }
  std::function<void(ByteVector&)> bend = [](ByteVector&) {};
  void cut() {
    cut_ = true;
    a_->finish();
    b_->finish();
  }

 private:
  void copy() {
    if (cut_) return;
    for (auto* ends : {&a_, &b_}) {
      MemoryStream& from = **ends;
      MemoryStream& to = ends == &a_ ? *b_ : *a_;
      ByteVector bytes(from.peek().begin(), from.peek().end());
      from.consume(bytes.size());
      bend(bytes);
      to.write(bytes);
      if (from.ended()) to.finish();
    }
  }

  io::Task work_;
  std::unique_ptr<MemoryStream> a_;
  std::unique_ptr<MemoryStream> b_;
  bool cut_ = false;
};

class TlsMiddleTest : public TlsStreamTest {
 protected:
  void begin() {
    auto [client, left] = MemoryStream::make_pair(loop_);
    auto [right, server] = MemoryStream::make_pair(loop_);
    middle_.emplace(loop_, std::move(left), std::move(right));
    begin_server(std::move(server), files_->server());
    begin_client(std::move(client), files_->client());
  }
  std::optional<Middle> middle_;
};

TEST_F(TlsMiddleTest, AnEndWithoutAGoodbyeIsAnErrorAfterWhatCameBeforeIt) {
  begin();
  ASSERT_TRUE(settle());
  client().write(as_bytes("the last words"));
  ASSERT_TRUE(run_until(loop_, [&] { return !server().peek().empty(); }));
  middle_->cut();
  ASSERT_TRUE(run_until(loop_, [&] { return client().error() != nullptr; }));
  EXPECT_EQ(server().error(), nullptr);
  EXPECT_FALSE(server().ended());
  EXPECT_EQ(as_text(server().peek()), "the last words");
  server().consume(server().peek().size());
  ASSERT_NE(server().error(), nullptr);
  EXPECT_EQ(server().error()->code, ErrorCode::reset);
  EXPECT_THAT(server().error()->message, HasSubstr("cut off"));
  EXPECT_FALSE(server().ended());
}

/// Not in a length, which makes the other end wait.
TEST_F(TlsMiddleTest, ABentByteEndsIt) {
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    server_.reset();
    client_.reset();
    begin();
    bool bent = false;
    middle_->bend = [&](ByteVector& bytes) {
      if (bent || bytes.size() < 21 || random() % 3 != 0) return;
      bytes[bytes.size() - 1 - random() % 16] ^= static_cast<uint8_t>(1U << random() % 8);
      bent = true;
    };
    const bool settled = run_until(
        loop_,
        [&] {
          if (server_ && *server_) server().write(as_bytes("x"));
          if (client_ && *client_) client().write(as_bytes("x"));
          const bool server_over = server_ && (!*server_ || server().error() != nullptr);
          const bool client_over = client_ && (!*client_ || client().error() != nullptr);
          return server_over || client_over;
        },
        20s);
    EXPECT_TRUE(settled) << i;
    accepting_.reset();
    connecting_.reset();
    server_.reset();
    client_.reset();
  }
}

TEST_F(TlsStreamTest, TheSecondConnectionIsResumed) {
  auto server_context = *ServerContext::create(files_->server());
  auto client_context = *ClientContext::create(files_->client());
  for (int i = 0; i < 3; ++i) {
    server_.reset();
    client_.reset();
    auto [a, b] = MemoryStream::make_pair(loop_);
    accepting_ = accept(loop_, std::move(a), server_context, into(server_));
    connecting_ = connect(loop_, std::move(b), client_context, into(client_));
    ASSERT_TRUE(settle());
    EXPECT_EQ(client().resumed(), i > 0) << client().describe();
    EXPECT_THAT(client().describe(), HasSubstr("TLSv1.3"));
    server().write(as_bytes("the ticket comes before this"));
    ASSERT_TRUE(run_until(loop_, [&] { return !client().peek().empty(); }));
  }
}

TEST_F(TlsStreamTest, PlainPeersAreRecognised) {
  for (const auto& [first, who] : {std::pair("\x05\x01", "a SOCKS client without TLS"),
                                   std::pair("\x04\x01", "a SOCKS client without TLS"),
                                   std::pair("CONNECT x:1", "an HTTP client without TLS")}) {
    server_.reset();
    auto [a, b] = MemoryStream::make_pair(loop_);
    begin_server(std::move(a), files_->server());
    b->write(as_bytes(first));
    ASSERT_TRUE(run_until(loop_, [&] { return b->ended(); })) << "it is hung up on";
    b.reset();
    ASSERT_TRUE(run_until(loop_, [&] { return server_.has_value(); }));
    EXPECT_THAT(error_of(server_), HasSubstr(who));
    EXPECT_EQ(server_->error().code, ErrorCode::protocol);
  }
}

TEST_F(TlsStreamTest, APeerThatIsNoTlsServerIsSaidToBe) {
  auto [a, b] = MemoryStream::make_pair(loop_);
  begin_client(std::move(a), files_->client());
  b->write(as_bytes("SSH-2.0-OpenSSH_9.2\r\n"));
  b->finish();
  ASSERT_TRUE(run_until(loop_, [&] { return client_.has_value(); }));
  EXPECT_THAT(error_of(client_), HasSubstr("does not speak TLS"));
}

TEST_F(TlsStreamTest, SilenceAndCancellationEndAHandshake) {
  auto [a, b] = MemoryStream::make_pair(loop_);
  connecting_ =
      connect(loop_, std::move(a), *ClientContext::create(files_->client()), into(client_), 10ms);
  ASSERT_TRUE(run_until(loop_, [&] { return client_.has_value(); }));
  EXPECT_EQ(client_->error().code, ErrorCode::timed_out);

  client_.reset();
  auto [c, d] = MemoryStream::make_pair(loop_);
  begin_client(std::move(c), files_->client());
  ASSERT_TRUE(run_until(loop_, [&] { return !d->peek().empty(); })) << "the greeting";
  connecting_.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return d->error() != nullptr; }));
  EXPECT_FALSE(client_.has_value());
}

}  // namespace
}  // namespace tunproxy::tls
