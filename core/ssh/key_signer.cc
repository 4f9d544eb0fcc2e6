#include "core/ssh/key_signer.h"

#include <openssl/err.h>

#include <cstdlib>
#include <memory>

#include "core/ssh/fingerprint.h"
#include "tunproxy_ssh2.h"

namespace tunproxy::ssh {
namespace {

struct Free {
  void operator()(unsigned char* bytes) const { std::free(bytes); }
};
using Allocated = std::unique_ptr<unsigned char, Free>;

Error unusable() {
  ERR_clear_error();
  return {ErrorCode::not_allowed, "of a kind that is not supported"};
}

}  // namespace

Result<ByteVector> sign(LIBSSH2_SESSION* session, const KeyFile& key, const Secret& passphrase,
                        const std::string& algorithm, Bytes data) {
  unsigned char* value = nullptr;
  size_t length = 0;
  const int code =
      tunproxy_ssh2_sign(session, algorithm.c_str(), key.content.c_str(), key.content.size(),
                         passphrase.c_str(), data.data(), data.size(), &value, &length);
  if (code != 0) return unusable();  // libssh2 has freed what there was
  const Allocated owner(value);
  ByteVector signature;
  append_string(signature, as_bytes(algorithm));
  append_string(signature, {value, length});
  return signature;
}

Result<ByteVector> public_key(LIBSSH2_SESSION* session, const KeyFile& key,
                              const Secret& passphrase) {
  unsigned char* blob = nullptr;
  size_t length = 0;
  const int code = tunproxy_ssh2_public_key(session, key.content.c_str(), key.content.size(),
                                            passphrase.c_str(), &blob, &length);
  if (code != 0 || blob == nullptr) return unusable();
  const Allocated owner(blob);
  return ByteVector(blob, blob + length);
}

}  // namespace tunproxy::ssh
