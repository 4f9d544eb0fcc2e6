// ChannelOpen: a channel that is being opened, to a target or to a command at the server.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/ssh/channel_mux.h"

namespace tunproxy::ssh {

/// Destroying it takes the open back: should the server connect after all, the channel is closed at
/// once.
class ChannelOpen final : public net::Attempt, private ChannelUser {
 public:
  using Done = net::Done<std::unique_ptr<net::Stream>>;

  /// A direct-tcpip channel (RFC 4254 §7.2).
  ChannelOpen(ChannelMux& mux, const Target& target, Priority priority, Done done);
  /// A session channel in which `command` runs (RFC 4254 §6.5): its standard input and output.
  ChannelOpen(ChannelMux& mux, std::string command, Done done);
  ~ChannelOpen() override;

 private:
  ChannelOpen(ChannelMux& mux, Done done);
  void wait_for(Slot* slot);
  void on_open() override;
  void on_reply(bool success) override;
  void on_open_failed(const Error& error) override;
  void on_data(Bytes, Buffer&) override {}
  void on_close() override;
  void on_lost(const Error& error) override;
  void hand_over();
  void settle(Result<std::unique_ptr<net::Stream>> outcome);

  ChannelMux& mux_;
  Slot* slot_;  // nullptr: it is the channel's, or gone
  std::optional<Result<std::unique_ptr<net::Stream>>> outcome_;
  std::string command_;  // empty: none
  Done done_;
  io::Task deliver_;
};

}  // namespace tunproxy::ssh
