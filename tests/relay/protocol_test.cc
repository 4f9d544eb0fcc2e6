// What either helper does with bytes that a client should not send, message by message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/udp/relay_bootstrap.h"
#include "tests/relay/helper_process.h"

namespace tunproxy::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RelayProtocol : public ::testing::TestWithParam<Kind> {
 protected:
  void start(std::vector<std::string> arguments = {}) {
    helper_ = std::make_unique<HelperProcess>(helper_command(GetParam(), std::move(arguments)));
    client_ = std::make_unique<RawClient>(loop_, *helper_);
  }
  /// The helper gives up: it says why to the client and to the log, and ends.
  void expect_complaint() {
    const auto message = client_->next();
    ASSERT_TRUE(message);
    const auto* closed = std::get_if<udp::CloseConnection>(&message->body);
    ASSERT_NE(closed, nullptr);
    EXPECT_FALSE(closed->text.empty());
    EXPECT_TRUE(client_->ended());
    EXPECT_EQ(helper_->wait(loop_), 1);
    EXPECT_THAT(helper_->errors(), HasSubstr("tunproxy-relay: " + closed->text));
    EXPECT_THAT(helper_->errors(), Not(HasSubstr("Traceback")));
  }
  void expect_alive() {
    client_->say(0, udp::Ping{7});
    const auto message = client_->next();
    ASSERT_TRUE(message);
    EXPECT_EQ(std::get<udp::Pong>(message->body), udp::Pong{7});
  }

  io::Loop loop_;
  std::unique_ptr<HelperProcess> helper_;
  std::unique_ptr<RawClient> client_;
};

INSTANTIATE_TEST_SUITE_P(Both, RelayProtocol, ::testing::Values(Kind::cpp, Kind::python),
                         kind_name);

ByteVector encoded(const udp::RelayBody& body) {
  ByteVector bytes;
  EXPECT_TRUE(encode(udp::RelayMessage{1, body}, bytes));
  return bytes;
}

/// The same message with a body that is shorter or longer, and a length that says so.
ByteVector resized(ByteVector message, size_t size) {
  message.resize(size);
  store_be32(message.data(), static_cast<uint32_t>(size - 4));
  return message;
}

TEST_P(RelayProtocol, GivesUpOnGarbageBehindTheHello) {
  start();
  ASSERT_TRUE(client_->greet());
  client_->write(as_bytes("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"));
  expect_complaint();
}

TEST_P(RelayProtocol, GivesUpOnLengthsThatCannotBe) {
  for (const uint32_t length : {0u, 6u, 66001u, 0xffffffffu}) {
    start();
    ASSERT_TRUE(client_->greet());
    ByteVector bytes(4);
    store_be32(bytes.data(), length);
    client_->write(bytes);
    expect_complaint();
  }
}

TEST_P(RelayProtocol, WantsAHelloFirst) {
  start();
  client_->say(1, udp::UdpAssociate{});
  ASSERT_TRUE(client_->ended());
  EXPECT_EQ(helper_->wait(loop_), 1);
  EXPECT_THAT(helper_->errors(), HasSubstr("no hello"));
}

TEST_P(RelayProtocol, WantsTheLengthOfAProgram) {
  start();
  client_->write(as_bytes("#!/usr/bin/env python3\nprint('hello, world')\n"));
  ASSERT_TRUE(client_->ended());
  EXPECT_EQ(helper_->wait(loop_), 1);
}

TEST_P(RelayProtocol, GivesUpOnEveryTruncation) {
  const ByteVector data(20, 'x');
  const udp::UdpPacket to_address{Target(*Endpoint::parse("[::1]:9")), data};
  const udp::UdpPacket to_name{Target::from_host("localhost", 9), data};
  const std::vector<std::pair<ByteVector, size_t>> messages = {
      {encoded(to_address), data.size()},
      {encoded(to_name), data.size()},
      {encoded(udp::UdpAssociate{Target(IpAddress(), 0)}), 0},
      {encoded(udp::UdpAssociateClosed{}), 0},
      {encoded(udp::Ping{}), 0},
  };
  for (const auto& [message, tail] : messages) {
    for (size_t size = 12; size < message.size() - tail; size += size < 16 ? 1 : 3) {
      start();
      ASSERT_TRUE(client_->greet());
      client_->write(resized(message, size));
      SCOPED_TRACE(::testing::Message() << "type " << int{message[4]} << ", size " << size);
      expect_complaint();
    }
  }
}

