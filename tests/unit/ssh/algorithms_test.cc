// The algorithms that are asked for are the ones that are offered, and a server without them is
// told from one that cannot be reached.
#include "core/ssh/algorithms.h"

#include <gmock/gmock.h>

#include "core/ssh/fingerprint.h"
#include "tests/unit/ssh/session_fixture.h"

namespace tunproxy::ssh {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

ByteVector kexinit(std::initializer_list<std::string_view> lists) {
  ByteVector packet(17);
  for (const std::string_view list : lists) append_string(packet, as_bytes(list));
  return packet;
}

const Algorithms kOffered{"aes128-ctr,aes256-gcm@openssh.com", "mac1,mac2", "kex1,kex2", "key1",
                          ""};

TEST(Algorithms, WhatIsNotInCommonIsNamedWithBothLists) {
  const auto text = [](std::initializer_list<std::string_view> lists) {
    return no_agreement(kOffered, kexinit(lists)).message;
  };
  EXPECT_THAT(text({"kex3,kex4", "key1"}),
              AllOf(HasSubstr("kex: "), HasSubstr("it has kex3,kex4; we offer kex1,kex2")));
  EXPECT_THAT(text({"kex2", "key2", "", ""}),
              AllOf(HasSubstr("host-key-algorithms: "), HasSubstr("it has key2; we offer key1")));
  EXPECT_THAT(text({"kex2", "key1", "aes128-ctr", "aes192-ctr"}),
              AllOf(HasSubstr("ciphers: "), HasSubstr("it has aes192-ctr")));
  EXPECT_THAT(text({"kex2", "key1", "aes128-ctr", "aes128-ctr", "mac2", "mac3\x1b[2J"}),
              AllOf(HasSubstr("macs: "), HasSubstr("it has mac3?[2J; we offer mac1,mac2")));
  EXPECT_THAT(text({"kex2", "key1", "aes128-ctr", "aes128-ctr", "mac2", ""}),
              HasSubstr("it has none"));
  EXPECT_THAT(text({"kex2"}), HasSubstr("cut off"));
}

TEST(Algorithms, CiphersThatAuthenticateNeedNoMac) {
  const auto packet =
      kexinit({"kex1", "key1", "aes256-gcm@openssh.com", "aes256-gcm@openssh.com", "mac3", "mac3"});
  EXPECT_THAT(no_agreement(kOffered, packet).message, Not(HasSubstr("macs")));
}

TEST(Algorithms, OurOwnListHasAuthenticatedCiphersFirstAndNoCbc) {
  const std::string order = with_defaults({}).ciphers;
  EXPECT_LT(order.find("gcm"), order.find("ctr"));
  EXPECT_LT(order.find("chacha20"), order.find("ctr"));
  EXPECT_EQ(order.find("cbc"), std::string::npos);
  EXPECT_EQ(with_defaults({.macs = "hmac-sha1"}).macs, "hmac-sha1");
}

class AlgorithmsTest : public testing::SessionTest {
 protected:
  /// "" or why there is no session.
  std::string outcome(const Algorithms& algorithms) {
    SessionOptions options;
    options.algorithms = algorithms;
    auto session = open_session(options);
    code_ = session ? std::nullopt : std::optional(session.error().code);
    return session ? "" : session.error().message;
  }
  std::optional<ErrorCode> code_;
};

TEST_F(AlgorithmsTest, EachListIsTheOneThatIsOffered) {
  start_sshd(
      "Ciphers aes192-ctr\nMACs hmac-sha2-512\nKexAlgorithms ecdh-sha2-nistp384\n"
      "HostKeyAlgorithms ssh-ed25519");
  EXPECT_EQ(outcome({}), "");
  const Algorithms right{"aes192-ctr", "hmac-sha2-512", "ecdh-sha2-nistp384", "", ""};
  EXPECT_EQ(outcome(right), "");

  Algorithms wrong = right;
  wrong.macs = "hmac-sha2-256";
  EXPECT_THAT(outcome(wrong), AllOf(HasSubstr("macs: "), HasSubstr("it has hmac-sha2-512;"),
                                    HasSubstr("we offer hmac-sha2-256")));
  EXPECT_EQ(code_, ErrorCode::protocol);
  wrong = right;
  wrong.key_exchanges = "curve25519-sha256,ecdh-sha2-nistp256";
  EXPECT_THAT(outcome(wrong), AllOf(HasSubstr("kex: "), HasSubstr("it has ecdh-sha2-nistp384"),
                                    HasSubstr("we offer curve25519-sha256,ecdh-sha2-nistp256")));
  EXPECT_EQ(code_, ErrorCode::protocol);
  wrong = right;
  wrong.ciphers = "aes256-ctr";
  EXPECT_THAT(outcome(wrong), AllOf(HasSubstr("ciphers: "), HasSubstr("it has aes192-ctr;"),
                                    HasSubstr("we offer aes256-ctr")));
}

TEST_F(AlgorithmsTest, WhatNobodyKnowsIsAMistakeInTheConfiguration) {
  start_sshd();
  EXPECT_THAT(outcome({.macs = "umac-64@openssh.com"}),
              AllOf(HasSubstr("macs: "), HasSubstr("umac-64@openssh.com"), HasSubstr("there are: "),
                    HasSubstr("hmac-sha2-256-etm@openssh.com")));
  EXPECT_EQ(code_, ErrorCode::usage);
  EXPECT_THAT(outcome({.key_exchanges = "sntrup761x25519-sha512@openssh.com"}),
              AllOf(HasSubstr("kex: "), HasSubstr("curve25519-sha256"), Not(HasSubstr("strict"))));
  EXPECT_EQ(outcome({.macs = "umac-64@openssh.com,hmac-sha2-512"}), "") << "one of them is known";
}

}  // namespace
}  // namespace tunproxy::ssh
