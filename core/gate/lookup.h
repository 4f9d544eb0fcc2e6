// Lookup: the addresses of a name, asked through the tunnel and kept for as long as they hold.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/io/loop.h"
#include "core/net/name_service.h"
#include "core/net/proxy.h"

namespace tunproxy::gate {

/// Lives in one loop thread. What it found holds for the records' TTL within bounds; that there was
/// nothing, for kMinTtl.
class Lookup {
 public:
  static constexpr size_t kMaxNames = 4096;   ///< kept; the ones found first go
  static constexpr size_t kMaxPending = 512;  ///< names under way; further ones fail with limit
  static constexpr Duration kTimeout = 10s;
  static constexpr Duration kMinTtl = 5s;
  static constexpr Duration kMaxTtl = 300s;

  using Addresses = std::vector<IpAddress>;  ///< IPv4 first

  explicit Lookup(io::Loop& loop) : loop_(loop) {}
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  /// Who answers; nullptr: nobody, every name fails. REQUIRES: it outlives the attempts.
  void use(net::NameService* names) { names_ = names; }
  bool usable() const { return names_ != nullptr; }

  /// What is known of `name` now; nullptr: nothing. Empty: it has no address. Valid until the next
  /// call.
  const Addresses* known(std::string_view name);
  /// Asks. Never empty on success; Error host_unreachable: it has no address; not_allowed: nobody
  /// can be asked; limit; timed_out. REQUIRES: this outlives the attempt.
  std::unique_ptr<net::Attempt> ask(std::string_view name, net::Done<Addresses> done);

 private:
  class Asking;
  struct Entry {
    std::string name;
    Addresses addresses;
    Instant until;
  };
  using Entries = std::list<Entry>;

  void keep(const std::string& name, Addresses addresses, Duration ttl);

  io::Loop& loop_;
  net::NameService* names_ = nullptr;
  size_t pending_ = 0;
  Entries entries_;  // the newest first
  std::unordered_map<std::string_view, Entries::iterator> by_name_;
};

}  // namespace tunproxy::gate
