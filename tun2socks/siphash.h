// SipHash-2-4, a keyed hash whose values an attacker cannot foresee: for initial sequence numbers
// and hash tables.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/bytes.h"

namespace tunproxy::tun2socks {

class SipHash {
 public:
  /// With a random key of its own.
  SipHash();
  explicit SipHash(std::array<uint64_t, 2> key) : key_(key) {}

  uint64_t operator()(Bytes bytes) const;

 private:
  std::array<uint64_t, 2> key_;
};

}  // namespace tunproxy::tun2socks
