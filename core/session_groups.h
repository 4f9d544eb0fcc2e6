// SessionGroups: SSH connections of their own for groups of flows that must not share one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/ssh/pool.h"

namespace tunproxy {

/// Lives in one loop thread. A group without flows for a while gives its connection up; when all
/// are taken, the one that was used least recently does, if it has no flows.
class SessionGroups {
 public:
  static constexpr size_t kMaxGroups = 64;

  /// `options` of each connection; its login must ask nobody.
  SessionGroups(io::Loop& loop, std::function<ssh::PoolOptions()> options)
      : loop_(loop), options_(std::move(options)) {}

  /// Connects if there is none yet; flows wait for it. Error limit: all have flows.
  Result<ssh::Pool*> of(const std::string& group);
  void network_changed();
  /// function(name, number, pool): no other group has or had that number.
  template <typename Function>
  void each(Function function) const {
    for (const auto& [name, group] : groups_) function(name, group.number, *group.pool);
  }

 private:
  struct Group {
    std::unique_ptr<ssh::Pool> pool;
    Instant used{};
    uint64_t number = 0;
  };
  bool make_room();

  io::Loop& loop_;
  std::function<ssh::PoolOptions()> options_;
  std::map<std::string, Group> groups_;
  uint64_t last_number_ = 0;
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
