#include "core/socks5/authenticator.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/memory_stream.h"

namespace tunproxy::socks5 {
namespace {

using testing::run_until;

// A cheap one, so that the tests are quick: htpasswd -nbB -C 4.
constexpr const char* kSecret = "$2b$05$A1Tt1wFd593YgrrD3InTh.k2fT1U37p2lMZo7G/3U8Wqbssvd50Oa";

class AuthenticatorTest : public ::testing::Test {
 protected:
  std::optional<bool> ask(const Credentials& given) {
    std::optional<bool> answer;
    const auto attempt = authenticator_.check(given, [&](bool right) { answer = right; });
    EXPECT_TRUE(attempt);
    EXPECT_FALSE(answer) << "from within the call";
    EXPECT_TRUE(run_until(loop_, [&] { return answer.has_value(); }));
    return answer;
  }

  io::Loop loop_;
  Authenticator authenticator_{loop_, {{"anna", kSecret}, {"bob", kSecret}}};
};

TEST_F(AuthenticatorTest, TellsRightFromWrong) {
  EXPECT_TRUE(authenticator_.required());
  EXPECT_EQ(ask({"anna", "secret"}), true);
  EXPECT_EQ(ask({"bob", "secret"}), true);
  EXPECT_EQ(ask({"anna", "Secret"}), false);
  EXPECT_EQ(ask({"eve", "secret"}), false);
  EXPECT_EQ(ask({"", "secret"}), false);
  EXPECT_EQ(ask({"anna", std::string("secret\0", 7)}), false);
}

TEST_F(AuthenticatorTest, RemembersTheLastRightPasswordOfEachUser) {
  EXPECT_FALSE(authenticator_.remembers({"anna", "secret"}));
  EXPECT_EQ(ask({"anna", "wrong"}), false);
  EXPECT_FALSE(authenticator_.remembers({"anna", "wrong"}));
  EXPECT_EQ(ask({"anna", "secret"}), true);
  EXPECT_TRUE(authenticator_.remembers({"anna", "secret"}));
  EXPECT_FALSE(authenticator_.remembers({"anna", "secret "}));
  EXPECT_FALSE(authenticator_.remembers({"bob", "secret"}));
  EXPECT_FALSE(authenticator_.remembers({"eve", "secret"}));
  EXPECT_EQ(ask({"anna", "wrong"}), false);
  EXPECT_TRUE(authenticator_.remembers({"anna", "secret"}))
      << "guessing must not cost it its place";
}

TEST_F(AuthenticatorTest, ForgetsWhenUsersChange) {
  EXPECT_EQ(ask({"anna", "secret"}), true);
  authenticator_.set_users({{"anna", *hash_password("new")}});
  EXPECT_FALSE(authenticator_.remembers({"anna", "secret"}));
  EXPECT_EQ(ask({"anna", "secret"}), false);
  EXPECT_EQ(ask({"anna", "new"}), true);
}

TEST_F(AuthenticatorTest, WhatWasCheckedAgainstAFormerPasswordIsNotRemembered) {
  std::optional<bool> answer;
  const auto attempt =
      authenticator_.check({"anna", "secret"}, [&](bool right) { answer = right; });
  authenticator_.set_users({{"anna", *hash_password("new")}});
  ASSERT_TRUE(run_until(loop_, [&] { return answer.has_value(); }));
  EXPECT_FALSE(authenticator_.remembers({"anna", "secret"}));
}

TEST_F(AuthenticatorTest, PasswordsInClearAreHashedAndCheckedMeanwhile) {
  authenticator_.set_users({{"anna", "", "clear"}, {"bob", kSecret}, {"carl", "", "too"}});
  EXPECT_EQ(ask({"anna", "clear"}), true);
  EXPECT_TRUE(authenticator_.remembers({"anna", "clear"}));
  EXPECT_EQ(ask({"carl", "clear"}), false);
  EXPECT_EQ(ask({"carl", "too"}), true);
  EXPECT_EQ(ask({"bob", "secret"}), true);
  ASSERT_TRUE(run_until(loop_, [&] { return !authenticator_.hashes(); }));
  EXPECT_EQ(ask({"carl", "clear"}), false);
  EXPECT_EQ(ask({"carl", "too"}), true);
  EXPECT_EQ(ask({"carl", ""}), false);
}

TEST_F(AuthenticatorTest, UsersMayChangeWhileTheirPasswordsAreHashed) {
  authenticator_.set_users({{"anna", "", "first"}, {"bob", "", "first"}});
  EXPECT_TRUE(authenticator_.hashes());
  authenticator_.set_users({{"bob", "", "second"}});
  ASSERT_TRUE(run_until(loop_, [&] { return !authenticator_.hashes(); }));
  EXPECT_EQ(ask({"bob", "first"}), false);
  EXPECT_EQ(ask({"bob", "second"}), true);
  authenticator_.set_users({{"bob", "", "third"}});
  authenticator_.set_users({});
  EXPECT_FALSE(authenticator_.required());
}

// Each name takes as long as some user's, always the same, and not all names the same one's.
TEST_F(AuthenticatorTest, UnknownNamesTakeAsLongAsSomeUsers) {
  const std::string slow = *hash_password("slow");
  authenticator_.set_users({{"anna", kSecret}, {"bob", slow}});
  std::set<std::string> hashes;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "eve" + std::to_string(i);
    const std::string hash = authenticator_.compared(name).hash;
    EXPECT_EQ(authenticator_.compared(name).hash, hash);
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes, (std::set<std::string>{kSecret, slow}));
  EXPECT_EQ(authenticator_.compared("bob").hash, slow);
}

TEST_F(AuthenticatorTest, UsersMayBecomeNoneWhileSomeWait) {
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  size_t refused = 0;
  size_t answered = 0;
  for (size_t i = 0; i < Authenticator::kMaxParallel + 2; ++i) {
    attempts.push_back(authenticator_.check({"anna", "secret"}, [&](bool right) {
      ++answered;
      refused += right ? 0 : 1;
    }));
  }
  authenticator_.set_users({});
  EXPECT_TRUE(run_until(loop_, [&] { return answered == attempts.size(); }));
  EXPECT_EQ(refused, 2u) << "those that had not begun";
}

TEST_F(AuthenticatorTest, OneHashServesAllConnectionsOfAClient) {
  const std::string slow = *hash_password("slow");  // yescrypt: 200 of them would take seconds
  authenticator_.set_users({{"anna", slow}});
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  size_t right = 0;
  for (size_t i = 0; i < 200; ++i) {
    attempts.push_back(
        authenticator_.check({"anna", "slow"}, [&](bool is_right) { right += is_right ? 1 : 0; }));
  }
  EXPECT_TRUE(run_until(
      loop_, [&] { return right == 200; }, 60s));
}

TEST_F(AuthenticatorTest, BoundsWhatWaits) {
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  size_t answered = 0;
  constexpr size_t kRoom = Authenticator::kMaxParallel + Authenticator::kMaxWaiting;
  for (size_t i = 0; i < kRoom; ++i) {
    attempts.push_back(
        authenticator_.check({"anna", "wrong" + std::to_string(i)}, [&](bool) { ++answered; }));
    ASSERT_TRUE(attempts.back()) << i;
  }
  EXPECT_FALSE(authenticator_.check({"anna", "secret"}, [](bool) {}));
  attempts.back().reset();
  auto after = authenticator_.check({"anna", "secret"}, [](bool) {});
  EXPECT_TRUE(after) << "one that left makes room";
  attempts.resize(10);
  after.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return answered == 10; }));
}

