// Cursor: reads a message from the front of some bytes without taking it, so that a parser can give
// up in the middle ("need more") and the caller's bytes are still whole.
#pragma once

#include <algorithm>

#include "core/base/bytes.h"

namespace tunproxy::socks5 {

/// A copy of the position; the caller's span moves in commit() alone. After a read past the end
/// every read yields zeros or nothing, and is_short() says so.
class Cursor {
 public:
  explicit Cursor(Bytes input) : rest_(input) {}

  uint8_t u8() {
    const Bytes bytes = take(1);
    return bytes.empty() ? 0 : bytes[0];
  }
  uint16_t be16() {
    const Bytes bytes = take(2);
    return bytes.empty() ? uint16_t{0} : load_be16(bytes.data());
  }
  uint32_t be32() {
    const Bytes bytes = take(4);
    return bytes.empty() ? 0 : load_be32(bytes.data());
  }
  /// The next `n` bytes, or none at all if there are fewer.
  Bytes take(size_t n) {
    if (n > rest_.size()) short_ = true;
    if (short_) return {};
    const Bytes taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  Bytes take_rest() { return take(rest_.size()); }
  /// The bytes before the next NUL, which is skipped. None, and not short, if `limit` bytes hold no
  /// NUL.
  Bytes take_until_nul(size_t limit, bool* too_long) {
    const Bytes window = rest_.first(std::min(rest_.size(), limit + 1));
    const auto nul = std::find(window.begin(), window.end(), uint8_t{0});
    *too_long = nul == window.end() && window.size() > limit;
    if (nul == window.end()) {
      short_ = short_ || !*too_long;
      return {};
    }
    const Bytes text = take(static_cast<size_t>(nul - window.begin()));
    take(1);
    return text;
  }

  bool is_short() const { return short_; }
  Bytes rest() const { return rest_; }
  /// Moves the caller's span behind what was read. REQUIRES: !is_short()
  void commit(Bytes& input) const { input = rest_; }

 private:
  Bytes rest_;
  bool short_ = false;
};

}  // namespace tunproxy::socks5
