#include <string>
#include <thread>
#include <vector>

#include "tests/unit/tun2socks/fixture.h"

namespace tunproxy::testing {
namespace {

class One : public EngineTest {};

TEST_F(One, SecondEngineIsRefused) {
  MemoryDevice other;
  const auto second = tun2socks::Engine::create(loop_, other, proxy_, nullptr, nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::limit);
  Client app = client();
  auto far = open(app);
  send(app, "untouched");
  EXPECT_EQ(far->read_all(), "untouched");
}

// The engine of one thread, with a flow that echoes what it is told.
class Alone : public EngineTest {
 public:
  void TestBody() override {
    SetUp();
    std::vector<std::unique_ptr<MemoryStream>> flows;
    for (uint16_t port = 1; port <= 50; ++port) {
      Client app = client(port);
      flows.push_back(open(app));
      const std::string words = "thread's own " + std::to_string(port);
      send(app, words);
      EXPECT_EQ(flows.back()->read_all(), words);
      settle();
      forget_packets();  // the acknowledgements
    }
    TearDown();
  }
};

TEST(Engines, ShareNothingInThreadsOfTheirOwn) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 5; ++round) Alone().TestBody();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(One, AfterAnotherIsAsGoodAsTheFirst) {
  Client app = client();
  auto far = open(app);
  Client half = client(2);
  auto far_half = open(half);
  forget_packets();
  engine_.reset();
  EXPECT_EQ(device_.sent.size(), 2U);
  EXPECT_TRUE(SeenPacket::make(device_.sent.front())->has(kRst));
  EXPECT_NE(far->error(), nullptr);
  device_.sent.clear();
  SetUp();
  Client again = client();
  auto far_again = open(again);
  send(again, "next");
  EXPECT_EQ(far_again->read_all(), "next");
}

TEST_F(One, WithoutNamesPort53IsUnreachable) {
  engine_.reset();
  auto engine = tun2socks::Engine::create(loop_, device_, proxy_, nullptr, nullptr);
  ASSERT_TRUE(engine);
  (*engine)->start([](const Error&) {});
  Client app = client();
  app.server.port = 53;
  device_.deliver(make_udp(app.self, app.server, as_bytes("0123456789abcdefgh")));
  EXPECT_EQ(next_packet().protocol, 1);
}

TEST_F(One, EndsWithEverythingUnderWay) {
  Client connecting = client(1);
  deliver(connecting.syn());
  Client handshake = client(2);
  deliver(handshake.syn());
  auto far = accept_upstream();
  engine_.reset();
  EXPECT_TRUE(proxy_.requests[0]->cancelled);
  EXPECT_NE(far->error(), nullptr);
}

}  // namespace
}  // namespace tunproxy::testing
