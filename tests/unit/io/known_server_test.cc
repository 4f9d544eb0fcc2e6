#include "core/io/known_server.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/io/delivery.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::io {
namespace {

using testing::run_until;

class KnownServerTest : public ::testing::Test {
 protected:
  KnownServerTest() {
    listener_ = std::move(*TcpListener::listen(
        loop_, {*IpAddress::parse("127.0.0.1"), 0},
        [this](std::unique_ptr<TcpStream> stream) { accepted_.push_back(std::move(stream)); }));
    here_ = listener_->local();
    options_.look_up_again = [this](const Target& server, net::Done<std::vector<Endpoint>> done) {
      asked_.push_back(server.to_string());
      return std::make_unique<Later<std::vector<Endpoint>>>(loop_, std::move(done), answer_);
    };
  }

  // Whether it could be reached.
  bool dial(KnownServer& server) {
    std::optional<bool> reached;
    const auto attempt = server.dial([&](auto stream) { reached = stream.has_value(); });
    EXPECT_TRUE(run_until(loop_, [&] { return reached.has_value(); }));
    loop_.run_once(false);  // a look-up that was answered at once
    return reached.value_or(false);
  }

  Loop loop_;
  std::vector<std::unique_ptr<TcpStream>> accepted_;
  std::unique_ptr<TcpListener> listener_;
  Endpoint here_;
  const Endpoint gone_{*IpAddress::parse("127.0.0.2"), 1};
  DialOptions options_;
  Result<std::vector<Endpoint>> answer_ = std::vector<Endpoint>{};
  std::vector<std::string> asked_;
};

TEST_F(KnownServerTest, AServerThatMovedIsFoundByTheNextDial) {
  answer_ = std::vector<Endpoint>{here_};
  KnownServer server(loop_, *Target::parse("server.test:22"), options_, {gone_});
  EXPECT_FALSE(dial(server));
  EXPECT_EQ(asked_, std::vector<std::string>{"server.test:22"});
  EXPECT_EQ(server.addresses(), (std::vector{here_, gone_}));
  EXPECT_TRUE(dial(server));
}

TEST_F(KnownServerTest, ItIsNotLookedUpAgainWithEachDial) {
  answer_ = std::vector<Endpoint>{gone_};
  KnownServer server(loop_, *Target::parse("server.test:22"), options_, {gone_});
  for (int n = 0; n < 3; ++n) EXPECT_FALSE(dial(server));
  EXPECT_EQ(asked_.size(), 1U);
  EXPECT_EQ(server.addresses(), std::vector{gone_});
}

TEST_F(KnownServerTest, WhileItAnswersAndWhereItIsAnAddressNobodyIsAsked) {
  KnownServer answers(loop_, *Target::parse("server.test:22"), options_, {gone_, here_});
  EXPECT_TRUE(dial(answers));
  EXPECT_EQ(answers.addresses(), (std::vector{here_, gone_}));
  KnownServer address(loop_, Target(gone_), options_);
  EXPECT_FALSE(dial(address));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(KnownServerTest, AFailedLookUpKeepsWhatIsKnown) {
  answer_ = Error{ErrorCode::timed_out, "nobody told"};
  KnownServer server(loop_, *Target::parse("server.test:22"), options_, {gone_});
  EXPECT_FALSE(dial(server));
  EXPECT_EQ(asked_.size(), 1U);
  EXPECT_EQ(server.addresses(), std::vector{gone_});
}

TEST_F(KnownServerTest, NotMoreAddressesAreKeptThanSome) {
  std::vector<Endpoint> many;
  for (uint16_t port = 1; port <= 40; ++port) many.push_back({gone_.address, port});
  answer_ = many;
  KnownServer server(loop_, *Target::parse("server.test:22"), options_, {gone_});
  EXPECT_FALSE(dial(server));
  EXPECT_EQ(server.addresses().size(), KnownServer::kMostAddresses);
}

}  // namespace
}  // namespace tunproxy::io
