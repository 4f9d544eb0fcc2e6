// FakeTable: private addresses that stand for names, so that a name is resolved where the
// connection to it is made.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/address.h"

namespace tunproxy::dns {

/// One number for each name, shown as an IPv4 and as an IPv6 address. When the table is full, the
/// name that was asked for and used least recently goes. Numbers are given out in a circle that is
/// much longer than the table: the address of a name that went means nothing for a long time,
/// rather than another name.
class FakeTable {
 public:
  static constexpr size_t kMaxNames = 16384;
  static constexpr size_t kMaxName = 253;  ///< bytes, as text

  /// `start`: any number; another one for each run, so that addresses that programs still remember
  /// from the last one mean nothing.
  explicit FakeTable(uint32_t start);
  FakeTable(const FakeTable&) = delete;
  FakeTable& operator=(const FakeTable&) = delete;

  /// The blocks of all addresses: 198.19.0.0/16 (of RFC 2544's block, whose other half is the
  /// TUN's) and a unique local one (RFC 4193).
  static const std::vector<Cidr>& blocks();
  static bool contains(const IpAddress& address);

  struct Addresses {
    IpAddress v4;
    IpAddress v6;
  };
  /// Those that stand for `name` (letters in lower case), from now on if they did not yet.
  /// REQUIRES: 1 to kMaxName bytes
  Addresses addresses_of(std::string_view name);
  /// The name that `address` stands for, now used most recently; nullptr: none (any more). Valid
  /// until the next addresses_of().
  const std::string* name_of(const IpAddress& address);

  size_t size() const { return by_name_.size(); }
  /// Datagrams to addresses that stood for no name, and were dropped.
  uint64_t nameless_datagrams() const { return nameless_datagrams_; }
  void drop_nameless_datagram() { ++nameless_datagrams_; }

 private:
  struct Entry {
    std::string name;
    uint16_t number = 0;
  };
  using Entries = std::list<Entry>;

  uint16_t free_number();
  void forget_oldest();

  Entries entries_;  // the most recently used first
  std::unordered_map<std::string_view, Entries::iterator> by_name_;
  std::unordered_map<uint16_t, Entries::iterator> by_number_;
  uint16_t last_number_;
  uint64_t nameless_datagrams_ = 0;
};

}  // namespace tunproxy::dns
