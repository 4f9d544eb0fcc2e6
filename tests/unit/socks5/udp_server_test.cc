// UDP ASSOCIATE as a client meets it: real sockets on this machine's loopback, and a DatagramProxy
// that the test plays.
#include <gtest/gtest.h>

#include "core/io/tcp.h"
#include "core/socks5/negotiate.h"
#include "core/socks5/server.h"
#include "tests/unit/socks5/fake_datagrams.h"
#include "tests/unit/socks5/fake_proxy.h"
#include "tests/unit/socks5/udp_peer.h"
#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::encoded;
using testing::FakeDatagrams;
using testing::FakeProxy;
using testing::run_until;
using testing::UdpPeer;

const Target kTarget = *Target::parse("198.51.100.7:4500");

ByteVector datagram(const Target& to, Bytes data, uint8_t fragment = 0) {
  return encoded(Datagram{fragment, to, data});
}

ByteVector text(std::string_view words) {
  return {as_bytes(words).begin(), as_bytes(words).end()};
}

// The TCP connection of an association.
struct Control {
  std::unique_ptr<net::Stream> stream;
  Endpoint bound;
  std::optional<ErrorCode> refused;

  bool ends(io::Loop& loop) const {
    return run_until(loop, [&] { return stream->ended() || stream->error() != nullptr; });
  }
};

class UdpServerTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { listen({}); }

  void listen(const ServerOptions& options) {
    auto server = Server::listen(loop_, {*IpAddress::parse(GetParam()), 0}, proxy_, options);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    server_->carry_datagrams(&datagrams_);
  }

  Control associate(const Target& claimed = {}) {
    Control control;
    std::unique_ptr<net::Attempt> step = ask(control, claimed);
    EXPECT_TRUE(run_until(loop_, [&] { return control.stream || control.refused; }));
    return control;
  }

  std::unique_ptr<net::Attempt> ask(Control& control, const Target& claimed = {}) {
    std::unique_ptr<io::TcpStream> connected;
    const auto dial = io::dial(loop_, std::vector{server_->local()}, {},
                               [&](auto stream) { connected = std::move(*stream); });
    EXPECT_TRUE(run_until(loop_, [&] { return connected != nullptr; }));
    return negotiate(loop_, std::move(connected), Request{Command::udp_associate, claimed}, {},
                     [&](Result<Negotiated> result) {
                       if (!result) {
                         control.refused = result.error().code;
                         return;
                       }
                       control.bound = {result->bound.address(), result->bound.port()};
                       control.stream = std::move(result->stream);
                       control.stream->on_progress([] {});
                     });
  }

  bool dropped(const uint64_t UdpStats::*reason, uint64_t count) {
    return run_until(loop_, [&] { return server_->udp_stats().*reason == count; }) &&
           server_->udp_stats().dropped() == count;
  }
  const std::vector<std::pair<Target, ByteVector>>& sent() { return datagrams_.all.back()->sent; }

  io::Loop loop_;
  FakeProxy proxy_{loop_};
  FakeDatagrams datagrams_{loop_};
  std::unique_ptr<Server> server_;
};

INSTANTIATE_TEST_SUITE_P(Loopback, UdpServerTest, ::testing::Values("127.0.0.1", "::1"),
                         [](const auto& each) { return each.param[0] == ':' ? "IPv6" : "IPv4"; });

// Only over IPv4 there is a second address of loopback, only over IPv6 room for more than IPv4
// holds.
class UdpServerOverIpv4Test : public UdpServerTest {};
class UdpServerOverIpv6Test : public UdpServerTest {};
INSTANTIATE_TEST_SUITE_P(Loopback, UdpServerOverIpv4Test, ::testing::Values("127.0.0.1"));
INSTANTIATE_TEST_SUITE_P(Loopback, UdpServerOverIpv6Test, ::testing::Values("::1"));

TEST_P(UdpServerTest, BindsWhereTheClientReachedIt) {
  const Control control = associate();
  ASSERT_TRUE(control.stream);
  EXPECT_EQ(control.bound.address, *IpAddress::parse(GetParam()));
  EXPECT_NE(control.bound.port, 0);
  EXPECT_EQ(server_->associations(), 1u);
  EXPECT_EQ(server_->udp_stats().opened, 1u);
}

