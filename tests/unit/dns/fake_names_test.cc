#include "core/dns/fake_names.h"

#include <gtest/gtest.h>

#include "core/dns/fake_answer.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/dns/fake_support.h"

namespace tunproxy::dns {
namespace {

using testing::query_of;
using testing::records_of;
using testing::run_until;
using testing::with_opt;

constexpr uint16_t kTypeMx = 15;
constexpr uint16_t kTypeTxt = 16;
constexpr uint16_t kTypeSrv = 33;
const Endpoint kServer = *Endpoint::parse("198.18.0.2:53");

// The resolver: notes what it is asked, and answers nothing.
class NotingResolver final : public net::NameService {
 public:
  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector>) override {
    EXPECT_EQ(server, kServer);
    queries.emplace_back(query.begin(), query.end());
    return nullptr;
  }
  std::vector<ByteVector> queries;
};

class FakeNamesTest : public ::testing::Test {
 protected:
  // The answer that is made here; nullopt if the resolver was asked.
  std::optional<ByteVector> ask(const ByteVector& query) {
    std::optional<ByteVector> got;
    const size_t before = resolver_.queries.size();
    auto attempt = names_.exchange(kServer, query, [&](Result<ByteVector> answer) {
      ASSERT_TRUE(answer);
      got = std::move(*answer);
      attempt_.reset();  // an owner may end it from within
    });
    attempt_ = std::move(attempt);
    EXPECT_FALSE(got) << "called from within exchange()";
    if (resolver_.queries.size() > before) {
      EXPECT_EQ(resolver_.queries.back(), query);
      return std::nullopt;
    }
    EXPECT_TRUE(run_until(loop_, [&] { return got.has_value(); }));
    return got;
  }
  bool forwarded(const std::string& name, uint16_t type) { return !ask(query_of(name, type)); }

  // The addresses of an answer, after a look at what they must be.
  std::vector<IpAddress> addresses(const std::string& name, uint16_t type) {
    const auto answer = ask(query_of(name, type));
    std::vector<IpAddress> found;
    if (!answer) return found;
    EXPECT_EQ(parse_header(*answer)->response_code(), 0);
    for (const auto& record : records_of(*answer)) {
      EXPECT_EQ(record.owner, name);
      EXPECT_EQ(record.ttl, FakeNames::kTtl);
      EXPECT_EQ(record.type, record.data.size() == 4 ? kTypeA : kTypeAaaa);
      found.push_back(record.data.size() == 4 ? IpAddress::v4(record.data.data())
                                              : IpAddress::v6(record.data.data()));
    }
    return found;
  }

