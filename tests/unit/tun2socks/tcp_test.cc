// A TCP connection through the engine, segment by segment.
#include <algorithm>

#include "tests/unit/tun2socks/fixture.h"

namespace tunproxy::testing {
namespace {

class Tcp : public EngineTest {};

class TcpOffload : public EngineTest {
 protected:
  TcpOffload() : EngineTest({}, true) {}
};

TEST_F(Tcp, HandshakeWaitsForTheUpstream) {
  Client app = client();
  deliver(app.syn());
  EXPECT_TRUE(silent());
  ASSERT_EQ(proxy_.requests.size(), 1U);
  EXPECT_EQ(proxy_.requests[0]->target, Target(app.server));
  auto far = accept_upstream();
  const SeenPacket answer = next_packet();
  EXPECT_TRUE(answer.has(kSyn | kAck));
  EXPECT_EQ(answer.acknowledgement, app.next + 1);
  EXPECT_EQ(answer.source, app.server.address);
  EXPECT_EQ(answer.source_port, 80);
  EXPECT_EQ(answer.destination_port, app.self.port);
  EXPECT_EQ(engine_->stats().flows_opening, 1U);
}

TEST_F(Tcp, DataBothWaysOverBothVersions) {
  std::vector<std::unique_ptr<MemoryStream>> kept;
  for (const bool v6 : {false, true}) {
    Client app = client(v6 ? 40001 : 40000, v6);
    MemoryStream* const far = kept.emplace_back(open(app)).get();
    forget_packets();
    send(app, "request");
    EXPECT_EQ(far->read_all(), "request");
    const SeenPacket ack = next_packet();
    EXPECT_EQ(ack.acknowledgement, app.next);
    far->write(as_bytes("response"));
    EXPECT_EQ(receive(app), "response");
    EXPECT_EQ(engine_->stats().flows_active, v6 ? 2U : 1U);
  }
  EXPECT_EQ(engine_->stats().bytes_up, 14U);
  EXPECT_EQ(engine_->stats().bytes_down, 16U);
}

TEST_F(Tcp, OneAcknowledgementForABatch) {
  Client app = client();
  auto far = open(app);
  forget_packets();
  std::vector<ByteVector> batch;
  for (int i = 0; i < 20; ++i) {
    batch.push_back(app.segment(kAck, std::string(1000, 'a')));
    app.next += 1000;
  }
  device_.deliver(batch);
  EXPECT_EQ(next_packet().acknowledgement, app.next);
  EXPECT_TRUE(silent());
  EXPECT_EQ(far->read_all().size(), 20000U);
}

TEST_F(Tcp, RetransmittedSynIsOneConnection) {
  Client app = client();
  deliver(app.syn());
  deliver(app.syn());
  EXPECT_EQ(proxy_.requests.size(), 1U);
  auto far = accept_upstream();
  EXPECT_TRUE(next_packet().has(kSyn | kAck));
  EXPECT_TRUE(silent());
  deliver(app.syn());  // the SYN-ACK got lost
  EXPECT_TRUE(next_packet().has(kSyn | kAck));
  EXPECT_EQ(proxy_.requests.size(), 1U);
}

TEST_F(Tcp, LatestSynCountsWhileConnecting) {
  Client app = client();
  deliver(app.syn());
  app.next = 777000;
  deliver(app.syn());
  auto far = accept_upstream();
  EXPECT_EQ(next_packet().acknowledgement, 777001U);
}

TEST_F(Tcp, ResetOfTheApplicationEndsTheUpstream) {
  Client app = client();
  auto far = open(app);
  deliver(app.segment(kRst | kAck));
  ASSERT_NE(far->error(), nullptr);
  EXPECT_EQ(engine_->stats().flows_active, 0U);
}

TEST_F(Tcp, ResetWhileConnectingCancels) {
  Client app = client();
  deliver(app.syn());
  ++app.next;
  deliver(app.segment(kRst));
  EXPECT_TRUE(proxy_.requests[0]->cancelled);
  EXPECT_EQ(engine_->stats().flows_opening, 0U);
}

TEST_F(Tcp, ResetDuringTheHandshakeClosesTheUpstream) {
  Client app = client();
  deliver(app.syn());
  auto far = accept_upstream();
  ++app.next;
  deliver(app.segment(kRst));
  EXPECT_NE(far->error(), nullptr);
  EXPECT_EQ(engine_->stats().flows_opening, 0U);
}

TEST_F(Tcp, FailureOfTheUpstreamResetsTheApplication) {
  Client app = client();
  auto far = open(app);
  forget_packets();
  far.reset();
  const SeenPacket reset = next_packet();
  EXPECT_TRUE(reset.has(kRst));
  EXPECT_EQ(reset.sequence, app.expected);
  EXPECT_EQ(engine_->stats().flows_active, 0U);
}

TEST_F(Tcp, HalfCloseOfTheApplicationLeavesTheOtherDirection) {
  Client app = client();
  auto far = open(app);
  deliver(app.segment(kAck | kFin, "last"));
  app.next += 5;
  EXPECT_EQ(far->read_all(), "last");
  EXPECT_TRUE(far->ended());
  EXPECT_EQ(next_packet().acknowledgement, app.next);
  far->write(as_bytes("still here"));
  EXPECT_EQ(receive(app), "still here");
  far->finish();
  const SeenPacket fin = next_packet();
  EXPECT_TRUE(fin.has(kFin));
  app.expected = fin.sequence + 1;
  deliver(app.segment(kAck));
  EXPECT_EQ(engine_->stats().flows_active, 0U);
  EXPECT_TRUE(silent());
  EXPECT_EQ(far->error(), nullptr);
}

TEST_F(Tcp, HalfCloseOfTheUpstreamLeavesTheOtherDirection) {
  Client app = client();
  auto far = open(app);
  forget_packets();
  far->write(as_bytes("all"));
  far->finish();
  settle();
  EXPECT_EQ(next_packet().data.size(), 3U);
  EXPECT_TRUE(silent()) << "the FIN comes after everything before it is acknowledged";
  app.expected += 3;
  deliver(app.segment(kAck));
  const SeenPacket fin = next_packet();
  EXPECT_TRUE(fin.has(kFin));
  EXPECT_EQ(fin.sequence, app.expected);
  ++app.expected;
  send(app, "more");
  EXPECT_EQ(far->read_all(), "more");
  deliver(app.segment(kAck | kFin));
  EXPECT_TRUE(far->ended());
  EXPECT_EQ(engine_->stats().flows_active, 0U);
}

TEST_F(Tcp, FinIntoAClosedWindowWaits) {
  Client app = client();
  auto far = open(app);
  far->write(as_bytes("abc"));
  far->finish();
  forget_packets();
  settle();
  app.expected += 3;
  app.window = 0;
  deliver(app.segment(kAck));
  forget_packets();
  EXPECT_TRUE(silent());
  app.window = 1000;
  deliver(app.segment(kAck));
  EXPECT_TRUE(next_packet().has(kFin));
}

TEST_F(Tcp, UnreadDataSurvivesTheEndOfTheConnection) {
  Client app = client();
  deliver(app.syn());
  auto far = accept_upstream({.peek_at_most = SIZE_MAX, .write_at_most = SIZE_MAX, .capacity = 4});
  app.expected = next_packet().sequence + 1;
  ++app.next;
  deliver(app.segment(kAck));
  far->finish();
  const SeenPacket fin = next_packet();
  app.expected = fin.sequence + 1;
  deliver(app.segment(kAck | kFin, "0123456789"));
  std::string all;
  for (int i = 0; i < 10; ++i) {
    all += far->read_all();
    settle();
  }
  EXPECT_EQ(all, "0123456789");
  EXPECT_TRUE(far->ended());
  EXPECT_EQ(far->error(), nullptr);
}

TEST_F(Tcp, OutOfOrderSegmentsArePutInOrder) {
  Client app = client();
  auto far = open(app);
  forget_packets();
  const uint32_t start = app.next;
  app.next = start + 5;
  deliver(app.segment(kAck, "world"));
  EXPECT_EQ(next_packet().acknowledgement, start);
  EXPECT_EQ(far->read_all(), "");
  EXPECT_GT(engine_->stats().buffered_bytes, 0U);
  app.next = start;
  deliver(app.segment(kAck, "hello"));
  EXPECT_EQ(far->read_all(), "helloworld");
  EXPECT_EQ(next_packet().acknowledgement, start + 10);
  EXPECT_EQ(engine_->stats().buffered_bytes, 0U);
}

TEST_F(Tcp, WindowIsWhatTheUpstreamDoesNotTake) {
  Client app = client();
  auto far = open(app);
  forget_packets();
  // The upstream holds 64 KB; the window 65535: what the upstream does not take stays in the
  // window.
  uint32_t acknowledged = app.next;
  uint32_t window = 65535;
  const auto fill = [&] {
    while (app.next - acknowledged + 1000 <= window) {
      send(app, std::string(1000, 'x'));
      while (!device_.sent.empty()) {
        const SeenPacket ack = next_packet();
        acknowledged = ack.acknowledgement;
        window = ack.window;
      }
    }
  };
  fill();
  const uint32_t sent = app.next - 1001;
  EXPECT_GE(sent, 64U * 1024);
  EXPECT_LE(sent, 64U * 1024 + 65535U + 1000);
  EXPECT_EQ(acknowledged, app.next);
  const uint64_t dropped = engine_->stats().dropped(tun2socks::Drop::out_of_window);
  deliver(app.segment(kAck, std::string(1400, 'y')));
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::out_of_window), dropped + 1);
  EXPECT_EQ(next_packet().acknowledgement, app.next) << "answered with what is expected";
  std::string all;
  for (int i = 0; i < 8; ++i) {
    all += far->read_all();
    settle();
  }
  EXPECT_TRUE(all == std::string(sent, 'x'));
  ASSERT_FALSE(device_.sent.empty()) << "the opened window has to be told";
  EXPECT_GT(SeenPacket::make(device_.sent.back())->window, 30000);
  forget_packets();
  send(app, std::string(1000, 'z'));
  EXPECT_EQ(far->read_all(), std::string(1000, 'z'));
}