TEST_P(UdpServerTest, CarriesAllKindsOfAddressesBothWays) {
  const Control control = associate();
  UdpPeer client(loop_, GetParam());
  const std::vector<Target> targets = {kTarget, *Target::parse("[2001:db8::1]:53"),
                                       Target::from_host("example.com", 443),
                                       Target::from_host(std::string(255, 'n'), 1)};
  for (const Target& target : targets) {
    for (const ByteVector& data : {ByteVector(), text("hello")}) {
      client.got.clear();
      client.send(control.bound, datagram(target, data));
      ASSERT_TRUE(client.receives(1)) << target.to_string();
      EXPECT_EQ(sent().back().first, target);
      EXPECT_EQ(sent().back().second, data);
      EXPECT_EQ(client.got[0].from, control.bound);
      const Target source = target.is_name() ? Target(FakeDatagrams::named()) : target;
      EXPECT_EQ(client.got[0].wire, datagram(source, data));
    }
  }
  EXPECT_EQ(server_->udp_stats().up, 2 * targets.size());
  EXPECT_EQ(server_->udp_stats().down, 2 * targets.size());
  EXPECT_EQ(server_->udp_stats().dropped(), 0u);
}

TEST_P(UdpServerTest, CarriesWhatADatagramHolds) {
  const bool v4 = server_->local().address.is_v4();
  const ByteVector longest(v4 ? 65507 - 10 : 65507, 0x5a);
  const Control control = associate();
  UdpPeer client(loop_, GetParam());
  client.send(control.bound, datagram(kTarget, longest));
  ASSERT_TRUE(client.receives(1));
  EXPECT_EQ(sent().back().second, longest);
  EXPECT_EQ(client.got[0].wire, datagram(kTarget, longest));
  const ByteVector longer(longest.size() + (v4 ? 1 : 11), 0x5a);
  datagrams_.all[0]->on_datagram(*Endpoint::parse("198.51.100.7:4500"), longer);
  EXPECT_TRUE(dropped(&UdpStats::too_long, 1));
}

TEST_P(UdpServerOverIpv6Test, TakesNoPayloadThatIpv4CouldNotHold) {
  const Control control = associate();
  UdpPeer client(loop_, GetParam());
  client.send(control.bound, datagram(kTarget, ByteVector(65508, 1)));
  EXPECT_TRUE(dropped(&UdpStats::too_long, 1));
  EXPECT_TRUE(sent().empty());
}

TEST_P(UdpServerTest, DropsFragments) {
  const Control control = associate();
  UdpPeer client(loop_, GetParam());
  for (const int fragment : {1, 2, 127, 128, 255}) {
    client.send(control.bound, datagram(kTarget, text("part"), static_cast<uint8_t>(fragment)));
  }
  EXPECT_TRUE(dropped(&UdpStats::fragment, 5));
  std::map<std::string, uint64_t> told;
  server_->udp_stats().tell_drops("socks_udp", told);
  EXPECT_EQ(told, (std::map<std::string, uint64_t>{{"socks_udp/fragment", 5}}));
  client.send(control.bound, datagram(kTarget, text("whole")));
  ASSERT_TRUE(client.receives(1));
  ASSERT_EQ(sent().size(), 1u);
  EXPECT_EQ(sent()[0].second, text("whole"));
}

TEST_P(UdpServerTest, DropsWhatIsCutOffOrMakesNoSense) {
  const Control control = associate();
  UdpPeer client(loop_, GetParam());
  uint64_t expected = 0;
  const ByteVector whole = datagram(Target::from_host("example.com", 443), {});
  for (size_t length = 0; length < whole.size(); ++length) {
    client.send(control.bound, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)});
    ++expected;
  }
  for (const ByteVector& wire :
       {bytes_of({0, 0, 0, 9, 1, 2, 3, 4, 0, 53, 'x'}), bytes_of({0, 0, 0, 3, 0, 0, 53, 'x'}),
        datagram(Target(IpAddress(), 0), text("no port"))}) {
    client.send(control.bound, wire);
    ++expected;
  }
  EXPECT_TRUE(dropped(&UdpStats::malformed, expected));
  EXPECT_TRUE(sent().empty());
}

