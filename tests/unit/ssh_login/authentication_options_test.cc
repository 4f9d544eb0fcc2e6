// What can be chosen about authentication, and logins of several steps, against a real sshd.
#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "core/io/tcp.h"
#include "core/io/timer.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/ssh_login/login_fixture.h"

namespace tunproxy::ssh {
namespace {

using ::testing::HasSubstr;
using testing::kPassword;
using testing::make_key;
using ::testing::Not;
using testing::read_file;
using testing::RealAgent;
using testing::run;
using testing::run_until;
using testing::write_file;

using AuthenticationOptionsTest = testing::LoginTest;

TEST_F(AuthenticationOptionsTest, IdentitiesOnlyLeavesTheAgentsOthersOut) {
  serve();
  RealAgent agent(scratch_);
  const std::string in_agent = make_key(scratch_.path("a"), {"-t", "ed25519"});
  agent.add(scratch_.path("a"));
  make_key(scratch_.path("b"), {"-t", "ed25519"});
  authorize(in_agent);
  auto only = options();
  only.identity_files = {scratch_.path("b")};
  EXPECT_EQ(log_in(only), "") << server_->log();
  only.identities_only = true;
  EXPECT_THAT(log_in(only), HasSubstr("tried: " + scratch_.path("b") + ";"));
  only.identity_files = {scratch_.path("a.pub")};
  EXPECT_EQ(log_in(only), "") << server_->log();
}

TEST_F(AuthenticationOptionsTest, TheAgentsSocketMayBeNamed) {
  serve();
  RealAgent agent(scratch_);
  authorize(make_key(scratch_.path("a"), {"-t", "rsa", "-b", "2048"}));
  agent.add(scratch_.path("a"));
  auto named = options();
  named.agent_socket = "none";
  EXPECT_THAT(log_in(named), HasSubstr("tried: nothing"));
  ::unsetenv("SSH_AUTH_SOCK");
  EXPECT_THAT(log_in(options()), HasSubstr("tried: nothing"));
  named.agent_socket = scratch_.path("agent");
  EXPECT_EQ(log_in(named), "") << server_->log();
  ::setenv("TUNPROXY_TEST_AGENT", scratch_.path("agent").c_str(), 1);
  named.agent_socket = "$TUNPROXY_TEST_AGENT";
  EXPECT_EQ(log_in(named), "") << server_->log();
  ::unsetenv("TUNPROXY_TEST_AGENT");
}

TEST_F(AuthenticationOptionsTest, KeysAndPassphrasesInMemory) {
  serve();
  authorize(make_key(scratch_.path("key"), {"-t", "ecdsa"}, "open sesame"));
  MemoryKey key;
  key.name = "key of profile Home";
  key.content = Secret(read_file(scratch_.path("key")));
  key.passphrase = Secret("open sesame");
  auto memory = options();
  memory.prompter = nullptr;
  memory.keys = {key};
  EXPECT_EQ(log_in(memory), "") << server_->log();

  memory.keys[0].passphrase = Secret("wrong");
  EXPECT_THAT(log_in(memory), HasSubstr("key of profile Home (the passphrase given is wrong)"));
  memory.keys[0].content = Secret("no key");
  EXPECT_THAT(log_in(memory), HasSubstr("key of profile Home: not a private key"));

  memory.keys[0] = key;
  memory.keys[0].passphrase.reset();
  memory.prompter = &user_;
  user_.answers = {"open sesame"};
  EXPECT_EQ(log_in(memory), "") << server_->log();
  EXPECT_THAT(user_.questions.at(0), HasSubstr("key of profile Home"));
}

TEST_F(AuthenticationOptionsTest, ACertificateInMemory) {
  make_key(scratch_.path("authority"), {"-t", "ed25519"});
  serve("TrustedUserCAKeys " + scratch_.path("authority.pub"));
  authorize("");
  make_key(scratch_.path("key"), {"-t", "ed25519"});
  const std::string certificate =
      certify(scratch_.path("authority"), scratch_.path("key"), {"-n", testing::this_user()});
  MemoryKey key;
  key.name = "key";
  key.content = Secret(read_file(scratch_.path("key")));
  key.certificate = read_file(certificate);
  auto memory = options();
  memory.keys = {key};
  EXPECT_EQ(log_in(memory), "") << server_->log();
  memory.keys[0].certificate = "nonsense";
  EXPECT_THAT(log_in(memory), HasSubstr("certificate is none"));
}

TEST_F(AuthenticationOptionsTest, APemKeyTellsItsPublicKeyWhenOpened) {
  serve();
  for (const char* passphrase : {"", "open sesame"}) {
    run({"rm", "-f", scratch_.path("key")});
    authorize(make_key(scratch_.path("key"), {"-t", "rsa", "-b", "2048", "-m", "PEM"}, passphrase));
    ::unlink(scratch_.path("key.pub").c_str());
    user_.answers = {"open sesame"};
    auto named = options();
    named.identity_files = {scratch_.path("key")};
    EXPECT_EQ(log_in(named), "") << server_->log();
  }
  EXPECT_EQ(user_.questions.size(), 1U);
}

TEST_F(AuthenticationOptionsTest, OnlyTheAllowedAlgorithmsSign) {
  serve("LogLevel DEBUG2");
  authorize(make_key(scratch_.path("key"), {"-t", "rsa", "-b", "2048"}));
  auto rsa = options();
  rsa.identity_files = {scratch_.path("key")};
  EXPECT_EQ(log_in(rsa), "") << server_->log();
  EXPECT_THAT(server_->log(), HasSubstr("publickey test pkalg rsa-sha2-512"));
  rsa.key_algorithms = {"rsa-sha2-256"};
  EXPECT_EQ(log_in(rsa), "") << server_->log();
  EXPECT_THAT(server_->log(), HasSubstr("publickey test pkalg rsa-sha2-256"));
  rsa.key_algorithms = {"ssh-ed25519"};
  EXPECT_THAT(log_in(rsa), HasSubstr("(its algorithm is not among those allowed)"));
}

TEST_F(AuthenticationOptionsTest, TheServersLastWordsAreInTheAccount) {
  serve("MaxAuthTries 2");
  authorize("");
  auto many = options();
  for (const char* name : {"a", "b", "c"}) {
    make_key(scratch_.path(name), {"-t", "ed25519"});
    many.identity_files.push_back(scratch_.path(name));
  }
  const std::string text = log_in(many);
  EXPECT_THAT(text, HasSubstr("Too many authentication failures"));
  EXPECT_THAT(text, HasSubstr("tried: " + scratch_.path("a") + ", " + scratch_.path("b")));
  EXPECT_EQ(code_, ErrorCode::authentication_failed);
}

TEST_F(AuthenticationOptionsTest, TwoKeysOneAfterTheOther) {
  serve("AuthenticationMethods publickey,publickey\nMaxAuthTries 2");
  authorize(make_key(scratch_.path("a"), {"-t", "ed25519"}) +
            make_key(scratch_.path("b"), {"-t", "ecdsa"}));
  auto two = options();
  two.identity_files = {scratch_.path("a"), scratch_.path("b")};
  EXPECT_EQ(log_in(two), "") << server_->log();
  two.identity_files = {scratch_.path("b")};
  EXPECT_THAT(log_in(two),
              HasSubstr("tried: " + scratch_.path("b") + " (taken, but the server wants more)"));
}

TEST_F(AuthenticationOptionsTest, KeyPasswordAndMoreWithoutAWastedTry) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes\nAuthenticationMethods publickey,password\nMaxAuthTries 1");
  const std::string key = scratch_.path("key");
  authorize(make_key(key, {"-t", "ed25519"}));
  auto both = options();
  both.identity_files = {key};
  user_.answers = {kPassword};
  EXPECT_EQ(log_in(both), "") << server_->log();
}

TEST_F(AuthenticationOptionsTest, KeyThenKeyboardInteractive) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve(
      "UsePAM yes\nKbdInteractiveAuthentication yes\n"
      "AuthenticationMethods publickey,keyboard-interactive:pam");
  const std::string key = scratch_.path("key");
  authorize(make_key(key, {"-t", "ed25519"}));
  auto both = options();
  both.identity_files = {key};
  user_.answers = {kPassword};
  EXPECT_EQ(log_in(both), "") << server_->log();
}

