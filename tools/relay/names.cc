#include "tools/relay/names.h"

#include <utility>

#include "core/io/resolver.h"

namespace tunproxy::relay {

Names::Names(io::Loop& loop, std::function<void(uint32_t, const Endpoint&, Bytes)> deliver,
             std::function<void()> drop)
    : loop_(loop), deliver_(std::move(deliver)), drop_(std::move(drop)) {}

void Names::send(uint32_t association, const Target& to, Bytes payload) {
  auto entry = entries_.find(to.name());
  const bool known = entry != entries_.end() && !entry->second.lookup;
  if (known && entry->second.until > loop_.now()) {
    if (entry->second.address == nullptr) return drop_();
    return deliver_(association, {*entry->second.address, to.port()}, payload);
  }
  if (waiting_ + payload.size() > kMaxWaiting) return drop_();
  if (entry == entries_.end()) {
    if (!make_room()) return drop_();
    entry = entries_.try_emplace(to.name()).first;
  }
  wait(entry->second, {association, to.port(), ByteVector(payload.begin(), payload.end())});
  if (entry->second.lookup) return;
  entry->second.lookup =
      io::resolve(loop_, to, [this, name = to.name()](const Result<std::vector<Endpoint>>& found) {
        on_found(name, found);
      });
}

// Forgets what is known if there are too many; false if they are all being looked up.
bool Names::make_room() {
  if (entries_.size() < kMaxNames) return true;
  std::erase_if(entries_, [](const auto& entry) { return entry.second.lookup == nullptr; });
  return entries_.size() < kMaxNames;
}

void Names::wait(Entry& entry, Waiting datagram) {
  if (entry.waiting.size() == kMaxPerName) {
    waiting_ -= entry.waiting.front().payload.size();
    entry.waiting.pop_front();
    drop_();
  }
  waiting_ += datagram.payload.size();
  entry.waiting.push_back(std::move(datagram));
}

void Names::on_found(const std::string& name, const Result<std::vector<Endpoint>>& found) {
  Entry& entry = entries_.at(name);
  const auto lookup = std::move(entry.lookup);
  entry.address = found ? std::make_unique<IpAddress>(found->front().address) : nullptr;
  entry.until = loop_.now() + (found ? kLife : kFailureLife);
  const auto waiting = std::exchange(entry.waiting, {});
  for (const Waiting& datagram : waiting) {
    waiting_ -= datagram.payload.size();
    if (!found) {
      drop_();
    } else {
      deliver_(datagram.association, {found->front().address, datagram.port}, datagram.payload);
    }
  }
}

}  // namespace tunproxy::relay