TEST_F(Tcp, UpstreamIsHeldUpByTheApplication) {
  Client app = client();
  app.window = 2000;
  auto far = open(app);
  size_t taken = 0;
  const std::string block(16384, 'd');
  for (int i = 0; i < 100; ++i) {
    taken += far->write(as_bytes(block));
    settle();
  }
  EXPECT_LT(taken, 400U * 1024) << "one send buffer and one stream";
  size_t in_flight = 0;
  for (const auto& sent : device_.sent) in_flight += SeenPacket::make(sent)->data.size();
  EXPECT_LE(in_flight, 2000U);
  app.window = 65535;
  size_t got = 0;
  for (int rounds = 0; rounds < 1000 && got < taken; ++rounds) {
    got += receive(app).size();
    deliver(app.segment(kAck));
  }
  EXPECT_EQ(got, taken);
}

TEST_F(Tcp, SegmentsFitTheDevice) {
  Client app = client(40000, true);
  auto far = open(app, {2, 4, 0xff, 0xd7});
  far->write(as_bytes(std::string(20000, 'd')));
  settle();
  for (const auto& sent : device_.sent) EXPECT_LE(sent.bytes.size(), 1500U);
  EXPECT_EQ(receive(app).size(), 20000U);
}

TEST_F(Tcp, SmallerSegmentSizeOfTheApplicationIsKept) {
  Client app = client();
  auto far = open(app, {2, 4, 2, 24});  // 536
  far->write(as_bytes(std::string(5000, 'd')));
  settle();
  for (const auto& sent : device_.sent) EXPECT_LE(sent.bytes.size(), 576U);
  EXPECT_EQ(receive(app).size(), 5000U);
}