TEST_F(AuthenticationOptionsTest, AGivenPasswordIsTriedOnceAndNobodyIsAsked) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes\nUsePAM yes\nKbdInteractiveAuthentication yes");
  auto given = options();
  given.prompter = nullptr;
  given.password = Secret(kPassword);
  for (const char* method : {"password", "keyboard-interactive"}) {
    given.credentials = std::make_shared<Credentials>();
    given.preferred_methods = {method};
    EXPECT_EQ(log_in(given), "") << method << server_->log();
  }
  given.credentials = std::make_shared<Credentials>();
  given.preferred_methods = {"password"};
  given.password = Secret("wrong password");
  const std::string text = log_in(given);
  EXPECT_THAT(text, HasSubstr("tried: password; "));
  EXPECT_THAT(text, Not(HasSubstr("wrong password")));
}

TEST_F(AuthenticationOptionsTest, PreferredMethodsChooseAndOrder) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes");
  authorize(make_key(scratch_.path("key"), {"-t", "ed25519"}));
  auto ordered = options();
  ordered.identity_files = {scratch_.path("key")};
  ordered.preferred_methods = {"password", "publickey"};
  ordered.password_prompts = 1;
  user_.answers = {"wrong"};
  EXPECT_EQ(log_in(ordered), "") << server_->log();
  EXPECT_EQ(user_.questions.size(), 1U);
  ordered.preferred_methods = {"keyboard-interactive"};
  EXPECT_THAT(log_in(ordered), HasSubstr("tried: nothing; the server accepts: publickey,password"));
}

/// Deriving its key takes far longer than anything else in the login: the loop goes round
/// meanwhile.
TEST_F(AuthenticationOptionsTest, ASlowKeyDoesNotStopTheLoop) {
  serve();
  authorize(make_key(scratch_.path("slow"), {"-t", "ed25519", "-a", "100"}, "open sesame"));
  auto slow = options();
  slow.identity_files = {scratch_.path("slow")};
  std::atomic<bool> answered = false;
  user_.answers = {"open sesame"};
  user_.on_ask = [&] { answered = true; };
  auto login = UserLogin::create(std::move(slow));
  ASSERT_TRUE(login);
  io::Loop loop;
  int ticks = 0;
  io::Timer timer(loop, [&] {
    if (answered) ++ticks;
    timer.start(5ms);
  });
  timer.start(5ms);
  std::optional<bool> logged_in;
  const auto attempt =
      Session::open(loop, std::make_unique<io::TcpStream>(loop, connect_()), std::move(*login), {},
                    [&](auto session) { logged_in = session.has_value(); });
  EXPECT_TRUE(run_until(
      loop, [&] { return logged_in.has_value(); }, 100s));
  EXPECT_EQ(logged_in, true) << server_->log();
  EXPECT_GE(ticks, 20);
}

}  // namespace
}  // namespace tunproxy::ssh
