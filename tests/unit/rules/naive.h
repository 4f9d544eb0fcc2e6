// The rules as docs/rules.md says them, one by one and without an index: what RuleSet has to agree
// with. It shares no code with it but the types.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/rules/rule_set.h"

namespace tunproxy::testing {

/// In lower case, without one dot at its end.
inline std::string naive_name(std::string_view name) {
  std::string plain;
  for (const char c : name) plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (!plain.empty() && plain.back() == '.') plain.pop_back();
  return plain;
}

/// As bits: those of IPv4 for an IPv4-mapped address, those of loopback for the unspecified one.
inline std::vector<bool> naive_bits(const IpAddress& address) {
  std::vector<uint8_t> bytes(address.bytes().begin(), address.bytes().end());
  static const std::vector<uint8_t> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (bytes.size() == 16 && std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {
    bytes.erase(bytes.begin(), bytes.begin() + 12);
  }
  if (std::count(bytes.begin(), bytes.end(), 0) == static_cast<ptrdiff_t>(bytes.size())) {
    bytes.back() = 1;
    if (bytes.size() == 4) bytes.front() = 127;
  }
  std::vector<bool> bits;
  for (const uint8_t byte : bytes) {
    for (int bit = 7; bit >= 0; --bit) bits.push_back((byte >> bit & 1) != 0);
  }
  return bits;
}

/// The block is taken as it stands: one of mapped addresses is about no address that is judged.
inline bool naive_contains(const Cidr& block, const IpAddress& address) {
  const std::vector<bool> bits = naive_bits(address);
  if (bits.size() != block.address.bytes().size() * 8) return false;
  for (size_t bit = 0; bit < block.prefix; ++bit) {
    if (bits[bit] != ((block.address.bytes()[bit / 8] >> (7 - bit % 8) & 1) != 0)) return false;
  }
  return true;
}

inline bool naive_host(const rules::HostPattern& host, const rules::Flow& flow) {
  const std::string name = naive_name(flow.name);
  switch (host.kind) {
    case rules::HostPattern::Kind::any:
      return true;
    case rules::HostPattern::Kind::name:
      return !name.empty() && name == host.name;
    case rules::HostPattern::Kind::wildcard:
      return name.ends_with("." + host.name);
    case rules::HostPattern::Kind::block:
      return flow.address != nullptr && naive_contains(host.block, *flow.address);
  }
  return false;
}

inline bool naive_criteria(const rules::Criteria& criteria, const rules::Flow& flow) {
  if (criteria.protocol && *criteria.protocol != flow.protocol) return false;
  bool port = criteria.ports.empty();
  for (const auto& range : criteria.ports) {
    port = port || (range.first <= flow.port && flow.port <= range.last);
  }
  const auto& users = criteria.users;
  return port && (users.empty() || std::count(users.begin(), users.end(), flow.user) != 0);
}

inline rules::Verdict naive_judge(const rules::RuleSet& set, const rules::Flow& flow) {
  bool needs_address = false;
  for (uint32_t i = 0; i < set.rules().size(); ++i) {
    const rules::Rule& rule = set.rules()[i];
    if (!naive_criteria(rule.criteria, flow)) continue;
    const bool about_address = rule.host.kind == rules::HostPattern::Kind::block;
    needs_address = needs_address || (about_address && flow.address == nullptr);
    if (naive_host(rule.host, flow)) return {rule.action, i, needs_address};
  }
  return {set.otherwise(), rules::Verdict::kDefault, needs_address};
}

}  // namespace tunproxy::testing
