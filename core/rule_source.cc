#include "core/rule_source.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace tunproxy {
namespace {

using rules::Action;
using rules::Parsed;

Action action_of(RuleAction action) {
  switch (action) {
    case RuleAction::allow:
      return Action::tunnel;
    case RuleAction::direct:
      return Action::direct;
    case RuleAction::deny:
      break;
  }
  return Action::deny;
}

// `origin`: what the lines of `more` are called; nullptr: as they are.
void append(Parsed more, const char* origin, Parsed& to) {
  for (rules::Rule& rule : more.rules) {
    if (origin != nullptr) rule.origin = origin;
    to.rules.push_back(std::move(rule));
  }
  if (more.otherwise) to.otherwise = more.otherwise;
}

}  // namespace

Result<std::shared_ptr<const rules::RuleSet>> make_rules(const RuleSettings& settings) {
  Parsed all;
  if (!settings.file.empty()) {
    auto parsed = rules::parse_rules_file(settings.file);
    if (!parsed) return parsed.error();
    append(std::move(*parsed), nullptr, all);
  }
  for (unsigned i = 0; i < settings.rules.size(); ++i) {
    auto parsed = rules::parse_rules(settings.rules[i]);
    if (!parsed) {
      return Error{ErrorCode::usage, fmt::format("rule {}, {}", i + 1, parsed.error().message)};
    }
    for (rules::Rule& rule : parsed->rules) rule.line = i + 1;
    append(std::move(*parsed), "rule", all);
  }
  if (!settings.allowed_hosts.empty() || !settings.allowed_ports.empty()) {
    auto parsed = rules::parse_lists(fmt::format("{}", fmt::join(settings.allowed_hosts, "\n")),
                                     fmt::format("{}", fmt::join(settings.allowed_ports, "\n")));
    if (!parsed) return parsed.error();
    append(std::move(*parsed), "allowed_hosts", all);
  }
  const std::optional<RuleAction> asked = settings.otherwise;
  if (asked) all.otherwise = action_of(*asked);
  return std::shared_ptr<const rules::RuleSet>(std::make_shared<rules::RuleSet>(std::move(all)));
}

}  // namespace tunproxy
