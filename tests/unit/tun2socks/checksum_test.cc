#include "tun2socks/checksum.h"

#include <gtest/gtest.h>

#include <random>

#include "tun2socks/siphash.h"

namespace tunproxy::tun2socks {
namespace {

/// As RFC 1071 §4.1 says it, word by word.
uint16_t plain_checksum(Bytes bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += load_be16(&bytes[i]);
  if (bytes.size() % 2 != 0) sum += static_cast<uint32_t>(bytes.back() << 8);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

TEST(Checksum, ExampleOfRfc1071) {
  const ByteVector bytes = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(checksum(bytes), static_cast<uint16_t>(~0xddf2));
}

TEST(Checksum, EveryLengthAgreesWithThePlainSum) {
  std::mt19937 random(1);
  for (size_t length = 0; length < 300; ++length) {
    ByteVector bytes(length);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(length % 3 == 0 ? 0xff : random());
    EXPECT_EQ(checksum(bytes), plain_checksum(bytes)) << length;
  }
}

TEST(Checksum, PartsOfOddLengthAddUpToTheWhole) {
  ByteVector bytes(101);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 37 + 11);
  for (size_t first = 0; first <= 50; ++first) {
    ChecksumBuilder parts;
    parts.add(Bytes(bytes).first(first));
    parts.add(Bytes(bytes).subspan(first, 7));
    parts.add(Bytes(bytes).subspan(first + 7));
    EXPECT_EQ(parts.checksum(), plain_checksum(bytes)) << first;
  }
}

TEST(SipHash, ReferenceVector) {
  // The paper's test vector: key 00..0f, input 00..0e.
  const SipHash hash({0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL});
  ByteVector input(15);
  for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(hash(input), 0xa129ca6149be45e5ULL);
}

}  // namespace
}  // namespace tunproxy::tun2socks