TEST_P(RelayProtocol, GivesUpOnFieldsThatCannotBe) {
  std::vector<ByteVector> wrong;
  wrong.push_back(resized(encoded(udp::Ping{}), 16));
  wrong.push_back(encoded(udp::UdpPacket{Target(*Endpoint::parse("127.0.0.1:9")), {}}));
  wrong.back()[13] = 1;  // a fragment
  wrong.push_back(encoded(udp::UdpPacket{Target(*Endpoint::parse("127.0.0.1:9")), {}}));
  wrong.back()[14] = 9;  // the type of the address
  wrong.push_back(encoded(udp::UdpPacket{Target::from_host("localhost", 9), {}}));
  wrong.back()[18] = '\n';  // in the name
  wrong.push_back(encoded(udp::Rules{false, {{true, *Cidr::parse("10.0.0.0/8"), {}}}}));
  wrong.back()[13] = 33;  // the length of the prefix
  wrong.push_back(encoded(udp::Rules{false, {{true, *Cidr::parse("10.0.0.0/8"), {256, 300}}}}));
  wrong.back()[16] = 0;  // the last port
  for (const size_t size : {11, 13, 20, 33}) {
    wrong.push_back(resized(encoded(udp::Rules{true, {{true, *Cidr::parse("::/0"), {}}}}), size));
  }
  for (const ByteVector& message : wrong) {
    start();
    ASSERT_TRUE(client_->greet());
    client_->say(1, udp::UdpAssociate{});
    ASSERT_TRUE(client_->next());
    client_->write(message);
    expect_complaint();
  }
}

TEST_P(RelayProtocol, SkipsTypesThatItDoesNotKnow) {
  start();
  ASSERT_TRUE(client_->greet());
  ByteVector unknown = resized(encoded(udp::Ping{}), 5000);
  for (const int type : {0, 77, 229, 255}) {
    unknown[4] = static_cast<uint8_t>(type);
    client_->write(unknown);
  }
  expect_alive();
}

TEST_P(RelayProtocol, TakesMessagesInSmallPieces) {
  start();
  ByteVector bytes;
  ASSERT_TRUE(client_->greet());
  for (const uint8_t byte : encoded(udp::Ping{7})) {
    client_->write({&byte, 1});
    loop_.run_once(false);
  }
  const auto message = client_->next();
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<udp::Pong>(message->body), udp::Pong{7});
}

TEST_P(RelayProtocol, EnforcesItsLimitItself) {
  start({"--max-associations", "1"});
  ASSERT_TRUE(client_->greet());
  client_->say(1, udp::UdpAssociate{});
  client_->say(2, udp::UdpAssociate{});
  const auto opened = client_->next();
  ASSERT_TRUE(opened && std::holds_alternative<udp::UdpAssociateOpened>(opened->body));
  EXPECT_NE(std::get<udp::UdpAssociateOpened>(opened->body).bound.port(), 0);
  const auto refused = client_->next();
  ASSERT_TRUE(refused && refused->connection == 2);
  EXPECT_THAT(std::get<udp::UdpAssociateClosed>(refused->body).text, HasSubstr("too many"));
  client_->say(1, udp::UdpAssociate{});
  expect_complaint();
}

TEST_P(RelayProtocol, GivesUpOnRulesWithoutEnd) {
  start();
  ASSERT_TRUE(client_->greet());
  udp::Rules part{true, {}};
  part.rules.assign(udp::Rules::kMaxEach, {true, *Cidr::parse("10.0.0.0/8"), {}});
  for (size_t sent = 0; sent <= udp::Rules::kMaxRules; sent += part.rules.size()) {
    client_->say(0, part);
  }
  expect_complaint();
}

TEST_P(RelayProtocol, CarriesNoTcpAndNoUnknownAssociation) {
  start();
  ASSERT_TRUE(client_->greet());
  client_->say(5, udp::OpenConnection{Target::from_host("example.org", 80)});
  const auto closed = client_->next();
  ASSERT_TRUE(closed && closed->connection == 5);
  EXPECT_EQ(std::get<udp::CloseConnection>(closed->body).reason, 7);
  const ByteVector data(10, 'x');
  client_->say(99, udp::UdpPacket{Target(*Endpoint::parse("127.0.0.1:9")), data});
  client_->say(99, udp::UdpAssociateClosed{});
  expect_alive();
}

TEST_P(RelayProtocol, GivesUpOnAClientThatNeverReads) {
  start();
  ASSERT_TRUE(client_->greet());
  client_->read(false);
  ByteVector pings;
  for (int i = 0; i < 300000; ++i) append(pings, encoded(udp::Ping{}));
  client_->write(pings);
  EXPECT_EQ(helper_->wait(loop_), 1);
  EXPECT_THAT(helper_->errors(), HasSubstr("does not read"));
}

TEST_P(RelayProtocol, EndsInTheMiddleOfAMessage) {
  start();
  ASSERT_TRUE(client_->greet());
  client_->write(Bytes(encoded(udp::Ping{7})).first(9));
  client_->finish();
  EXPECT_EQ(helper_->wait(loop_), 0);
}

}  // namespace
}  // namespace tunproxy::testing
