// Gatekeeper: what all gates of a tunnel share: the rules, the names, the ways outside the tunnel,
// and the account.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/account/account.h"
#include "core/gate/lookup.h"
#include "core/gate/name_memory.h"
#include "core/io/loop.h"
#include "core/net/datagram_proxy.h"
#include "core/net/proxy.h"
#include "core/rules/rule_set.h"

namespace tunproxy::gate {

/// Whose flows a gate is for.
struct Who {
  account::Source source = account::Source::tun;
  std::string user;  ///< empty: nobody said
};

/// Lives in one loop thread, and outlives its gates.
class Gatekeeper {
 public:
  /// Without rules everything goes through the tunnel. REQUIRES: both outlive it.
  Gatekeeper(io::Loop& loop, account::Account& account)
      : account_(account), lookup_(loop), loop_(loop), rules_(std::make_shared<rules::RuleSet>()) {}
  Gatekeeper(const Gatekeeper&) = delete;
  Gatekeeper& operator=(const Gatekeeper&) = delete;

  /// From now on these decide, of datagrams at once, of connections that are yet to come.
  void set_rules(std::shared_ptr<const rules::RuleSet> rules);
  const rules::RuleSet& rules() const { return *rules_; }
  /// Another number whenever the rules were replaced.
  uint64_t generation() const { return generation_; }

  /// Outside the tunnel; nullptr: nothing goes there, what the rules send there is refused.
  /// REQUIRES: both outlive the gates' attempts and sessions.
  void set_direct(net::Proxy* streams, net::DatagramProxy* datagrams) {
    direct_ = streams;
    direct_datagrams_ = datagrams;
  }
  net::Proxy* direct() const { return direct_; }
  net::DatagramProxy* direct_datagrams() const { return direct_datagrams_; }

  /// Error limit: there is no memory for another flow.
  Result<void> admit() const;
  /// Error address_not_supported: a name that some resolver takes for another, which rules would be
  /// got round with.
  static Result<void> check_name(const Target& target);
  /// A flow was refused because some limit was met: says so to people, once a minute.
  void tell_limit(const Error& error);

  account::Account& account() { return account_; }
  Lookup& lookup() { return lookup_; }
  NameMemory& memory() { return memory_; }
  io::Loop& loop() { return loop_; }

  /// What the rules say of a flow to `target`. `address`: of a name, or nullptr if it is not known.
  /// The address of the target itself brings the name that it is known by.
  rules::Verdict judge(rules::Protocol protocol, const Target& target, const IpAddress* address,
                       const Who& who);

 private:
  account::Account& account_;
  Lookup lookup_;
  NameMemory memory_;
  io::Loop& loop_;
  std::shared_ptr<const rules::RuleSet> rules_;
  uint64_t generation_ = 1;
  Instant told_limit_{};
  uint64_t untold_ = 0;  // flows that were refused since
  net::Proxy* direct_ = nullptr;
  net::DatagramProxy* direct_datagrams_ = nullptr;
};

/// One line for the client, without a destination.
Error denied();
Error no_direct_way();

}  // namespace tunproxy::gate
