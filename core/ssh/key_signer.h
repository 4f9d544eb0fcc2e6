// Signing with private keys that are in memory, opened with their passphrase if they have one.
#pragma once

#include <string>

#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/base/secret.h"
#include "core/ssh/key_file.h"

struct _LIBSSH2_SESSION;

namespace tunproxy::ssh {

/// The signature (string algorithm, string value) over `data`. Slow where the key is encrypted (as
/// slow as its owner made it). Error not_allowed: it does not open with this passphrase, or is of a
/// kind that cannot be used.
Result<ByteVector> sign(_LIBSSH2_SESSION* session, const KeyFile& key, const Secret& passphrase,
                        const std::string& algorithm, Bytes data);

/// The public key that belongs to it (RFC 4253 §6.6); errors as above.
Result<ByteVector> public_key(_LIBSSH2_SESSION* session, const KeyFile& key,
                              const Secret& passphrase);

}  // namespace tunproxy::ssh
