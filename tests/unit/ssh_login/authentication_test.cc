// UserLogin against a real sshd.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "core/ssh/user_login.h"
#include "tests/unit/ssh_login/login_fixture.h"
#include "tests/unit/ssh_login/shell.h"

namespace tunproxy::ssh {
namespace {

using ::testing::HasSubstr;
using testing::make_key;
using ::testing::Not;
using testing::read_file;
using testing::RealAgent;
using testing::run;
using testing::write_file;

using AuthenticationTest = testing::LoginTest;
using testing::kPassword;

struct KeyCase {
  const char* name;
  std::vector<std::string> arguments;
};

class KeyTypeTest : public AuthenticationTest, public ::testing::WithParamInterface<KeyCase> {};

TEST_P(KeyTypeTest, LogsInAndAnEncryptedOneAsksOnce) {
  serve();
  const std::string plain = scratch_.path("plain");
  authorize(make_key(plain, GetParam().arguments));
  auto with_key = options();
  with_key.identity_files = {plain};
  EXPECT_EQ(log_in(with_key), "") << server_->log();
  EXPECT_TRUE(user_.questions.empty());

  const std::string encrypted = scratch_.path("encrypted");
  authorize(make_key(encrypted, GetParam().arguments, "open sesame"));
  user_.answers = {"wrong", "open sesame"};
  with_key.identity_files = {encrypted};
  EXPECT_EQ(log_in(with_key), "") << server_->log();
  EXPECT_EQ(user_.questions.size(), 2U);
  EXPECT_FALSE(user_.echoes.at(0));
  EXPECT_THAT(user_.questions.at(0), HasSubstr(encrypted));

  EXPECT_EQ(log_in(with_key), "") << "the second connection, with what is remembered";
  EXPECT_EQ(user_.questions.size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(
    All, KeyTypeTest,
    ::testing::Values(KeyCase{"ed25519", {"-t", "ed25519"}},
                      KeyCase{"ed25519_gcm", {"-t", "ed25519", "-Z", "aes256-gcm@openssh.com"}},
                      KeyCase{"ecdsa256", {"-t", "ecdsa", "-b", "256"}},
                      KeyCase{"ecdsa384", {"-t", "ecdsa", "-b", "384"}},
                      KeyCase{"ecdsa521", {"-t", "ecdsa", "-b", "521"}},
                      KeyCase{"rsa", {"-t", "rsa", "-b", "3072"}},
                      KeyCase{"rsa_pem", {"-t", "rsa", "-b", "3072", "-m", "PEM"}},
                      KeyCase{"rsa_pkcs8", {"-t", "rsa", "-b", "3072", "-m", "PKCS8"}},
                      KeyCase{"ecdsa_pem", {"-t", "ecdsa", "-b", "384", "-m", "PEM"}},
                      KeyCase{"ecdsa_pkcs8", {"-t", "ecdsa", "-b", "521", "-m", "PKCS8"}}),
    [](const auto& instance) { return instance.param.name; });

TEST_F(AuthenticationTest, DefaultKeysAreFound) {
  serve();
  ASSERT_EQ(run({"mkdir", "-m", "0700", scratch_.path(".ssh")}).status, 0);
  make_key(scratch_.path(".ssh/id_ed25519"), {"-t", "ed25519"});
  authorize(make_key(scratch_.path(".ssh/id_rsa"), {"-t", "rsa"}));
  EXPECT_EQ(log_in(options()), "") << server_->log();
  EXPECT_THAT(read_file(scratch_.path(".ssh/known_hosts")),
              HasSubstr("server.example ssh-ed25519"));
}

TEST_F(AuthenticationTest, NoPassphraseIsAskedForAKeyThatTheServerWouldNotTake) {
  serve();
  authorize(make_key(scratch_.path("right"), {"-t", "ed25519"}));
  make_key(scratch_.path("wrong"), {"-t", "ed25519"}, "secret");
  auto both = options();
  both.identity_files = {scratch_.path("wrong"), scratch_.path("right")};
  EXPECT_EQ(log_in(both), "") << server_->log();
  EXPECT_TRUE(user_.questions.empty());
}

TEST_F(AuthenticationTest, WrongPassphraseThriceGoesOnToTheNextKey) {
  serve();
  const std::string encrypted = make_key(scratch_.path("encrypted"), {"-t", "ed25519"}, "secret");
  authorize(encrypted + make_key(scratch_.path("plain"), {"-t", "ed25519"}));
  user_.answers = {"a", "b", "c", "secret"};
  auto both = options();
  both.identity_files = {scratch_.path("encrypted"), scratch_.path("plain")};
  EXPECT_EQ(log_in(both), "") << server_->log();
  EXPECT_EQ(user_.questions.size(), 3U);
}

TEST_F(AuthenticationTest, TheAccountOfAFailure) {
  serve();
  authorize("");
  make_key(scratch_.path("one"), {"-t", "ed25519"});
  make_key(scratch_.path("two"), {"-t", "ecdsa"});
  auto wrong = options();
  wrong.identity_files = {scratch_.path("one"), scratch_.path("two")};
  const std::string text = log_in(wrong);
  EXPECT_EQ(code_, ErrorCode::authentication_failed);
  EXPECT_THAT(text, HasSubstr("tried: " + scratch_.path("one") + ", " + scratch_.path("two")));
  EXPECT_THAT(text, HasSubstr("the server accepts: publickey"));
  EXPECT_EQ(text.find('\n'), text.npos);
}

TEST_F(AuthenticationTest, AnExplicitKeyThatIsMissingIsAnErrorAtOnce) {
  auto missing = options();
  missing.identity_files = {scratch_.path("nothing")};
  const auto login = UserLogin::create(missing);
  ASSERT_FALSE(login);
  EXPECT_EQ(login.error().code, ErrorCode::usage);
  EXPECT_THAT(login.error().message, HasSubstr(scratch_.path("nothing")));
}

TEST_F(AuthenticationTest, AnUnknownHostKeyIsRefused) {
  serve();
  auto strict = options();
  strict.host_key_policy = HostKeyPolicy::strict;
  EXPECT_THAT(log_in(strict), HasSubstr("is not known"));
  EXPECT_EQ(code_, ErrorCode::host_key_refused);
}

TEST_F(AuthenticationTest, AgentKeysOfEveryType) {
  serve();
  RealAgent agent(scratch_);
  for (const char* type : {"ed25519", "ecdsa", "rsa"}) {
    const std::string key = scratch_.path(type);
    authorize(make_key(key, {"-t", type}));
    agent.add(key);
    EXPECT_EQ(log_in(options()), "") << type << server_->log();
  }
  EXPECT_TRUE(user_.questions.empty());
}

TEST_F(AuthenticationTest, ANamedKeyComesBeforeTheOthersOfTheAgent) {
  serve("MaxAuthTries 2");
  RealAgent agent(scratch_);
  for (const char* name : {"a", "b", "c"}) {
    make_key(scratch_.path(name), {"-t", "ed25519"});
    agent.add(scratch_.path(name));
  }
  authorize(read_file(scratch_.path("c.pub")));
  auto named = options();
  named.identity_files = {scratch_.path("c.pub")};
  EXPECT_EQ(log_in(named), "") << server_->log();
  EXPECT_NE(log_in(options()), "");
}

TEST_F(AuthenticationTest, AnAgentThatIsNotUsedOrNotThereDoesNoHarm) {
  serve();
  RealAgent agent(scratch_);
  const std::string key = scratch_.path("key");
  authorize(make_key(key, {"-t", "ed25519"}));
  agent.add(key);
  auto without = options();
  without.use_agent = false;
  EXPECT_THAT(log_in(without), HasSubstr("tried: nothing"));
  ::setenv("SSH_AUTH_SOCK", "/nonexistent/agent", 1);
  without.use_agent = true;
  without.identity_files = {key};
  EXPECT_EQ(log_in(without), "") << server_->log();
}

TEST_F(AuthenticationTest, AHungAgentIsInterruptedByCancel) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  scratch_.path("hung").copy(address.sun_path, sizeof address.sun_path - 1);
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  io::Event cancelled;
  auto agent = Agent::connect(scratch_.path("hung"), cancelled);
  ASSERT_TRUE(agent);
  std::thread other([&] { cancelled.set(); });
  const auto keys = agent->list();
  other.join();
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().code, ErrorCode::cancelled);
}

TEST_F(AuthenticationTest, PasswordIsAskedThriceAndRemembered) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes\nPubkeyAuthentication no");
  user_.answers = {"wrong", "wrong again", kPassword};
  EXPECT_EQ(log_in(options()), "") << server_->log();
  EXPECT_EQ(user_.questions.size(), 3U);
  EXPECT_THAT(user_.questions.at(0), HasSubstr(account_->name() + "@server.example's password: "));
  EXPECT_FALSE(user_.echoes.at(0));
  EXPECT_EQ(log_in(options()), "") << "remembered";
  EXPECT_EQ(user_.questions.size(), 3U);
  EXPECT_THAT(server_->log(), Not(HasSubstr(kPassword)));
}

TEST_F(AuthenticationTest, WrongPasswordsEnd) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes");
  user_.answers = {"wrong", "wrong", "wrong", kPassword};
  const std::string text = log_in(options());
  EXPECT_EQ(code_, ErrorCode::authentication_failed);
  EXPECT_THAT(text, HasSubstr("tried: password (3 times); the server accepts: publickey,password"));
  EXPECT_EQ(user_.answers.size(), 1U);
}