TEST_P(UdpServerTest, KeepsToThePortOfTheFirstGoodDatagram) {
  const Control control = associate();
  UdpPeer client(loop_, GetParam());
  UdpPeer neighbour(loop_, GetParam());
  neighbour.send(control.bound, text("not SOCKS5"));
  EXPECT_TRUE(dropped(&UdpStats::malformed, 1));
  client.send(control.bound, datagram(kTarget, text("mine")));
  ASSERT_TRUE(client.receives(1));
  neighbour.send(control.bound, datagram(kTarget, text("not mine")));
  EXPECT_TRUE(run_until(loop_, [&] { return server_->udp_stats().wrong_port == 1; }));
  client.send(control.bound, datagram(kTarget, text("mine again")));
  ASSERT_TRUE(client.receives(2));
  EXPECT_EQ(sent().size(), 2u);
  EXPECT_TRUE(neighbour.got.empty());
}

TEST_P(UdpServerTest, KeepsToThePortThatTheClientNamed) {
  UdpPeer client(loop_, GetParam());
  UdpPeer neighbour(loop_, GetParam());
  const Target any(IpAddress(), client.local().port);
  for (const Target& claimed : {Target(client.local()), any}) {
    const uint64_t before = server_->udp_stats().wrong_port;
    const Control control = associate(claimed);
    neighbour.send(control.bound, datagram(kTarget, text("not mine")));
    EXPECT_TRUE(dropped(&UdpStats::wrong_port, before + 1));
    const size_t received = client.got.size();
    datagrams_.all.back()->on_datagram(*Endpoint::parse("192.0.2.1:5"), text("first"));
    EXPECT_TRUE(client.receives(received + 1)) << "the port is known before the first datagram";
  }
}

TEST_P(UdpServerTest, APortBehindAnAddressTranslationDoesNotCount) {
  const Control control = associate(*Target::parse("10.99.99.99:7"));
  UdpPeer client(loop_, GetParam());
  client.send(control.bound, datagram(kTarget, text("hello")));
  EXPECT_TRUE(client.receives(1));
}

TEST_P(UdpServerOverIpv4Test, DropsStrangers) {
  const Control control = associate();
  UdpPeer stranger(loop_, "127.0.0.2");
  stranger.send(control.bound, datagram(kTarget, text("let me in")));
  EXPECT_TRUE(dropped(&UdpStats::stranger, 1));
  UdpPeer client(loop_, GetParam());
  client.send(control.bound, datagram(kTarget, text("hello")));
  ASSERT_TRUE(client.receives(1));
  EXPECT_EQ(sent().size(), 1u);
}

TEST_P(UdpServerTest, DropsWhatComesBeforeTheClientIsKnown) {
  const Control control = associate();
  datagrams_.all[0]->on_datagram(*Endpoint::parse("192.0.2.1:5"), text("early"));
  EXPECT_TRUE(dropped(&UdpStats::early, 1));
}

TEST_P(UdpServerTest, EndsWithItsConnection) {
  Control finishing = associate();
  Control resetting = associate();
  finishing.stream->write(as_bytes("of no meaning"));
  finishing.stream->finish();
  EXPECT_TRUE(run_until(loop_, [&] { return datagrams_.all[0]->destroyed; }));
  EXPECT_TRUE(finishing.ends(loop_));
  EXPECT_EQ(finishing.stream->error(), nullptr);
  EXPECT_FALSE(datagrams_.all[1]->destroyed);
  resetting.stream.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return datagrams_.all[1]->destroyed; }));
  EXPECT_EQ(server_->associations(), 0u);
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_P(UdpServerTest, ClosesTheConnectionWhenTheAssociationIsGone) {
  Control control = associate();
  datagrams_.all[0]->on_closed({ErrorCode::reset, "the far end is gone"});
  EXPECT_EQ(server_->associations(), 0u);
  EXPECT_TRUE(control.ends(loop_));
  EXPECT_EQ(control.stream->error(), nullptr);
  EXPECT_TRUE(datagrams_.all[0]->destroyed);
  control.stream->finish();
  EXPECT_TRUE(run_until(loop_, [&] { return server_->connections() == 0; }));
}

