// Questions for the addresses of a name, and the addresses in answers (RFC 1035 §4, RFC 3596).
// Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::gate {

inline constexpr uint16_t kTypeA = 1;
inline constexpr uint16_t kTypeAaaa = 28;
inline constexpr size_t kMaxAddresses = 32;  ///< of a name that is looked up; enough to connect

/// Error host_unreachable for a name that DNS cannot ask for (a label of 0 or above 63 bytes, more
/// than 253 in all).
Result<ByteVector> address_query(std::string_view name, uint16_t type);

struct AddressRecords {
  std::string name;  ///< of the question, as dns::Question has it
  std::vector<IpAddress> addresses;
  uint32_t ttl = 0;  ///< the shortest, in seconds
};
/// The A and AAAA records of the answer section, whoever owns them: an alias leads to them. None is
/// no error where the server says so; `most`: further ones are left out. Error protocol: no answer,
/// or malformed; host_unreachable: the server says that it could not.
Result<AddressRecords> parse_address_records(Bytes message, size_t most);

}  // namespace tunproxy::gate
