// The outcomes of a request: our error codes and SOCKS5's reply codes (RFC 1928 §6), mapped in one
// place.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/error.h"

namespace tunproxy::socks5 {

inline constexpr uint8_t kSucceeded = 0;

/// The reply that tells a client of this error. A timeout is 06, as no code is closer; a tunnel
/// that is down is 04.
uint8_t reply_for_error(ErrorCode code);
/// The error that a reply other than kSucceeded stands for; general for codes we do not know.
ErrorCode error_for_reply(uint8_t reply);
/// "connection refused" and the like, for people.
std::string_view reply_text(uint8_t reply);

}  // namespace tunproxy::socks5
