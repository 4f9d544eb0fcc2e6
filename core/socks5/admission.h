// Admission: which connections a Server serves, by how many it has and whose they are.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/base/address.h"
#include "core/base/memory_budget.h"
#include "core/socks5/server_options.h"

namespace tunproxy::socks5 {

/// Owned by a Server and older than its connections, each of which holds a Ticket.
class Admission {
 public:
  /// Above a maximum this many more get as far as an answer; further ones are closed at once.
  static constexpr size_t kMaxRefusals = 64;

  /// One connection that counts. Destroying it gives its place back.
  class Ticket;

  /// REQUIRES: all outlive it.
  Admission(const ServerOptions& options, const MemoryBudget& memory, ServerStats& stats)
      : options_(options), memory_(memory), stats_(stats) {}

  /// A place for a connection of `client` (nullopt: it counts for no client), or nullptr: it is to
  /// be closed unheard. `evict` closes it, from within the admission of another, if it is half-open
  /// for too long; its ticket is no longer half-open then.
  std::unique_ptr<Ticket> admit(const std::optional<IpAddress>& client,
                                std::function<void()> evict);

  size_t half_open() const { return half_open_.size(); }

 private:
  struct Client {
    size_t connections = 0;
    std::list<Ticket*> half_open;  // the oldest first
  };

  std::string_view refusal(size_t of_client, int64_t left) const;
  bool beyond_refusal(size_t of_client, int64_t left) const;
  void make_room(const Client* client);
  void evict(Ticket& ticket);

  const ServerOptions& options_;
  const MemoryBudget& memory_;
  ServerStats& stats_;
  size_t connections_ = 0;
  std::list<Ticket*> half_open_;  // the oldest first
  std::unordered_map<IpAddress, Client> clients_;
};

class Admission::Ticket {
 public:
  /// See Admission::admit().
  Ticket(Admission& owner, const std::optional<IpAddress>& client, std::string_view refusal,
         std::function<void()> evict);
  ~Ticket();
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  /// Why its request is to be refused, for people; empty: it is not.
  std::string_view refusal() const { return refusal_; }
  /// It has made a request that is carried: no longer half-open. Idempotent.
  void settle();

 private:
  friend class Admission;

  Admission& owner_;
  const std::optional<IpAddress> client_;
  const std::string_view refusal_;
  std::function<void()> evict_;
  bool half_open_ = true;
  std::list<Ticket*>::iterator in_all_;
  std::list<Ticket*>::iterator in_client_;
};

}  // namespace tunproxy::socks5
