#include "tun2socks/checksum.h"

#include <bit>

namespace tunproxy::tun2socks {
namespace {

uint64_t add_with_carry(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum + (sum < a ? 1 : 0);
}

uint64_t load_word(const uint8_t* from) {
  uint64_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}

uint16_t fold(uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(sum);
}

uint16_t swap_bytes(uint16_t value) {
  return static_cast<uint16_t>(value << 8 | value >> 8);
}

uint64_t sum_words(Bytes bytes) {
  // Four independent sums, so that the additions of one round do not wait for each other.
  uint64_t sums[4] = {};
  while (bytes.size() >= 32) {
    for (size_t i = 0; i < 4; ++i)
      sums[i] = add_with_carry(sums[i], load_word(bytes.data() + 8 * i));
    bytes = bytes.subspan(32);
  }
  uint64_t sum = add_with_carry(add_with_carry(sums[0], sums[1]), add_with_carry(sums[2], sums[3]));
  while (bytes.size() >= 8) {
    sum = add_with_carry(sum, load_word(bytes.data()));
    bytes = bytes.subspan(8);
  }
  uint8_t rest[8] = {};
  if (!bytes.empty()) std::memcpy(rest, bytes.data(), bytes.size());
  return add_with_carry(sum, load_word(rest));
}

}  // namespace

void ChecksumBuilder::add(Bytes part) {
  uint16_t sum = fold(sum_words(part));
  if (odd_) sum = swap_bytes(sum);
  sum_ += sum;
  odd_ ^= (part.size() & 1) != 0;
}

void ChecksumBuilder::add_pseudo_header(Bytes source, Bytes destination, uint8_t protocol,
                                        uint32_t length) {
  uint8_t rest[8] = {};
  store_be32(rest, length);
  rest[7] = protocol;
  add(source);
  add(destination);
  add(rest);
}

uint16_t ChecksumBuilder::sum() const {
  const uint16_t folded = fold(sum_);
  return std::endian::native == std::endian::little ? swap_bytes(folded) : folded;
}

uint16_t checksum(Bytes bytes) {
  ChecksumBuilder builder;
  builder.add(bytes);
  return builder.checksum();
}

}  // namespace tunproxy::tun2socks
