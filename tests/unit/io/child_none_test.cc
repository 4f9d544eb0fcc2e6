#include <gtest/gtest.h>

#include "core/io/child.h"
#include "core/io/loop.h"

namespace tunproxy::io {
namespace {

TEST(ChildNone, SaysWhyNothingIsRun) {
  Loop loop;
  ChildOptions options;
  options.argv = {"nc", "example.org", "22"};
  const auto child = Child::start(loop, options);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, ErrorCode::usage);
  EXPECT_NE(child.error().message.find("nc"), std::string::npos);
}

}  // namespace
}  // namespace tunproxy::io
