#include "core/gate/gate.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include "core/account/counted_stream.h"
#include "core/io/delivery.h"

namespace tunproxy::gate {
namespace {

using rules::Action;
using rules::Protocol;
using rules::Verdict;

std::unique_ptr<net::Stream> counted(std::unique_ptr<net::Stream> stream,
                                     account::Account::Entry entry) {
  entry.open();
  return std::make_unique<account::CountedStream>(std::move(stream), std::move(entry));
}

}  // namespace

Gate::Candidates Gate::admitted(const Target& name, const Lookup::Addresses& addresses) const {
  Candidates found;
  bool judged = false;
  for (const IpAddress& address : addresses) {
    const Verdict verdict = keeper_.judge(Protocol::tcp, name, &address, who_);
    const bool denied = verdict.action == Action::deny;
    const bool other_way = !found.addresses.empty() && verdict.action != found.verdict.action;
    if (found.addresses.empty() && (!denied || !judged)) found.verdict = verdict;
    judged = true;
    if (!denied && !other_way) found.addresses.push_back(address);
  }
  return found;
}

class Gate::Connecting final : public net::Attempt {
 public:
  Connecting(Gate& gate, const Target& target, net::Done<std::unique_ptr<net::Stream>> done)
      : gate_(gate),
        keeper_(gate.keeper_),
        target_(target),
        entry_(keeper_.account().begin(gate.who_.source, account::Command::connect, target,
                                       gate.who_.user)),
        delivery_(keeper_.loop(), std::move(done)) {
    begin();
  }

 private:
  void begin() {
    if (auto admitted = keeper_.admit(); !admitted) return fail(admitted.error());
    if (auto good = Gatekeeper::check_name(target_); !good) return fail(good.error());
    const Verdict verdict = keeper_.judge(Protocol::tcp, target_, nullptr, gate_.who_);
    if (!verdict.needs_address) return decide(verdict, {target_});
    if (const auto* known = keeper_.lookup().known(target_.name())) return judge_all(*known);
    attempt_ = keeper_.lookup().ask(target_.name(), [this](auto found) {
      if (!found) return fail(found.error());
      judge_all(*found);
    });
  }

  void judge_all(const Lookup::Addresses& addresses) {
    if (addresses.empty()) return fail({ErrorCode::host_unreachable, "the name has no address"});
    Candidates admitted = gate_.admitted(target_, addresses);
    std::vector<Target> targets;
    for (const IpAddress& address : admitted.addresses) {
      if (targets.size() < kMaxTries) targets.emplace_back(address, target_.port());
    }
    decide(admitted.verdict, std::move(targets));
  }

  void decide(const Verdict& verdict, std::vector<Target> candidates) {
    entry_.decide(verdict.action, keeper_.rules().name_of(verdict.rule));
    if (verdict.action == Action::deny) return fail(denied());
    way_ = gate_.way(verdict.action);
    if (way_ == nullptr) return fail(no_direct_way());
    candidates_ = std::move(candidates);
    try_next();
  }

  void try_next() {
    attempt_ = way_->connect(candidates_[next_++], [this](auto stream) {
      if (stream) return delivery_.settle(counted(std::move(*stream), std::move(entry_)));
      if (next_ < candidates_.size()) return try_next();
      fail(stream.error());
    });
  }

  void fail(const Error& error) {
    if (error.code == ErrorCode::limit) keeper_.tell_limit(error);
    entry_.end({false, error.code});
    delivery_.settle(error);
  }

  Gate& gate_;
  Gatekeeper& keeper_;
  const Target target_;
  account::Account::Entry entry_;
  io::Delivery<std::unique_ptr<net::Stream>> delivery_;
  net::Proxy* way_ = nullptr;
  std::vector<Target> candidates_;
  size_t next_ = 0;
  std::unique_ptr<net::Attempt> attempt_;
};

std::unique_ptr<net::Attempt> Gate::connect(const Target& target,
                                            net::Done<std::unique_ptr<net::Stream>> done) {
  return std::make_unique<Connecting>(*this, target, std::move(done));
}

class Gate::Binding final : public net::Attempt {
 public:
  Binding(Gate& gate, const Target& from, net::OnBound on_bound, net::Done<net::Accepted> done)
      : gate_(gate),
        keeper_(gate.keeper_),
        from_(from),
        on_bound_(std::move(on_bound)),
        entry_(keeper_.account().begin(gate.who_.source, account::Command::bind, from,
                                       gate.who_.user)),
        delivery_(keeper_.loop(), std::move(done)) {
    begin();
  }

