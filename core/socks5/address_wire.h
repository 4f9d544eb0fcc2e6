// An address in SOCKS form (RFC 1928 §5): atyp, address, port. Pure.
#pragma once

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/socks5/cursor.h"

namespace tunproxy::socks5 {

inline constexpr size_t kMaxAddressSize = 1 + 1 + Target::kMaxName + 2;

/// Reads one address; the cursor is short if there is not enough yet (the value is meaningless
/// then). A name that spells an address becomes one. Error address_not_supported for an unknown
/// atyp, protocol for a bad name.
Result<Target> read_address(Cursor& cursor);
void append_address(ByteVector& to, const Target& address);
/// What append_address() would add.
size_t address_size(const Target& address);

/// Reads `length` bytes as a name, then a port (shared with the formats that number address types
/// otherwise).
Result<Target> read_name_and_port(Cursor& cursor, size_t length);
Target read_ip_and_port(Cursor& cursor, bool v6);

}  // namespace tunproxy::socks5
