#include "tun2socks/dns_answer.h"

#include <gtest/gtest.h>

namespace tunproxy::tun2socks {
namespace {

const ByteVector kQuestion = {1, 'a', 0, 0, 1, 0, 1};
const ByteVector kOpt = {0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0};  // 1232 bytes

ByteVector message(uint16_t flags, uint16_t questions, uint16_t answers, uint16_t additional) {
  ByteVector bytes;
  for (const uint16_t word :
       {uint16_t{0x1234}, flags, questions, answers, uint16_t{0}, additional}) {
    append_be16(bytes, word);
  }
  return bytes;
}

ByteVector query(bool edns) {
  ByteVector bytes = message(0x0100, 1, 0, edns ? 1 : 0);
  append(bytes, kQuestion);
  if (edns) append(bytes, kOpt);
  return bytes;
}

ByteVector answer(int records, bool edns) {
  ByteVector bytes = message(0x8180, 1, static_cast<uint16_t>(records), edns ? 1 : 0);
  append(bytes, kQuestion);
  for (int i = 0; i < records; ++i) {
    append(bytes, ByteVector{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1});
  }
  if (edns) append(bytes, kOpt);
  return bytes;
}

TEST(DnsAnswer, TellsQueries) {
  EXPECT_TRUE(is_dns_query(query(false)));
  EXPECT_TRUE(is_dns_query(query(true)));
  EXPECT_FALSE(is_dns_query(answer(1, false)));
  EXPECT_FALSE(is_dns_query(message(0x0100, 1, 0, 0)));
  ByteVector cut = query(false);
  cut.pop_back();
  EXPECT_FALSE(is_dns_query(cut));
  EXPECT_FALSE(is_dns_query({}));
}

TEST(DnsAnswer, LimitIsTheClientsOwn) {
  EXPECT_EQ(dns_answer_limit(query(false)), 512U);
  EXPECT_EQ(dns_answer_limit(query(true)), 1232U);
  ByteVector tiny = query(true);
  store_be16(&tiny[tiny.size() - 8], 100);
  EXPECT_EQ(dns_answer_limit(tiny), 512U) << "RFC 6891 §6.2.3";
}

TEST(DnsAnswer, TruncatesToHeaderQuestionAndOpt) {
  const ByteVector whole = answer(60, true);
  EXPECT_EQ(fit_dns_answer(whole, whole.size()), whole);
  const ByteVector cut = fit_dns_answer(whole, 512);
  ByteVector expected = message(0x8380, 1, 0, 1);
  append(expected, kQuestion);
  append(expected, kOpt);
  EXPECT_EQ(cut, expected);
}

TEST(DnsAnswer, TruncatesGarbageToAHeader) {
  ByteVector garbage(600, 0xc1);
  const ByteVector cut = fit_dns_answer(garbage, 512);
  EXPECT_EQ(cut.size(), 12U);
  EXPECT_EQ(load_be16(&cut[4]), 0);
  EXPECT_EQ(fit_dns_answer(ByteVector(3), 2).size(), 3U);
}

}  // namespace
}  // namespace tunproxy::tun2socks
