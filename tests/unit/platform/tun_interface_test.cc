#include "platform/linux/tun_interface.h"

#include <gtest/gtest.h>

#include "platform/linux/dns_config.h"

namespace tunproxy::linux_host {
namespace {

Cidr block(const char* text) {
  return *Cidr::parse(text);
}

TEST(ChooseAddresses, TakesTheFirstFreeNetworks) {
  const auto chosen = choose_addresses({});
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->ipv4.to_string(), "198.18.0.1");
  EXPECT_EQ(chosen->resolver.to_string(), "198.18.0.2");
  EXPECT_EQ(chosen->ipv6.to_string(), "fd74:756e:7072::1");
}

TEST(ChooseAddresses, AvoidsWhatOverlaps) {
  const auto chosen =
      choose_addresses({block("198.18.0.0/23"), block("198.18.2.1"), block("fd74:756e:7072::/56")});
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->ipv4.to_string(), "198.18.3.1");
  EXPECT_EQ(chosen->ipv6.to_string(), "fd74:756e:7072:100::1");
}

TEST(ChooseAddresses, IgnoresDefaultRoutesAndFailsWhenAllIsTaken) {
  EXPECT_TRUE(choose_addresses({block("0.0.0.0/0"), block("128.0.0.0/1"), block("::/0")}));
  EXPECT_FALSE(choose_addresses({block("198.18.0.0/15")}));
}

TEST(ResolvConf, IsRecognizedAsOurs) {
  const std::string content = resolv_conf_for(*IpAddress::parse("198.18.0.2"));
  EXPECT_TRUE(is_our_resolv_conf(content));
  EXPECT_FALSE(is_our_resolv_conf("nameserver 198.18.0.2\n"));
  EXPECT_NE(content.find("\nnameserver 198.18.0.2\n"), std::string::npos);
}

}  // namespace
}  // namespace tunproxy::linux_host
