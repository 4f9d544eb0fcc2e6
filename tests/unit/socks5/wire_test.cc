#include "core/socks5/wire.h"

#include <gtest/gtest.h>

#include "core/socks5/address_wire.h"
#include "core/socks5/reply.h"
#include "tests/unit/socks5/wire_support.h"

namespace tunproxy::socks5 {
namespace {

using testing::bytes_of;
using testing::encoded;
using testing::expect_error;
using testing::expect_round_trip;

const std::string kLongName = std::string(200, 'a') + "." + std::string(54, 'b');  // 255

std::vector<Target> all_kinds_of_targets() {
  return {*Target::parse("192.0.2.1:80"), *Target::parse("[2001:db8::1]:65535"),
          Target::from_host("example.com", 443), Target::from_host(kLongName, 1),
          Target::from_host("a", 0)};
}

TEST(Wire, GreetingsMakeTheRoundTrip) {
  expect_round_trip(Greeting{bytes_of({0})}, decode_greeting);
  expect_round_trip(Greeting{bytes_of({0, 2})}, decode_greeting);
  expect_round_trip(Greeting{ByteVector(255, 0x80)}, decode_greeting);
  EXPECT_EQ(encoded(Greeting{bytes_of({0, 2})}), bytes_of({5, 2, 0, 2}));
}

TEST(Wire, WrongGreetingsAreErrors) {
  expect_error(bytes_of({4}), ErrorCode::protocol, decode_greeting);
  expect_error(bytes_of({5, 0}), ErrorCode::protocol, decode_greeting);
}

TEST(Wire, GreetingKnowsWhatItOffers) {
  const Greeting greeting{bytes_of({1, 2})};
  EXPECT_TRUE(greeting.offers(Method::user_password));
  EXPECT_FALSE(greeting.offers(Method::none));
}

TEST(Wire, MethodChoicesMakeTheRoundTrip) {
  for (const Method method : {Method::none, Method::user_password, Method::no_acceptable}) {
    expect_round_trip(MethodChoice{method}, decode_method_choice);
  }
  expect_error(bytes_of({'H'}), ErrorCode::protocol, decode_method_choice);
}

TEST(Wire, CredentialsMakeTheRoundTrip) {
  expect_round_trip(Credentials{"u", "p"}, decode_credentials);
  expect_round_trip(Credentials{std::string(255, 'u'), std::string(255, '\0')}, decode_credentials);
  EXPECT_EQ(encoded(Credentials{"ab", "c"}), bytes_of({1, 2, 'a', 'b', 1, 'c'}));
}

TEST(Wire, WrongCredentialsAreErrors) {
  expect_error(bytes_of({5}), ErrorCode::protocol, decode_credentials);
  expect_error(bytes_of({1, 0}), ErrorCode::protocol, decode_credentials);
  expect_error(bytes_of({1, 1, 'u', 0}), ErrorCode::protocol, decode_credentials);
}

TEST(Wire, CredentialsThatDoNotFitAreRefused) {
  EXPECT_TRUE((Credentials{"u", "p"}.check()));
  EXPECT_FALSE((Credentials{"", "p"}.check()));
  EXPECT_FALSE((Credentials{"u", ""}.check()));
  EXPECT_FALSE((Credentials{std::string(256, 'u'), "p"}.check()));
}

TEST(Wire, CredentialsStatusMakesTheRoundTrip) {
  expect_round_trip(CredentialsStatus{0}, decode_credentials_status);
  expect_round_trip(CredentialsStatus{255}, decode_credentials_status);
  expect_error(bytes_of({5}), ErrorCode::protocol, decode_credentials_status);
}

TEST(Wire, RequestsMakeTheRoundTrip) {
  for (const Target& target : all_kinds_of_targets()) {
    for (const Command command : {Command::connect, Command::bind, Command::udp_associate,
                                  Command::udp_in_tcp, static_cast<Command>(200)}) {
      expect_round_trip(Request{command, target}, decode_request);
    }
  }
  EXPECT_EQ(encoded(Request{Command::connect, Target::from_host("ab", 258)}),
            bytes_of({5, 1, 0, 3, 2, 'a', 'b', 1, 2}));
  EXPECT_EQ(encoded(Request{Command::connect, *Target::parse("1.2.3.4:5")}),
            bytes_of({5, 1, 0, 1, 1, 2, 3, 4, 0, 5}));
}

TEST(Wire, AnAddressThatTravelsAsNameBecomesOne) {
  const ByteVector wire = bytes_of({5, 1, 0, 3, 7, '1', '.', '2', '.', '3', '.', '4', 0, 80});
  Bytes input = wire;
  const auto request = decode_request(input);
  ASSERT_TRUE(request && *request);
  EXPECT_EQ((*request)->target, *Target::parse("1.2.3.4:80"));
}

TEST(Wire, ReservedByteOfARequestMayBeAnything) {
  const ByteVector wire = bytes_of({5, 1, 0x20, 1, 1, 2, 3, 4, 0, 80});
  Bytes input = wire;
  EXPECT_TRUE(decode_request(input)->has_value());
}

TEST(Wire, WrongRequestsAreErrors) {
  expect_error(bytes_of({4}), ErrorCode::protocol, decode_request);
  expect_error(bytes_of({5, 1, 0, 2}), ErrorCode::address_not_supported, decode_request);
  expect_error(bytes_of({5, 1, 0, 3, 0, 0, 80}), ErrorCode::protocol, decode_request);
  expect_error(bytes_of({5, 1, 0, 3, 2, 'a', '\n', 0, 80}), ErrorCode::protocol, decode_request);
  expect_error(bytes_of({5, 1, 0, 3, 1, 0, 0, 80}), ErrorCode::protocol, decode_request);
}

TEST(Wire, RepliesMakeTheRoundTrip) {
  for (const Target& bound : all_kinds_of_targets()) {
    for (const int code : {0, 1, 8, 255}) {
      expect_round_trip(Reply{static_cast<uint8_t>(code), bound}, decode_reply);
    }
  }
  EXPECT_EQ(encoded(Reply{5, {}}), bytes_of({5, 5, 0, 1, 0, 0, 0, 0, 0, 0}));
  expect_error(bytes_of({5, 0, 0, 9}), ErrorCode::protocol, decode_reply);
}

TEST(Wire, DatagramsMakeTheRoundTrip) {
  const ByteVector data = bytes_of({1, 2, 3});
  for (const Target& address : all_kinds_of_targets()) {
    for (const Bytes payload : {Bytes(), Bytes(data)}) {
      const ByteVector wire = encoded(Datagram{7, address, payload});
      EXPECT_EQ(wire.size(), 3 + address_size(address) + payload.size());
      const auto decoded = decode_datagram(wire);
      ASSERT_TRUE(decoded);
      EXPECT_EQ(decoded->fragment, 7);
      EXPECT_EQ(decoded->address, address);
      EXPECT_TRUE(
          std::equal(decoded->data.begin(), decoded->data.end(), payload.begin(), payload.end()));
    }
  }
}

TEST(Wire, ACutOffDatagramIsAnError) {
  for (const Target& address : all_kinds_of_targets()) {
    const ByteVector wire = encoded(Datagram{0, address, {}});
    for (size_t length = 0; length < wire.size(); ++length) {
      EXPECT_FALSE(decode_datagram(Bytes(wire).first(length))) << length;
    }
  }
  EXPECT_FALSE(decode_datagram(bytes_of({0, 0, 0, 9, 1, 2, 3, 4, 5, 6})));
}

TEST(Wire, TheFirstByteTellsTheProtocol) {
  EXPECT_EQ(detect(5), Protocol::socks5);
  EXPECT_EQ(detect(4), Protocol::socks4);
  for (const char first : {'G', 'C', 'P', 'A', 'Z'}) {
    EXPECT_EQ(detect(static_cast<uint8_t>(first)), Protocol::http);
  }
  for (const int other : {0, 1, 6, 22, 97, 255}) {
    EXPECT_EQ(detect(static_cast<uint8_t>(other)), Protocol::unknown);
  }
}

TEST(Reply, EveryFlowErrorMakesTheRoundTrip) {
  for (const ErrorCode code :
       {ErrorCode::general, ErrorCode::not_allowed, ErrorCode::network_unreachable,
        ErrorCode::host_unreachable, ErrorCode::refused, ErrorCode::timed_out,
        ErrorCode::command_not_supported, ErrorCode::address_not_supported}) {
    EXPECT_EQ(error_for_reply(reply_for_error(code)), code) << to_string(code);
  }
}

TEST(Reply, CodesAreThoseOfTheRfc) {
  EXPECT_EQ(reply_for_error(ErrorCode::general), 1);
  EXPECT_EQ(reply_for_error(ErrorCode::not_allowed), 2);
  EXPECT_EQ(reply_for_error(ErrorCode::network_unreachable), 3);
  EXPECT_EQ(reply_for_error(ErrorCode::host_unreachable), 4);
  EXPECT_EQ(reply_for_error(ErrorCode::refused), 5);
  EXPECT_EQ(reply_for_error(ErrorCode::timed_out), 6);
  EXPECT_EQ(reply_for_error(ErrorCode::command_not_supported), 7);
  EXPECT_EQ(reply_for_error(ErrorCode::address_not_supported), 8);
  EXPECT_EQ(reply_for_error(ErrorCode::server_unreachable), 4);
  EXPECT_EQ(reply_for_error(ErrorCode::reset), 1);
}

TEST(Reply, AnUnknownCodeIsAGeneralFailure) {
  EXPECT_EQ(error_for_reply(200), ErrorCode::general);
  EXPECT_FALSE(reply_text(200).empty());
}

}  // namespace
}  // namespace tunproxy::socks5
