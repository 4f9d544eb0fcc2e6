#include "core/dns/fake_answer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>

namespace tunproxy::dns {
namespace {

constexpr uint16_t kTypeOpt = 41;
constexpr uint16_t kKept = 0x7910;                 // opcode, RD and CD of the query
constexpr uint16_t kAnswerFlags = 0x8080;          // QR, RA
constexpr uint16_t kUdpPayload = 1232;             // what an OPT record says we would take
constexpr uint16_t kOwner = 0xc000 | kHeaderSize;  // a pointer to the question's name
constexpr size_t kRecordTail = 10;  // type, class, TTL, length: behind the owner's name

void append_be32(ByteVector& to, uint32_t value) {
  append_be16(to, static_cast<uint16_t>(value >> 16));
  append_be16(to, static_cast<uint16_t>(value));
}

// Whether there is an OPT record among those behind the question; what is malformed has none.
bool has_opt(Bytes query, const Question& question) {
  const Result<Header> header = parse_header(query);
  size_t offset = question.end;
  const size_t records = size_t{header->answers} + header->authorities + header->additionals;
  for (size_t i = 0; i < records; ++i) {
    const Result<Name> owner = parse_name(query, offset);
    if (!owner || owner->end + kRecordTail > query.size()) return false;
    if (owner->text.empty() && load_be16(&query[owner->end]) == kTypeOpt) return true;
    offset = owner->end + kRecordTail + load_be16(&query[owner->end + kRecordTail - 2]);
  }
  return false;
}

ByteVector header_and_question(Bytes query, const Question& question, uint8_t code,
                               uint16_t answers) {
  ByteVector answer(query.begin(), query.begin() + static_cast<ptrdiff_t>(question.end));
  store_be16(&answer[2],
             static_cast<uint16_t>((load_be16(&query[2]) & kKept) | kAnswerFlags | code));
  store_be16(&answer[4], 1);
  store_be16(&answer[6], answers);
  store_be16(&answer[8], 0);
  store_be16(&answer[10], has_opt(query, question) ? 1 : 0);
  return answer;
}

void append_record(ByteVector& answer, uint16_t type, uint32_t ttl, Bytes data) {
  append_be16(answer, kOwner);
  append_be16(answer, type);
  append_be16(answer, kClassIn);
  append_be32(answer, ttl);
  append_be16(answer, static_cast<uint16_t>(data.size()));
  append(answer, data);
}

// RFC 6891 §6.1.2: version 0, no flags, no options.
ByteVector finished(ByteVector answer) {
  if (load_be16(&answer[10]) == 0) return answer;
  answer.push_back(0);
  append_be16(answer, kTypeOpt);
  append_be16(answer, kUdpPayload);
  append_be32(answer, 0);
  append_be16(answer, 0);
  return answer;
}

std::string_view take_label(std::string_view& name) {
  const size_t length = std::min(name.find('.'), name.size());
  const std::string_view label = name.substr(0, length);
  name.remove_prefix(std::min(length + 1, name.size()));
  return label;
}

bool take_suffix(std::string_view& name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  return true;
}

// The last label is the first number. Only the usual form, without leading zeros.
template <size_t kCount>
bool parse_labels(std::string_view labels, int base, unsigned largest,
                  std::array<uint8_t, kCount>& numbers) {
  for (size_t i = kCount; i-- > 0;) {
    const std::string_view label = take_label(labels);
    const char* const end = label.data() + label.size();
    if (label.size() > 1 && label.front() == '0') return false;
    const auto [stop, error] = std::from_chars(label.data(), end, numbers[i], base);
    if (error != std::errc() || stop != end || numbers[i] > largest) return false;
  }
  return labels.empty();
}

}  // namespace

ByteVector empty_answer(Bytes query, const Question& question, uint8_t code) {
  return finished(header_and_question(query, question, code, 0));
}

ByteVector address_answer(Bytes query, const Question& question,
                          const std::vector<IpAddress>& addresses, uint32_t ttl) {
  ByteVector answer =
      header_and_question(query, question, kNoError, static_cast<uint16_t>(addresses.size()));
  for (const IpAddress& address : addresses) {
    append_record(answer, address.is_v4() ? kTypeA : kTypeAaaa, ttl, address.bytes());
  }
  return finished(std::move(answer));
}

ByteVector pointer_answer(Bytes query, const Question& question, std::string_view name,
                          uint32_t ttl) {
  ByteVector answer = header_and_question(query, question, kNoError, 1);
  ByteVector data;
  while (!name.empty()) {
    const std::string_view label = take_label(name);
    assert(!label.empty() && label.size() <= 63);
    data.push_back(static_cast<uint8_t>(label.size()));
    append(data, as_bytes(label));
  }
  data.push_back(0);
  append_record(answer, kTypePtr, ttl, data);
  return finished(std::move(answer));
}

std::optional<IpAddress> reversed_address(std::string_view name) {
  if (take_suffix(name, ".in-addr.arpa")) {
    std::array<uint8_t, 4> bytes{};
    if (!parse_labels(name, 10, 255, bytes)) return std::nullopt;
    return IpAddress::v4(bytes.data());
  }
  if (!take_suffix(name, ".ip6.arpa")) return std::nullopt;
  std::array<uint8_t, 32> nibbles{};
  if (!parse_labels(name, 16, 15, nibbles)) return std::nullopt;
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(nibbles[2 * i] << 4 | nibbles[2 * i + 1]);
  }
  return IpAddress::v6(bytes.data());
}

}  // namespace tunproxy::dns
