#include "core/ssh/signature.h"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <memory>
#include <optional>
#include <string_view>

#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;

constexpr size_t kMaxNumber = 2048 + 1;  // RSA of 16384 bits
constexpr int kMinRsaBits = 1024;

Number number(Bytes mpint) {
  if (mpint.empty() || mpint.size() > kMaxNumber || (mpint[0] & 0x80) != 0) return nullptr;
  return Number(BN_bin2bn(mpint.data(), static_cast<int>(mpint.size()), nullptr));
}

Key from_parameters(const char* type, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return nullptr;
  }
  return Key(key);
}

Key read_rsa(Bytes fields) {
  const auto e = take_string(fields);
  const auto n = take_string(fields);
  if (!e || !n) return nullptr;
  const Number exponent = number(*e);
  const Number modulus = number(*n);
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!exponent || !modulus || !builder || BN_num_bits(modulus.get()) < kMinRsaBits ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return nullptr;
  }
  return from_parameters("RSA", builder.get());
}

const char* group_name(std::string_view curve) {
  if (curve == "nistp256") return "prime256v1";
  if (curve == "nistp384") return "secp384r1";
  return curve == "nistp521" ? "secp521r1" : nullptr;
}

Key read_ecdsa(Bytes fields, std::string_view type) {
  const auto curve = take_string(fields);
  const auto point = take_string(fields);
  if (!curve || !point || type.substr(type.rfind('-') + 1) != as_text(*curve)) return nullptr;
  const char* group = group_name(as_text(*curve));
  const Builder builder(OSSL_PARAM_BLD_new());
  if (group == nullptr || !builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point->data(),
                                       point->size()) != 1) {
    return nullptr;
  }
  return from_parameters("EC", builder.get());
}

Key read_key(Bytes blob) {
  const auto name = take_string(blob);
  const std::string_view type = name ? as_text(*name) : "";
  if (type == "ssh-rsa") return read_rsa(blob);
  if (type.starts_with("ecdsa-sha2-")) return read_ecdsa(blob, type);
  if (type != "ssh-ed25519") return nullptr;
  const auto raw = take_string(blob);
  if (!raw) return nullptr;
  return Key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw->data(), raw->size()));
}

/// Two mpints (RFC 5656 §3.1.2) as OpenSSL wants them.
std::optional<ByteVector> ecdsa_der(Bytes value) {
  const auto r = take_string(value);
  const auto s = take_string(value);
  if (!r || !s || !value.empty()) return std::nullopt;
  Number first = number(*r);
  Number second = number(*s);
  const std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>> pair(ECDSA_SIG_new());
  if (!first || !second || !pair) return std::nullopt;
  if (ECDSA_SIG_set0(pair.get(), first.release(), second.release()) != 1) return std::nullopt;
  ByteVector der(static_cast<size_t>(i2d_ECDSA_SIG(pair.get(), nullptr)));
  unsigned char* out = der.data();
  i2d_ECDSA_SIG(pair.get(), &out);
  return der;
}

/// The digest of an algorithm that fits the key; empty if it does not. Ed25519 has none of its own.
std::optional<const EVP_MD*> digest_of(std::string_view type, std::string_view algorithm) {
  if (type == "ssh-rsa") {
    if (algorithm == "rsa-sha2-256") return EVP_sha256();
    if (algorithm == "rsa-sha2-512") return EVP_sha512();
    return std::nullopt;
  }
  if (type != algorithm) return std::nullopt;
  if (type == "ssh-ed25519") return nullptr;
  if (type == "ecdsa-sha2-nistp256") return EVP_sha256();
  if (type == "ecdsa-sha2-nistp384") return EVP_sha384();
  if (type == "ecdsa-sha2-nistp521") return EVP_sha512();
  return std::nullopt;
}

Error refused(std::string why) {
  ERR_clear_error();
  return {ErrorCode::host_key_refused, std::move(why)};
}

}  // namespace

Result<void> verify_signature(Bytes key, Bytes signature, Bytes data) {
  const std::string_view type = key_type(key);
  const auto algorithm = take_string(signature);
  const auto value = take_string(signature);
  if (!algorithm || !value) return refused("its signature is malformed");
  const auto digest = digest_of(type, as_text(*algorithm));
  if (!digest) {
    return refused(fmt::format("it is signed by {} with {}, which is not supported",
                               display_type(type), as_text(*algorithm).substr(0, 64)));
  }
  const Key opened = read_key(key);
  const DigestContext context(EVP_MD_CTX_new());
  std::optional<ByteVector> der;
  if (type.starts_with("ecdsa-")) der = ecdsa_der(*value);
  const Bytes bytes = der ? Bytes(*der) : *value;
  if (!opened || !context ||
      EVP_DigestVerifyInit(context.get(), nullptr, *digest, nullptr, opened.get()) != 1 ||
      EVP_DigestVerify(context.get(), bytes.data(), bytes.size(), data.data(), data.size()) != 1) {
    return refused("its signature is wrong");
  }
  return {};
}

}  // namespace tunproxy::ssh
