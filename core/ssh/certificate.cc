#include "core/ssh/certificate.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "core/ssh/fingerprint.h"
#include "core/ssh/signature.h"

namespace tunproxy::ssh {
namespace {

constexpr std::string_view kSuffix = "-cert-v01@openssh.com";
constexpr size_t kMaxPrincipals = 256;
constexpr size_t kMaxOptions = 256;
constexpr uint64_t kForever = std::numeric_limits<uint64_t>::max();

std::optional<uint32_t> take_u32(Bytes& from) {
  if (from.size() < 4) return std::nullopt;
  const uint32_t value = load_be32(from.data());
  from = from.subspan(4);
  return value;
}

std::optional<uint64_t> take_u64(Bytes& from) {
  if (from.size() < 8) return std::nullopt;
  const uint64_t value = uint64_t{load_be32(from.data())} << 32 | load_be32(from.data() + 4);
  from = from.subspan(8);
  return value;
}

/// How many strings make up the key, after its type and the nonce.
size_t key_fields(std::string_view plain) {
  if (plain == "ssh-ed25519") return 1;
  if (plain == "sk-ecdsa-sha2-nistp256@openssh.com") return 3;
  if (plain == "ssh-dss") return 4;
  return 2;  // ECDSA: curve, point; RSA: e, n; sk-ssh-ed25519: key, application
}

bool take_key(Bytes& rest, Certificate& certificate) {
  const auto type = take_string(rest);
  if (!type || !is_certificate(as_text(*type)) || !take_string(rest)) return false;
  certificate.type = as_text(*type);
  const std::string plain = plain_type(certificate.type);
  append_string(certificate.key, as_bytes(plain));
  for (size_t i = 0; i < key_fields(plain); ++i) {
    const auto field = take_string(rest);
    if (!field) return false;
    append_string(certificate.key, *field);
  }
  return true;
}

bool take_names(Bytes list, std::vector<std::string>& names, bool with_values, size_t most) {
  while (!list.empty()) {
    const auto name = take_string(list);
    if (!name || (with_values && !take_string(list)) || names.size() == most) return false;
    names.emplace_back(as_text(*name));
  }
  return true;
}

bool take_claims(Bytes& rest, Certificate& certificate) {
  const auto serial = take_u64(rest);
  const auto kind = take_u32(rest);
  const auto id = take_string(rest);
  const auto principals = take_string(rest);
  const auto after = take_u64(rest);
  const auto before = take_u64(rest);
  const auto critical = take_string(rest);
  const auto extensions = take_string(rest);
  const auto reserved = take_string(rest);
  if (!serial || !kind || !id || !principals || !after || !before || !critical || !extensions ||
      !reserved || *kind < 1 || *kind > 2) {
    return false;
  }
  certificate.serial = *serial;
  certificate.kind = static_cast<Certificate::Kind>(*kind);
  certificate.id = as_text(*id);
  certificate.valid_after = *after;
  certificate.valid_before = *before;
  return take_names(*principals, certificate.principals, false, kMaxPrincipals) &&
         take_names(*critical, certificate.constraints, true, kMaxOptions);
}

std::string date(uint64_t seconds) {
  constexpr uint64_t kYear3000 = 32503680000;
  const auto time = static_cast<std::time_t>(std::min(seconds, kYear3000));
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(time));
}

Error refused(std::string why) {
  return {ErrorCode::host_key_refused, std::move(why)};
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.substr(0, 200);
}

}  // namespace

bool is_certificate(std::string_view key_type) {
  return key_type.ends_with(kSuffix);
}

std::string plain_type(std::string_view key_type) {
  if (!is_certificate(key_type)) return std::string(key_type);
  std::string plain(key_type.substr(0, key_type.size() - kSuffix.size()));
  if (plain.starts_with("sk-")) plain += "@openssh.com";
  return plain;
}

Result<Certificate> parse_certificate(Bytes blob) {
  const Error malformed{ErrorCode::protocol, "the certificate is malformed"};
  Certificate certificate;
  Bytes rest = blob;
  if (!take_key(rest, certificate) || !take_claims(rest, certificate)) return malformed;
  const auto authority = take_string(rest);
  if (!authority || is_certificate(key_type(*authority))) return malformed;
  const Bytes signed_part = blob.first(blob.size() - rest.size());
  const auto signature = take_string(rest);
  if (!signature || !rest.empty()) return malformed;
  certificate.authority.assign(authority->begin(), authority->end());
  certificate.signature.assign(signature->begin(), signature->end());
  certificate.signed_part.assign(signed_part.begin(), signed_part.end());
  return certificate;
}

Result<void> check_host_certificate(const Certificate& certificate, std::string_view name,
                                    uint64_t now) {
  if (certificate.kind != Certificate::Kind::host) return refused("it is a user's, not a host's");
  if (now < certificate.valid_after || now >= certificate.valid_before) {
    return refused(fmt::format("it is {}", describe_validity(certificate, now)));
  }
  const auto& names = certificate.principals;
  if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) {
    return refused(fmt::format("it is for {}", joined(names)));
  }
  if (!certificate.constraints.empty()) {
    return refused(fmt::format("it has conditions that are not known here: {}",
                               joined(certificate.constraints)));
  }
  return verify_signature(certificate.authority, certificate.signature, certificate.signed_part);
}

std::string describe_validity(const Certificate& certificate, uint64_t now) {
  if (now < certificate.valid_after) return "valid only from " + date(certificate.valid_after);
  if (now >= certificate.valid_before) return "expired since " + date(certificate.valid_before);
  if (certificate.valid_before == kForever) return "valid for ever";
  return "valid until " + date(certificate.valid_before);
}

}  // namespace tunproxy::ssh
