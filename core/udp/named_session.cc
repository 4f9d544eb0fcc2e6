#include "core/udp/named_session.h"

#include <algorithm>

namespace tunproxy::udp {

const std::optional<IpAddress>* NameCache::find(const std::string& name) {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return nullptr;
  if (entry->second.until > loop_.now()) return &entry->second.address;
  entries_.erase(entry);
  return nullptr;
}

std::unique_ptr<net::Attempt> NameCache::fetch(const std::string& name,
                                               std::function<void()> done) {
  return dns::look_up(loop_, names_, server_, name,
                      [this, name, done = std::move(done)](Result<dns::Addresses> found) {
                        put(name, found);
                        done();
                      });
}

void NameCache::put(const std::string& name, const Result<dns::Addresses>& found) {
  if (entries_.size() >= kMaxNames) entries_.clear();
  Entry& entry = entries_[name];
  entry = {std::nullopt, loop_.now() + kShortest};
  if (found) entry = {found->addresses.front(), loop_.now() + std::max(found->ttl, kShortest)};
}

void NamedSession::send(const Target& to, Bytes payload) {
  if (!to.is_name()) return inner_->send(to, payload);
  const std::optional<IpAddress>* known = cache_.find(to.name());
  if (known == nullptr) return wait(to, payload);
  if (!*known) return cache_.count_dropped();
  inner_->send(Target(**known, to.port()), payload);
}

std::optional<ErrorCode> NamedSession::refuses(const Target& to) {
  if (!to.is_name()) return inner_->refuses(to);
  const std::optional<IpAddress>* known = cache_.find(to.name());
  if (known == nullptr) return std::nullopt;
  return *known ? inner_->refuses(Target(**known, to.port())) : ErrorCode::host_unreachable;
}

void NamedSession::wait(const Target& to, Bytes payload) {
  if (!waiting_.contains(to.name()) && waiting_.size() >= kMaxNames) {
    return cache_.count_dropped();
  }
  Waiting& waiting = waiting_[to.name()];
  while (!waiting.datagrams.empty() && full(waiting, payload.size())) {
    waiting_bytes_.set(waiting_bytes_.bytes() - waiting.datagrams.front().second.size());
    waiting.datagrams.pop_front();
    cache_.count_dropped();
  }
  if (full(waiting, payload.size())) {
    cache_.count_dropped();
  } else {
    waiting.datagrams.emplace_back(to.port(), ByteVector(payload.begin(), payload.end()));
    waiting_bytes_.set(waiting_bytes_.bytes() + payload.size());
  }
  if (waiting.look_up != nullptr) return;
  waiting.look_up = cache_.fetch(to.name(), [this, name = to.name()] { found(name); });
}

bool NamedSession::full(const Waiting& waiting, size_t more) const {
  const size_t most = std::min(kMaxBytes, cache_.memory().allowance());
  return waiting.datagrams.size() >= kMaxDatagrams || waiting_bytes_.bytes() + more > most;
}

void NamedSession::found(const std::string& name) {
  const auto waiting = waiting_.extract(name);
  for (const auto& [port, payload] : waiting.mapped().datagrams) {
    waiting_bytes_.set(waiting_bytes_.bytes() - payload.size());
  }
  const std::optional<IpAddress>* known = cache_.find(name);
  for (const auto& [port, payload] : waiting.mapped().datagrams) {
    if (known == nullptr || !*known) {
      cache_.count_dropped();
    } else {
      inner_->send(Target(**known, port), payload);
    }
  }
}

}  // namespace tunproxy::udp
