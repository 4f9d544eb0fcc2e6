// RuleSet: ordered rules, of which the first that matches a flow decides; and a default. Pure.
//
// An index answers as reading the rules one by one would, whatever their number: names by a hash
// table, wildcards by one for each level of the name, addresses by a trie.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "core/rules/block_trie.h"
#include "core/rules/parse.h"
#include "core/rules/rule.h"
#include "core/rules/rule_list.h"

namespace tunproxy::rules {

/// What is known of a flow.
struct Flow {
  Protocol protocol = Protocol::tcp;
  std::string_view name;               ///< empty: none is known. In any case, as it came
  const IpAddress* address = nullptr;  ///< nullptr: not resolved
  uint16_t port = 0;
  std::string_view user;  ///< empty: nobody said
};

struct Verdict {
  static constexpr uint32_t kDefault = UINT32_MAX;

  Action action = Action::tunnel;
  uint32_t rule = kDefault;    ///< index in RuleSet::rules(); kDefault: none matched
  bool needs_address = false;  ///< a rule about addresses comes before: ask again with the address

  bool operator==(const Verdict&) const = default;
};

/// Immutable: replaced as a whole.
class RuleSet {
 public:
  /// No rules: everything goes through the tunnel.
  RuleSet() : RuleSet(Parsed{}) {}
  explicit RuleSet(Parsed parsed);

  /// The first rule that matches. A rule about a name matches only if the name is known, one about
  /// addresses only if the address is.
  Verdict judge(const Flow& flow) const;

  const std::vector<Rule>& rules() const { return parsed_.rules; }
  /// What becomes of a flow that no rule is about; the tunnel if nobody said.
  Action otherwise() const { return parsed_.otherwise.value_or(Action::tunnel); }
  /// Some flow may come to this.
  bool mentions(Action action) const;
  /// Everything goes through the tunnel, whatever it is.
  bool trivial() const { return !mentions(Action::direct) && !mentions(Action::deny); }
  /// "line 7", or "default": what a verdict's rule is called in counters and logs.
  std::string name_of(uint32_t rule) const;

 private:
  using ByName = ByText<RuleList>;

  void add_to_index(uint32_t index);
  void finish_index();
  void first_match(const RuleList& rules, const Flow& flow, uint32_t& best) const;
  void match_name(std::string_view name, const Flow& flow, uint32_t& best) const;

  Parsed parsed_;
  RuleList any_;
  ByName names_;
  ByName wildcards_;  // by what follows "*."
  BlockTrie blocks4_;
  BlockTrie blocks6_;
  RuleList about_addresses_;
};

}  // namespace tunproxy::rules
