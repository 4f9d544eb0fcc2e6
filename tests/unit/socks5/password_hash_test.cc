// What builds without a crypt library have in its place, which this build has not.
#include "core/socks5/password_hash.h"

#include <gtest/gtest.h>

namespace tunproxy::socks5 {
namespace {

TEST(PasswordHashWithoutCrypt, KnowsItsOwn) {
  const Result<std::string> hash = make_hash("secret");
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash_matches("secret", *hash));
  EXPECT_FALSE(hash_matches("secret ", *hash));
  EXPECT_FALSE(hash_matches("", *hash));
  EXPECT_EQ(hash->find("secret"), std::string::npos);
}

TEST(PasswordHashWithoutCrypt, HasASaltEachTime) {
  EXPECT_NE(*make_hash("secret"), *make_hash("secret"));
}

TEST(PasswordHashWithoutCrypt, KnowsNoneOfOthers) {
  EXPECT_FALSE(knows_hash("$6$salt$hash"));
  EXPECT_FALSE(hash_matches("secret", "$6$salt$hash"));
  EXPECT_FALSE(hash_matches("", ""));
}

}  // namespace
}  // namespace tunproxy::socks5
