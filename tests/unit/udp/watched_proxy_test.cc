#include "core/udp/watched_proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/socks5/fake_datagrams.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::udp {
namespace {

using ::testing::ElementsAre;
using State = WatchedProxy::State;
using testing::run_until;

class WatchedProxyTest : public ::testing::Test {
 protected:
  WatchedProxyTest() {
    proxy_.at_once = false;
    watched_.on_state([this](State state) { states_.push_back(state); });
  }
  std::unique_ptr<net::Attempt> associate() {
    return watched_.associate([](const Endpoint&, Bytes) {}, [](const Error&) {},
                              [this](auto session) {
                                ++done_;
                                if (session) session_ = std::move(*session);
                              });
  }

  io::Loop loop_;
  testing::FakeDatagrams proxy_{loop_};
  WatchedProxy watched_{loop_, proxy_};
  std::vector<State> states_;
  int done_ = 0;
  std::unique_ptr<net::DatagramSession> session_;
};

TEST_F(WatchedProxyTest, ProbesAndClosesWhatItOpened) {
  watched_.probe();
  EXPECT_EQ(watched_.state(), State::unknown);
  proxy_.open(*proxy_.all[0]);
  EXPECT_EQ(watched_.state(), State::carried);
  EXPECT_TRUE(run_until(loop_, [&] { return proxy_.all[0]->destroyed; }));
  EXPECT_THAT(states_, ElementsAre(State::carried));
}

TEST_F(WatchedProxyTest, TellsOnChangeOnly) {
  watched_.probe();
  proxy_.fail(0, ErrorCode::command_not_supported);
  EXPECT_EQ(watched_.why_not(), "as the test wants it");
  const auto second = associate();
  proxy_.fail(1, ErrorCode::command_not_supported);
  const auto third = associate();
  proxy_.open(*proxy_.all[2]);
  EXPECT_NE(session_, nullptr);
  EXPECT_EQ(done_, 2);
  EXPECT_THAT(states_, ElementsAre(State::refused, State::carried));
}

TEST_F(WatchedProxyTest, ALostWayThereSaysNothingOfUdp) {
  watched_.probe();
  proxy_.fail(0, ErrorCode::timed_out);
  const auto second = associate();
  proxy_.fail(1, ErrorCode::server_unreachable);
  EXPECT_EQ(watched_.state(), State::unknown);
  EXPECT_EQ(watched_.why_not(), "as the test wants it");
  EXPECT_THAT(states_, ElementsAre(State::unknown)) << "told once";
  const auto third = associate();
  proxy_.open(*proxy_.all[2]);
  EXPECT_EQ(watched_.state(), State::carried);
  EXPECT_EQ(watched_.why_not(), "");
}

}  // namespace
}  // namespace tunproxy::udp
