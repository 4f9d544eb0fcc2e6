// What resolvectl prints; the rest is met by a real systemd-resolved (scenarios_resolved.py).
#include "platform/linux/resolved.h"

#include <gtest/gtest.h>

namespace tunproxy::linux_host {
namespace {

TEST(Resolved, ReadsTheDomainsOfLinks) {
  const auto found = parse_link_domains(
      "Global: ~.\n"
      "Link 2 (eth0): example.lan ~corp.example\n"
      "Link 3 (wlan0):\n"
      "Link 14 (br-1): ~.\n");
  const std::vector<LinkDomains> expected = {{"eth0", {"example.lan", "~corp.example"}},
                                             {"br-1", {"~."}}};
  EXPECT_EQ(found, expected);
}

TEST(Resolved, TakesNothingFromWhatItDoesNotKnow) {
  for (const char* text : {"", "\n\n", "Link", "Link 2 eth0: a", "Link 2 (eth0) a", "Link 2 (: a",
                           "Link 2 (): a", "eth0: a", "Link )( a: b"}) {
    EXPECT_TRUE(parse_link_domains(text).empty()) << text;
  }
}

}  // namespace
}  // namespace tunproxy::linux_host
