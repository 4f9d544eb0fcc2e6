#include "tun2socks/siphash.h"

#include <bit>
#include <random>

namespace tunproxy::tun2socks {
namespace {

struct State {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

uint64_t load_le64(const uint8_t* from, size_t n) {
  uint64_t word = 0;
  for (size_t i = n; i-- > 0;) word = word << 8 | from[i];
  return word;
}

uint64_t random_word(std::random_device& source) {
  return static_cast<uint64_t>(source()) << 32 | source();
}

}  // namespace

SipHash::SipHash() : key_() {
  std::random_device source;
  key_ = {random_word(source), random_word(source)};
}

uint64_t SipHash::operator()(Bytes bytes) const {
  State state{key_[0] ^ 0x736f6d6570736575ULL, key_[1] ^ 0x646f72616e646f6dULL,
              key_[0] ^ 0x6c7967656e657261ULL, key_[1] ^ 0x7465646279746573ULL};
  const uint64_t length = static_cast<uint64_t>(bytes.size()) << 56;
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) state.absorb(load_le64(bytes.data(), 8));
  state.absorb(length | load_le64(bytes.data(), bytes.size()));
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace tunproxy::tun2socks
