// What one UDP association of the TUN allocates in all, from the pool to the relay helper's
// channel.
#include <gtest/gtest.h>

#include <utility>

#include "core/gated_way.h"
#include "core/io/delivery.h"
#include "core/rules/parse.h"
#include "core/udp/carrier.h"
#include "core/udp/relay_bootstrap.h"
#include "core/udp/relay_wire.h"
#include "tests/support/allocations.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/tun2socks/scripted_datagrams.h"
#include "tun2socks/udp_pool.h"

namespace tunproxy {
namespace {

using testing::allocated;
using testing::MemoryStream;
using testing::run_until;

constexpr unsigned kPorts = 100;
constexpr unsigned kPeers = 200;
constexpr size_t kLimit = size_t{10} * 1024;

// The helper at the other end: opens what it is asked for, and counts the datagrams.
class Helper {
 public:
  explicit Helper(std::unique_ptr<MemoryStream> stream) : stream_(std::move(stream)) {
    stream_->on_progress([this] { on_progress(); });
  }

  size_t datagrams = 0;

 private:
  void on_progress() {
    append(incoming_, as_bytes(stream_->read_all()));
    if (incoming_.size() < program_) return;
    Bytes rest = Bytes(incoming_).subspan(std::exchange(program_, 0));
    for (auto m = udp::decode_relay(rest); m && *m; m = udp::decode_relay(rest)) hear(**m);
    incoming_ = ByteVector(rest.begin(), rest.end());
    incoming_.shrink_to_fit();
  }
  void hear(const udp::RelayMessage& message) {
    ByteVector reply;
    if (const auto* hello = std::get_if<udp::Hello>(&message.body)) {
      reply = udp::relay_magic(hello->nonce);
      const udp::Hello ours{udp::Hello::kVersion, hello->nonce, 0, kPorts};
      EXPECT_TRUE(udp::encode({0, ours}, reply));
    } else if (std::holds_alternative<udp::UdpAssociate>(message.body)) {
      const udp::UdpAssociateOpened opened{*Endpoint::parse("192.0.2.1:4500")};
      EXPECT_TRUE(udp::encode({message.connection, opened}, reply));
    } else if (const auto* ping = std::get_if<udp::Ping>(&message.body)) {
      EXPECT_TRUE(udp::encode({message.connection, udp::Pong{ping->token}}, reply));
    } else if (std::holds_alternative<udp::UdpPacket>(message.body)) {
      ++datagrams;
    }
    EXPECT_EQ(stream_->write(reply), reply.size());
  }

  std::unique_ptr<MemoryStream> stream_;
  size_t program_ = udp::relay_program().size();
  ByteVector incoming_;
};

// pool ── fake addresses ── gate ── carrier ── helper
class AssociationMemory : public ::testing::Test, private udp::CarrierWay {
 protected:
  AssociationMemory() {
    carrier_.probe();
    EXPECT_TRUE(
        run_until(loop_, [this] { return carrier_.state() == udp::Carrier::State::relay; }));
  }

  void measure(dns::FakeTable* fakes, std::string_view rules) {
    if (auto parsed = rules::parse_rules(rules)) {
      keeper_.set_rules(std::make_shared<rules::RuleSet>(std::move(*parsed)));
    }
    GatedWay way(keeper_, {account::Source::tun, ""}, nowhere_, &carrier_, fakes);
    tun2socks::EngineStats stats;
    tun2socks::UdpPool pool(way.datagrams(), host_, {}, stats);
    const size_t before = allocated();
    for (unsigned peer = 0; peer < kPeers; ++peer) {
      for (unsigned port = 0; port < kPorts; ++port) {
        pool.send({local(port), remote(fakes, peer)}, as_bytes("x"));
      }
      const size_t sent = size_t{kPorts} * (peer + 1);
      ASSERT_TRUE(run_until(loop_, [&] { return helper_->datagrams + lost() == sent; }));
    }
    EXPECT_EQ(pool.size(), kPorts);
    const size_t each = (allocated() - before) / kPorts;
    std::printf("an association with %u peers: %zu bytes\n", kPeers, each);
    EXPECT_LT(each, kLimit);
  }

  // On a busy machine some are too old when their turn comes.
  uint64_t lost() const {
    uint64_t sum = 0;
    for (const auto& [reason, count] : carrier_.drops()) sum += count;
    return sum;
  }

  static Endpoint local(unsigned n) {
    return {*IpAddress::parse("198.18.0.1"), static_cast<uint16_t>(10000 + n)};
  }
  static Endpoint remote(dns::FakeTable* fakes, unsigned n) {
    if (fakes != nullptr) return {fakes->addresses_of("p" + std::to_string(n) + ".example").v6, 7};
    const uint8_t address[4] = {192, 0, 2, static_cast<uint8_t>(n)};
    return {IpAddress::v4(address), 7};
  }

  std::unique_ptr<net::Attempt> run(std::string,
                                    net::Done<std::unique_ptr<net::Stream>> done) override {
    auto [near, far] = MemoryStream::make_pair(loop_);
    helper_ = std::make_unique<Helper>(std::move(far));
    return std::make_unique<io::Later<std::unique_ptr<net::Stream>>>(
        loop_, std::move(done), std::unique_ptr<net::Stream>(std::move(near)));
  }
  std::unique_ptr<net::Attempt> connect(const Target&,
                                        net::Done<std::unique_ptr<net::Stream>>) override {
    return nullptr;
  }
  bool sound() const override { return true; }

  class Nowhere final : public net::Proxy {
    std::unique_ptr<net::Attempt> connect(const Target&,
                                          net::Done<std::unique_ptr<net::Stream>>) override {
      return nullptr;
    }
  };

  io::Loop loop_;
  account::Account account_{loop_};
  gate::Gatekeeper keeper_{loop_, account_};
  Nowhere nowhere_;
  std::unique_ptr<Helper> helper_;
  udp::Carrier carrier_{loop_, {}, *this};
  testing::ManualHost host_;
};

TEST_F(AssociationMemory, WithoutRules) {
  measure(nullptr, "");
}

TEST_F(AssociationMemory, WithRules) {
  measure(nullptr, "deny 10.0.0.0/8\ndeny *.example.org");
}

TEST_F(AssociationMemory, WithFakeAddressesAndRules) {
  dns::FakeTable fakes(0);
  for (unsigned n = 0; n < kPeers; ++n) remote(&fakes, n);
  measure(&fakes, "deny *.example.org");
}

}  // namespace
}  // namespace tunproxy
