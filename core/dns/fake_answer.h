// Answers that are made here rather than fetched (RFC 1035 §4). Pure.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/dns/message.h"

namespace tunproxy::dns {

inline constexpr uint16_t kTypeA = 1;
inline constexpr uint16_t kTypePtr = 12;
inline constexpr uint16_t kTypeAaaa = 28;
inline constexpr uint16_t kTypeSvcb = 64;
inline constexpr uint16_t kTypeHttps = 65;
inline constexpr uint16_t kTypeIxfr = 251;
inline constexpr uint16_t kTypeAxfr = 252;
inline constexpr uint16_t kTypeAny = 255;
inline constexpr uint16_t kClassIn = 1;

inline constexpr uint8_t kNoError = 0;
inline constexpr uint8_t kFormatError = 1;
inline constexpr uint8_t kServerFailure = 2;
inline constexpr uint8_t kNoSuchName = 3;
inline constexpr uint8_t kNotImplemented = 4;

// Each takes the query and its parse_question(); the answer repeats id, question, opcode, RD and
// CD, says RA, and has an OPT record if the query had one (RFC 6891 §6.1.1).

/// No records; `code` is the RCODE.
ByteVector empty_answer(Bytes query, const Question& question, uint8_t code);
/// An A or AAAA record for each of `addresses`. `ttl` in seconds.
ByteVector address_answer(Bytes query, const Question& question,
                          const std::vector<IpAddress>& addresses, uint32_t ttl);
/// A PTR record to `name`. REQUIRES: labels of 1 to 63 bytes, joined by dots
ByteVector pointer_answer(Bytes query, const Question& question, std::string_view name,
                          uint32_t ttl);

/// The address that a name under in-addr.arpa (RFC 1035 §3.5) or ip6.arpa (RFC 3596 §2.5) is the
/// reverse of; nullopt: not a whole one.
std::optional<IpAddress> reversed_address(std::string_view name);

}  // namespace tunproxy::dns
