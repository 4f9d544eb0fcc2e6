#include "core/dns/lookup.h"

#include <gtest/gtest.h>

#include "core/dns/fake_answer.h"
#include "tests/unit/dns/fake_name_service.h"
#include "tests/unit/dns/fake_support.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::dns {
namespace {

using testing::query_of;
using testing::run_until;

const IpAddress kV4 = *IpAddress::parse("192.0.2.7");
const IpAddress kV6 = *IpAddress::parse("2001:db8::7");
const Endpoint kServer = *Endpoint::parse("192.0.2.53:53");

ByteVector answer(const ByteVector& query, const std::vector<IpAddress>& addresses) {
  return address_answer(query, *parse_question(query), addresses, 60);
}

TEST(Lookup, AsksAsADnsClientDoes) {
  EXPECT_EQ(*address_query("www.example.com", kTypeAaaa),
            query_of("www.example.com", kTypeAaaa, 0));
  EXPECT_EQ(*address_query("www.example.com.", kTypeA), query_of("www.example.com", kTypeA, 0));
  for (const std::string& name : {std::string(), std::string("."), std::string("a..b"),
                                 std::string(".a"), std::string(64, 'a'), std::string(300, 'a')}) {
    EXPECT_FALSE(address_query(name, kTypeA)) << name;
  }
  EXPECT_TRUE(address_query(std::string(63, 'a') + ".b", kTypeA));
}

TEST(Lookup, FindsTheAddressesBehindAliases) {
  const ByteVector query = query_of("a.example", kTypeA);
  ByteVector message = answer(query, {kV4, *IpAddress::parse("192.0.2.8")});
  EXPECT_EQ(addresses_in(message, kTypeA)->addresses.size(), 2u);
  EXPECT_EQ(addresses_in(message, kTypeA)->addresses[0], kV4);
  EXPECT_EQ(addresses_in(message, kTypeA)->ttl, 60s);
  EXPECT_TRUE(addresses_in(message, kTypeAaaa)->addresses.empty());
  // A CNAME in front of them.
  ByteVector aliased = query;
  aliased[2] |= 0x80;
  aliased[7] = 2;
  append(aliased, ByteVector{0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 14});
  append(aliased, ByteVector{0xc0, 14, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7});
  EXPECT_EQ(addresses_in(aliased, kTypeA)->addresses, std::vector{kV4});
  EXPECT_EQ(addresses_in(aliased, kTypeA)->ttl, 9s);
  for (size_t size = 0; size < aliased.size(); ++size) {
    EXPECT_FALSE(addresses_in(Bytes(aliased).first(size), kTypeA)) << size;
  }
}

class LookUpTest : public ::testing::Test {
 protected:
  void look_up(const std::string& name) {
    attempt_ = dns::look_up(loop_, names_, kServer, name, [this](Result<Addresses> found) {
      found_ = std::move(found);
      attempt_.reset();
    });
    EXPECT_FALSE(found_) << "called from within look_up()";
  }

  io::Loop loop_;
  testing::FakeNameService names_;
  std::unique_ptr<net::Attempt> attempt_;
  std::optional<Result<Addresses>> found_;
};

TEST_F(LookUpTest, AsksForAThenForAaaa) {
  look_up("a.example");
  ASSERT_EQ(names_.calls.size(), 1u);
  EXPECT_EQ(names_.calls[0]->server, kServer);
  names_.answer(0, answer(names_.calls[0]->query, {}));
  ASSERT_EQ(names_.calls.size(), 2u);
  EXPECT_EQ(parse_question(names_.calls[1]->query)->type, kTypeAaaa);
  names_.answer(1, answer(names_.calls[1]->query, {kV6}));
  ASSERT_TRUE(found_ && *found_);
  EXPECT_EQ((*found_)->addresses, std::vector{kV6});
}

TEST_F(LookUpTest, OneQuestionIsEnoughWhereThereIsAnA) {
  look_up("a.example");
  names_.answer(0, answer(names_.calls[0]->query, {kV4}));
  ASSERT_TRUE(found_ && *found_);
  EXPECT_EQ(names_.calls.size(), 1u);
}

TEST_F(LookUpTest, SaysWhyThereIsNone) {
  look_up("a.example");
  names_.answer(0, Error{ErrorCode::timed_out, "silence"});
  names_.answer(1, empty_answer(names_.calls[1]->query, *parse_question(names_.calls[1]->query),
                                kNoSuchName));
  ASSERT_TRUE(found_ && !*found_);
  EXPECT_EQ(found_->error().code, ErrorCode::host_unreachable);
  found_.reset();
  look_up("a.example");
  names_.answer(2, answer(names_.calls[2]->query, {}));
  names_.answer(3, answer(names_.calls[3]->query, {}));
  ASSERT_TRUE(found_ && !*found_);
  EXPECT_EQ(found_->error().code, ErrorCode::host_unreachable);
  found_.reset();
  look_up("not..a.name");
  ASSERT_TRUE(run_until(loop_, [&] { return found_.has_value(); }));
  EXPECT_EQ(found_->error().code, ErrorCode::usage);
}

TEST_F(LookUpTest, CanBeGivenUp) {
  look_up("a.example");
  attempt_.reset();
  EXPECT_TRUE(names_.calls[0]->cancelled);
}

}  // namespace
}  // namespace tunproxy::dns