TEST_F(AuthenticationTest, ARememberedPasswordThatIsWrongNowIsForgotten) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes");
  const std::string name = "password " + account_->name() + "@server.example:22";
  credentials_->remember(name, Secret("of last week"));
  user_.answers = {kPassword};
  EXPECT_EQ(log_in(options()), "") << server_->log();
  EXPECT_EQ(user_.questions.size(), 1U);
  EXPECT_EQ(credentials_->find(name)->text(), kPassword);
}

TEST_F(AuthenticationTest, WithoutATerminalAPasswordIsNotAskedFor) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes");
  auto nobody = options();
  nobody.prompter = nullptr;
  EXPECT_THAT(log_in(nobody), HasSubstr("no terminal to ask for a password"));
}

TEST_F(AuthenticationTest, KeyboardInteractiveOverPam) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("UsePAM yes\nKbdInteractiveAuthentication yes");
  user_.answers = {"wrong", kPassword};
  EXPECT_EQ(log_in(options()), "") << server_->log();
  EXPECT_THAT(user_.questions.at(0),
              HasSubstr("(" + account_->name() + "@server.example) Password"));
  EXPECT_FALSE(user_.echoes.at(0));
  EXPECT_EQ(log_in(options()), "") << "remembered";
  EXPECT_EQ(user_.questions.size(), 2U);
}

