#include "core/ssh/known_hosts.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "core/base/log.h"
#include "core/ssh/certificate.h"
#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {
namespace {

constexpr size_t kMaxLine = 64 * 1024;
constexpr std::string_view kBlanks = " \t";

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

bool matches_pattern(std::string_view pattern, std::string_view name) {
  size_t p = 0;
  size_t n = 0;
  size_t star = pattern.npos;  // the last * met, and how much of the name it stood for
  size_t star_name = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_name = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != pattern.npos) {
      p = star + 1;
      n = ++star_name;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == pattern.npos;
}

bool matches_hash(std::string_view field, std::string_view name) {
  const std::string_view parts = field.substr(3);  // after "|1|"
  const size_t bar = parts.find('|');
  if (bar == parts.npos) return false;
  const auto salt = base64_decode(parts.substr(0, bar));
  const auto hash = base64_decode(parts.substr(bar + 1));
  if (!salt || !hash) return false;
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  HMAC(EVP_sha1(), salt->data(), static_cast<int>(salt->size()), as_bytes(name).data(), name.size(),
       digest.data(), &length);
  return std::equal(hash->begin(), hash->end(), digest.begin(), digest.begin() + length);
}

bool same_key(const KnownHost& line, Bytes key) {
  return std::equal(line.blob.begin(), line.blob.end(), key.begin(), key.end());
}

}  // namespace

std::string known_hosts_name(std::string_view host, uint16_t port) {
  const std::string name = lower(host);
  return port == 22 ? name : "[" + name + "]:" + std::to_string(port);
}

HostName::HostName(std::string_view host, uint16_t port, std::string_view alias)
    : name(alias.empty() ? known_hosts_name(host, port) : lower(alias)),
      bare(alias.empty() ? lower(host) : name) {}

bool matches_patterns(std::string_view patterns, std::string_view name) {
  bool matched = false;
  while (!patterns.empty()) {
    std::string_view pattern = patterns.substr(0, patterns.find(','));
    patterns.remove_prefix(std::min(pattern.size() + 1, patterns.size()));
    const bool negated = pattern.starts_with('!');
    if (negated) pattern.remove_prefix(1);
    if (!matches_pattern(lower(pattern), name)) continue;
    if (negated) return false;
    matched = true;
  }
  return matched;
}

bool KnownHost::matches(std::string_view name) const {
  return hashed() ? matches_hash(names, name) : matches_patterns(names, name);
}

std::string KnownHost::where() const {
  if (!file.empty()) return file + ":" + std::to_string(line);
  return line > 0 ? "known-host, entry " + std::to_string(line) : "accepted in this run";
}

Result<KnownHost> parse_known_host(std::string_view line) {
  KnownHost host;
  std::string_view word = take_word(line);
  if (word == "@revoked") host.marker = KnownHost::Marker::revoked;
  if (word == "@cert-authority") host.marker = KnownHost::Marker::cert_authority;
  if (word.starts_with('@')) {
    if (host.marker == KnownHost::Marker::none) return Error{ErrorCode::usage, "unknown marker"};
    word = take_word(line);
  }
  host.names = word;
  host.type = take_word(line);
  const std::string_view key = take_word(line);
  if (key.empty()) return Error{ErrorCode::usage, "a name, a key type or a key is missing"};
  auto blob = base64_decode(key);
  if (!blob) return Error{ErrorCode::usage, "the key is not base64"};
  host.blob = std::move(*blob);
  if (key_type(host.blob) != host.type) {
    return Error{ErrorCode::usage, "the key is not of the type that stands before it"};
  }
  if (host.type.find("-cert-") != host.type.npos) {
    return Error{ErrorCode::usage, "a certificate stands where a key belongs"};
  }
  return host;
}

KnownHosts KnownHosts::load(const std::vector<std::string>& files) {
  KnownHosts known;
  for (const std::string& file : files) known.load_file(file);
  return known;
}

void KnownHosts::load_file(const std::string& file) {
  std::ifstream in(file);
  unsigned number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.ends_with('\r')) text.pop_back();
    add_line(text, file, number);
  }
}

void KnownHosts::add_line(const std::string& text, const std::string& file, unsigned number) {
  const size_t start = text.find_first_not_of(kBlanks);
  if (start == text.npos || text[start] == '#') return;
  auto host = text.size() > kMaxLine ? Error{ErrorCode::limit, "the line is too long"}
                                     : parse_known_host(text);
  if (!host) return log::debug("{}:{}: skipped: {}", file, number, host.error().message);
  host->file = file;
  host->line = number;
  lines_.push_back(std::move(*host));
}

