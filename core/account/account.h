// Account: the flows there are, and counters of all there were.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>

#include "core/account/flow.h"
#include "core/io/loop.h"

namespace tunproxy::account {

/// Why a datagram went no further.
enum class Drop : uint8_t {
  denied,
  unresolved,  ///< its name has no address, and a rule is about addresses
  waiting,     ///< too many waited for a name or for a socket
  no_way,      ///< the way that the rules say does not carry datagrams
  closed,      ///< its association is over
};
std::string_view to_string(Drop reason);

struct Traffic {
  uint64_t flows = 0;
  uint64_t up = 0;  ///< bytes of payload
  uint64_t down = 0;
};

/// What one carrier of datagrams did.
struct CarrierTraffic {
  uint64_t flows = 0;  ///< associations
  uint64_t datagrams_up = 0;
  uint64_t datagrams_down = 0;
  uint64_t up = 0;  ///< bytes of payload
  uint64_t down = 0;
};

/// Counted since the start, except `rules`: since the rules were last replaced.
struct Counters {
  static constexpr size_t kSources = 2;
  static constexpr size_t kCommands = 3;
  static constexpr size_t kWays = 3;  ///< indexed by rules::Action
  static constexpr size_t kDrops = 5;
  static constexpr size_t kErrors = static_cast<size_t>(ErrorCode::no_permission) + 1;

  std::array<std::array<uint64_t, kCommands>, kSources> started{};
  std::array<Traffic, kWays> ways{};        ///< of ended flows; see Account::ways()
  uint64_t opened = 0;                      ///< flows whose far end was reached
  std::array<uint64_t, kErrors> refused{};  ///< those that never opened, by ErrorCode
  uint64_t complete = 0;                    ///< open flows that ended orderly
  uint64_t closed = 0;                      ///< that the program here let go of
  std::array<uint64_t, kErrors> failed{};   ///< open flows, by ErrorCode
  std::array<uint64_t, kDrops> drops{};
  std::map<std::string, CarrierTraffic, std::less<>> carriers;
  /// Flows and destinations of datagrams, by RuleSet::name_of().
  std::map<std::string, uint64_t> rules;
};

/// Lives in one loop thread and outlives its entries. There are as many flows as the ways in admit:
/// they bound them.
class Account {
 public:
  /// What a flow is charged for all that is kept of it beside its buffers, here and elsewhere.
  static constexpr size_t kFlowCost = 2048;
  static constexpr size_t kRecent = 100;  ///< flows that are remembered when they have ended

  using OnEnd = std::function<void(const Flow&, const Ending&)>;

  /// A flow's place in the account, which it leaves with this.
  class Entry {
   public:
    Entry(Entry&& other) noexcept;
    Entry& operator=(Entry&&) = delete;
    /// end({}), if that was not called.
    ~Entry();

    Flow& flow() { return *flow_; }
    const Flow& flow() const { return *flow_; }
    /// Of an association: its first datagram decides, whose way all its bytes are counted for.
    void decide(rules::Action way, std::string rule);
    bool decided() const { return !flow_->rule.empty(); }
    /// The far end is reached.
    void open();
    void end(const Ending& ending);
    /// Then there is no flow() any more.
    bool ended() const { return account_ == nullptr; }

   private:
    friend class Account;
    Entry(Account* account, std::list<Flow>::iterator flow) : account_(account), flow_(flow) {}

    Account* account_;  // nullptr: ended
    std::list<Flow>::iterator flow_;
  };

  explicit Account(io::Loop& loop) : loop_(loop) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  /// Whose flows begin() begins from now on; nothing: that is not known.
  void announce(std::optional<Origin> origin) { origin_ = origin; }
  Entry begin(Source source, Command command, const Target& target, std::string user);
  void drop(Drop reason) { ++counters_.drops[static_cast<size_t>(reason)]; }
  /// A rule decided about a flow, or about one destination of an association.
  void count_rule(const std::string& rule) { ++counters_.rules[rule]; }
  /// What is carried by `name`, for who carries it to count. Valid as long as the account.
  CarrierTraffic& carrier(std::string_view name);
  void forget_rules() { counters_.rules.clear(); }
  /// Called with each flow that ended; nullptr: with none.
  void on_end(OnEnd on_end) { on_end_ = std::move(on_end); }

  const std::list<Flow>& flows() const { return flows_; }  ///< the oldest first
  /// The flows that ended last, the newest at the end.
  const std::list<Flow>& recent() const { return recent_; }
  const Counters& counters() const { return counters_; }
  /// By rules::Action, the bytes of flows that are there included.
  std::array<Traffic, Counters::kWays> ways() const;

 private:
  void end(std::list<Flow>::iterator flow, const Ending& ending);

  io::Loop& loop_;
  std::optional<Origin> origin_;
  uint64_t last_id_ = 0;
  std::list<Flow> flows_;
  std::list<Flow> recent_;
  Counters counters_;
  OnEnd on_end_;
};

}  // namespace tunproxy::account
