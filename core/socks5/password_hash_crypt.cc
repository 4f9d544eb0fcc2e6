#include <crypt.h>
#include <openssl/crypto.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/socks5/password_hash.h"

namespace tunproxy::socks5 {
namespace {

struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

}  // namespace

bool knows_hash(const std::string& hash) {
  const int verdict = hash.starts_with('$') ? ::crypt_checksalt(hash.c_str()) : CRYPT_SALT_INVALID;
  return verdict == CRYPT_SALT_OK || verdict == CRYPT_SALT_TOO_CHEAP;
}

Result<std::string> make_hash(const std::string& password) {
  const std::unique_ptr<char, FreeText> setting(::crypt_gensalt_ra(nullptr, 0, nullptr, 0));
  const auto data = std::make_unique<crypt_data>();
  const char* hash = setting ? ::crypt_r(password.c_str(), setting.get(), data.get()) : nullptr;
  if (hash == nullptr || *hash == '*') {
    return Error{ErrorCode::general, "the system's crypt library cannot hash a password"};
  }
  std::string text(hash);
  ::OPENSSL_cleanse(data.get(), sizeof *data);
  return text;
}

bool hash_matches(const std::string& password, const std::string& hash) {
  const auto data = std::make_unique<crypt_data>();
  const char* got = ::crypt_r(password.c_str(), hash.c_str(), data.get());
  const bool comparable = got != nullptr && *got != '*' && std::strlen(got) == hash.size();
  const bool matches = comparable && ::CRYPTO_memcmp(got, hash.data(), hash.size()) == 0;
  ::OPENSSL_cleanse(data.get(), sizeof *data);
  return matches;
}

}  // namespace tunproxy::socks5
