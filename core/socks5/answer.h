// The answer to a client's request, in the language in which the client asked.
#pragma once

#include <string_view>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {

/// Success: SOCKS5's reply 00, SOCKS4's 5A, HTTP's 200. `bound` is told where the language can.
/// REQUIRES: a protocol that is known
void append_success(Protocol protocol, const Target& bound, ByteVector& to);
/// SOCKS5's reply code, SOCKS4's 5B, or one of HTTP's 403, 501, 502, 503, 504 with `reason` in its
/// body.
void append_refusal(Protocol protocol, ErrorCode why, std::string_view reason, ByteVector& to);

}  // namespace tunproxy::socks5
