#include "core/base/joined.h"

#include <gtest/gtest.h>

namespace tunproxy {
namespace {

TEST(Joined, SaysAllThatWentWrong) {
  EXPECT_TRUE(joined({}));
  EXPECT_TRUE(joined({Result<void>(), Result<void>()}));
  const auto one = joined({Result<void>(), Error{ErrorCode::usage, "a"}, Result<void>()});
  EXPECT_EQ(one.error().message, "a");
  const auto both = joined({Error{ErrorCode::limit, "a"}, {}, Error{ErrorCode::usage, "b"}});
  EXPECT_EQ(both.error().message, "a; b");
  EXPECT_EQ(both.error().code, ErrorCode::limit);
}

}  // namespace
}  // namespace tunproxy
