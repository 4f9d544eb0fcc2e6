#include "core/udp/silence_watch.h"

#include <gtest/gtest.h>

#include <optional>

#include "core/io/loop.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::udp {
namespace {

using testing::run_until;

TEST(SilenceWatch, AsksAfterThatLongASilenceWhateverWasSaidBefore) {
  io::Loop loop;
  std::optional<Instant> asked;
  SilenceWatch watch(loop, {.ask = 300ms, .silent = 60s, .give_up = 60s},
                     [&](SilenceWatch::Event) { asked = loop.now(); });
  watch.spoke();
  watch.heard();
  const Instant later = loop.now() + 200ms;
  ASSERT_TRUE(run_until(loop, [&] { return loop.now() >= later; }));
  const Instant spoke = loop.now();
  watch.spoke();
  ASSERT_TRUE(run_until(loop, [&] { return asked.has_value(); }));
  EXPECT_GE(*asked - spoke, 300ms);
  EXPECT_TRUE(watch.doubted());
  watch.heard();
  EXPECT_FALSE(watch.doubted());
}

TEST(SilenceWatch, SaysNothingWhileNothingIsSaid) {
  io::Loop loop;
  unsigned told = 0;
  SilenceWatch watch(loop, {.ask = 20ms, .silent = 20ms, .give_up = 20ms},
                     [&](SilenceWatch::Event) { ++told; });
  watch.spoke();
  watch.heard();
  const Instant later = loop.now() + 200ms;
  ASSERT_TRUE(run_until(loop, [&] { return loop.now() >= later; }));
  EXPECT_EQ(told, 0U);
}

}  // namespace
}  // namespace tunproxy::udp
