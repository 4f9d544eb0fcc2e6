#include "core/rules/block_trie.h"

#include <algorithm>
#include <bit>

namespace tunproxy::rules {

BlockTrie::Key BlockTrie::key_of(const IpAddress& address) {
  Key key{};
  const Bytes bytes = address.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    key[i / 8] |= static_cast<uint64_t>(bytes[i]) << (56 - i % 8 * 8);
  }
  return key;
}

unsigned BlockTrie::common_bits(const Key& a, const Key& b, unsigned most) {
  const uint64_t high = a[0] ^ b[0];
  unsigned common = static_cast<unsigned>(std::countl_zero(high));
  if (high == 0) common += static_cast<unsigned>(std::countl_zero(a[1] ^ b[1]));
  return std::min(common, most);
}

uint32_t BlockTrie::make_node(const Key& key, unsigned length) {
  Node& node = nodes_.emplace_back();
  node.key = key;
  node.length = static_cast<uint8_t>(length);
  return static_cast<uint32_t>(nodes_.size() - 1);
}

// The node for exactly this prefix. Where the path to it leaves the one of a node, that one is put
// below a new node at the fork.
uint32_t BlockTrie::find_or_make(const Key& key, unsigned length) {
  uint32_t parent = kNone;
  unsigned side = 0;
  const auto attach = [&](uint32_t node) {
    (parent == kNone ? root_ : nodes_[parent].children[side]) = node;
  };
  for (uint32_t at = root_; at != kNone;) {
    const Node& node = nodes_[at];
    const unsigned node_length = node.length;
    const unsigned common = common_bits(node.key, key, std::min(length, node_length));
    if (common == node_length && common == length) return at;
    if (common < node_length) {
      const unsigned old_side = bit(node.key, common);
      const uint32_t fork = make_node(key, common);
      nodes_[fork].children[old_side] = at;
      attach(fork);
      if (common == length) return fork;
      parent = fork;
      side = bit(key, common);
      break;
    }
    parent = at;
    side = bit(key, common);
    at = node.children[side];
  }
  const uint32_t leaf = make_node(key, length);
  attach(leaf);
  return leaf;
}

}  // namespace tunproxy::rules
