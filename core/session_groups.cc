#include "core/session_groups.h"

#include <algorithm>
#include <utility>

#include "core/io/delivery.h"

namespace tunproxy {

Result<ssh::Pool*> SessionGroups::of(const std::string& group) {
  const auto found = groups_.find(group);
  if (found != groups_.end() && found->second.pool->state() != ssh::Pool::State::failed) {
    found->second.used = loop_.now();
    return found->second.pool.get();
  }
  if (found != groups_.end()) {
    loop_.retire(std::move(found->second.pool));
    groups_.erase(found);
  }
  if (groups_.size() == kMaxGroups && !make_room()) {
    return Error{ErrorCode::limit, "too many SSH connections for --isolate"};
  }
  Group& made = groups_[group];
  made = {std::make_unique<ssh::Pool>(loop_, options_()), loop_.now(), ++last_number_};
  made.pool->start([](const Result<void>&) {});  // its flows tell
  return made.pool.get();
}

bool SessionGroups::make_room() {
  auto oldest = groups_.end();
  for (auto group = groups_.begin(); group != groups_.end(); ++group) {
    if (group->second.pool->status().channels > 0) continue;
    if (oldest == groups_.end() || group->second.used < oldest->second.used) oldest = group;
  }
  if (oldest == groups_.end()) return false;
  loop_.retire(std::move(oldest->second.pool));
  groups_.erase(oldest);
  return true;
}

void SessionGroups::network_changed() {
  for (auto& [name, group] : groups_) group.pool->network_changed();
}

std::unique_ptr<net::Attempt> GroupedProxy::connect(const Target& target,
                                                    net::Done<std::unique_ptr<net::Stream>> done) {
  auto pool = groups_.of(group_of_(target));
  if (pool) return (*pool)->connect(target, std::move(done));
  return std::make_unique<io::Later<std::unique_ptr<net::Stream>>>(loop_, std::move(done),
                                                                   pool.error());
}

std::unique_ptr<net::Attempt> GroupedProxy::bind(const net::Expected& expected,
                                                 net::OnBound on_bound,
                                                 net::Done<net::Accepted> done) {
  auto pool = groups_.of(group_of_(expected.from));
  if (pool) return (*pool)->bind(expected, std::move(on_bound), std::move(done));
  return std::make_unique<io::Later<net::Accepted>>(loop_, std::move(done), pool.error());
}

}  // namespace tunproxy
