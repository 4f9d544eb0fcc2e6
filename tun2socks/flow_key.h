// FlowKey: the two ends of a flow, as a key of hash tables.
#pragma once

#include <functional>

#include "core/base/address.h"

namespace tunproxy::tun2socks {

struct FlowKey {
  Endpoint application;
  Endpoint target;

  bool operator==(const FlowKey&) const = default;
};

struct FlowKeyHash {
  size_t operator()(const FlowKey& key) const noexcept {
    const size_t a = std::hash<Endpoint>()(key.application);
    const size_t b = std::hash<Endpoint>()(key.target);
    return static_cast<size_t>(a ^ (b * 0x9e3779b97f4a7c15ULL + (a << 6) + (a >> 2)));
  }
};

}  // namespace tunproxy::tun2socks
