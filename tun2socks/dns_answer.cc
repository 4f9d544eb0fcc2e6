#include "tun2socks/dns_answer.h"

#include <algorithm>
#include <optional>

namespace tunproxy::tun2socks {
namespace {

constexpr size_t kHeader = 12;
constexpr uint16_t kTypeOpt = 41;
constexpr uint8_t kResponseBit = 0x80;
constexpr uint8_t kTruncatedBit = 0x02;

/// Where the name at `at` ends, or nullopt (RFC 1035 §4.1.4; a pointer ends a name).
std::optional<size_t> skip_name(Bytes message, size_t at) {
  while (at < message.size()) {
    const uint8_t length = message[at];
    if (length == 0) return at + 1;
    if ((length & 0xc0) == 0xc0)
      return at + 2 <= message.size() ? std::optional(at + 2) : std::nullopt;
    if ((length & 0xc0) != 0) return std::nullopt;
    at += 1 + size_t{length};
  }
  return std::nullopt;
}

std::optional<size_t> skip_questions(Bytes message) {
  size_t at = kHeader;
  for (int left = load_be16(&message[4]); left > 0; --left) {
    const auto name_end = skip_name(message, at);
    if (!name_end || *name_end + 4 > message.size()) return std::nullopt;
    at = *name_end + 4;
  }
  return at;
}

/// The OPT record of a message, or an empty span.
Bytes find_opt(Bytes message, size_t at) {
  const int records = load_be16(&message[6]) + load_be16(&message[8]) + load_be16(&message[10]);
  for (int i = 0; i < records; ++i) {
    const auto name_end = skip_name(message, at);
    if (!name_end || *name_end + 10 > message.size()) return {};
    const size_t end = *name_end + 10 + load_be16(&message[*name_end + 8]);
    if (end > message.size()) return {};
    if (load_be16(&message[*name_end]) == kTypeOpt && *name_end == at + 1) {
      return message.subspan(at, end - at);
    }
    at = end;
  }
  return {};
}

}  // namespace

bool is_dns_query(Bytes message) {
  return message.size() > kHeader && (message[2] & kResponseBit) == 0 &&
         load_be16(&message[4]) == 1 && skip_questions(message).has_value();
}

size_t dns_answer_limit(Bytes query) {
  if (query.size() < kHeader) return kPlainDnsSize;
  const auto questions_end = skip_questions(query);
  const Bytes opt = questions_end ? find_opt(query, *questions_end) : Bytes();
  return opt.empty() ? kPlainDnsSize : std::max<size_t>(kPlainDnsSize, load_be16(&opt[3]));
}

ByteVector fit_dns_answer(Bytes answer, size_t limit) {
  ByteVector fitting(answer.begin(), answer.end());
  if (answer.size() <= limit || answer.size() < kHeader) return fitting;
  const auto questions_end = skip_questions(answer);
  const Bytes opt = questions_end ? find_opt(answer, *questions_end) : Bytes();
  const size_t kept = questions_end && *questions_end <= limit ? *questions_end : kHeader;
  fitting.resize(kept);
  fitting[2] |= kTruncatedBit;
  if (kept == kHeader) store_be16(&fitting[4], 0);
  const bool with_opt = !opt.empty() && kept + opt.size() <= limit;
  std::fill(&fitting[6], &fitting[6] + 6, uint8_t{0});
  if (with_opt) {
    store_be16(&fitting[10], 1);
    append(fitting, opt);
  }
  return fitting;
}

}  // namespace tunproxy::tun2socks