TEST_F(AuthenticationTest, KeyThenPassword) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes\nAuthenticationMethods publickey,password");
  const std::string key = scratch_.path("key");
  authorize(make_key(key, {"-t", "ed25519"}));
  auto both = options();
  both.identity_files = {key};
  user_.answers = {kPassword};
  EXPECT_EQ(log_in(both), "") << server_->log();
  user_.answers = {};
  EXPECT_EQ(log_in(both), "") << "remembered";

  credentials_ = std::make_shared<Credentials>();
  both.credentials = credentials_;
  const std::string text = log_in(both);
  EXPECT_THAT(text, HasSubstr(key + " (taken, but the server wants more)"));
  EXPECT_THAT(text, HasSubstr("the server accepts: password"));
}

TEST_F(AuthenticationTest, PasswordThenKey) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes\nAuthenticationMethods password,publickey");
  const std::string key = scratch_.path("key");
  authorize(make_key(key, {"-t", "ed25519"}));
  auto both = options();
  both.identity_files = {key};
  user_.answers = {"wrong", kPassword};
  EXPECT_EQ(log_in(both), "") << server_->log();
  EXPECT_EQ(user_.questions.size(), 2U);
}

TEST_F(AuthenticationTest, TheBannerIsShown) {
  write_file(scratch_.path("banner"), "Welcome, all is logged.\n");
  serve("Banner " + scratch_.path("banner"));
  const std::string key = scratch_.path("key");
  authorize(make_key(key, {"-t", "ed25519"}));
  auto with_key = options();
  with_key.identity_files = {key};
  EXPECT_EQ(log_in(with_key), "") << server_->log();
  EXPECT_THAT(user_.shown, HasSubstr("Welcome, all is logged."));
}

TEST_F(AuthenticationTest, AServerThatHasHadEnoughIsAFailureToAuthenticate) {
  serve("MaxAuthTries 3");
  authorize("");
  auto many = options();
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    make_key(scratch_.path(name), {"-t", "ed25519"});
    many.identity_files.push_back(scratch_.path(name));
  }
  log_in(many);
  EXPECT_EQ(code_, ErrorCode::authentication_failed);
}

TEST_F(AuthenticationTest, CancelEndsAQuestion) {
  if (!need_account()) GTEST_SKIP() << "needs root to make a user";
  serve("PasswordAuthentication yes");
  auto login = UserLogin::create(options());
  ASSERT_TRUE(login);
  UserLogin* raw = login->get();
  bool waited = false;
  user_.on_ask = [&] {
    waited = raw->waits_for_user();
    raw->cancel();
  };
  EXPECT_NE(open(std::move(*login)), "");
  EXPECT_EQ(code_, ErrorCode::cancelled);
  EXPECT_TRUE(waited);
  EXPECT_EQ(user_.questions.size(), 1U);
}

}  // namespace
}  // namespace tunproxy::ssh
