#include "core/dns/fake_answer.h"

#include <gtest/gtest.h>

#include "tests/unit/dns/fake_support.h"

namespace tunproxy::dns {
namespace {

using testing::query_of;
using testing::records_of;
using testing::with_opt;

const IpAddress kV4 = *IpAddress::parse("198.19.1.2");
const IpAddress kV6 = *IpAddress::parse("fd74:756e:666b::1");

ByteVector addresses(const ByteVector& query, const std::vector<IpAddress>& list) {
  return address_answer(query, *parse_question(query), list, 5);
}

TEST(FakeAnswer, HasTheAddressesUnderTheNameThatWasAsked) {
  const ByteVector answer = addresses(query_of("www.Example.com", kTypeAny), {kV4, kV6});
  const auto records = records_of(answer);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].owner, "www.example.com");
  EXPECT_EQ(records[0].type, kTypeA);
  EXPECT_EQ(records[0].klass, kClassIn);
  EXPECT_EQ(records[0].ttl, 5u);
  EXPECT_EQ(records[0].data, (ByteVector{198, 19, 1, 2}));
  EXPECT_EQ(records[1].type, kTypeAaaa);
  EXPECT_EQ(records[1].data, ByteVector(kV6.bytes().begin(), kV6.bytes().end()));
  EXPECT_EQ(parse_header(answer)->answers, 2);
}

TEST(FakeAnswer, RepeatsIdQuestionAndWhatTheClientWants) {
  ByteVector query = query_of("www.Example.com", kTypeA, 0xbeef);
  query[3] = 0x30;  // AD and CD
  const ByteVector answer = addresses(query, {kV4});
  EXPECT_EQ(load_be16(&answer[0]), 0xbeef);
  EXPECT_EQ(load_be16(&answer[2]), 0x8190);  // QR, RD, RA, CD; neither AA nor AD
  const size_t end = parse_question(query)->end;
  EXPECT_TRUE(std::equal(query.begin() + kHeaderSize, query.begin() + static_cast<ptrdiff_t>(end),
                         answer.begin() + kHeaderSize));  // the case of its letters too
  query[2] = 0;                                           // no recursion desired
  EXPECT_EQ(load_be16(&addresses(query, {kV4})[2]), 0x8090);
}

TEST(FakeAnswer, AnEmptyOneSaysWhy) {
  const ByteVector query = query_of("a.example", kTypeHttps);
  const ByteVector none = empty_answer(query, *parse_question(query), kNoError);
  EXPECT_TRUE(records_of(none).empty());
  EXPECT_EQ(parse_header(none)->response_code(), 0);
  EXPECT_EQ(parse_header(none)->questions, 1);
  const ByteVector no_name = empty_answer(query, *parse_question(query), kNoSuchName);
  EXPECT_EQ(parse_header(no_name)->response_code(), 3);
}

TEST(FakeAnswer, ExtensionsAreAnsweredWhereTheyWereUsed) {
  for (const uint8_t option : {uint8_t{0}, uint8_t{12}}) {
    const ByteVector answer = addresses(with_opt(query_of("a.example", kTypeA), option), {kV4});
    const auto records = records_of(answer);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(parse_header(answer)->additionals, 1);
    EXPECT_EQ(records[1].owner, "");
    EXPECT_EQ(records[1].type, 41);
    EXPECT_GE(records[1].klass, 512);  // the size of its datagrams
    EXPECT_EQ(records[1].ttl, 0u);     // version 0, no flags
    EXPECT_TRUE(records[1].data.empty());
  }
}

TEST(FakeAnswer, OtherOrMalformedRecordsInTheQueryAreNoExtensions) {
  const ByteVector whole = with_opt(query_of("a.example", kTypeA));
  const size_t end = parse_question(whole)->end;
  for (size_t length = end; length < whole.size(); ++length) {
    const ByteVector cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    EXPECT_EQ(records_of(addresses(cut, {kV4})).size(), 1u) << length;
  }
  ByteVector other = whole;
  other[end + 2] = 16;  // TXT
  EXPECT_EQ(records_of(addresses(other, {kV4})).size(), 1u);
  append(other, Bytes(whole).subspan(end));  // and then an OPT
  other[11] = 2;
  EXPECT_EQ(records_of(addresses(other, {kV4})).size(), 2u);
}

TEST(FakeAnswer, APointerLeadsToTheName) {
  const ByteVector query = query_of("2.1.19.198.in-addr.arpa", kTypePtr);
  const ByteVector answer = pointer_answer(query, *parse_question(query), "www.example.com", 5);
  const auto records = records_of(answer);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].type, kTypePtr);
  EXPECT_EQ(records[0].owner, "2.1.19.198.in-addr.arpa");
  const auto name = parse_name(answer, records[0].data_at);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->text, "www.example.com");
  EXPECT_EQ(name->end, answer.size());
}

TEST(FakeAnswer, ReverseNamesAreRead) {
  EXPECT_EQ(reversed_address("2.1.19.198.in-addr.arpa"), kV4);
  EXPECT_EQ(reversed_address("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.6.6.6.e.6.5.7.4.7.d.f"
                             ".ip6.arpa"),
            kV6);
  for (const char* text :
       {"", "in-addr.arpa", ".in-addr.arpa", "1.19.198.in-addr.arpa", "0.2.1.19.198.in-addr.arpa",
        "256.1.19.198.in-addr.arpa", "02.1.19.198.in-addr.arpa", "-2.1.19.198.in-addr.arpa",
        "2..19.198.in-addr.arpa", "x.1.19.198.in-addr.arpa", "2.1.19.198.ip6.arpa",
        "2.1.19.198.in-addr.arpa.example", "2.1.19.198",
        "10.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.6.6.6.e.6.5.7.4.7.d.f.ip6.arpa"}) {
    EXPECT_FALSE(reversed_address(text)) << text;
  }
}

}  // namespace
}  // namespace tunproxy::dns
