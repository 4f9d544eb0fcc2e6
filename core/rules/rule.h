// Rule: one line of the rules, "deny tcp *.corp.internal:25,1000-2000 user alice". Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/address.h"

namespace tunproxy::rules {

/// What becomes of a flow. Two words of the language stand for `tunnel` (tunnel, allow) and for
/// `deny` (deny, block).
enum class Action : uint8_t {
  tunnel,  ///< through the tunnel
  direct,  ///< outside the tunnel, from this machine
  deny,    ///< not at all
};
std::string_view to_string(Action action);
std::optional<Action> action_of(std::string_view word);

enum class Protocol : uint8_t { tcp, udp };
std::string_view to_string(Protocol protocol);

/// From `first` to `last`, both included.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = UINT16_MAX;

  bool contains(uint16_t port) const { return first <= port && port <= last; }
  auto operator<=>(const PortRange&) const = default;
};

/// Sorted, and what touches or overlaps made one.
std::vector<PortRange> merged(std::vector<PortRange> ranges);

/// What a rule says of the host.
struct HostPattern {
  enum class Kind : uint8_t {
    any,       ///< "*"
    name,      ///< "mail.example.org": that name
    wildcard,  ///< "*.example.org": every name below `name`, not that name itself
    block,     ///< "10.0.0.0/8", "2001:db8::1": an address
  };
  Kind kind = Kind::any;
  std::string name;  ///< of `name` and `wildcard`, as normal_name() gives it
  Cidr block;

  bool operator==(const HostPattern&) const = default;
};

/// Which flows a rule is about, besides the host.
struct Criteria {
  std::optional<Protocol> protocol;  ///< nothing: both
  std::vector<PortRange> ports;      ///< sorted, apart; empty: all
  std::vector<std::string> users;    ///< sorted; empty: everyone, those without a name included

  bool allow(Protocol flow, uint16_t port, std::string_view user) const;
  bool operator==(const Criteria&) const = default;
};

struct Rule {
  Action action = Action::tunnel;
  HostPattern host;
  Criteria criteria;
  unsigned line = 0;                 ///< where it stands, from 1
  std::string_view origin = "line";  ///< what the line is one of; a literal

  /// In the language of the rules: what parses to the same rule again.
  std::string to_string() const;
};

/// A name as it is compared: letters in lower case, without the dot at its end.
std::string normal_name(std::string_view name);
/// An address as it is judged: an IPv4-mapped one as IPv4, and the unspecified one as loopback,
/// because connecting there reaches the machine itself.
IpAddress judged_address(const IpAddress& address);
/// A block that contains those of its addresses, as they are judged.
Cidr judged_block(const Cidr& block);

}  // namespace tunproxy::rules
