#include "core/ssh/turned_away.h"

#include <string>

namespace tunproxy::ssh {
namespace {

// OpenSSH's words. A penalty lasts 15 seconds and more; MaxStartups drops at random.
constexpr std::string_view kPenaltyWords = "Not allowed at this time";
constexpr std::string_view kStartupsWords = "Exceeded MaxStartups";
constexpr Duration kPenaltyPause = 16s;
constexpr Duration kCrowdedPause = 2s;

constexpr const char* kPenalty =
    "the SSH server does not allow connections from here for a while (PerSourcePenalties)";
constexpr const char* kCrowded =
    "the SSH server takes no more connections at the moment (MaxStartups)";
constexpr const char* kSilent = "the SSH server closed the connection before it said anything";

}  // namespace

Error turned_away(std::string_view line) {
  const char* text = kSilent;
  if (line.starts_with(kPenaltyWords)) text = kPenalty;
  if (line.starts_with(kStartupsWords)) text = kCrowded;
  return {ErrorCode::server_unreachable, text};
}

Duration stay_away(const Error& error) {
  if (error.message == kPenalty) return kPenaltyPause;
  if (error.message == kCrowded || error.message == kSilent) return kCrowdedPause;
  return 0ms;
}

}  // namespace tunproxy::ssh
