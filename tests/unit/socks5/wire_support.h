// What the tests of all wire formats ask of a message: it survives a round trip, waits for its last
// byte, and takes nothing behind itself.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::testing {

inline ByteVector bytes_of(std::initializer_list<int> values) {
  ByteVector bytes;
  for (const int value : values) bytes.push_back(static_cast<uint8_t>(value));
  return bytes;
}

template <typename Message>
ByteVector encoded(const Message& message) {
  ByteVector wire;
  (void)encode(message, wire);  // what it cannot encode shows as an empty message
  return wire;
}

/// `decode` is a decode_*() of wire code; `wire` is one whole message.
template <typename Decode>
void expect_incremental(const ByteVector& wire, Decode decode) {
  for (size_t length = 0; length < wire.size(); ++length) {
    Bytes input = Bytes(wire).first(length);
    const auto message = decode(input);
    ASSERT_TRUE(message) << "after " << length << " bytes: " << message.error().message;
    EXPECT_FALSE(message->has_value()) << "after " << length << " bytes";
    EXPECT_EQ(input.size(), length) << "bytes of an incomplete message were taken";
  }
  ByteVector with_more = wire;
  with_more.push_back(0xaa);
  Bytes input = with_more;
  const auto message = decode(input);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_TRUE(message->has_value());
  EXPECT_EQ(input.size(), 1u) << "more or less than the message was taken";
}

/// The same, and that the decoded message equals `message`.
template <typename Message, typename Decode>
void expect_round_trip(const Message& message, Decode decode) {
  const ByteVector wire = encoded(message);
  expect_incremental(wire, decode);
  Bytes input = wire;
  const auto decoded = decode(input);
  ASSERT_TRUE(decoded && decoded->has_value());
  EXPECT_TRUE(**decoded == message);
}

template <typename Decode>
void expect_error(ByteVector wire, ErrorCode code, Decode decode) {
  Bytes input = wire;
  const auto message = decode(input);
  ASSERT_FALSE(message) << "was taken";
  EXPECT_EQ(message.error().code, code) << message.error().message;
  EXPECT_FALSE(message.error().message.empty());
}

}  // namespace tunproxy::testing
