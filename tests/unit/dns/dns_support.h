// DNS messages for tests.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "core/base/bytes.h"

namespace tunproxy::testing {

/// A query for the A record of `name`, recursion desired.
inline ByteVector query_for(std::string_view name, uint16_t id) {
  ByteVector query;
  append_be16(query, id);
  append(query, ByteVector{1, 0, 0, 1, 0, 0, 0, 0, 0, 0});
  while (!name.empty()) {
    const size_t length = std::min(name.find('.'), name.size());
    query.push_back(static_cast<uint8_t>(length));
    append(query, as_bytes(name.substr(0, length)));
    name.remove_prefix(std::min(length + 1, name.size()));
  }
  append(query, ByteVector{0, 0, 1, 0, 1});
  return query;
}

/// An answer to `query` (without records; that is all the same to a forwarder).
inline ByteVector answer_to(ByteVector query) {
  query[2] |= 0x80;
  return query;
}

/// With the length in front, as over TCP.
inline ByteVector framed(const ByteVector& message) {
  ByteVector bytes;
  append_be16(bytes, static_cast<uint16_t>(message.size()));
  append(bytes, message);
  return bytes;
}

}  // namespace tunproxy::testing
