#include "core/net/relay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/memory_stream.h"

namespace tunproxy {
namespace {

using testing::Manners;
using testing::MemoryStream;
using testing::run_until;

// client ── a │ relay │ b ── server
class RelayTest : public ::testing::TestWithParam<Manners> {
 protected:
  RelayTest() {
    auto [client, a] = MemoryStream::make_pair(loop_, GetParam());
    auto [b, server] = MemoryStream::make_pair(loop_, GetParam());
    client_ = std::move(client);
    server_ = std::move(server);
    relay_ = std::make_unique<net::Relay>(std::move(a), std::move(b), [this](const Error* error) {
      done_ = true;
      if (error != nullptr) error_ = error->code;
      loop_.retire(std::move(relay_));
    });
  }

  void send(MemoryStream& from, MemoryStream& to, const std::string& text) {
    std::string received;
    size_t sent = 0;
    EXPECT_TRUE(run_until(loop_, [&] {
      sent += from.write(as_bytes(std::string_view(text).substr(sent)));
      received += to.read_all();
      return received.size() == text.size();
    }));
    EXPECT_EQ(received, text);
  }

  io::Loop loop_;
  std::unique_ptr<MemoryStream> client_;
  std::unique_ptr<MemoryStream> server_;
  std::unique_ptr<net::Relay> relay_;
  bool done_ = false;
  std::optional<ErrorCode> error_;
};

TEST_P(RelayTest, CarriesBothWaysAndHalfCloses) {
  send(*client_, *server_, std::string(5000, 'q'));
  client_->finish();
  ASSERT_TRUE(run_until(loop_, [&] { return server_->ended(); }));
  EXPECT_FALSE(done_);
  send(*server_, *client_, std::string(7000, 'r'));
  EXPECT_TRUE(relay_->half_closed());
  EXPECT_EQ(relay_->bytes_a_to_b(), 5000U);
  EXPECT_EQ(relay_->bytes_b_to_a(), 7000U);
  server_->finish();
  ASSERT_TRUE(run_until(loop_, [&] { return client_->ended() && done_; }));
  EXPECT_FALSE(error_);
  EXPECT_EQ(client_->error(), nullptr);
}

TEST_P(RelayTest, AFailureOnOneSideResetsTheOther) {
  send(*client_, *server_, "hello");
  server_.reset();
  ASSERT_TRUE(run_until(loop_, [&] { return done_ && client_->error() != nullptr; }));
  EXPECT_EQ(*error_, ErrorCode::reset);
}

TEST_P(RelayTest, HoldsBackWhatTheOtherSideDoesNotTake) {
  const std::string much(1'000'000, 'x');
  size_t sent = 0;
  for (int i = 0; i < 1000; ++i) {
    sent += client_->write(as_bytes(std::string_view(much).substr(sent)));
    loop_.run_once(false);
  }
  EXPECT_LE(sent, 3 * GetParam().capacity);
  EXPECT_GE(sent, std::min<size_t>(GetParam().capacity, 100));
}

INSTANTIATE_TEST_SUITE_P(Manners, RelayTest,
                         ::testing::Values(Manners{}, Manners{1, 1, 100}, Manners{7, 3, 1000},
                                           Manners{SIZE_MAX, SIZE_MAX, 1}));

}  // namespace
}  // namespace tunproxy
