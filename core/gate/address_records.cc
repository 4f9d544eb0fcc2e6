#include "core/gate/address_records.h"

#include <algorithm>

#include "core/dns/lookup.h"
#include "core/dns/message.h"

namespace tunproxy::gate {
namespace {

constexpr uint8_t kNoSuchName = 3;  // RFC 1035 §4.1.1
constexpr uint16_t kClassIn = 1;
constexpr size_t kFixed = 10;  // type, class, TTL and length of a record (§4.1.3)

Error malformed() {
  return {ErrorCode::protocol, "a malformed DNS answer"};
}

}  // namespace

Result<ByteVector> address_query(std::string_view name, uint16_t type) {
  auto query = dns::address_query(name, type);
  if (!query) return Error{ErrorCode::host_unreachable, "a name that DNS cannot ask for"};
  return query;
}

Result<AddressRecords> parse_address_records(Bytes message, size_t most) {
  const auto header = dns::parse_header(message);
  auto question = dns::parse_question(message);
  if (!header || !question || !header->is_response()) return malformed();
  AddressRecords records;
  records.name = std::move(question->name);
  if (header->response_code() == kNoSuchName) return records;
  if (header->response_code() != 0) {
    return Error{ErrorCode::host_unreachable, "the resolver could not resolve the name"};
  }
  records.ttl = UINT32_MAX;
  size_t offset = question->end;
  for (unsigned i = 0; i < header->answers; ++i) {
    const auto owner = dns::parse_name(message, offset);
    if (!owner || message.size() - owner->end < kFixed) return malformed();
    const uint8_t* fixed = &message[owner->end];
    const uint16_t type = load_be16(fixed);
    const size_t length = load_be16(fixed + 8);
    offset = owner->end + kFixed + length;
    if (offset > message.size()) return malformed();
    const bool v4 = type == kTypeA && length == 4;
    const bool v6 = type == kTypeAaaa && length == 16;
    if (load_be16(fixed + 2) != kClassIn || !(v4 || v6)) continue;
    if (records.addresses.size() >= most) break;
    records.ttl = std::min(records.ttl, load_be32(fixed + 4));
    records.addresses.push_back(v4 ? IpAddress::v4(fixed + kFixed) : IpAddress::v6(fixed + kFixed));
  }
  if (records.addresses.empty()) records.ttl = 0;
  return records;
}

}  // namespace tunproxy::gate
