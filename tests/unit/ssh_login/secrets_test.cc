// What a login was told is nowhere in memory when it is over.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>

#include "core/base/log.h"
#include "tests/unit/ssh_login/login_fixture.h"

namespace tunproxy::ssh {
namespace {

using ::testing::HasSubstr;
using testing::make_key;
using testing::read_file;

constexpr uint8_t kMask = 0x55;

/// Secrets are kept masked, so that the search does not find the test's own copy.
std::string mask(std::string text) {
  for (char& c : text) c = static_cast<char>(c ^ kMask);
  return text;
}

Secret unmask(const std::string& masked) {
  std::string text = mask(masked);
  return Secret::take(text);
}

/// Where it stands in `memory`, which was read from the address `from`; not counting `own`.
size_t count_in(std::string_view memory, uint64_t from, const Secret& own) {
  size_t count = 0;
  const auto own_address = reinterpret_cast<uint64_t>(own.c_str());
  for (size_t at = 0; at + own.size() <= memory.size(); ++at) {
    const void* found = ::memmem(memory.data() + at, memory.size() - at, own.c_str(), own.size());
    if (found == nullptr) break;
    at = static_cast<size_t>(static_cast<const char*>(found) - memory.data());
    if (from + at != own_address) ++count;
  }
  return count;
}

/// How often it stands in the memory that this process can write to.
size_t count_in_memory(const std::string& masked) {
  constexpr uint64_t kBiggest = 512 * 1024 * 1024;  // the sanitizer's own areas are far bigger
  size_t count = 0;
  const Secret secret = unmask(masked);
  std::ifstream maps("/proc/self/maps");
  const UniqueFd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  std::string block;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    uint64_t begin = 0;
    uint64_t end = 0;
    char dash = 0;
    std::string rights;
    words >> std::hex >> begin >> dash >> end >> rights;
    if (!rights.starts_with("rw") || end - begin > kBiggest) continue;
    for (uint64_t at = begin; at < end;) {
      block.resize(std::min<uint64_t>(end - at, 1024 * 1024));
      const ssize_t n = ::pread(memory.get(), block.data(), block.size(), static_cast<off_t>(at));
      if (n <= 0) break;
      block.resize(static_cast<size_t>(n));
      count += count_in(block, at, secret);
      std::fill(block.begin(), block.end(), '\0');
      at += static_cast<uint64_t>(n);
    }
  }
  return count;
}

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
