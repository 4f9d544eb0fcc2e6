// What resolvectl prints; the rest is met by a real systemd-resolved (scenarios_resolved.py).
#include "platform/linux/resolved.h"

#include <gtest/gtest.h>

namespace tunproxy::linux_host {
namespace {

TEST(Resolved, ReadsTheDomainsOfLinks) {
  const auto found = parse_link_settings("domain",
                                         "Global: ~.\n"
                                         "Link 2 (eth0): example.lan ~corp.example\n"
                                         "Link 3 (wlan0):\n"
                                         "Link 14 (br-1): ~.\n");
  const std::vector<LinkSetting> expected = {{"domain", "eth0", {"example.lan", "~corp.example"}},
                                             {"domain", "br-1", {"~."}}};
  EXPECT_EQ(found, expected);
}

TEST(Resolved, ReadsWhatIsOn) {
  const auto found = parse_link_settings("llmnr",
                                         "Global: yes\n"
                                         "Link 2 (eth0): yes\n"
                                         "Link 3 (wlan0): no\n"
                                         "Link 4 (usb0): resolve\n");
  const std::vector<LinkSetting> expected = {{"llmnr", "eth0", {"yes"}},
                                             {"llmnr", "usb0", {"resolve"}}};
  EXPECT_EQ(found, expected);
}

TEST(Resolved, TakesNothingFromWhatItDoesNotKnow) {
  for (const char* text : {"", "\n\n", "Link", "Link 2 eth0: a", "Link 2 (eth0) a", "Link 2 (: a",
                           "Link 2 (): a", "eth0: a", "Link )( a: b"}) {
    EXPECT_TRUE(parse_link_settings("domain", text).empty()) << text;
  }
}

}  // namespace
}  // namespace tunproxy::linux_host