TEST_F(TcpOffload, LargeSegmentsAreLeftToTheDevice) {
  std::vector<std::unique_ptr<MemoryStream>> kept;
  for (const bool v6 : {false, true}) {
    Client app = client(v6 ? 40001 : 40000, v6);
    const auto mss = static_cast<uint8_t>(v6 ? 0xa0 : 0xb4);
    MemoryStream* const far = kept.emplace_back(open(app, {2, 4, 5, mss, 3, 3, 7, 1})).get();
    far->write(as_bytes(std::string(60000, 'd')));
    settle();
    const size_t segment = v6 ? 1440 : 1460;
    size_t largest = 0;
    for (const auto& sent : device_.sent) {
      largest = std::max(largest, sent.bytes.size());
      EXPECT_EQ(sent.offload.segment_size, sent.bytes.size() > 1500 ? segment : 0);
      EXPECT_TRUE(sent.offload.needs_checksum);
    }
    EXPECT_GT(largest, 10 * segment);
    EXPECT_TRUE(receive(app) == std::string(60000, 'd'));
  }
}

TEST_F(TcpOffload, LargePacketsAreKeptWithoutACopy) {
  Client app = client();
  auto far = open(app, {2, 4, 5, 180, 3, 3, 7, 1});
  const std::string large(40000, 'L');
  tun2socks::Offload offload;
  offload.needs_checksum = true;
  offload.segment_size = 1460;
  device_.deliver({app.segment(kAck, large)}, offload, true);
  settle();
  EXPECT_TRUE(far->read_all() == large);
  EXPECT_EQ(engine_->stats().buffered_bytes, 0U);
}

