#include "core/ssh/backoff.h"

#include <gtest/gtest.h>

#include "core/ssh/turned_away.h"

namespace tunproxy::ssh {
namespace {

const Error kGone{ErrorCode::server_unreachable, "connection refused"};

TEST(BackoffTest, DoublesToASecondAndThenFollowsTheOutage) {
  Backoff backoff(250ms, 30s);
  Instant now{1h};
  for (const Duration most : {250ms, 500ms, 1000ms, 1000ms}) {
    const Duration pause = backoff.next(kGone, now);
    EXPECT_GE(pause, most / 2);
    EXPECT_LE(pause, most);
    now += 100ms;
  }
  for (int n = 0; n < 8; ++n) backoff.next(kGone, now += 10s);
  const Duration pause = backoff.next(kGone, now);
  EXPECT_GE(pause, 5s);
  EXPECT_LE(pause, 11s);
  EXPECT_LE(backoff.next(kGone, now + 10h), 30s);
}

TEST(BackoffTest, BeginsAnewWhenToldSo) {
  Backoff backoff(250ms, 30s);
  Instant now{1h};
  for (int n = 0; n < 10; ++n) backoff.next(kGone, now += 10s);
  EXPECT_TRUE(backoff.reset());
  EXPECT_LE(backoff.next(kGone, now), 250ms);
}

TEST(BackoffTest, StaysAwayForAsLongAsAPenaltyLasts) {
  Backoff backoff(250ms, 30s);
  const Error penalty = turned_away("Not allowed at this time");
  EXPECT_GE(backoff.next(penalty, Instant{1h}), 15s);
  EXPECT_GE(backoff.next(penalty, Instant{1h}), 30s);
  for (int n = 0; n < 40; ++n) EXPECT_LE(backoff.next(penalty, Instant{1h}), 4min);
  EXPECT_FALSE(backoff.reset());
  backoff.forget();
  EXPECT_LE(backoff.next(kGone, Instant{2h}), 250ms);
}

TEST(BackoffTest, ACrowdedServerIsSpared) {
  for (const char* line : {"Exceeded MaxStartups", ""}) {
    Backoff backoff(250ms, 30s);
    EXPECT_GE(backoff.next(turned_away(line), Instant{1h}), 2s);
  }
  EXPECT_EQ(stay_away(kGone), 0ms);
}

}  // namespace
}  // namespace tunproxy::ssh
