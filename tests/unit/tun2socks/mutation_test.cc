// Broken packets: each of a conversation's packets, with bytes changed, cut, repeated and
// reordered. Nothing is expected but that nothing breaks (under ASan and UBSan) and that memory
// stays bounded.
#include <random>

#include "tests/unit/tun2socks/fixture.h"
#include "tests/unit/tun2socks/scripted_datagrams.h"

namespace tunproxy::testing {
namespace {

class Mutations : public EngineTest {
 protected:
  Mutations() : EngineTest({.memory_cap = 1 << 20, .udp_associations = 4}) {}
  net::DatagramProxy* datagrams() override { return &datagrams_; }

  ByteVector packet_of(const Client& app, uint32_t kind) {
    switch (kind % 10) {
      case 0:
        return app.syn({2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7});
      case 1:
        return app.segment(kAck | kFin);
      case 2:
        return make_udp(app.self, {app.server.address, 53}, app.segment(kAck, "question"));
      case 3:
        return make_echo(app.self.address, app.server.address, as_bytes("echo"));
      case 4:
        return fragment(app.segment(kAck, std::string(500, 'f')), 256, kind)[kind / 8 % 3];
      case 5:
        return make_udp(app.self, app.server, ByteVector(kind % 1400, 'u'));
      case 6:
        return fragment(make_udp(app.self, app.server, ByteVector(700, 'u')), 256,
                        kind / 64 % 8)[kind / 16 % 3];
      default:
        return app.segment(kAck | kPsh, std::string(kind % 1400, 'd'));
    }
  }

  void mutate(ByteVector& packet) {
    for (auto changes = random_() % 4; changes > 0 && !packet.empty(); --changes) {
      const size_t region =
          random_() % 2 == 0 ? std::min<size_t>(packet.size(), 60) : packet.size();
      packet[random_() % region] ^= static_cast<uint8_t>(1U << random_() % 8);
    }
    if (random_() % 16 == 0) packet.resize(random_() % (packet.size() + 1));
    // Else nearly all would end at the header checksum.
    if (packet.size() >= 20 && packet[0] == 0x45) {
      store_be16(&packet[10], 0);
      uint32_t sum = 0;
      for (size_t i = 0; i < 20; i += 2) sum += load_be16(&packet[i]);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
      store_be16(&packet[10], static_cast<uint16_t>(~sum));
    }
  }

  /// Answers what is open, one way or the other.
  void answer_proxy() {
    for (auto& request : proxy_.requests) {
      if (request->cancelled) continue;
      if (random_() % 3 == 0) {
        request->done(Error{static_cast<ErrorCode>(random_() % 8), "no"});
        continue;
      }
      auto [near, far] = MemoryStream::make_pair(loop_);
      request->done(std::unique_ptr<net::Stream>(std::move(near)));
      far->write(as_bytes(std::string(random_() % 5000, 's')));
      if (random_() % 4 == 0) far->finish();
      far_.push_back(std::move(far));
    }
    proxy_.requests.clear();
    names_.requests.clear();
    if (far_.size() > 50) far_.erase(far_.begin(), far_.begin() + 25);
    for (auto& far : far_) {
      if (random_() % 2 == 0) far->read_all();
    }
  }

  /// Opens associations, or does not, answers their datagrams and closes some.
  void answer_datagrams() {
    for (size_t i = 0; i < datagrams_.all.size(); ++i) {
      auto& association = *datagrams_.all[i];
      if (association.cancelled || association.destroyed) continue;
      if (!association.open && random_() % 8 != 0) {
        datagrams_.open(i);
      } else if (!association.open) {
        datagrams_.fail(i);
        continue;
      }
      for (const auto& [to, payload] : association.sent) {
        association.on_datagram({to.address(), to.port()},
                                Bytes(payload).first(payload.size() / 2));
      }
      association.sent.clear();
      if (random_() % 64 == 0) datagrams_.lose(i);
    }
    if (random_() % 100 == 0) engine_->drop_quiet_udp();
  }

  /// Follows the engine's numbers, so that mutated segments land in the windows.
  void follow(Client& app) {
    for (const auto& sent : device_.sent) {
      const auto seen = SeenPacket::make(sent);
      EXPECT_TRUE(seen) << "malformed output";
      if (!seen || seen->protocol != 6 || seen->destination_port != app.self.port) continue;
      app.expected = seen->sequence + static_cast<uint32_t>(seen->data.size()) +
                     (seen->has(kSyn) || seen->has(kFin) ? 1 : 0);
      if (seen->has(kAck)) app.next = seen->acknowledgement;
    }
    device_.sent.clear();
  }

  std::mt19937 random_{20261120};
  std::vector<std::unique_ptr<MemoryStream>> far_;
  ScriptedDatagrams datagrams_;
};

TEST_F(Mutations, HundredThousandPackets) {
  std::vector<Client> apps;
  for (uint16_t i = 0; i < 8; ++i)
    apps.push_back(client(static_cast<uint16_t>(40000 + i), i % 2 != 0));
  for (int round = 0; round < 12500; ++round) {
    std::vector<ByteVector> batch;
    Client& app = apps[random_() % apps.size()];
    if (round % 3 == 0) batch.push_back(app.syn());
    for (int i = 0; i < 8; ++i) {
      Client varied = app;
      if (random_() % 4 == 0) varied.next += static_cast<uint32_t>(random_() % 4000) - 1000;
      batch.push_back(packet_of(varied, static_cast<uint32_t>(random_())));
      mutate(batch.back());
    }
    device_.deliver(batch, {}, round % 5 == 0);
    if (round % 4 == 0) {
      settle();
      answer_proxy();
      answer_datagrams();
      settle();
    }
    follow(app);
    ASSERT_LE(engine_->stats().buffered_bytes, size_t{1} << 20);
  }
  const auto stats = engine_->stats();
  EXPECT_GT(stats.flows_total, 20U) << "mutations reach established connections";
  EXPECT_GT(stats.dropped(tun2socks::Drop::malformed), 100U);
  EXPECT_GT(stats.udp_datagrams_up, 100U);
  EXPECT_GT(stats.udp_datagrams_down, 100U);
  EXPECT_GT(stats.udp_lost, 0U);
}

}  // namespace
}  // namespace tunproxy::testing
