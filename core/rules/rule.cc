#include "core/rules/rule.h"

#include <fmt/format.h>

#include <algorithm>

namespace tunproxy::rules {
namespace {

struct Word {
  std::string_view text;
  Action action;
};

// The first word for an action is the one that it is shown by.
constexpr Word kWords[] = {{"tunnel", Action::tunnel},
                           {"allow", Action::tunnel},
                           {"direct", Action::direct},
                           {"deny", Action::deny},
                           {"block", Action::deny}};

std::string range_text(const PortRange& range) {
  if (range.first == range.last) return fmt::format("{}", range.first);
  return fmt::format("{}-{}", range.first, range.last);
}

std::string host_text(const HostPattern& host, bool with_ports) {
  switch (host.kind) {
    case HostPattern::Kind::any:
      return "*";
    case HostPattern::Kind::name:
      // With a dot it cannot be taken for the protocol.
      return host.name == "tcp" || host.name == "udp" ? host.name + "." : host.name;
    case HostPattern::Kind::wildcard:
      return "*." + host.name;
    case HostPattern::Kind::block:
      break;
  }
  const bool brackets = with_ports && host.block.address.is_v6();
  return fmt::format(fmt::runtime(brackets ? "[{}]" : "{}"), host.block.to_string());
}

}  // namespace

std::string_view to_string(Action action) {
  return std::find_if(std::begin(kWords), std::end(kWords),
                      [&](const Word& word) { return word.action == action; })
      ->text;
}

std::optional<Action> action_of(std::string_view word) {
  for (const Word& known : kWords) {
    if (known.text == word) return known.action;
  }
  return std::nullopt;
}

std::string_view to_string(Protocol protocol) {
  return protocol == Protocol::tcp ? "tcp" : "udp";
}

std::vector<PortRange> merged(std::vector<PortRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<PortRange> apart;
  for (const PortRange& range : ranges) {
    if (!apart.empty() && range.first <= apart.back().last + 1) {
      apart.back().last = std::max(apart.back().last, range.last);
    } else {
      apart.push_back(range);
    }
  }
  return apart;
}

bool Criteria::allow(Protocol flow, uint16_t port, std::string_view user) const {
  if (protocol && *protocol != flow) return false;
  const auto contains = [&](const PortRange& range) { return range.contains(port); };
  if (!ports.empty() && std::none_of(ports.begin(), ports.end(), contains)) return false;
  return users.empty() || std::binary_search(users.begin(), users.end(), user);
}

std::string Rule::to_string() const {
  std::string text(rules::to_string(action));
  if (criteria.protocol) text += fmt::format(" {}", rules::to_string(*criteria.protocol));
  text += " " + host_text(host, !criteria.ports.empty());
  for (size_t i = 0; i < criteria.ports.size(); ++i) {
    text += (i == 0 ? ":" : ",") + range_text(criteria.ports[i]);
  }
  if (!criteria.users.empty()) text += fmt::format(" user {}", fmt::join(criteria.users, ","));
  return text;
}

std::string normal_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string normal(name);
  for (char& c : normal) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return normal;
}

Cidr judged_block(const Cidr& block) {
  constexpr uint8_t kMapped = 96;
  Cidr plain = block;
  if (block.address.is_v6() && block.prefix >= kMapped && block.address.unmapped().is_v4()) {
    plain = {block.address.unmapped(), static_cast<uint8_t>(block.prefix - kMapped)};
  }
  const bool single = plain.prefix == plain.address.bytes().size() * 8;
  if (single) plain.address = judged_address(plain.address);
  return plain;
}

IpAddress judged_address(const IpAddress& address) {
  static constexpr uint8_t kLoopback4[4] = {127, 0, 0, 1};
  static constexpr uint8_t kLoopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const IpAddress plain = address.unmapped();
  if (!plain.is_any()) return plain;
  return plain.is_v4() ? IpAddress::v4(kLoopback4) : IpAddress::v6(kLoopback6);
}

}  // namespace tunproxy::rules