// A guesser that hangs up at once must not get more than its share of the threads.
TEST_F(AuthenticatorTest, AHashThatNobodyWaitsForStillTakesItsPlace) {
  std::vector<std::unique_ptr<net::Attempt>> attempts;
  for (size_t i = 0; i < Authenticator::kMaxParallel; ++i) {
    attempts.push_back(authenticator_.check({"anna", "wrong"}, [](bool) { FAIL(); }));
  }
  attempts.clear();
  for (size_t i = 0; i < Authenticator::kMaxWaiting; ++i) {
    attempts.push_back(authenticator_.check({"anna", "wrong"}, [](bool) {}));
    ASSERT_TRUE(attempts.back());
  }
  EXPECT_FALSE(authenticator_.check({"anna", "wrong"}, [](bool) {}));
  attempts.clear();
  EXPECT_EQ(ask({"anna", "secret"}), true);
}

TEST(Authenticator, MayEndWhileItHashes) {
  io::Loop loop;
  auto authenticator =
      std::make_unique<Authenticator>(loop, std::vector<User>{{"anna", *hash_password("x")}});
  auto attempt = authenticator->check({"anna", "x"}, [](bool) { FAIL(); });
  attempt.reset();
  authenticator.reset();
  loop.run_once(false);
}

}  // namespace
}  // namespace tunproxy::socks5
