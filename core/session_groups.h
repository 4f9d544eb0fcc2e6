// SessionGroups: SSH connections of their own for groups of flows that must not share one.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/ssh/supervisor.h"

namespace tunproxy {

struct SessionGroupsOptions {
  /// Makes a group's connection; its login must ask nobody.
  std::function<ssh::SupervisorOptions()> connection;
  Duration idle = 60s;       ///< a connection without flows is closed after that, or twice that
  Duration refused = 10min;  ///< after which a server is asked again that grants none
};

/// Lives in one loop thread. A group has its connection from its first flow on; it reconnects while
/// it is used. Few log in at a time, since servers turn away who brings many. When all are taken,
/// the one that was used least recently gives its connection up, if it has no flows.
class SessionGroups {
 public:
  static constexpr size_t kMaxGroups = 64;
  static constexpr size_t kLogins = 4;  ///< at the same time

  SessionGroups(io::Loop& loop, SessionGroupsOptions options);
  SessionGroups(const SessionGroups&) = delete;
  SessionGroups& operator=(const SessionGroups&) = delete;

  /// A Proxy whose flows wait until the group's connection is there; use it at once. Error limit:
  /// all have flows; not_allowed: the server grants no further connection.
  Result<ssh::Supervisor*> of(const std::string& group);

  void network_changed();
  void pause();  ///< as Supervisor's
  void wake();

  /// function(name, number, connection): no other group has or had that number.
  template <typename Function>
  void each(Function function) const {
    for (const Group& group : groups_) function(group.name, group.number, *group.connection);
  }

 private:
  struct Group {
    std::string name;
    uint64_t number = 0;
    std::unique_ptr<ssh::Supervisor> connection;
    Instant used{};
  };
  using Groups = std::list<Group>;  // the oldest first

  Group& make(const std::string& name);
  bool make_room();
  void start_some();
  void on_state(ssh::Supervisor::State state, const Error* error);
  void sweep();
  void close_idle();
  Groups::iterator retire(Groups::iterator group);

  io::Loop& loop_;
  const SessionGroupsOptions options_;
  Groups groups_;
  uint64_t last_number_ = 0;
  bool paused_ = false;
  Instant refused_until_{};
  std::string why_refused_;
  io::Timer idle_;
  io::Task sweep_;
};

/// Flows of a group go over its connection.
class GroupedProxy final : public net::Proxy {
 public:
  using GroupOf = std::function<std::string(const Target& target)>;

  GroupedProxy(io::Loop& loop, SessionGroups& groups, GroupOf group_of)
      : loop_(loop), groups_(groups), group_of_(std::move(group_of)) {}

  std::unique_ptr<net::Attempt> connect(const Target& target,
                                        net::Done<std::unique_ptr<net::Stream>> done) override;
  std::unique_ptr<net::Attempt> bind(const net::Expected& expected, net::OnBound on_bound,
                                     net::Done<net::Accepted> done) override;

 private:
  io::Loop& loop_;
  SessionGroups& groups_;
  const GroupOf group_of_;
};

}  // namespace tunproxy
