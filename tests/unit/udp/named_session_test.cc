#include "core/udp/named_session.h"

#include <gtest/gtest.h>

#include "core/dns/fake_answer.h"
#include "tests/unit/dns/fake_name_service.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::udp {
namespace {

const Endpoint kServer = *Endpoint::parse("192.0.2.53:53");
const Endpoint kReal = *Endpoint::parse("192.0.2.7:443");

class Recorder final : public net::DatagramSession {
 public:
  explicit Recorder(std::vector<std::string>& sent) : sent_(sent) {}
  void send(const Target& to, Bytes payload) override {
    sent_.push_back(to.to_string() + " " + std::string(as_text(payload)));
  }

 private:
  std::vector<std::string>& sent_;
};

class NamedSessionTest : public ::testing::Test {
 protected:
  void send(const std::string& to, std::string_view text) {
    session_->send(*Target::parse(to), as_bytes(text));
  }
  void answer(size_t call, const std::vector<IpAddress>& addresses, uint32_t ttl = 60) {
    const ByteVector query = names_.calls.at(call)->query;
    names_.answer(call, dns::address_answer(query, *dns::parse_question(query), addresses, ttl));
  }
  using Sent = std::vector<std::string>;

  io::Loop loop_;
  testing::FakeNameService names_;
  Sent sent_;
  NameCache cache_{loop_, names_, kServer};
  std::unique_ptr<NamedSession> session_ =
      std::make_unique<NamedSession>(cache_, std::make_unique<Recorder>(sent_));
};

TEST_F(NamedSessionTest, AddressesPassThrough) {
  send("192.0.2.7:443", "a");
  EXPECT_EQ(sent_, Sent{"192.0.2.7:443 a"});
  EXPECT_TRUE(names_.calls.empty());
}

TEST_F(NamedSessionTest, WhatWaitsGoesInItsOrderAndLaterOnesAtOnce) {
  send("a.example:443", "1");
  send("a.example:80", "2");
  ASSERT_EQ(names_.calls.size(), 1u);
  EXPECT_TRUE(sent_.empty());
  answer(0, {kReal.address});
  send("a.example:443", "3");
  EXPECT_EQ(sent_, (Sent{"192.0.2.7:443 1", "192.0.2.7:80 2", "192.0.2.7:443 3"}));
  NamedSession other(cache_, std::make_unique<Recorder>(sent_));
  other.send(*Target::parse("a.example:1"), as_bytes("4"));
  EXPECT_EQ(sent_.back(), "192.0.2.7:1 4");
  EXPECT_EQ(names_.calls.size(), 1u);
}

TEST_F(NamedSessionTest, ANameWithoutAnAddressIsDroppedAndNotAskedForEachTime) {
  send("a.example:443", "1");
  answer(0, {});
  answer(1, {});
  send("a.example:443", "2");
  EXPECT_TRUE(sent_.empty());
  EXPECT_EQ(names_.calls.size(), 2u);
}

TEST_F(NamedSessionTest, ANameWithoutAnAddressIsRefusedAsSoonAsThatIsKnown) {
  const Target name = *Target::parse("a.example:443");
  EXPECT_FALSE(session_->refuses(name));
  send("a.example:443", "1");
  EXPECT_FALSE(session_->refuses(name));
  answer(0, {});
  answer(1, {});
  EXPECT_EQ(session_->refuses(name), ErrorCode::host_unreachable);
  EXPECT_FALSE(session_->refuses(kReal));
}

TEST_F(NamedSessionTest, FewWaitAndTheOldestGoFirst) {
  for (size_t i = 0; i < NamedSession::kMaxDatagrams + 2; ++i) {
    send("a.example:1", std::to_string(i));
  }
  answer(0, {kReal.address});
  ASSERT_EQ(sent_.size(), NamedSession::kMaxDatagrams);
  EXPECT_EQ(sent_.front(), "192.0.2.7:1 2");
  for (size_t i = 0; i < 2 * NamedSession::kMaxNames; ++i) {
    send("n" + std::to_string(i) + ".example:1", "x");
  }
  EXPECT_EQ(names_.calls.size(), 1 + NamedSession::kMaxNames);
}

TEST_F(NamedSessionTest, TheEndOfASessionEndsItsLookUps) {
  send("a.example:443", "1");
  session_.reset();
  EXPECT_TRUE(names_.calls[0]->cancelled);
}

TEST_F(NamedSessionTest, TheCacheIsBounded) {
  for (size_t i = 0; i <= NameCache::kMaxNames; ++i) {
    send("n" + std::to_string(i) + ".example:1", "x");
    answer(i, {kReal.address});
  }
  EXPECT_EQ(cache_.find("n0.example"), nullptr);
  EXPECT_NE(cache_.find("n" + std::to_string(NameCache::kMaxNames) + ".example"), nullptr);
}

}  // namespace
}  // namespace tunproxy::udp
