#include "core/base/address.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

namespace tunproxy {
namespace {

TEST(IpAddress, ParsesAndPrints) {
  for (const char* text : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
  EXPECT_EQ(IpAddress::parse("[2001:db8::1]")->to_string(), "2001:db8::1");
}

TEST(IpAddress, RefusesEverythingElse) {
  const std::string with_nul("1.2.3.4\0x", 9);
  for (const std::string text : {"", "1.2.3", "1.2.3.256", "01.2.3.4x", "[1.2.3.4]", "::g", "[::1",
                                 "example.org", "fe80::1%eth0"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(with_nul));
}

TEST(IpAddress, KnowsItsKind) {
  EXPECT_TRUE(IpAddress::parse("127.8.0.1")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::")->is_any());
  EXPECT_TRUE(IpAddress::parse("224.0.0.251")->is_multicast());
  EXPECT_TRUE(IpAddress::parse("ff02::1")->is_multicast());
  EXPECT_EQ(IpAddress::parse("::ffff:192.0.2.1")->unmapped().to_string(), "192.0.2.1");
  EXPECT_EQ(IpAddress::parse("::fffe:192.0.2.1")->unmapped().is_v6(), true);
}

TEST(Endpoint, RoundTripsThroughSockaddr) {
  for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:65535"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    sockaddr_storage storage{};
    EXPECT_GT(endpoint->to_sockaddr(&storage), 0U);
    EXPECT_EQ(Endpoint::from(reinterpret_cast<sockaddr*>(&storage)).to_string(), text);
  }
}

struct TargetCase {
  const char* text;
  uint16_t default_port;
  const char* expected;  // nullptr: an error
};

class TargetParse : public ::testing::TestWithParam<TargetCase> {};

TEST_P(TargetParse, GivesHostAndPort) {
  const auto target = Target::parse(GetParam().text, GetParam().default_port);
  ASSERT_EQ(target.has_value(), GetParam().expected != nullptr) << GetParam().text;
  if (target) {
    EXPECT_EQ(target->to_string(), GetParam().expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, TargetParse,
    ::testing::Values(
        TargetCase{"example.org:80", 0, "example.org:80"},
        TargetCase{"example.org", 22, "example.org:22"}, TargetCase{"example.org", 0, nullptr},
        TargetCase{"example.org:", 22, nullptr}, TargetCase{"example.org:0", 22, nullptr},
        TargetCase{"example.org:65536", 22, nullptr}, TargetCase{"example.org:8x", 22, nullptr},
        TargetCase{"192.0.2.1:53", 0, "192.0.2.1:53"},
        TargetCase{"2001:db8::1", 53, "[2001:db8::1]:53"},
        TargetCase{"[2001:db8::1]:5353", 53, "[2001:db8::1]:5353"},
        TargetCase{"[2001:db8::1]", 53, "[2001:db8::1]:53"},
        TargetCase{"[example.org]:53", 53, nullptr}, TargetCase{"[::1", 53, nullptr},
        TargetCase{"[::1]x", 53, nullptr}, TargetCase{"", 53, nullptr},
        TargetCase{":53", 53, nullptr}, TargetCase{"a b:53", 0, nullptr},
        TargetCase{"a::b:53", 0, nullptr}));

TEST(Target, RefusesNamesThatNoResolverShouldSee) {
  EXPECT_TRUE(Target::valid_name("example.org"));
  EXPECT_FALSE(Target::valid_name(""));
  EXPECT_FALSE(Target::valid_name("a\nb"));
  EXPECT_FALSE(Target::valid_name(std::string("a\0b", 3)));
  EXPECT_TRUE(Target::valid_name(std::string(255, 'a')));
  EXPECT_FALSE(Target::valid_name(std::string(256, 'a')));
  for (const char* name : {"a", "_sip._tcp.Example.org", "xn--bcher-kva.example.", "127.1"}) {
    EXPECT_TRUE(Target::plain_name(name)) << name;
  }
  for (const char* name : {"", "b\u00fccher.example", "bad\u3002example", "\uff42ad.example",
                           "b\\097d.example", "bad\\.example", "fe80::1%2", "a b", "a*", "\xff"}) {
    EXPECT_FALSE(Target::plain_name(name)) << name;
  }
}

TEST(Cidr, ContainsWhatItShould) {
  struct Case {
    const char* block;
    const char* address;
    bool inside;
  };
  for (const Case& c :
       {Case{"10.0.0.0/8", "10.255.0.1", true}, Case{"10.0.0.0/8", "11.0.0.0", false},
        Case{"0.0.0.0/0", "203.0.113.9", true}, Case{"0.0.0.0/0", "::1", false},
        Case{"192.0.2.128/25", "192.0.2.127", false}, Case{"192.0.2.128/25", "192.0.2.200", true},
        Case{"2001:db8::/33", "2001:db8:7fff::1", true},
        Case{"2001:db8::/33", "2001:db8:8000::1", false}, Case{"192.0.2.1", "192.0.2.1", true},
        Case{"192.0.2.1", "192.0.2.2", false}}) {
    const auto block = Cidr::parse(c.block);
    ASSERT_TRUE(block) << c.block;
    EXPECT_EQ(block->contains(*IpAddress::parse(c.address)), c.inside) << c.block << c.address;
  }
}

TEST(Cidr, RefusesBadBlocks) {
  for (const char* text : {"10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
                           "::/129", "example.org/8", ""}) {
    EXPECT_FALSE(Cidr::parse(text)) << text;
  }
}

}  // namespace
}  // namespace tunproxy
