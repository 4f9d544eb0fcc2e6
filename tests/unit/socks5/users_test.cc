#include "core/socks5/users.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace tunproxy::socks5 {
namespace {

namespace fs = std::filesystem;

// "secret", as `mkpasswd` (yescrypt), `htpasswd -nbB` and `openssl passwd -6` hash it.
constexpr const char* kYescrypt =
    "$y$j9T$E2BPo0cczY7ywhzuAWAaO/$wslJaiLNrh3YiTjhZJ89d1SoHmhzWxRdqnAROI6Dco0";
constexpr const char* kBcrypt = "$2y$05$P96/u6PhhP/2vCvfjoDxMui2spGbsioQm5zGvYUWAAjIx3GWdHd2C";
constexpr const char* kSha512 =
    "$6$abcd$2xnokga/"
    "nDtRjwwaEJ4P2es2v4q8kfckDGncd4naCsE699Y0JnDNWStYgMPa.X.VcIxFM3oLKIRKkAYD33oqG.";
// What the library knows and nobody should use: `mkpasswd -m md5crypt`, `htpasswd -nb`.
constexpr const char* kMd5 = "$1$kCmtArfP$esGeQHYU/pzCpkmRH4qgW/";
constexpr const char* kApache = "$apr1$TBV4atE8$5IhT8DKZXuKeVR4dmIKQt0";

class UsersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tunproxy-users-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string file(const std::string& text, mode_t mode = 0644) {
    const std::string path = directory_ / "password";
    std::ofstream(path, std::ios::trunc) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  void expect_refused(const std::string& text, const std::string& why, mode_t mode = 0600) {
    const auto user = load_user("anna", file(text, mode));
    ASSERT_FALSE(user) << text;
    EXPECT_EQ(user.error().code, ErrorCode::usage);
    EXPECT_NE(user.error().message.find(why), std::string::npos) << user.error().message;
  }

  fs::path directory_;
};

TEST_F(UsersTest, TakesHashesOfTheUsualTools) {
  for (const std::string hash : {kYescrypt, kBcrypt, kSha512}) {
    for (const std::string& text : {hash, hash + "\n", "\n" + hash + "\r\n",
                                    "bob:" + std::string(kSha512) + "x\nanna:" + hash + "\n"}) {
      const auto user = load_user("anna", file(text));
      ASSERT_TRUE(user) << user.error().message;
      EXPECT_EQ(user->hash, hash);
      EXPECT_TRUE(password_matches("secret", user->hash)) << hash;
      for (const std::string& wrong : {std::string("Secret"), std::string("secret1"), std::string(),
                                       std::string("secret\0x", 8)}) {
        EXPECT_FALSE(password_matches(wrong, user->hash)) << hash;
      }
    }
  }
}

TEST_F(UsersTest, TakesAPasswordFromAFileOfTheOwnerAlone) {
  const auto user = load_user("anna", file("two words: secret\n", 0600));
  ASSERT_TRUE(user) << user.error().message;
  EXPECT_EQ(user->hash, "");
  EXPECT_EQ(user->password, "two words: secret");
  expect_refused("secret\n", "chmod 600", 0640);
  expect_refused("secret\n", "chmod 600", 0604);
}

TEST_F(UsersTest, SaysWhatIsWrongWithAFile) {
  expect_refused("", "is empty");
  expect_refused("\n\n", "is empty");
  expect_refused("anna:secret\n", "unknown or too weak");
  expect_refused("anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", "unknown or too weak");
  expect_refused(kMd5, "unknown or too weak");
  expect_refused(std::string("anna:") + kApache, "unknown or too weak");
  expect_refused("$x$nonsense", "unknown or too weak");
  expect_refused("$", "unknown or too weak");
  expect_refused(std::string("bob:") + kSha512, "has no line \"anna:HASH\"");
  expect_refused("one\ntwo\n", "has no line \"anna:HASH\"");
  expect_refused(std::string(256, 'x'), "longer than 255");
  expect_refused(std::string(300 * 1024, 'x'), "too long");
  const auto missing = load_user("anna", directory_ / "missing");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("No such file"), std::string::npos);
  for (const std::string& name : {std::string(), std::string("a:b"), std::string(256, 'n')}) {
    EXPECT_FALSE(load_user(name, file(kSha512)));
  }
}

TEST_F(UsersTest, NoErrorTellsASecret) {
  for (const char* text : {"anna:secret\n", "secret\nsecret\n"}) {
    const auto user = load_user("anna", file(text));
    ASSERT_FALSE(user);
    EXPECT_EQ(user.error().message.find("secret"), std::string::npos);
  }
}

TEST(Passwords, AreHashedWithASaltOfTheirOwn) {
  const auto one = hash_password("secret");
  const auto two = hash_password("secret");
  ASSERT_TRUE(one && two);
  EXPECT_NE(*one, *two);
  EXPECT_FALSE(hash_password(""));
  EXPECT_FALSE(hash_password(std::string("a\0b", 3)));
}

TEST(Passwords, AHashThatIsCutOffOrEmptyMatchesNothing) {
  for (const std::string& hash :
       {std::string(), std::string("*"), std::string("*0"), std::string("$6$abcd"),
        std::string(kSha512, 20), std::string("x")}) {
    for (const char* password : {"secret", "", "*0"}) {
      EXPECT_FALSE(password_matches(password, hash)) << hash;
    }
  }
}

}  // namespace
}  // namespace tunproxy::socks5
