// JumpChain: SSH servers that stand in front of the server (ProxyJump), as a way to it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/ssh/supervisor.h"

namespace tunproxy::ssh {

struct JumpHop {
  std::string name;           ///< for messages: "user@host:port"
  SupervisorOptions options;  ///< `way` is set by the chain, but for the first hop
};

/// Each hop is a connection that stays up and reconnects, made through the one before by
/// direct-tcpip; its own login checks its host key. Nothing of ours, the agent included, is offered
/// to a hop for forwarding. Lives in one loop thread.
class JumpChain {
 public:
  /// From the first hop, which is dialled (or reached by its own `way`), to the last. REQUIRES:
  /// there is one; `loop` outlives this.
  JumpChain(io::Loop& loop, std::vector<JumpHop> hops);
  ~JumpChain();
  JumpChain(const JumpChain&) = delete;
  JumpChain& operator=(const JumpChain&) = delete;

  /// Connects one hop after the other, so that questions to the user come in that order. The error
  /// is that of Supervisor::start(), and names the hop.
  void start(net::Done<void> done);
  /// Called while start() connects the hops: connecting and authenticating, each in its turn.
  void on_start_state(std::function<void(Supervisor::State)> changed) {
    starting_ = std::move(changed);
  }
  /// Called when a hop is lost for good after start(): its host key changed, its login is refused.
  void on_failed(std::function<void(const Error&)> failed) { failed_ = std::move(failed); }

  /// The machine's network changed: each hop looks at once whether its server still answers.
  void network_changed();
  void pause();  ///< as Supervisor's, for each hop
  void wake();

  /// Connects from the last hop; its errors name that hop. Flows wait while a hop reconnects. The
  /// chain outlives its attempts and streams' use.
  net::Proxy& way();
  /// The same; what goes there goes before all that goes by way(), as by Session::expedited().
  net::Proxy& urgent_way();
  SessionLoad load() const;  ///< of the last hop

 private:
  class Hop;

  void start_from(size_t index);
  void finish(Result<void> outcome);

  std::vector<std::unique_ptr<Hop>> hops_;
  net::Done<void> started_;
  std::function<void(Supervisor::State)> starting_;
  std::function<void(const Error&)> failed_;
};

}  // namespace tunproxy::ssh
