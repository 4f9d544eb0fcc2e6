// Fingerprints and names of public keys, as people compare them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"

namespace tunproxy::ssh {

/// "SHA256:" and the unpadded base64 of the digest of a key blob (RFC 4253 §6.6).
std::string fingerprint(Bytes blob);

/// The algorithm name that a key blob begins with ("ssh-ed25519"); empty if it is malformed.
std::string_view key_type(Bytes blob);
/// What people call that type: "ED25519", "ECDSA", "RSA"; the name itself if it is not a usual one.
std::string display_type(std::string_view type);
/// "ED25519 SHA256:…"
std::string describe_key(Bytes blob);

std::string base64_encode(Bytes bytes);
/// With padding, without white space; empty if `text` is anything else.
std::optional<ByteVector> base64_decode(std::string_view text);

/// Takes one string (u32 length, bytes; RFC 4251 §5) from the front of `from`; empty if it is cut
/// short.
std::optional<Bytes> take_string(Bytes& from);
void append_string(ByteVector& to, Bytes bytes);

/// A path as people write it: with ~ for $HOME.
std::string display_path(const std::string& path);

}  // namespace tunproxy::ssh
