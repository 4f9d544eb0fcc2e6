// Carrier: what carries datagrams through an SSH server, now: a relay helper there, or nothing.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/datagram_proxy.h"
#include "core/net/stream.h"
#include "core/udp/relay_client.h"

namespace tunproxy::udp {

/// Starts a helper when told that there is a server to run it at, and again, after growing pauses,
/// when it dies.
///
///   off ──probe()──► probing ──hello──► relay ──helper dies──► off (and after a pause: probing)
///                       └──no helper──► off
class Carrier final : public net::DatagramProxy {
 public:
  enum class State : uint8_t { off, probing, relay };
  /// Runs a command at the server, as ssh::Session::run.
  using Run = std::function<std::unique_ptr<net::Attempt>(
      std::string command, net::Done<std::unique_ptr<net::Stream>> done)>;

  static constexpr size_t kMaxWaiting = 128;  ///< associations that wait for a probe's outcome
  static constexpr Duration kProbeTimeout = 2s;
  static constexpr Duration kFirstPause = 1s;
  static constexpr Duration kLongestPause = 60s;

  Carrier(io::Loop& loop, Run run);
  ~Carrier() override;

  /// There is a server now: looks what it has. Ends what is under way or in use.
  void probe();
  /// Called after each change to `relay` or `off`.
  void on_state(std::function<void(State)> changed) { changed_ = std::move(changed); }

  State state() const { return state_; }
  /// Why it is off, for people.
  const std::string& why_off() const { return why_off_; }
  /// The helper in use, or nullptr. Shared, as attempts and sessions need it for as long as they live.
  std::shared_ptr<RelayClient> relay() { return relay_; }

  /// While probing it waits for the outcome; command_not_supported when there is no helper.
  std::unique_ptr<net::Attempt> associate(
      net::OnDatagram on_datagram, net::OnAssociationClosed on_closed,
      net::Done<std::unique_ptr<net::DatagramSession>> done) override;

 private:
  class Association;
  void set_state(State next);
  void began(Result<std::unique_ptr<net::Stream>> helper);
  void came_up(std::shared_ptr<RelayClient> relay);
  void turn_off(const Error& why, bool try_again);
  void settle_waiting();
  void drop_relay();

  io::Loop& loop_;
  Run run_;
  State state_ = State::off;
  std::string why_off_ = "there is no connection yet";
  std::function<void(State)> changed_;
  std::unique_ptr<net::Attempt> attempt_;  // the command or the helper's hello
  std::shared_ptr<RelayClient> relay_;  // shared with its associations, which may outlive its use
  std::list<Association*> waiting_;
  io::Timer deadline_;
  io::Timer pause_;
  Duration next_pause_ = kFirstPause;
};

}  // namespace tunproxy::udp
