#include "core/dns/message.h"

#include <gtest/gtest.h>

#include "core/dns/resolv_conf.h"
#include "tests/unit/dns/dns_support.h"

namespace tunproxy::dns {
namespace {

using testing::query_for;

TEST(Message, ReadsHeaderAndQuestion) {
  const ByteVector query = query_for("WWW.Example.com", 0x1234);
  const auto header = parse_header(query);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->id, 0x1234);
  EXPECT_FALSE(header->is_response());
  EXPECT_EQ(header->questions, 1);
  const auto question = parse_question(query);
  ASSERT_TRUE(question);
  EXPECT_EQ(question->name, "www.example.com");
  EXPECT_EQ(question->type, 1);
  EXPECT_EQ(question->klass, 1);
  EXPECT_EQ(question->end, query.size());
}

TEST(Message, TruncationAnywhereIsAnError) {
  const ByteVector query = query_for("example.com", 1);
  for (size_t length = 0; length < query.size(); ++length) {
    EXPECT_FALSE(parse_question(Bytes(query).first(length))) << length;
  }
}

TEST(Message, FollowsPointersBackwardsOnly) {
  ByteVector message = query_for("example.com", 1);
  const size_t pointer = message.size();
  append(message, ByteVector{3, 'w', 'w', 'w', 0xc0, kHeaderSize});
  const auto name = parse_name(message, pointer);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->text, "www.example.com");
  EXPECT_EQ(name->end, message.size());
}

TEST(Message, PointersThatLoopOrLeadForwardsAreErrors) {
  const auto with_name = [](ByteVector name) {
    ByteVector message(kHeaderSize, 0);
    append(message, name);
    return message;
  };
  EXPECT_FALSE(parse_name(with_name({0xc0, kHeaderSize}), kHeaderSize));          // itself
  EXPECT_FALSE(parse_name(with_name({1, 'a', 0xc0, kHeaderSize}), kHeaderSize));  // its beginning
  EXPECT_FALSE(parse_name(with_name({0xc0, kHeaderSize + 2, 0}), kHeaderSize));   // forwards
  EXPECT_FALSE(parse_name(with_name({0xc0, 3, 0}), kHeaderSize));                 // the header
  // Two that point at each other.
  EXPECT_FALSE(parse_name(with_name({0xc0, kHeaderSize + 2, 0xc0, kHeaderSize}), kHeaderSize + 2));
}

TEST(Message, OverlongNamesAndUnknownLabelsAreErrors) {
  std::string name;
  for (int i = 0; i < 4; ++i) name += std::string(63, 'a') + ".";
  EXPECT_FALSE(parse_question(query_for(name.substr(0, name.size() - 1), 1)));  // 257
  EXPECT_TRUE(parse_question(query_for(name.substr(0, 253), 1)));               // 255, the longest
  ByteVector message = query_for("a", 1);
  message[kHeaderSize] = 0x41;
  EXPECT_FALSE(parse_question(message));
}

TEST(ResolvConf, TakesTheNameservers) {
  const auto resolvers = parse_resolv_conf(
      "# comment\n"
      "search example.com\n"
      "nameserver 192.0.2.1\n"
      "  nameserver\t2001:db8::1 trailing\r\n"
      "nameserver fe80::1%eth0\n"
      "nameserver 192.0.2.1\n"
      "options edns0");
  ASSERT_EQ(resolvers.size(), 3u);
  EXPECT_EQ(resolvers[0].to_string(), "192.0.2.1:53");
  EXPECT_EQ(resolvers[1].to_string(), "[2001:db8::1]:53");
  EXPECT_EQ(resolvers[2].to_string(), "[fe80::1]:53");
}

TEST(ResolvConf, PassesOverJunk) {
  EXPECT_TRUE(parse_resolv_conf("").empty());
  EXPECT_TRUE(parse_resolv_conf("\n\n\n").empty());
  EXPECT_TRUE(parse_resolv_conf("nameserver").empty());
  EXPECT_TRUE(parse_resolv_conf("nameserver \nnameserver x.y\nnameserver 1.2.3\n").empty());
  EXPECT_TRUE(parse_resolv_conf("#nameserver 1.2.3.4\n;nameserver 1.2.3.4").empty());
  EXPECT_TRUE(parse_resolv_conf("nameservers 1.2.3.4").empty());
  EXPECT_EQ(parse_resolv_conf("nameserver 1.2.3.4").size(), 1u);
}

}  // namespace
}  // namespace tunproxy::dns
