// Signatures by the public keys of SSH (RFC 4253 §6.6, 5656, 8332, 8709).
#pragma once

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace tunproxy::ssh {

/// Is `signature` (string algorithm, string value) one over `data` by the plain public key `key`?
/// Ed25519, ECDSA and RSA with SHA-2. An Error host_key_refused says why not.
Result<void> verify_signature(Bytes key, Bytes signature, Bytes data);

}  // namespace tunproxy::ssh
