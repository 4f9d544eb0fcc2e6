// What a configuration is told in secret is in one place, and nowhere when it is over.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "core/config_schema.h"
#include "core/config_toml.h"
#include "tests/support/secret_search.h"

namespace tunproxy {
namespace {

using testing::count_in_memory;
using testing::mask;
using testing::unmask;

// Masked; long enough for strings on the heap, and one for those that are within their object.
const std::map<std::string, std::string> kSecrets = {
    {"ssh-password", mask("the account's own password 61728")},
    {"via-password", mask("short 5162")},
    {"socks5-password", mask("the proxy's own password, which is longer 90125")},
    {"passphrase", mask("the passphrase of the keys 447193")},
};

class ConfigSecrets : public ::testing::Test {
 protected:
  ~ConfigSecrets() override { ::unlink(file_.c_str()); }
  /// By another process, whose memory is its own.
  void write_file() const {
    const pid_t child = ::fork();
    if (child == 0) {
      std::ofstream file(file_);
      for (const auto& [key, masked] : kSecrets) file << key << " = \"" << mask(masked) << "\"\n";
      file.close();
      ::chmod(file_.c_str(), 0600);
      ::_exit(0);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  }
  const std::string file_ = ::testing::TempDir() + "secrets." + std::to_string(::getpid());
};

TEST_F(ConfigSecrets, OfAFileAreKeptOnceAndWiped) {
  write_file();
  {
    Config config;
    const auto merged = merge_toml_file(config, file_);
    ASSERT_TRUE(merged) << merged.error().message;
    for (const auto& [key, masked] : kSecrets) EXPECT_EQ(count_in_memory(masked), 1U) << key;
    Config copy = config;
    for (const auto& [key, masked] : kSecrets) EXPECT_EQ(count_in_memory(masked), 2U) << key;
    EXPECT_EQ(print_toml(copy).find("password 6"), std::string::npos);
  }
  for (const auto& [key, masked] : kSecrets) EXPECT_EQ(count_in_memory(masked), 0U) << key;
}

TEST_F(ConfigSecrets, ThatAreSetOrReplacedAreWiped) {
  for (const auto& [key, masked] : kSecrets) {
    Config config;
    {
      const Secret secret = unmask(masked);
      ASSERT_TRUE(set(config, key, secret.text()));
    }
    EXPECT_EQ(count_in_memory(masked), 1U) << key;
    ASSERT_TRUE(set(config, key, ""));
    EXPECT_EQ(count_in_memory(masked), 0U) << key;
  }
}

}  // namespace
}  // namespace tunproxy