void KnownHosts::add_lines(const std::vector<std::string>& lines) {
  unsigned number = 0;
  for (const std::string& line : lines) add_line(line, {}, ++number);
}

void KnownHosts::add(std::vector<KnownHost> keys) {
  for (KnownHost& key : keys) lines_.push_back(std::move(key));
}

KnownHosts::Finding KnownHosts::look_up_name(std::string_view name, Bytes key) const {
  Finding finding;
  for (const KnownHost& line : lines_) {
    if (!line.matches(name)) continue;
    const bool same = same_key(line, key);
    switch (line.marker) {
      case KnownHost::Marker::revoked:
        if (same) return {Verdict::revoked, &line, nullptr};
        break;
      case KnownHost::Marker::cert_authority:
        finding.authority = &line;
        break;
      case KnownHost::Marker::none:
        if (finding.verdict == Verdict::match) break;
        if (same) {
          finding.verdict = Verdict::match;
          finding.line = &line;
        } else if (finding.line == nullptr ||
                   (finding.line->type != key_type(key) && line.type == key_type(key))) {
          finding.verdict = Verdict::changed;
          finding.line = &line;
        }
        break;
    }
  }
  return finding;
}

KnownHosts::Finding KnownHosts::look_up(const HostName& host, Bytes key) const {
  const Finding finding = look_up_name(host.name, key);
  if (host.name == host.bare || finding.verdict == Verdict::revoked) return finding;
  const Finding bare = look_up_name(host.bare, key);
  if (bare.verdict == Verdict::revoked) return bare;
  const bool helps = finding.verdict == Verdict::unknown && bare.verdict == Verdict::match;
  Finding result = helps ? bare : finding;
  result.authority = finding.authority != nullptr ? finding.authority : bare.authority;
  return result;
}

template <typename Predicate>
const KnownHost* KnownHosts::find(const HostName& host, Predicate matches) const {
  const auto found = std::find_if(lines_.begin(), lines_.end(), [&](const KnownHost& line) {
    return matches(line) && (line.matches(host.name) || line.matches(host.bare));
  });
  return found == lines_.end() ? nullptr : &*found;
}

const KnownHost* KnownHosts::find_authority(const HostName& host, Bytes key) const {
  if (find_revoked(host, key) != nullptr) return nullptr;
  return find(host, [&](const KnownHost& line) {
    return line.marker == KnownHost::Marker::cert_authority && same_key(line, key);
  });
}

const KnownHost* KnownHosts::find_revoked(const HostName& host, Bytes key) const {
  return find(host, [&](const KnownHost& line) {
    return line.marker == KnownHost::Marker::revoked && same_key(line, key);
  });
}

std::vector<std::string> KnownHosts::other_names(Bytes key) const {
  std::vector<std::string> names;
  for (const KnownHost& line : lines_) {
    if (line.marker != KnownHost::Marker::none || !same_key(line, key)) continue;
    names.push_back(display_path(line.where()) + ": " +
                    (line.hashed() ? "[hashed name]" : line.names));
  }
  return names;
}

std::string KnownHosts::host_key_algorithms(const HostName& host,
                                            const std::vector<std::string>& allowed) const {
  static const std::vector<std::string> kAlgorithms = {"ssh-ed25519",         "ecdsa-sha2-nistp256",
                                                       "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
                                                       "rsa-sha2-512",        "rsa-sha2-256"};
  const bool authority = find(
      host, [](const KnownHost& line) { return line.marker == KnownHost::Marker::cert_authority; });
  std::string certificates;
  std::string known;
  std::string others;
  const auto add = [&](std::string_view plain) {
    const bool is_known = find(host, [&](const KnownHost& line) {
      return line.marker == KnownHost::Marker::none &&
             line.type == (plain.starts_with("rsa-") ? "ssh-rsa" : plain);
    });
    (is_known ? known : others).append(plain).append(",");
  };
  std::vector<std::string> ours = kAlgorithms;
  for (const std::string& name : kAlgorithms) ours.push_back(name + "-cert-v01@openssh.com");
  for (const std::string& name : allowed.empty() ? ours : allowed) {
    if (std::find(ours.begin(), ours.end(), name) == ours.end()) continue;
    if (!is_certificate(name)) {
      add(name);
    } else if (authority) {
      certificates.append(name).append(",");
    }
  }
  std::string all = certificates + known + others;
  if (!all.empty()) all.pop_back();
  return all;
}

}  // namespace tunproxy::ssh
