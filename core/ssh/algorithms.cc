#include "core/ssh/algorithms.h"

#include <fmt/format.h>
#include <libssh2.h>

#include <algorithm>

#include "core/ssh/fingerprint.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace tunproxy::ssh {
namespace {

constexpr const char* kKeyExchanges =
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
    "ecdh-sha2-nistp521,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256";
constexpr const char* kMacs =
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512,"
    "hmac-sha1-etm@openssh.com,hmac-sha1";

// In the order of SSH_MSG_KEXINIT, which has a list for each of `methods`.
struct Kind {
  const char* name;
  const char* key;  // of the configuration
  std::string Algorithms::*list;
  std::vector<int> methods;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"key exchange", "kex", &Algorithms::key_exchanges, {LIBSSH2_METHOD_KEX}},
      {"host key algorithm",
       "host-key-algorithms",
       &Algorithms::host_keys,
       {LIBSSH2_METHOD_HOSTKEY}},
      {"cipher",
       "ciphers",
       &Algorithms::ciphers,
       {LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC}},
      {"MAC", "macs", &Algorithms::macs, {LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC}},
  };
  return all;
}

bool cpu_has_aes() {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0;
#elif defined(__aarch64__) && defined(__linux__)
  return (::getauxval(AT_HWCAP) & (1UL << 3)) != 0;  // HWCAP_AES
#else
  return true;
#endif
}

std::string cipher_order() {
  const std::string gcm = "aes256-gcm@openssh.com,aes128-gcm@openssh.com,";
  const std::string chacha = "chacha20-poly1305@openssh.com,";
  return (cpu_has_aes() ? gcm + chacha : chacha + gcm) + "aes256-ctr,aes192-ctr,aes128-ctr";
}

std::string_view next_name(std::string_view& list) {
  const std::string_view name = list.substr(0, list.find(','));
  list.remove_prefix(std::min(name.size() + 1, list.size()));
  return name;
}

// The first of `ours` that `theirs` has; empty: none.
std::string_view agreed(std::string_view ours, std::string_view theirs) {
  while (!ours.empty()) {
    const std::string_view name = next_name(ours);
    if (list_has(theirs, name)) return name;
  }
  return {};
}

std::string known_algorithms(LIBSSH2_SESSION* session, int method) {
  const char** names = nullptr;
  const int count = libssh2_session_supported_algs(session, method, &names);
  std::string list;
  for (int i = 0; i < count; ++i) {
    const std::string_view name = names[i];
    if (name == "ext-info-c" || name.starts_with("kex-strict-")) continue;  // they are none
    list.append(list.empty() ? "" : ",").append(name);
  }
  libssh2_free(session, static_cast<void*>(names));
  return list;
}

std::string shown(std::string_view list) {
  constexpr size_t kMost = 1000;
  if (list.empty()) return "none";
  std::string text(list.substr(0, kMost));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c <= 0x20 || c >= 0x7f; }, '?');
  return text;
}

bool needs_no_mac(std::string_view cipher) {
  return cipher.find("-gcm@") != cipher.npos || cipher.starts_with("chacha20-poly1305");
}

}  // namespace

bool list_has(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    if (next_name(list) == name) return true;
  }
  return false;
}

Algorithms with_defaults(Algorithms wanted) {
  if (wanted.key_exchanges.empty()) wanted.key_exchanges = kKeyExchanges;
  if (wanted.ciphers.empty()) wanted.ciphers = cipher_order();
  if (wanted.macs.empty()) wanted.macs = kMacs;
  return wanted;
}

Result<void> offer(LIBSSH2_SESSION* session, const Algorithms& algorithms) {
  for (const Kind& kind : kinds()) {
    const std::string& list = algorithms.*kind.list;
    for (const int method : kind.methods) {
      const std::string known = known_algorithms(session, method);
      const bool usable = !agreed(list, known).empty() &&
                          libssh2_session_method_pref(session, method, list.c_str()) == 0;
      if (!usable) {
        return Error{ErrorCode::usage,
                     fmt::format("{}: no {} of these can be used: {}; there are: {}", kind.key,
                                 kind.name, shown(list), known)};
      }
    }
  }
  return {};
}

Error no_agreement(const Algorithms& offered, Bytes kexinit) {
  constexpr size_t kLists = 17;  // they begin after the type and a cookie
  kexinit = kexinit.subspan(std::min(kLists, kexinit.size()));
  std::string_view cipher;
  for (const Kind& kind : kinds()) {
    const std::string& ours = offered.*kind.list;
    const bool mac = kind.list == &Algorithms::macs;
    for (size_t i = 0; i < kind.methods.size(); ++i) {
      const auto theirs = take_string(kexinit);
      if (!theirs) return {ErrorCode::protocol, "the SSH server's lists of algorithms are cut off"};
      const std::string_view both = agreed(ours, as_text(*theirs));
      if (kind.list == &Algorithms::ciphers) cipher = both;
      if (!both.empty() || (mac && needs_no_mac(cipher))) continue;
      return {ErrorCode::protocol,
              fmt::format("{}: we and the SSH server have no {} in common: it has {}; we offer {}",
                          kind.key, kind.name, shown(as_text(*theirs)), ours)};
    }
  }
  return {ErrorCode::protocol, "the SSH server and we agree on no algorithms"};
}

}  // namespace tunproxy::ssh
