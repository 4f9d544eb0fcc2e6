#include "core/ssh/turned_away.h"

#include <string>

namespace tunproxy::ssh {
namespace {

// What OpenSSH writes in place of its banner, since 9.8 for both of its reasons.
constexpr std::string_view kRefusalWords = "Not allowed at this time";
constexpr std::string_view kStartupsWords = "Exceeded MaxStartups";

constexpr const char* kRefused =
    "the SSH server takes no connections from here at the moment (it has too many: MaxStartups; or "
    "logins from here failed: PerSourcePenalties)";
constexpr const char* kCrowded =
    "the SSH server takes no more connections at the moment (MaxStartups)";
constexpr const char* kSilent = "the SSH server closed the connection before it said anything";

// A penalty lasts for 15 seconds and more; MaxStartups drops at random.
constexpr StayAway kAfterRefusal{4s, 4min, true};
constexpr StayAway kWhileCrowded{2s, 4min, true};
// That may as well be a captive portal, or a load balancer whose servers restart.
constexpr StayAway kAfterSilence{1s, 8s, false};

}  // namespace

Error turned_away(std::string_view line) {
  const char* text = kSilent;
  if (line.starts_with(kRefusalWords)) text = kRefused;
  if (line.starts_with(kStartupsWords)) text = kCrowded;
  return {ErrorCode::server_unreachable, text};
}

StayAway stay_away(const Error& error) {
  if (error.message == kRefused) return kAfterRefusal;
  if (error.message == kCrowded) return kWhileCrowded;
  if (error.message == kSilent) return kAfterSilence;
  return {};
}

}  // namespace tunproxy::ssh
