// The language of the rules, as text → Rule. Pure. docs/rules.md describes it.
//
//   ACTION [tcp|udp] HOST[:PORTS] [user NAME[,NAME…]]     # first match wins
//   default ACTION
//
// and the simple form: the headings allowed_hosts and allowed_ports, each followed by one entry a
// line; what they do not name is denied.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/rules/rule.h"

namespace tunproxy::rules {

struct Parsed {
  std::vector<Rule> rules;
  std::optional<Action> otherwise;  ///< for what no rule is about; nothing: not said
};

inline constexpr size_t kMaxText = 16 * 1024 * 1024;  ///< bytes
inline constexpr size_t kMaxRules = 100'000;

/// A whole file. Error usage, "line 7: …", for the first line that is not understood.
Result<Parsed> parse_rules(std::string_view text);
/// The same from a file. The Error begins with its name: "FILE, line 7: …".
Result<Parsed> parse_rules_file(const std::string& file);
/// The simple form from two lists with one entry a line, as a configuration has them; an empty list
/// is all hosts, or all ports. The Error says which list and line.
Result<Parsed> parse_lists(std::string_view allowed_hosts, std::string_view allowed_ports);

}  // namespace tunproxy::rules
