#include "core/dns/fake_table.h"

#include <gtest/gtest.h>

namespace tunproxy::dns {
namespace {

std::string nth(size_t n) {
  return "n" + std::to_string(n) + ".example";
}

TEST(FakeTable, BothAddressesStandForTheNameAndStay) {
  FakeTable table(0);
  const auto a = table.addresses_of("a.example");
  const auto b = table.addresses_of("b.example");
  EXPECT_EQ(a.v4.to_string(), "198.19.0.1");
  EXPECT_EQ(a.v6.to_string(), "fd74:756e:666b::c613:1");
  EXPECT_NE(a.v4, b.v4);
  EXPECT_EQ(*table.name_of(a.v4), "a.example");
  EXPECT_EQ(*table.name_of(a.v6), "a.example");
  EXPECT_EQ(*table.name_of(b.v6), "b.example");
  EXPECT_EQ(table.addresses_of("a.example").v4, a.v4);
  EXPECT_EQ(table.size(), 2u);
}

TEST(FakeTable, EachAddressIsInItsBlocksAndLooksOrdinary) {
  FakeTable table(0xfff0);  // near the end of the circle
  for (size_t i = 0; i < 1000; ++i) {
    const auto addresses = table.addresses_of(nth(i));
    EXPECT_TRUE(FakeTable::contains(addresses.v4));
    EXPECT_TRUE(FakeTable::contains(addresses.v6));
    EXPECT_NE(addresses.v4.bytes()[3], 0);
    EXPECT_NE(addresses.v4.bytes()[3], 255);
  }
  EXPECT_EQ(table.size(), 1000u);
}

TEST(FakeTable, TheTunsOwnAddressesAndOthersAreNotItsOwn) {
  FakeTable table(0);
  table.addresses_of("a.example");
  for (const char* text : {"198.18.0.1", "198.18.127.2", "198.20.0.1", "0.0.0.1",
                           "fd74:756e:7072::1", "fd74:756e:7072:7f00::1", "::ffff:198.19.0.1"}) {
    const IpAddress address = *IpAddress::parse(text);
    EXPECT_FALSE(FakeTable::contains(address)) << text;
    EXPECT_EQ(table.name_of(address), nullptr) << text;
  }
  // Within the block, and never given out.
  const IpAddress never = *IpAddress::parse("fd74:756e:666b::1:c613:1");
  EXPECT_TRUE(FakeTable::contains(never));
  EXPECT_EQ(table.name_of(never), nullptr);
}

TEST(FakeTable, TheLeastRecentlyUsedNameGoesWhenItIsFull) {
  FakeTable table(0);
  const auto asked = table.addresses_of(nth(0));
  const auto used = table.addresses_of(nth(1));
  const auto gone = table.addresses_of(nth(2));
  for (size_t i = 3; i < FakeTable::kMaxNames; ++i) table.addresses_of(nth(i));
  table.addresses_of(nth(0));           // asked again
  ASSERT_TRUE(table.name_of(used.v6));  // a flow uses it
  table.addresses_of("one.more");
  EXPECT_EQ(table.size(), FakeTable::kMaxNames);
  EXPECT_EQ(table.name_of(gone.v4), nullptr);
  EXPECT_EQ(*table.name_of(asked.v4), nth(0));
  EXPECT_EQ(*table.name_of(used.v4), nth(1));
}

TEST(FakeTable, AnAddressThatWentStandsForNothingForALongTime) {
  FakeTable table(0);
  const auto first = table.addresses_of("first.example");
  for (size_t i = 0; i < FakeTable::kMaxNames * 3; ++i) {
    ASSERT_NE(table.addresses_of(nth(i)).v4, first.v4);
  }
  EXPECT_EQ(table.name_of(first.v4), nullptr);
}

TEST(FakeTable, ANameInUseKeepsItsAddressWhenTheCircleCloses) {
  FakeTable table(0);
  const auto kept = table.addresses_of("kept.example");
  for (size_t i = 0; i < 70000; ++i) {
    ASSERT_NE(table.addresses_of(nth(i)).v4, kept.v4);
    ASSERT_TRUE(table.name_of(kept.v6));
  }
  EXPECT_EQ(*table.name_of(kept.v4), "kept.example");
  EXPECT_EQ(table.size(), FakeTable::kMaxNames);
}

}  // namespace
}  // namespace tunproxy::dns