  /// False: there is no BIND on the way, and nothing will be called.
  bool supported() const { return supported_; }

 private:
  void begin() {
    if (auto admitted = keeper_.admit(); !admitted) return fail(admitted.error());
    if (auto good = Gatekeeper::check_name(from_); !good) return fail(good.error());
    if (from_.is_name()) return judge_name();
    if (from_.address().is_any()) return judge_anybody();
    decide(keeper_.judge(Protocol::tcp, from_, nullptr, gate_.who_), {from_});
  }

  // Outside the tunnel a name is looked up where it is waited for; so it is by a SOCKS5 server.
  void judge_name() {
    const Verdict verdict = keeper_.judge(Protocol::tcp, from_, nullptr, gate_.who_);
    const bool elsewhere = verdict.action == Action::direct || !keeper_.lookup().usable();
    const bool denied = verdict.action == Action::deny;
    if (!verdict.needs_address && (denied || elsewhere)) return decide(verdict, {from_});
    attempt_ = keeper_.lookup().ask(from_.name(), [this](auto found) {
      if (!found) return fail(found.error());
      Candidates admitted = gate_.admitted(from_, *found);
      if (admitted.addresses.empty()) return decide(admitted.verdict, {from_});
      const Target first(admitted.addresses.front(), from_.port());
      decide(admitted.verdict, {first, [all = std::move(admitted.addresses)](const auto& peer) {
                                  return std::find(all.begin(), all.end(), peer) != all.end();
                                }});
    });
  }

  // No address to judge yet: only rules about everybody decide.
  void judge_anybody() {
    const rules::Flow flow{Protocol::tcp, {}, nullptr, from_.port(), gate_.who_.user};
    Verdict verdict = keeper_.rules().judge(flow);
    if (!verdict.needs_address) return decide(verdict, {from_});
    if (verdict.action == Action::deny) verdict.action = Action::tunnel;
    decide(verdict, {from_, [this](const IpAddress& peer) {
                       const Target came(peer, from_.port());
                       const Verdict of_peer =
                           keeper_.judge(Protocol::tcp, came, nullptr, gate_.who_);
                       return of_peer.action != Action::deny;
                     }});
  }

  void decide(const Verdict& verdict, const net::Expected& expected) {
    entry_.decide(verdict.action, keeper_.rules().name_of(verdict.rule));
    if (verdict.action == Action::deny) return fail(denied());
    net::Proxy* const way = gate_.way(verdict.action);
    if (way == nullptr) return fail(no_direct_way());
    attempt_ =
        way->bind(expected, on_bound_, [this](auto accepted) { on_accepted(std::move(accepted)); });
    supported_ = attempt_ != nullptr;
    if (!supported_) fail({ErrorCode::command_not_supported, "no BIND on the way that it goes"});
  }

  void on_accepted(Result<net::Accepted> accepted) {
    if (!accepted) return fail(accepted.error());
    accepted->stream = counted(std::move(accepted->stream), std::move(entry_));
    delivery_.settle(std::move(*accepted));
  }

  void fail(const Error& error) {
    if (error.code == ErrorCode::limit) keeper_.tell_limit(error);
    entry_.end({false, error.code});
    delivery_.settle(error);
  }

  Gate& gate_;
  Gatekeeper& keeper_;
  const Target from_;
  bool supported_ = true;
  net::OnBound on_bound_;
  account::Account::Entry entry_;
  io::Delivery<net::Accepted> delivery_;
  std::unique_ptr<net::Attempt> attempt_;
};

std::unique_ptr<net::Attempt> Gate::bind(const net::Expected& expected, net::OnBound on_bound,
                                         net::Done<net::Accepted> done) {
  assert(!expected.may_come);
  auto binding =
      std::make_unique<Binding>(*this, expected.from, std::move(on_bound), std::move(done));
  if (!binding->supported()) return nullptr;
  return binding;
}

}  // namespace tunproxy::gate
