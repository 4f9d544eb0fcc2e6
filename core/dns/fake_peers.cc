#include "core/dns/fake_peers.h"

#include <algorithm>

namespace tunproxy::dns {
namespace {

// Makes room for one more.
template <typename Entry>
void forget_one(std::vector<Entry>& entries) {
  if (entries.size() < FakePeers::kMax) return;
  entries.erase(std::min_element(entries.begin(), entries.end(),
                                 [](const Entry& a, const Entry& b) { return a.sent < b.sent; }));
}

}  // namespace

void FakePeers::sent_by_name(const Endpoint& fake, Instant now) {
  auto named = std::find_if(named_.begin(), named_.end(),
                            [&](const Named& entry) { return entry.fake == fake; });
  if (named == named_.end()) {
    forget_one(named_);
    named = named_.insert(named_.end(), Named{fake, std::nullopt, std::nullopt, now});
  }
  const bool gave_up = now - named->sent > kPatience;
  if (!named->waiting_since || gave_up) named->waiting_since = now;
  named->sent = now;
}

void FakePeers::sent_directly(const Endpoint& real, Instant now) {
  if (named_.empty()) return;  // nothing to confuse it with
  auto direct = std::find_if(direct_.begin(), direct_.end(),
                             [&](const Direct& entry) { return entry.real == real; });
  if (direct == direct_.end()) {
    forget_one(direct_);
    direct = direct_.insert(direct_.end(), Direct{real, now});
  }
  direct->sent = now;
}

Endpoint FakePeers::shown(const Endpoint& from, Instant now) {
  if (named_.empty()) return from;
  const bool asked = std::any_of(direct_.begin(), direct_.end(),
                                 [&](const Direct& entry) { return entry.real == from; });
  if (asked) return from;
  if (Named* named = find(from, now)) {
    named->real = from.address;
    named->waiting_since.reset();
    return named->fake;
  }
  // A server that goes on from another port (TFTP) is still the same host.
  const auto host = std::find_if(named_.begin(), named_.end(),
                                 [&](const Named& entry) { return entry.real == from.address; });
  return host == named_.end() ? from : Endpoint{host->fake.address, from.port};
}

// Who is known to be there goes before who waits.
FakePeers::Named* FakePeers::find(const Endpoint& from, Instant now) {
  const auto waits = [&](const Named& entry) {
    return entry.waiting_since && now - entry.sent <= kPatience;
  };
  const auto rank = [&](const Named& entry) {
    if (entry.real == from.address) return 3;
    if (!waits(entry)) return 0;
    return entry.real ? 1 : 2;
  };
  Named* best = nullptr;
  for (Named& entry : named_) {
    if (entry.fake.port != from.port || rank(entry) == 0) continue;
    const bool better = best == nullptr || rank(entry) > rank(*best) ||
                        (rank(entry) == rank(*best) && entry.waiting_since < best->waiting_since);
    if (better) best = &entry;
  }
  return best;
}

}  // namespace tunproxy::dns
