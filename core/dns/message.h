// What a forwarder has to know of DNS messages: the header and the question (RFC 1035 §4.1). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::dns {

inline constexpr size_t kHeaderSize = 12;
inline constexpr size_t kMaxMessage = 65535;

/// RFC 1035 §4.1.1; the flags as they are on the wire.
struct Header {
  static constexpr uint16_t kResponse = 0x8000;
  static constexpr uint16_t kTruncated = 0x0200;

  uint16_t id = 0;
  uint16_t flags = 0;
  uint16_t questions = 0;
  uint16_t answers = 0;
  uint16_t authorities = 0;
  uint16_t additionals = 0;

  bool is_response() const { return (flags & kResponse) != 0; }
  uint8_t response_code() const { return flags & 0x0f; }
};

/// RFC 1035 §4.1.2.
struct Question {
  std::string name;  ///< labels joined by dots, letters in lower case; "" is the root
  uint16_t type = 0;
  uint16_t klass = 0;
  size_t end = 0;  ///< where it ends in the message

  /// The same question, wherever it stands.
  bool matches(const Question& other) const {
    return name == other.name && type == other.type && klass == other.klass;
  }
};

/// Error protocol if there are less than 12 bytes.
Result<Header> parse_header(Bytes message);
/// The first question. Error protocol if there is none or it is malformed or cut off.
Result<Question> parse_question(Bytes message);

struct Name {
  std::string text;  ///< as in Question
  size_t end = 0;    ///< behind the name where it began (pointers do not count)
};
/// A name at `offset`. Compression pointers (§4.1.4) only ever lead backwards, so that none loops,
/// and never into the header.
Result<Name> parse_name(Bytes message, size_t offset);

void set_id(MutableBytes message, uint16_t id);  ///< REQUIRES: a header

}  // namespace tunproxy::dns
