#include "core/ssh/host_key_policy.h"

#include <gmock/gmock.h>

#include "core/ssh/fingerprint.h"
#include "core/ssh/key_file.h"
#include "core/ssh/known_hosts.h"
#include "tests/unit/ssh_login/scripted_prompter.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::ssh {
namespace {

using ::testing::HasSubstr;
using testing::make_key;
using testing::read_file;
using testing::ScratchDirectory;
using testing::ScriptedPrompter;
using testing::write_file;

class HostKeyPolicyTest : public ::testing::Test {
 protected:
  HostKeyPolicyTest() {
    check_.host = "server.example";
    check_.user_files = {file_};
    check_.policy = HostKeyPolicy::ask;
    check_.prompter = &user_;
    check_.cancelled = &cancelled_;
  }

  void know(const std::string& text) { write_file(file_, text); }
  bool remembered() {
    return KnownHosts::load({file_}).look_up({"server.example", 22}, key_.blob).verdict ==
           KnownHosts::Verdict::match;
  }
  std::string refusal() {
    const auto result = check_host_key(check_, key_);
    if (result) return "trusted";
    EXPECT_EQ(result.error().code, ErrorCode::host_key_refused);
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
    return result.error().message;
  }

  ScratchDirectory scratch_;
  std::string file_ = scratch_.path("known_hosts");
  std::string text_ = make_key(scratch_.path("key"), {"-t", "ed25519"});
  std::string other_ = make_key(scratch_.path("other"), {"-t", "ecdsa"});
  HostKey key_{"ssh-ed25519", parse_public_key(text_)};
  std::string print_ = fingerprint(key_.blob);
  ScriptedPrompter user_;
  io::Event cancelled_;
  HostKeyCheck check_;
};

TEST_F(HostKeyPolicyTest, KnownKeyNeedsNoQuestion) {
  know("server.example " + text_);
  EXPECT_EQ(refusal(), "trusted");
  EXPECT_TRUE(user_.questions.empty());
}

TEST_F(HostKeyPolicyTest, AQuestionThatIsWithdrawnIsNoRefusal) {
  user_.on_ask = [&] { cancelled_.set(); };
  const auto result = check_host_key(check_, key_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::cancelled);
  EXPECT_FALSE(remembered());
}

TEST_F(HostKeyPolicyTest, YesIsRemembered) {
  user_.answers = {"yes"};
  EXPECT_EQ(refusal(), "trusted");
  EXPECT_THAT(user_.shown, HasSubstr("ED25519 key fingerprint is " + print_));
  EXPECT_THAT(user_.questions.at(0),
              HasSubstr("Are you sure you want to continue connecting (yes/no/[fingerprint])?"));
  EXPECT_TRUE(user_.echoes.at(0));
  EXPECT_TRUE(remembered());
}

TEST_F(HostKeyPolicyTest, TheFingerprintIsConsentAnotherIsNot) {
  user_.answers = {"y", "SHA256:" + std::string(43, 'A'), " " + print_ + " "};
  EXPECT_EQ(refusal(), "trusted");
  EXPECT_EQ(user_.questions.size(), 3U);
  EXPECT_TRUE(remembered());
}

TEST_F(HostKeyPolicyTest, NoIsRefused) {
  user_.answers = {"no"};
  EXPECT_THAT(refusal(), HasSubstr("was not confirmed"));
  EXPECT_FALSE(remembered());
}

TEST_F(HostKeyPolicyTest, SilenceIsRefused) {
  EXPECT_THAT(refusal(), HasSubstr("nobody"));
  EXPECT_FALSE(remembered());
}

TEST_F(HostKeyPolicyTest, TheUserIsKnownToBeAsked) {
  std::atomic<bool> asking = false;
  bool was_asking = false;
  check_.asking = &asking;
  user_.answers = {"yes"};
  user_.on_ask = [&] { was_asking = asking; };
  EXPECT_EQ(refusal(), "trusted");
  EXPECT_TRUE(was_asking);
  EXPECT_FALSE(asking);
}

TEST_F(HostKeyPolicyTest, AskingNobodyIsStrict) {
  check_.prompter = nullptr;
  EXPECT_THAT(refusal(), HasSubstr(print_));
}

TEST_F(HostKeyPolicyTest, StrictDoesNotAsk) {
  check_.policy = HostKeyPolicy::strict;
  user_.answers = {"yes"};
  EXPECT_THAT(refusal(), HasSubstr("is not known"));
  EXPECT_TRUE(user_.questions.empty());
}

TEST_F(HostKeyPolicyTest, AcceptNewRemembersWithoutAsking) {
  check_.policy = HostKeyPolicy::accept_new;
  EXPECT_EQ(refusal(), "trusted");
  EXPECT_TRUE(user_.questions.empty());
  EXPECT_EQ(read_file(file_), "server.example " + text_.substr(0, text_.rfind(' ')) + "\n");
}

TEST_F(HostKeyPolicyTest, AChangedKeyIsRefusedUnderEveryPolicy) {
  know("# first\nserver.example " + other_);
  const std::string before = read_file(file_);
  user_.answers = {"yes", "yes", "yes"};
  for (const auto policy : {HostKeyPolicy::strict, HostKeyPolicy::ask, HostKeyPolicy::accept_new}) {
    check_.policy = policy;
    const std::string message = refusal();
    EXPECT_THAT(message, HasSubstr("has changed"));
    EXPECT_THAT(message, HasSubstr("ED25519 " + print_));
    EXPECT_THAT(message, HasSubstr("ECDSA " + fingerprint(parse_public_key(other_))));
    EXPECT_THAT(message, HasSubstr(file_ + ":2"));
    EXPECT_THAT(message, HasSubstr("ssh-keygen -f '" + file_ + "' -R 'server.example'"));
    EXPECT_THAT(user_.shown, HasSubstr("HAS CHANGED"));
  }
  EXPECT_TRUE(user_.questions.empty());
  EXPECT_EQ(read_file(file_), before);
}

TEST_F(HostKeyPolicyTest, ARevokedKeyIsRefused) {
  know("server.example " + text_ + "@revoked * " + text_);
  check_.policy = HostKeyPolicy::accept_new;
  EXPECT_THAT(refusal(), HasSubstr("revoked at " + file_ + ":2"));
}

TEST_F(HostKeyPolicyTest, WhereAnAuthorityIsKnownAPlainKeyIsNotTakenAsNew) {
  know("@cert-authority *.example " + other_);
  for (const auto policy : {HostKeyPolicy::strict, HostKeyPolicy::accept_new}) {
    check_.policy = policy;
    EXPECT_THAT(refusal(), HasSubstr("it shows no certificate, though an authority is known for it "
                                     "(" +
                                     file_ + ":1)"));
  }
  check_.policy = HostKeyPolicy::ask;
  user_.answers = {"yes"};
  EXPECT_EQ(refusal(), "trusted");
  EXPECT_THAT(user_.shown, HasSubstr("it shows no certificate"));
}

TEST_F(HostKeyPolicyTest, WhereNoFileKeepsItItIsAcceptedForTheRun) {
  // One that cannot be made, and one that takes everything and keeps nothing.
  for (const char* file : {"/proc/nothing/known_hosts", "/dev/null"}) {
    AcceptedKeys accepted;
    check_.accepted = &accepted;
    check_.user_files = {file};
    check_.prompter = &user_;
    user_.questions.clear();
    user_.answers = {"yes"};
    EXPECT_EQ(refusal(), "trusted");
    EXPECT_EQ(user_.questions.size(), 1U);
    check_.prompter = nullptr;
    EXPECT_EQ(refusal(), "trusted") << "the next connection asks nobody";
    EXPECT_EQ(known_hosts(check_).host_key_algorithms({"server.example", 22}, {}).substr(0, 11),
              "ssh-ed25519");
    const HostKey former = key_;
    key_ = {"ecdsa-sha2-nistp256", parse_public_key(other_)};
    check_.policy = HostKeyPolicy::accept_new;
    const std::string message = refusal();
    EXPECT_THAT(message, HasSubstr("has changed"));
    EXPECT_THAT(message, HasSubstr("(accepted in this run)"));
    EXPECT_THAT(message, HasSubstr("start it anew"));
    key_ = former;
    check_.policy = HostKeyPolicy::ask;
  }
}

TEST_F(HostKeyPolicyTest, AKeyThatAFileKeepsIsForgottenWithItsLine) {
  AcceptedKeys accepted;
  check_.accepted = &accepted;
  check_.policy = HostKeyPolicy::accept_new;
  EXPECT_EQ(refusal(), "trusted");
  EXPECT_TRUE(accepted.all().empty());
  know("");
  check_.policy = HostKeyPolicy::strict;
  EXPECT_THAT(refusal(), HasSubstr("is not known"));
}

TEST_F(HostKeyPolicyTest, LinesOfTheConfigurationCountAsThoseOfAFile) {
  check_.policy = HostKeyPolicy::strict;
  check_.lines = {"elsewhere.example " + text_, "*.example " + text_};
  EXPECT_EQ(refusal(), "trusted");
  check_.lines = {"server.example " + other_};
  const std::string message = refusal();
  EXPECT_THAT(message, HasSubstr("has changed"));
  EXPECT_THAT(message, HasSubstr("(known-host, entry 1)"));
  EXPECT_THAT(message, HasSubstr("take the old one out of known-host"));
  check_.lines = {"server.example " + text_, "@revoked * " + text_};
  EXPECT_THAT(refusal(), HasSubstr("revoked at known-host, entry 2"));
}

TEST_F(HostKeyPolicyTest, AProgramThatDecidesGetsTheLineToKeep) {
  class Deciding final : public Prompter {
   public:
    void show(std::string_view) override {}
    Result<Secret> ask(std::string_view, bool, const io::Event&) override {
      return Error{ErrorCode::general, "not asked"};
    }
    Result<Trust> trust(const UnknownHostKey& key, const io::Event&) override {
      line = key.line;
      return Trust::yes;
    }
    std::string line;
  };
  Deciding program;
  check_.port = 2222;
  check_.prompter = &program;
  EXPECT_EQ(refusal(), "trusted");
  check_ = {};
  check_.host = "server.example";
  check_.port = 2222;
  check_.lines = {program.line};
  EXPECT_EQ(refusal(), "trusted") << program.line;
}

TEST_F(HostKeyPolicyTest, OtherNamesOfTheKeyAreShown) {
  know("elsewhere.example " + text_);
  user_.answers = {"no"};
  refusal();
  EXPECT_THAT(user_.shown, HasSubstr(":1: elsewhere.example"));
}

}  // namespace
}  // namespace tunproxy::ssh
