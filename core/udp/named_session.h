// Datagrams to names over a carrier that knows addresses only: the names are looked up first.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/memory_budget.h"
#include "core/base/time.h"
#include "core/dns/lookup.h"
#include "core/io/loop.h"
#include "core/net/datagram_proxy.h"
#include "core/net/name_service.h"

namespace tunproxy::udp {

/// What names stand for, as long as their records say; failures for a moment. Shared by sessions,
/// which it outlives. In one loop thread.
class NameCache {
 public:
  static constexpr size_t kMaxNames = 256;  ///< when full, all are forgotten
  static constexpr Duration kShortest = 5s;

  /// `names` answers as if `server` were asked, and outlives it.
  NameCache(io::Loop& loop, net::NameService& names, const Endpoint& server)
      : loop_(loop), names_(names), server_(server) {}

  /// nullptr: not known; else the address, or nullopt for a name that has none.
  const std::optional<IpAddress>* find(const std::string& name);
  /// `done` hears that find() knows it now.
  std::unique_ptr<net::Attempt> fetch(const std::string& name, std::function<void()> done);
  MemoryBudget& memory() { return loop_.memory(); }
  /// Datagrams of sessions that found no address, or no room to wait for one.
  uint64_t dropped() const { return dropped_; }
  void count_dropped() { ++dropped_; }

 private:
  struct Entry {
    std::optional<IpAddress> address;
    Instant until;
  };
  void put(const std::string& name, const Result<dns::Addresses>& found);

  io::Loop& loop_;
  net::NameService& names_;
  const Endpoint server_;
  std::unordered_map<std::string, Entry> entries_;
  uint64_t dropped_ = 0;
};

/// A session whose datagrams to names wait for the look-up: few, and the oldest go first. Those to
/// names without an address are dropped. The cache counts what is.
class NamedSession final : public net::DatagramSession {
 public:
  static constexpr size_t kMaxNames = 16;                  ///< looked up at once
  static constexpr size_t kMaxDatagrams = 16;              ///< that wait for one name
  static constexpr size_t kMaxBytes = size_t{128} * 1024;  ///< of all, if the memory budget allows

  /// REQUIRES: `cache` outlives it
  NamedSession(NameCache& cache, std::unique_ptr<net::DatagramSession> inner)
      : cache_(cache), inner_(std::move(inner)), waiting_bytes_(cache.memory()) {}

  void send(const Target& to, Bytes payload) override;
  std::string_view carrier() const override { return inner_->carrier(); }
  std::optional<ErrorCode> refuses(const Target& to) override;

 private:
  struct Waiting {
    std::deque<std::pair<uint16_t, ByteVector>> datagrams;  // port, payload
    std::unique_ptr<net::Attempt> look_up;
  };
  void wait(const Target& to, Bytes payload);
  bool full(const Waiting& waiting, size_t more) const;
  void found(const std::string& name);

  NameCache& cache_;
  std::unique_ptr<net::DatagramSession> inner_;
  std::unordered_map<std::string, Waiting> waiting_;
  MemoryCharge waiting_bytes_;
};

}  // namespace tunproxy::udp
