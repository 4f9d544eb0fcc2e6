// Ports at which the SSH server listens for us (RFC 4254 §7.1).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/ssh/channel_mux.h"
#include "core/ssh/global_request.h"

namespace tunproxy::ssh {

/// Who waits at such a port. Called while packets are read: it may note and schedule. After
/// on_forward_lost() the forward is gone.
class ForwardUser {
 public:
  ForwardUser() = default;
  ForwardUser(const ForwardUser&) = delete;
  ForwardUser& operator=(const ForwardUser&) = delete;

  virtual void on_listening(const Endpoint& at) = 0;
  /// Calls ChannelMux::accept(), or returns false. It may give the forward up.
  virtual bool on_connection(const ForwardedOpen& open) = 0;
  virtual void on_forward_lost(const Error& error) = 0;

 protected:
  ~ForwardUser() = default;
};

class RemoteForwards;

/// One port. Owned by RemoteForwards.
///
///   asking ──success──► listening ──give_up(): cancels──► gone
///      │ failure: gone
///      └──give_up(): cancels when the success comes
class RemoteForward final : private RequestUser {
 public:
  RemoteForward(RemoteForwards& owner, std::string address, IpAddress reported, ForwardUser* user);

 private:
  friend class RemoteForwards;
  void on_request_reply(bool success, MessageReader rest) override;
  void on_request_lost(const Error& error) override;

  RemoteForwards& owner_;
  const std::string address_;
  const IpAddress reported_;
  uint32_t port_ = 0;  // 0: asking
  ForwardUser* user_;  // nullptr: given up
};

/// All of a session's.
class RemoteForwards {
 public:
  static constexpr size_t kMax = 256;  ///< as many as the SOCKS listener lets wait

  /// `server`: the address to report for ports that are not on its loopback.
  RemoteForwards(ChannelMux& mux, std::optional<IpAddress> server);
  RemoteForwards(const RemoteForwards&) = delete;
  RemoteForwards& operator=(const RemoteForwards&) = delete;
  ~RemoteForwards();

  ChannelMux& mux() { return mux_; }
  size_t count() const { return forwards_.size(); }
  /// Asks for a port where a connection from `from` (unspecified: from anywhere) may come. `user`
  /// hears the outcome.
  Result<RemoteForward*> listen(const IpAddress& from, ForwardUser* user);
  void give_up(RemoteForward& forward);
  /// The connection is gone: all users hear it.
  void lose(const Error& error);

 private:
  friend class RemoteForward;
  bool on_connection(const ForwardedOpen& open);
  RemoteForward* find(const ForwardedOpen& open) const;
  void fail(RemoteForward& forward, const Error& error);
  void cancel(RemoteForward& forward);
  void remove(RemoteForward& forward);

  ChannelMux& mux_;
  const std::optional<IpAddress> server_;
  std::vector<std::unique_ptr<RemoteForward>> forwards_;
};

}  // namespace tunproxy::ssh
