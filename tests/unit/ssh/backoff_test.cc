#include "core/ssh/backoff.h"

#include <gtest/gtest.h>

#include "core/ssh/turned_away.h"

namespace tunproxy::ssh {
namespace {

const Error kGone{ErrorCode::server_unreachable, "connection refused"};

TEST(BackoffTest, DoublesAndStaysEagerForAMinute) {
  Backoff backoff(250ms, 30s);
  Instant now{1h};
  EXPECT_EQ(backoff.longest_pause(now), 500ms);
  for (const Duration most : {250ms, 500ms, 500ms, 500ms}) {
    const Duration pause = backoff.next(kGone, now, false);
    EXPECT_GE(pause, most / 2);
    EXPECT_LE(pause, most);
    now += 15s;
  }
  EXPECT_EQ(backoff.longest_pause(now), 500ms);
  EXPECT_EQ(backoff.longest_pause(now += 40s), 5s);
  const Duration pause = backoff.next(kGone, now, false);
  EXPECT_GE(pause, 2s);
  EXPECT_LE(pause, 5s);
  EXPECT_EQ(backoff.longest_pause(now + 10h), 30s);
}

TEST(BackoffTest, AServerThatIsReachedAndLetsNobodyInIsAskedLessOften) {
  Backoff backoff(250ms, 30s);
  for (const Duration most : {250ms, 500ms, 1000ms, 1000ms}) {
    const Duration pause = backoff.next(kGone, Instant{1h}, true);
    EXPECT_GE(pause, most / 2);
    EXPECT_LE(pause, most);
  }
}

TEST(BackoffTest, BeginsAnewWhenToldSo) {
  Backoff backoff(250ms, 30s);
  Instant now{1h};
  for (int n = 0; n < 10; ++n) backoff.next(kGone, now += 10s, false);
  EXPECT_LE(backoff.reset(), 300ms);
  EXPECT_LE(backoff.next(kGone, now, false), 250ms);
}

// MaxStartups drops some; a penalty lasts for 15 seconds and more.
TEST(BackoffTest, AServerThatSaysNoIsSparedForLongerEachTime) {
  Backoff backoff(250ms, 30s);
  const Error refusal = turned_away("Not allowed at this time");
  EXPECT_NE(refusal.message.find("MaxStartups"), std::string::npos);
  EXPECT_NE(refusal.message.find("PerSourcePenalties"), std::string::npos);
  for (const Duration least : {4s, 8s, 16s, 32s, 64s}) {
    const Duration pause = backoff.next(refusal, Instant{1h}, false);
    EXPECT_GE(pause, least);
    EXPECT_LE(pause, 2 * least);
  }
  for (int n = 0; n < 40; ++n) EXPECT_LE(backoff.next(refusal, Instant{1h}, false), 4min);
  EXPECT_EQ(backoff.reset(), 4s);
  EXPECT_GE(backoff.next(refusal, Instant{1h}, false), 1min) << "the network was not the reason";
  backoff.forget();
  EXPECT_LE(backoff.reset(), 300ms);
  EXPECT_LE(backoff.next(kGone, Instant{2h}, false), 250ms);
}

TEST(BackoffTest, ACrowdedServerIsSpared) {
  Backoff backoff(250ms, 30s);
  EXPECT_GE(backoff.next(turned_away("Exceeded MaxStartups"), Instant{1h}, false), 2s);
  EXPECT_EQ(stay_away(kGone).first, 0ms);
}

TEST(BackoffTest, AServerThatLetUsInBetweenIsNotOneThatSaidNoTwice) {
  Backoff backoff(250ms, 30s);
  for (int n = 0; n < 5; ++n) {
    EXPECT_LE(backoff.next(turned_away("Not allowed at this time"), Instant{1h}, false), 8s);
    backoff.let_in();
    EXPECT_LE(backoff.reset(), 300ms);
  }
}

// It may be anything on the way.
TEST(BackoffTest, SilenceIsSparedForSecondsAndUntilTheNetworkChanges) {
  Backoff backoff(250ms, 30s);
  const Error silence = turned_away("");
  EXPECT_GE(backoff.next(silence, Instant{1h}, false), 1s);
  for (int n = 0; n < 40; ++n) EXPECT_LE(backoff.next(silence, Instant{1h}, false), 8s);
  EXPECT_LE(backoff.reset(), 300ms);
  EXPECT_LE(backoff.next(silence, Instant{1h}, false), 2s);
}

}  // namespace
}  // namespace tunproxy::ssh
