// RuleList: rules about the same hosts, and which of them is the first that allows a flow. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/rules/rule.h"

namespace tunproxy::rules {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
/// By texts, which need not be strings to be looked up.
template <typename Value>
using ByText = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

/// Few are read one by one. Of many, the first is known beforehand for each port, protocol and
/// user, so that it takes two searches in a sorted list. Built once, then read.
class RuleList {
 public:
  static constexpr size_t kFew = 8;

  /// `index` in `rules`, which stay the same from now on. REQUIRES: larger than those before.
  void add(uint32_t index) { indices_.push_back(index); }
  /// After the last of them.
  void finish(const std::vector<Rule>& rules);
  bool empty() const { return indices_.empty(); }

  /// The first of them before `best` that is about such a flow, or `best`. REQUIRES: finished
  uint32_t first(const std::vector<Rule>& rules, Protocol protocol, uint16_t port,
                 std::string_view user, uint32_t best) const;

 private:
  // Which rule is the first for a port. Rules are put in in order and get the ports that are left.
  class Ports {
   public:
    void add(const std::vector<PortRange>& ranges, uint32_t index);
    void finish();
    uint32_t first(uint16_t port) const;  // UINT32_MAX: none

   private:
    struct Taken {
      PortRange ports;
      uint32_t index;
    };
    void add(const PortRange& range, uint32_t index);

    std::map<uint32_t, uint32_t> left_{{0, UINT16_MAX}};  // ranges, by their first
    std::vector<Taken> taken_;
  };
  using ByProtocol = std::array<Ports, 2>;
  struct Index {
    ByProtocol everyone;
    ByText<ByProtocol> users;
  };

  std::vector<uint32_t> indices_;  // ascending
  std::unique_ptr<Index> index_;   // nullptr: there are few
};

}  // namespace tunproxy::rules
