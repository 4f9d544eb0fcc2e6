#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>

#include "core/socks5/password_hash.h"

namespace tunproxy::socks5 {
namespace {

constexpr size_t kSalt = 16;
constexpr size_t kDigest = 32;
constexpr int kRounds = 210'000;  // what OWASP asks of PBKDF2 with SHA-512

bool derive(const std::string& password, const uint8_t* salt, std::array<uint8_t, kDigest>& to) {
  return ::PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt, kSalt,
                             kRounds, ::EVP_sha512(), static_cast<int>(to.size()), to.data()) == 1;
}

}  // namespace

bool knows_hash(const std::string&) {
  return false;
}

// The salt and the digest, as bytes: it never leaves the process.
Result<std::string> make_hash(const std::string& password) {
  std::array<uint8_t, kSalt> salt;
  std::array<uint8_t, kDigest> digest;
  if (::RAND_bytes(salt.data(), static_cast<int>(salt.size())) != 1 ||
      !derive(password, salt.data(), digest)) {
    return Error{ErrorCode::general, "OpenSSL cannot hash a password"};
  }
  std::string hash(salt.begin(), salt.end());
  hash.append(digest.begin(), digest.end());
  return hash;
}

bool hash_matches(const std::string& password, const std::string& hash) {
  std::array<uint8_t, kDigest> digest;
  if (hash.size() != kSalt + kDigest) return false;
  const auto* bytes = reinterpret_cast<const uint8_t*>(hash.data());
  return derive(password, bytes, digest) &&
         ::CRYPTO_memcmp(digest.data(), bytes + kSalt, digest.size()) == 0;
}

}  // namespace tunproxy::socks5
