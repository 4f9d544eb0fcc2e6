#include "core/ssh/failure.h"

#include <gtest/gtest.h>

namespace tunproxy::ssh {
namespace {

TEST(OpenFailure, TellsTheSystemsTextsApart) {
  const struct {
    uint32_t reason;
    const char* text;
    ErrorCode code;
  } cases[] = {
      {2, "Connection refused", ErrorCode::refused},
      {2, "Network is unreachable", ErrorCode::network_unreachable},
      {2, "No route to host", ErrorCode::host_unreachable},
      {2, "Connection timed out", ErrorCode::timed_out},
      {2, "Operation timed out", ErrorCode::timed_out},
      {2, "Name or service not known", ErrorCode::host_unreachable},
      {2, "Temporary failure in name resolution", ErrorCode::host_unreachable},
      {2, "No address associated with hostname", ErrorCode::host_unreachable},
      {2, "Address family not supported by protocol", ErrorCode::address_not_supported},
      {2, "Permission denied", ErrorCode::not_allowed},
      {2, "something that nobody foresaw", ErrorCode::general},
      {2, "", ErrorCode::general},
      {1, "open failed", ErrorCode::not_allowed},
      {1, "Connection refused", ErrorCode::not_allowed},
      {3, "unknown channel type", ErrorCode::command_not_supported},
      {4, "", ErrorCode::limit},
      {99, "Connection refused", ErrorCode::refused},
  };
  for (const auto& c : cases) EXPECT_EQ(open_failure(c.reason, c.text).code, c.code) << c.text;
}

TEST(OpenFailure, ShowsTheServersTextWithoutControlBytesAndNotAtAnyLength) {
  const std::string text = open_failure(2, "a\x1b[31mb\n" + std::string(5000, 'x')).message;
  EXPECT_NE(text.find("a [31mb "), std::string::npos);
  EXPECT_LT(text.size(), 300u);
}

}  // namespace
}  // namespace tunproxy::ssh