  io::Loop loop_;
  FakeTable table_{0};
  NotingResolver resolver_;
  FakeNames names_{loop_, table_, &resolver_};
  std::unique_ptr<net::Attempt> attempt_;
};

TEST_F(FakeNamesTest, HostsGetAddressesThatStandForThem) {
  const auto v4 = addresses("www.example.com", kTypeA);
  const auto v6 = addresses("www.example.com", kTypeAaaa);
  ASSERT_EQ(v4.size(), 1u);
  ASSERT_EQ(v6.size(), 1u);
  EXPECT_TRUE(v4[0].is_v4());
  EXPECT_TRUE(v6[0].is_v6());
  EXPECT_EQ(*table_.name_of(v4[0]), "www.example.com");
  EXPECT_EQ(*table_.name_of(v6[0]), "www.example.com");
  EXPECT_EQ(addresses("www.example.com", kTypeAny), (std::vector<IpAddress>{v4[0], v6[0]}));
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(FakeNamesTest, TheCaseOfLettersMakesNoOtherName) {
  ASSERT_TRUE(ask(query_of("WWW.example.COM", kTypeA)));
  ASSERT_TRUE(ask(with_opt(query_of("www.example.com", kTypeA))));
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(FakeNamesTest, ServiceBindingsAreEmpty) {
  for (const uint16_t type : {kTypeHttps, kTypeSvcb}) {
    const auto answer = ask(query_of("www.example.com", type));
    ASSERT_TRUE(answer);
    EXPECT_EQ(parse_header(*answer)->response_code(), 0);
    EXPECT_TRUE(records_of(*answer).empty());
  }
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(FakeNamesTest, OtherTypesAreForwarded) {
  for (const uint16_t type : {kTypeMx, kTypeTxt, kTypeSrv, uint16_t{2}, uint16_t{6}, uint16_t{5}}) {
    EXPECT_TRUE(forwarded("www.example.com", type)) << type;
  }
  ByteVector chaos = query_of("version.bind", kTypeA);
  chaos.back() = 3;
  EXPECT_FALSE(ask(chaos));
  ByteVector update = query_of("www.example.com", kTypeA);
  update[2] = 5 << 3;
  EXPECT_FALSE(ask(update));
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(FakeNamesTest, NamesAboutWhichOnlyTheTruthHelpsAreForwarded) {
  for (const char* name : {"", "printer", "wpad", "printer.local", "local", "x.home.arpa",
                           "1.0.0.10.in-addr.arpa", "192.0.2.1"}) {
    EXPECT_TRUE(forwarded(name, kTypeA)) << name;
    EXPECT_TRUE(forwarded(name, kTypeHttps)) << name;
  }
  EXPECT_EQ(addresses("notlocal.example", kTypeA).size(), 1u);
  EXPECT_EQ(addresses("x.mylocal", kTypeA).size(), 1u);
}

TEST_F(FakeNamesTest, LabelsThatWouldReadAsAnotherNameAreForwarded) {
  ByteVector dotted = query_of("axb.example", kTypeA);
  dotted[kHeaderSize + 2] = '.';
  EXPECT_FALSE(ask(dotted));
  ByteVector control = query_of("axb.example", kTypeA);
  control[kHeaderSize + 2] = '\n';
  EXPECT_FALSE(ask(control));
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(FakeNamesTest, SpecialNamesStayHere) {
  EXPECT_EQ(addresses("localhost", kTypeA),
            (std::vector<IpAddress>{*IpAddress::parse("127.0.0.1")}));
  EXPECT_EQ(addresses("x.localhost", kTypeAaaa),
            (std::vector<IpAddress>{*IpAddress::parse("::1")}));
  EXPECT_TRUE(addresses("localhost", kTypeMx).empty());
  const auto answer = ask(query_of("no.invalid", kTypeA));
  ASSERT_TRUE(answer);
  EXPECT_EQ(parse_header(*answer)->response_code(), 3);
  EXPECT_TRUE(resolver_.queries.empty());
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(FakeNamesTest, PointersOfItsAddressesLeadToTheNames) {
  ASSERT_EQ(addresses("www.example.com", kTypeA)[0].to_string(), "198.19.0.1");
  for (const char* name : {"1.0.19.198.in-addr.arpa",
                           "1.0.0.0.3.1.6.c.0.0.0.0.0.0.0.0.0.0.0.0.b.6.6.6.e.6.5.7.4.7.d.f"
                           ".ip6.arpa"}) {
    const auto answer = ask(query_of(name, kTypePtr));
    ASSERT_TRUE(answer);
    const auto records = records_of(*answer);
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(parse_name(*answer, records[0].data_at)->text, "www.example.com");
  }
  const auto unknown = ask(query_of("2.0.19.198.in-addr.arpa", kTypePtr));
  ASSERT_TRUE(unknown);
  EXPECT_EQ(parse_header(*unknown)->response_code(), 3);
  EXPECT_TRUE(forwarded("1.0.18.198.in-addr.arpa", kTypePtr));
  EXPECT_TRUE(forwarded("www.example.com", kTypePtr));
}

TEST_F(FakeNamesTest, SeveralQuestionsAreAFormatError) {
  ByteVector query = query_of("www.example.com", kTypeA);
  query[5] = 2;
  const auto answer = ask(query);
  ASSERT_TRUE(answer);
  EXPECT_EQ(parse_header(*answer)->response_code(), 1);
  EXPECT_EQ(parse_header(*answer)->questions, 1);
  EXPECT_TRUE(records_of(*answer).empty());
}

TEST_F(FakeNamesTest, WhatIsNoQueryIsAnError) {
  const ByteVector query = query_of("www.example.com", kTypeA);
  ByteVector response = query;
  response[2] |= 0x80;
  for (const ByteVector& none : {response, ByteVector(query.begin(), query.end() - 1)}) {
    std::optional<ErrorCode> error;
    const auto attempt = names_.exchange(
        kServer, none, [&](Result<ByteVector> answer) { error = answer.error().code; });
    EXPECT_TRUE(run_until(loop_, [&] { return error.has_value(); }));
    EXPECT_EQ(error, ErrorCode::protocol);
  }
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(FakeNamesTest, WithoutAResolverOtherQuestionsFailAtOnce) {
  FakeNames alone(loop_, table_, nullptr);
  for (const auto& [name, type] : {std::pair("www.example.com", kTypeTxt), {"printer", kTypeA}}) {
    std::optional<ByteVector> got;
    const auto attempt = alone.exchange(kServer, query_of(name, type),
                                        [&](Result<ByteVector> answer) { got = *answer; });
    ASSERT_TRUE(run_until(loop_, [&] { return got.has_value(); }));
    EXPECT_EQ(parse_header(*got)->response_code(), 2);
    EXPECT_EQ(parse_question(*got)->name, name);
  }
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(FakeNamesTest, ACancelledQuestionIsNotAnswered) {
  auto attempt = names_.exchange(kServer, query_of("www.example.com", kTypeA),
                                 [](Result<ByteVector>) { FAIL(); });
  attempt.reset();
  loop_.run_once(false);
}

}  // namespace
}  // namespace tunproxy::dns