TEST_P(UdpServerTest, EndsWhenIdle) {
  ServerOptions options;
  options.udp_idle = 20ms;
  listen(options);
  Control control = associate();
  EXPECT_TRUE(control.ends(loop_));
  EXPECT_TRUE(datagrams_.all[0]->destroyed);
  EXPECT_EQ(server_->associations(), 0u);
}

TEST_P(UdpServerTest, QuietOnesEndWhereMemoryIsShort) {
  Control quiet = associate();
  const Control busy = associate();
  const Instant start = loop_.now();
  ASSERT_TRUE(run_until(loop_, [&] { return loop_.now() - start >= 20ms; }));
  UdpPeer client(loop_, GetParam());
  client.send(busy.bound, datagram(kTarget, text("still here")));
  ASSERT_TRUE(client.receives(1));
  server_->drop_quiet_udp(loop_.now() - start);  // the busy one was used later than that
  EXPECT_EQ(server_->associations(), 1u);
  EXPECT_TRUE(quiet.ends(loop_));
  EXPECT_TRUE(datagrams_.all[0]->destroyed);
  EXPECT_FALSE(datagrams_.all[1]->destroyed);
}

TEST_P(UdpServerTest, IsNotIdleWhileItCarries) {
  ServerOptions options;
  options.udp_idle = 500ms;
  listen(options);
  const Control control = associate();
  UdpPeer client(loop_, GetParam());
  Duration longest_pause{};
  const Instant start = loop_.now();
  const Instant end = start + 3 * options.udp_idle;
  for (Instant last = start; last < end && !control.stream->ended(); last = loop_.now()) {
    client.send(control.bound, datagram(kTarget, text("still here")));
    loop_.run_once();
    longest_pause = std::max(longest_pause, loop_.now() - last);
  }
  if (longest_pause >= options.udp_idle) GTEST_SKIP() << "the machine stood still";
  EXPECT_FALSE(control.stream->ended());
  EXPECT_FALSE(datagrams_.all[0]->destroyed);
}

TEST_P(UdpServerTest, HasAMaximum) {
  ServerOptions options;
  options.max_associations = 2;
  listen(options);
  Control first = associate();
  Control second = associate();
  EXPECT_EQ(associate().refused, ErrorCode::general);
  EXPECT_EQ(server_->udp_stats().refused, 1u);
  first.stream->finish();
  ASSERT_TRUE(run_until(loop_, [&] { return server_->associations() == 1; }));
  EXPECT_TRUE(associate().stream);
}

TEST_P(UdpServerTest, SaysWhyThereIsNoAssociation) {
  datagrams_.at_once = false;
  size_t index = 0;
  for (const ErrorCode code : {ErrorCode::command_not_supported, ErrorCode::general,
                               ErrorCode::host_unreachable, ErrorCode::not_allowed}) {
    Control control;
    const auto step = ask(control);
    ASSERT_TRUE(run_until(loop_, [&] { return datagrams_.all.size() == index + 1; }));
    datagrams_.fail(index++, code);
    ASSERT_TRUE(run_until(loop_, [&] { return control.refused.has_value(); }));
    EXPECT_EQ(*control.refused, code);
  }
  EXPECT_EQ(server_->associations(), 0u);
  server_->carry_datagrams(nullptr);
  EXPECT_EQ(associate().refused, ErrorCode::command_not_supported);
}

TEST_P(UdpServerTest, AClientThatLeavesCancelsTheAssociation) {
  datagrams_.at_once = false;
  Control control;
  auto step = ask(control);
  ASSERT_TRUE(run_until(loop_, [&] { return datagrams_.all.size() == 1; }));
  step.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return datagrams_.all[0]->cancelled; }));
  EXPECT_EQ(server_->associations(), 0u);
}

TEST_P(UdpServerTest, DestroyingTheServerEndsItsAssociations) {
  const Control open = associate();
  datagrams_.at_once = false;
  Control opening;
  const auto step = ask(opening);
  ASSERT_TRUE(run_until(loop_, [&] { return datagrams_.all.size() == 2; }));
  server_.reset();
  EXPECT_TRUE(datagrams_.all[0]->destroyed);
  EXPECT_TRUE(datagrams_.all[1]->cancelled);
  EXPECT_TRUE(open.ends(loop_));
}

}  // namespace
}  // namespace tunproxy::socks5
