// Hashes of passwords: by the system's crypt library, or without it by OpenSSL, which knows none of
// others.
#pragma once

#include <string>

#include "core/base/result.h"

namespace tunproxy::socks5 {

/// A hash in one of the forms of crypt(5) that is not too weak. Always false without crypt.
bool knows_hash(const std::string& hash);
/// Slow on purpose. REQUIRES: no NUL in `password`.
Result<std::string> make_hash(const std::string& password);
/// Slow on purpose. REQUIRES: no NUL in `password`.
bool hash_matches(const std::string& password, const std::string& hash);

}  // namespace tunproxy::socks5
