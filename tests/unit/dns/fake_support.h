// DNS messages with any question, and records read back, for the tests of fake answers.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/dns/message.h"
#include "tests/unit/dns/dns_support.h"

namespace tunproxy::testing {

inline ByteVector query_of(std::string_view name, uint16_t type, uint16_t id = 0x1234) {
  ByteVector query = query_for(name, id);
  query[query.size() - 3] = static_cast<uint8_t>(type);
  query[query.size() - 4] = static_cast<uint8_t>(type >> 8);
  return query;
}

/// With an OPT record (RFC 6891) that has an option of `option` bytes.
inline ByteVector with_opt(ByteVector query, uint8_t option = 0) {
  query[11] = 1;
  append(query, ByteVector{0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, option});
  query.resize(query.size() + option);
  return query;
}

struct Record {
  std::string owner;
  uint16_t type = 0;
  uint16_t klass = 0;
  uint32_t ttl = 0;
  ByteVector data;
  size_t data_at = 0;
};

/// All records behind the question; fails the test unless they fill the message to its end.
inline std::vector<Record> records_of(const ByteVector& message) {
  std::vector<Record> records;
  const auto header = dns::parse_header(message);
  const auto question = dns::parse_question(message);
  EXPECT_TRUE(header && question);
  if (!header || !question) return records;
  size_t offset = question->end;
  for (int i = 0; i < header->answers + header->authorities + header->additionals; ++i) {
    const auto owner = dns::parse_name(message, offset);
    EXPECT_TRUE(owner && owner->end + 10 <= message.size());
    if (!owner || owner->end + 10 > message.size()) return records;
    const uint8_t* fixed = &message[owner->end];
    const size_t length = load_be16(fixed + 8);
    EXPECT_LE(owner->end + 10 + length, message.size());
    if (owner->end + 10 + length > message.size()) return records;
    records.push_back({owner->text, load_be16(fixed), load_be16(fixed + 2), load_be32(fixed + 4),
                       ByteVector(fixed + 10, fixed + 10 + length), owner->end + 10});
    offset = owner->end + 10 + length;
  }
  EXPECT_EQ(offset, message.size());
  return records;
}

}  // namespace tunproxy::testing
