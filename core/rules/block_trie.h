// BlockTrie: which rules are about an address. A trie of address blocks with the paths between
// them compressed, so that looking up costs a few steps however many blocks there are.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/base/address.h"
#include "core/rules/rule_list.h"

namespace tunproxy::rules {

/// For blocks of one family. Built once, then read.
class BlockTrie {
 public:
  /// The rules about exactly this block. Valid until the next call.
  RuleList& at(const Cidr& block) {
    return nodes_[find_or_make(key_of(block.address), block.prefix)].rules;
  }
  /// Calls `visit(RuleList&)` for each block.
  template <typename Visit>
  void for_all(Visit visit) {
    for (Node& node : nodes_) visit(node.rules);
  }
  /// Calls `visit(const RuleList&)` for each block that contains `address`, the largest block
  /// first.
  template <typename Visit>
  void for_each(const IpAddress& address, Visit visit) const {
    const Key key = key_of(address);
    for (uint32_t at = root_; at != kNone;) {
      const Node& node = nodes_[at];
      if (common_bits(node.key, key, node.length) < node.length) return;
      if (!node.rules.empty()) visit(node.rules);
      if (node.length >= bits_of(address)) return;
      at = node.children[bit(key, node.length)];
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  using Key = std::array<uint64_t, 2>;  // the address from the most significant bit on
  struct Node {
    Key key{};
    uint8_t length = 0;  // of the prefix
    std::array<uint32_t, 2> children{kNone, kNone};
    RuleList rules;
  };

  static Key key_of(const IpAddress& address);
  static uint8_t bits_of(const IpAddress& address) { return address.is_v4() ? 32 : 128; }
  static unsigned bit(const Key& key, unsigned at) {
    return static_cast<unsigned>(key[at / 64] >> (63 - at % 64) & 1);
  }
  static unsigned common_bits(const Key& a, const Key& b, unsigned most);
  uint32_t make_node(const Key& key, unsigned length);
  uint32_t find_or_make(const Key& key, unsigned length);

  uint32_t root_ = kNone;
  std::vector<Node> nodes_;
};

}  // namespace tunproxy::rules
