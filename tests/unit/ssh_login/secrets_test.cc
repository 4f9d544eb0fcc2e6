// What a login was told is nowhere in memory when it is over.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mutex>

#include "core/base/log.h"
#include "tests/support/secret_search.h"
#include "tests/unit/ssh_login/login_fixture.h"

namespace tunproxy::ssh {
namespace {

using testing::count_in_memory;
using ::testing::HasSubstr;
using testing::make_key;
using testing::mask;
using testing::read_file;
using testing::unmask;

class SecretsTest : public testing::LoginTest {
 protected:
  const std::string passphrase_ = mask("a passphrase of some length 5283");
  const std::string password_ = mask("a password of some length 93716");
};

TEST_F(SecretsTest, TheSearchFindsWhatIsThere) {
  const Secret secret = unmask(password_);
  EXPECT_EQ(count_in_memory(password_), 1U);
}

TEST_F(SecretsTest, NothingIsLeftOfPassphraseAndPassword) {
  serve("PasswordAuthentication yes\nAuthenticationMethods publickey,password");
  const pid_t child = ::fork();  // ssh-keygen is told the passphrase by another process
  if (child == 0) {
    make_key(scratch_.path("key"), {"-t", "ed25519"}, mask(passphrase_));
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  authorize(read_file(scratch_.path("key.pub")));
  {
    auto told = options();
    told.prompter = nullptr;
    MemoryKey key;
    key.name = "key";
    key.content = Secret(read_file(scratch_.path("key")));
    key.passphrase = unmask(passphrase_);
    told.keys.push_back(std::move(key));
    told.password = unmask(password_);
    const std::string text = log_in(std::move(told));
    EXPECT_THAT(text, HasSubstr("tried: key (taken, but the server wants more), password;"));
  }
  credentials_.reset();
  EXPECT_EQ(count_in_memory(passphrase_), 0U);
  EXPECT_EQ(count_in_memory(password_), 0U);
}

/// At the most talkative level.
TEST_F(SecretsTest, TheLogSaysNothingOfThem) {
  serve("PasswordAuthentication yes");
  authorize("");
  user_.answers = {"first secret", "second secret", "third secret"};
  auto sink = std::make_shared<log::Sink>();
  std::mutex mutex;
  std::string logged;
  sink->level = log::Level::trace;
  sink->write = [&](log::Level, std::string_view line) {
    const std::lock_guard lock(mutex);
    logged.append(line).append("\n");
  };
  const log::UseSink use(sink);
  const std::string text = log_in(options());
  EXPECT_THAT(text, HasSubstr("password (3 times)"));
  EXPECT_THAT(logged, HasSubstr("authentication: choosing -> password"));
  EXPECT_THAT(logged + text, ::testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace tunproxy::ssh
