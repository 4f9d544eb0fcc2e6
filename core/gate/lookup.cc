#include "core/gate/lookup.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "core/gate/address_records.h"
#include "core/io/delivery.h"
#include "core/io/timer.h"
#include "core/rules/rule.h"

namespace tunproxy::gate {
namespace {

constexpr std::array<uint16_t, 2> kTypes = {kTypeA, kTypeAaaa};

// Where a name service asks the server that the client asked, there is none to name.
const Endpoint kNoServer{IpAddress(), 53};

}  // namespace

// Asks for both kinds of addresses at the same time, and takes what there is of both.
class Lookup::Asking final : public net::Attempt {
 public:
  Asking(Lookup& lookup, std::string name, net::Done<Addresses> done)
      : lookup_(lookup),
        name_(std::move(name)),
        delivery_(lookup.loop_, std::move(done)),
        timer_(lookup.loop_, [this] { settle(); }) {
    begin();
  }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
  ~Asking() override {
    if (counted_) --lookup_.pending_;
  }

 private:
  void begin() {
    if (lookup_.names_ == nullptr) {
      return fail({ErrorCode::not_allowed,
                   "a rule is about addresses, and nobody can be asked for "
                   "those of a name"});
    }
    if (lookup_.pending_ >= kMaxPending)
      return fail({ErrorCode::limit, "too many names to look up"});
    ++lookup_.pending_;
    counted_ = true;
    timer_.start(kTimeout);
    for (size_t i = 0; i < kTypes.size() && !delivery_.settled(); ++i) ask(i);
  }

  void fail(Error error) { delivery_.settle(std::move(error)); }

  void ask(size_t which) {
    const auto query = address_query(name_, kTypes[which]);
    if (!query) return fail(query.error());
    attempts_[which] = lookup_.names_->exchange(
        kNoServer, *query,
        [this, which](Result<ByteVector> answer) { on_answer(which, std::move(answer)); });
  }

  void on_answer(size_t which, Result<ByteVector> answer) {
    answered_[which] = true;
    auto records = answer ? parse_address_records(*answer, kMaxAddresses) : Result<AddressRecords>(answer.error());
    if (records) {
      const Duration ttl =
          std::clamp<Duration>(std::chrono::seconds(records->ttl), kMinTtl, kMaxTtl);
      ttl_ = std::min(ttl_, ttl);
      found_[which] = std::move(records->addresses);
    } else {
      error_ = records.error();
    }
    if (answered_[0] && answered_[1]) settle();
  }

  void settle() {
    timer_.stop();
    Addresses all = std::move(found_[0]);
    all.insert(all.end(), found_[1].begin(), found_[1].end());
    const bool complete = answered_[0] && answered_[1] && !error_;
    if (complete || !all.empty()) lookup_.keep(name_, all, complete ? ttl_ : kMinTtl);
    if (!all.empty()) return delivery_.settle(std::move(all));
    if (error_) return fail(std::move(*error_));
    if (complete) return fail({ErrorCode::host_unreachable, "the name has no address"});
    fail({ErrorCode::timed_out, "nobody told the name's address in time"});
  }

  Lookup& lookup_;
  const std::string name_;
  bool counted_ = false;
  std::array<bool, 2> answered_{};
  std::array<Addresses, 2> found_;
  Duration ttl_ = kMaxTtl;
  std::optional<Error> error_;
  io::Delivery<Addresses> delivery_;
  io::Timer timer_;
  std::array<std::unique_ptr<net::Attempt>, 2> attempts_;
};

const Lookup::Addresses* Lookup::known(std::string_view name) {
  const auto found = by_name_.find(rules::normal_name(name));
  if (found == by_name_.end() || found->second->until <= loop_.now()) return nullptr;
  return &found->second->addresses;
}

std::unique_ptr<net::Attempt> Lookup::ask(std::string_view name, net::Done<Addresses> done) {
  return std::make_unique<Asking>(*this, rules::normal_name(name), std::move(done));
}

void Lookup::keep(const std::string& name, Addresses addresses, Duration ttl) {
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    const auto entry = found->second;
    by_name_.erase(found);
    entries_.erase(entry);
  }
  if (entries_.size() >= kMaxNames) {
    by_name_.erase(entries_.back().name);
    entries_.pop_back();
  }
  entries_.push_front({name, std::move(addresses), loop_.now() + ttl});
  by_name_.emplace(entries_.front().name, entries_.begin());
}

}  // namespace tunproxy::gate