TEST_F(TcpOffload, WrongChecksumIsDropped) {
  Client app = client();
  auto far = open(app);
  ByteVector bad = app.segment(kAck, "data");
  bad.back() ^= 1;
  deliver(bad);
  EXPECT_EQ(far->read_all(), "");
  EXPECT_EQ(engine_->stats().dropped(tun2socks::Drop::bad_checksum), 1U);
}

TEST_F(Tcp, SegmentOfNoConnectionIsReset) {
  Client app = client();
  app.expected = 4711;
  deliver(app.segment(kAck, "who?"));
  const SeenPacket reset = next_packet();
  EXPECT_TRUE(reset.has(kRst));
  EXPECT_EQ(reset.sequence, 4711U);
  deliver(app.segment(kRst));
  EXPECT_TRUE(silent());
  EXPECT_TRUE(proxy_.requests.empty());
}

TEST_F(Tcp, TimeWaitMakesRoomForANewConnection) {
  Client app = client();
  auto far = open(app);
  far->finish();
  forget_packets();
  settle();
  app.expected += 1;  // our side closes first, so the pcb ends in TIME_WAIT
  deliver(app.segment(kAck | kFin));
  ++app.next;
  deliver(app.segment(kAck));
  EXPECT_EQ(engine_->stats().flows_active, 0U);
  forget_packets();
  Client again = client();
  again.next = app.next + 5;  // in the old window
  auto far_again = open(again);
  EXPECT_EQ(proxy_.requests.size(), 2U);
  send(again, "fresh");
  EXPECT_EQ(far_again->read_all(), "fresh");
}

TEST_F(Tcp, SequenceNumbersDifferFromFlowToFlow) {
  std::vector<uint32_t> starts;
  std::vector<std::unique_ptr<MemoryStream>> kept;
  for (uint16_t port = 40000; port < 40008; ++port) {
    Client app = client(port);
    kept.push_back(open(app));
    starts.push_back(app.expected);
  }
  std::sort(starts.begin(), starts.end());
  for (size_t i = 1; i < starts.size(); ++i) EXPECT_GT(starts[i] - starts[i - 1], 10U);
}

TEST_F(Tcp, FullDeviceLosesNothing) {
  Client app = client();
  auto far = open(app);
  forget_packets();
  device_.full = true;
  far->write(as_bytes("patience"));
  settle();
  device_.full = false;
  EXPECT_EQ(engine_->stats().packets_out, 1U);
  ASSERT_TRUE(run_until(loop_, [&] { return !device_.sent.empty(); }));
  EXPECT_EQ(receive(app), "patience");
}

TEST_F(Tcp, LostDataIsSentAgain) {
  Client app = client();
  auto far = open(app);
  far->write(as_bytes("lost"));
  settle();
  forget_packets();
  ASSERT_TRUE(run_until(loop_, [&] { return !device_.sent.empty(); }));
  EXPECT_EQ(receive(app), "lost");
}

}  // namespace
}  // namespace tunproxy::testing
