#include "core/session_groups.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "core/io/delivery.h"

namespace tunproxy {

using State = ssh::Supervisor::State;

SessionGroups::SessionGroups(io::Loop& loop, SessionGroupsOptions options)
    : loop_(loop),
      options_(std::move(options)),
      idle_(loop, [this] { close_idle(); }),
      sweep_(loop, [this] { sweep(); }) {}

Result<ssh::Supervisor*> SessionGroups::of(const std::string& group) {
  auto found = std::find_if(groups_.begin(), groups_.end(),
                            [&](const Group& known) { return known.name == group; });
  if (found != groups_.end() && found->connection->state() == State::failed) {
    retire(std::exchange(found, groups_.end()));
  }
  if (found != groups_.end()) {
    found->used = loop_.now();
    return found->connection.get();
  }
  if (loop_.now() < refused_until_) return Error{ErrorCode::not_allowed, why_refused_};
  if (groups_.size() == kMaxGroups && !make_room()) {
    return Error{ErrorCode::limit, "all SSH connections for --isolate have flows"};
  }
  return make(group).connection.get();
}

SessionGroups::Group& SessionGroups::make(const std::string& name) {
  ssh::SupervisorOptions options = options_.connection();
  options.keep_trying = true;
  Group& group = groups_.emplace_back();
  group = {name, ++last_number_, std::make_unique<ssh::Supervisor>(loop_, std::move(options)),
           loop_.now()};
  group.connection->on_state([this](State state, const Error* error) { on_state(state, error); });
  if (paused_) group.connection->pause();
  sweep_.schedule();
  if (!idle_.active()) idle_.start(options_.idle);
  return group;
}

bool SessionGroups::make_room() {
  auto oldest = groups_.end();
  for (auto group = groups_.begin(); group != groups_.end(); ++group) {
    if (!group->connection->unused()) continue;
    if (oldest == groups_.end() || group->used < oldest->used) oldest = group;
  }
  if (oldest == groups_.end()) return false;
  retire(oldest);
  return true;
}

void SessionGroups::on_state(State state, const Error* error) {
  if (state == State::failed) {
    refused_until_ = loop_.now() + options_.refused;
    why_refused_ = "the SSH server grants no connection of its own (--isolate): " + error->message;
    log::warn("{}", why_refused_);
  }
  sweep_.schedule();
}

// What nobody uses is not made anew; one that never came up is kept, for its pauses between tries.
void SessionGroups::sweep() {
  for (auto group = groups_.begin(); group != groups_.end();) {
    const ssh::Supervisor& connection = *group->connection;
    const bool lost = connection.state() == State::reconnecting &&
                      connection.counters().logins > 0 && connection.unused();
    const bool over = connection.state() == State::failed || lost;
    group = over ? retire(group) : std::next(group);
  }
  start_some();
}

void SessionGroups::start_some() {
  size_t under_way = 0;
  for (const Group& group : groups_) {
    const State state = group.connection->state();
    const bool rests = paused_ && state == State::reconnecting;
    under_way += state != State::idle && state != State::online && !rests;
  }
  for (Group& group : groups_) {
    if (under_way >= kLogins) return;
    if (group.connection->state() != State::idle) continue;
    ++under_way;
    group.connection->start([](const Result<void>&) {});  // its flows tell
  }
}

void SessionGroups::close_idle() {
  for (auto group = groups_.begin(); group != groups_.end();) {
    const bool unused = group->connection->unused();
    if (!unused) group->used = loop_.now();
    const bool over = unused && loop_.now() - group->used >= options_.idle;
    group = over ? retire(group) : std::next(group);
  }
  if (!groups_.empty()) idle_.start(options_.idle);
}

SessionGroups::Groups::iterator SessionGroups::retire(Groups::iterator group) {
  group->connection->on_state(nullptr);
  loop_.retire(std::move(group->connection));
  sweep_.schedule();
  return groups_.erase(group);
}

void SessionGroups::network_changed() {
  for (Group& group : groups_) group.connection->network_changed();
}

void SessionGroups::pause() {
  paused_ = true;
  idle_.stop();
  for (Group& group : groups_) group.connection->pause();
}

void SessionGroups::wake() {
  paused_ = false;
  for (Group& group : groups_) group.connection->wake();
  close_idle();
}

std::unique_ptr<net::Attempt> GroupedProxy::connect(const Target& target,
                                                    net::Done<std::unique_ptr<net::Stream>> done) {
  auto group = groups_.of(group_of_(target));
  if (group) return (*group)->connect(target, std::move(done));
  return std::make_unique<io::Later<std::unique_ptr<net::Stream>>>(loop_, std::move(done),
                                                                   group.error());
}

std::unique_ptr<net::Attempt> GroupedProxy::bind(const net::Expected& expected,
                                                 net::OnBound on_bound,
                                                 net::Done<net::Accepted> done) {
  auto group = groups_.of(group_of_(expected.from));
  if (group) return (*group)->bind(expected, std::move(on_bound), std::move(done));
  return std::make_unique<io::Later<net::Accepted>>(loop_, std::move(done), group.error());
}

}  // namespace tunproxy
