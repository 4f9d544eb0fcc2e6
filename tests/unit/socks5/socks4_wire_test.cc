#include "core/socks5/socks4_wire.h"

#include <gtest/gtest.h>

#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::expect_error;
using testing::expect_round_trip;

template <typename Message>
bool encodes(const Message& message) {
  ByteVector wire;
  return encode(message, wire).has_value();
}

TEST(Socks4Wire, RequestsMakeTheRoundTrip) {
  for (const std::string& user : {std::string(), std::string("me"), std::string(255, 'u')}) {
    expect_round_trip(Socks4Request{1, *Target::parse("192.0.2.1:80"), user},
                      decode_socks4_request);
    expect_round_trip(Socks4Request{2, Target::from_host("example.com", 443), user},
                      decode_socks4_request);
    expect_round_trip(Socks4Request{1, Target::from_host(std::string(255, 'n'), 443), user},
                      decode_socks4_request);
  }
}

TEST(Socks4Wire, NamesTravelAsSocks4a) {
  EXPECT_EQ(testing::encoded(Socks4Request{1, Target::from_host("ab", 80), "u"}),
            bytes_of({4, 1, 0, 80, 0, 0, 0, 1, 'u', 0, 'a', 'b', 0}));
}

TEST(Socks4Wire, WhatCannotTravelIsRefused) {
  EXPECT_FALSE(encodes(Socks4Request{1, *Target::parse("[::1]:80"), ""}));
  EXPECT_FALSE(encodes(Socks4Request{1, *Target::parse("0.0.0.7:80"), ""}));
  EXPECT_TRUE(encodes(Socks4Request{1, *Target::parse("0.0.0.0:80"), ""}));
  EXPECT_FALSE(encodes(Socks4Request{1, *Target::parse("1.2.3.4:80"), std::string(256, 'u')}));
  EXPECT_FALSE(encodes(Socks4Request{1, *Target::parse("1.2.3.4:80"), std::string(1, '\0')}));
  EXPECT_FALSE(encodes(Socks4Reply{kSocks4Granted, *Endpoint::parse("[::1]:80")}));
}

TEST(Socks4Wire, WrongRequestsAreErrors) {
  expect_error(bytes_of({5}), ErrorCode::protocol, decode_socks4_request);
  ByteVector long_user = bytes_of({4, 1, 0, 80, 1, 2, 3, 4});
  long_user.resize(long_user.size() + 256, 'u');
  expect_error(long_user, ErrorCode::protocol, decode_socks4_request);
  ByteVector long_name = bytes_of({4, 1, 0, 80, 0, 0, 0, 1, 0});
  long_name.resize(long_name.size() + 256, 'n');
  expect_error(long_name, ErrorCode::protocol, decode_socks4_request);
  expect_error(bytes_of({4, 1, 0, 80, 0, 0, 0, 1, 0, 0}), ErrorCode::protocol,
               decode_socks4_request);
  expect_error(bytes_of({4, 1, 0, 80, 0, 0, 0, 1, 0, ' ', 0}), ErrorCode::protocol,
               decode_socks4_request);
}

TEST(Socks4Wire, RepliesMakeTheRoundTrip) {
  expect_round_trip(Socks4Reply{kSocks4Granted, *Endpoint::parse("192.0.2.1:80")},
                    decode_socks4_reply);
  expect_round_trip(Socks4Reply{kSocks4Rejected, {}}, decode_socks4_reply);
  expect_error(bytes_of({4}), ErrorCode::protocol, decode_socks4_reply);
}

}  // namespace
}  // namespace tunproxy::socks5
