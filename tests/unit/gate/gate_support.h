// What the tests of the gates share: a keeper with rules as text, names that the test answers, and
// a stream proxy that can bind.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/dns/message.h"
#include "core/gate/address_records.h"
#include "core/gate/gatekeeper.h"
#include "core/io/delivery.h"
#include "core/net/name_service.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/socks5/fake_proxy.h"

namespace tunproxy::testing {

/// Answers A and AAAA from a table, from the loop.
class TableNames final : public net::NameService {
 public:
  explicit TableNames(io::Loop& loop) : loop_(loop) {}

  std::unique_ptr<net::Attempt> exchange(const Endpoint&, Bytes query,
                                         net::Done<ByteVector> done) override {
    ++queries;
    auto attempt = std::make_unique<Exchange>(loop_, std::move(done));
    if (!silent) attempt->delivery.settle(answer(query));
    return attempt;
  }

  std::map<std::string, std::vector<std::string>> table;
  uint32_t ttl = 60;
  unsigned queries = 0;
  bool silent = false;
  uint8_t code = 0;  ///< RCODE of all answers

 private:
  struct Exchange final : net::Attempt {
    Exchange(io::Loop& loop, net::Done<ByteVector> done) : delivery(loop, std::move(done)) {}
    io::Delivery<ByteVector> delivery;
  };

  ByteVector answer(Bytes query) const {
    const auto question = dns::parse_question(query);
    EXPECT_TRUE(question);
    ByteVector message(query.begin(), query.end());
    message[2] |= 0x80;
    message[3] = static_cast<uint8_t>(message[3] | code);
    const auto found = table.find(question->name);
    if (found == table.end()) return message;
    for (const std::string& text : found->second) {
      const IpAddress address = *IpAddress::parse(text);
      if ((question->type == gate::kTypeA) != address.is_v4()) continue;
      ++message[7];
      append(message, ByteVector{0xc0, 12});
      append_be16(message, question->type);
      append_be16(message, 1);
      append_be16(message, static_cast<uint16_t>(ttl >> 16));
      append_be16(message, static_cast<uint16_t>(ttl));
      append_be16(message, static_cast<uint16_t>(address.bytes().size()));
      append(message, address.bytes());
    }
    return message;
  }

  io::Loop& loop_;
};

class GateTest : public ::testing::Test {
 protected:
  GateTest() {
    keeper_.lookup().use(&names_);
    keeper_.set_direct(&direct_, nullptr);
  }

  void set_rules(const std::string& text) {
    auto parsed = rules::parse_rules(text);
    ASSERT_TRUE(parsed) << parsed.error().message;
    keeper_.set_rules(std::make_shared<rules::RuleSet>(std::move(*parsed)));
  }
  bool until(const std::function<bool()>& condition) { return run_until(loop_, condition); }
  uint64_t dropped(account::Drop reason) const {
    return account_.counters().drops[static_cast<size_t>(reason)];
  }
  uint64_t refused(ErrorCode code) const {
    return account_.counters().refused[static_cast<size_t>(code)];
  }
  static Target target(const std::string& text) { return *Target::parse(text, 80); }

  io::Loop loop_;
  account::Account account_{loop_};
  TableNames names_{loop_};
  FakeProxy tunnel_{loop_};
  FakeProxy direct_{loop_};
  gate::Gatekeeper keeper_{loop_, account_};
};

}  // namespace tunproxy::testing
