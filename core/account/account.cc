#include "core/account/account.h"

#include <utility>

namespace tunproxy::account {
namespace {

void add(Traffic& to, const Flow& flow) {
  to.up += flow.up;
  to.down += flow.down;
}

}  // namespace

std::string_view to_string(Drop reason) {
  static constexpr std::array<std::string_view, Counters::kDrops> kNames = {
      "denied", "unresolved", "waiting", "no_way", "closed"};
  return kNames[static_cast<size_t>(reason)];
}

Account::Entry::Entry(Entry&& other) noexcept
    : account_(std::exchange(other.account_, nullptr)), flow_(other.flow_) {}

Account::Entry::~Entry() {
  end({});
}

void Account::Entry::decide(rules::Action way, std::string rule) {
  account_->count_rule(rule);
  flow_->way = way;
  flow_->rule = std::move(rule);
  if (flow_->state == State::deciding) flow_->state = State::opening;
  ++account_->counters_.ways[static_cast<size_t>(way)].flows;
}

void Account::Entry::open() {
  flow_->state = State::open;
  ++account_->counters_.opened;
}

void Account::Entry::end(const Ending& ending) {
  if (account_ != nullptr) std::exchange(account_, nullptr)->end(flow_, ending);
}

Account::Entry Account::begin(Source source, Command command, const Target& target,
                              std::string user) {
  loop_.memory().charge(kFlowCost);
  ++counters_.started[static_cast<size_t>(source)][static_cast<size_t>(command)];
  Flow flow;
  flow.id = ++last_id_;
  flow.source = source;
  flow.command = command;
  flow.target = target;
  flow.origin = origin_;
  flow.user = std::move(user);
  flow.started = loop_.now();
  flow.started_at = std::chrono::system_clock::now();
  return {this, flows_.insert(flows_.end(), std::move(flow))};
}

void Account::end(std::list<Flow>::iterator flow, const Ending& ending) {
  add(counters_.ways[static_cast<size_t>(flow->way)], *flow);
  const bool was_open = flow->state == State::open;
  if (ending.error) {
    ++(was_open ? counters_.failed : counters_.refused)[static_cast<size_t>(*ending.error)];
  } else {
    ++(ending.complete ? counters_.complete : counters_.closed);
  }
  if (on_end_) on_end_(*flow, ending);
  flow->state = State::ended;
  flow->ending = ending;
  flow->ended = loop_.now();
  recent_.splice(recent_.end(), flows_, flow);
  if (recent_.size() > kRecent) recent_.pop_front();
  loop_.memory().release(kFlowCost);
}

CarrierTraffic& Account::carrier(std::string_view name) {
  const auto found = counters_.carriers.find(name);
  return found != counters_.carriers.end() ? found->second : counters_.carriers[std::string(name)];
}

std::array<Traffic, Counters::kWays> Account::ways() const {
  auto ways = counters_.ways;
  for (const Flow& flow : flows_) add(ways[static_cast<size_t>(flow.way)], flow);
  return ways;
}

}  // namespace tunproxy::account
