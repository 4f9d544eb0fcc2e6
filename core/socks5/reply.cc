#include "core/socks5/reply.h"

#include <array>

namespace tunproxy::socks5 {
namespace {

struct Meaning {
  ErrorCode error;
  std::string_view text;
};

// Indexed by the reply code.
constexpr std::array<Meaning, 9> kMeanings = {{
    {ErrorCode::general, "succeeded"},
    {ErrorCode::general, "general failure"},
    {ErrorCode::not_allowed, "not allowed by the rules"},
    {ErrorCode::network_unreachable, "network unreachable"},
    {ErrorCode::host_unreachable, "host unreachable"},
    {ErrorCode::refused, "connection refused"},
    {ErrorCode::timed_out, "timed out"},
    {ErrorCode::command_not_supported, "command not supported"},
    {ErrorCode::address_not_supported, "address type not supported"},
}};

constexpr uint8_t kGeneralFailure = 1;
constexpr uint8_t kHostUnreachable = 4;

}  // namespace

uint8_t reply_for_error(ErrorCode code) {
  if (code == ErrorCode::server_unreachable) return kHostUnreachable;
  for (uint8_t reply = kGeneralFailure; reply < kMeanings.size(); ++reply) {
    if (kMeanings[reply].error == code) return reply;
  }
  return kGeneralFailure;
}

ErrorCode error_for_reply(uint8_t reply) {
  return reply < kMeanings.size() ? kMeanings[reply].error : ErrorCode::general;
}

std::string_view reply_text(uint8_t reply) {
  return reply < kMeanings.size() ? kMeanings[reply].text : "an unknown failure";
}

}  // namespace tunproxy::socks5
