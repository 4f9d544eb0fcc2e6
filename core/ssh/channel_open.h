// ChannelOpen: a direct-tcpip channel that is being opened.
#pragma once

#include <memory>
#include <optional>

#include "core/io/loop.h"
#include "core/net/proxy.h"
#include "core/ssh/channel_mux.h"

namespace tunproxy::ssh {

/// Destroying it takes the open back: should the server connect after all, the channel is closed at
/// once.
class ChannelOpen final : public net::Attempt, private ChannelUser {
 public:
  ChannelOpen(ChannelMux& mux, const Target& target, net::Done<std::unique_ptr<net::Stream>> done);
  ~ChannelOpen() override;

 private:
  void on_open() override;
  void on_open_failed(const Error& error) override { settle(error); }
  void on_data(Bytes, Buffer&) override {}
  void on_close() override {}
  void on_lost(const Error& error) override { settle(error); }
  void settle(Result<std::unique_ptr<net::Stream>> outcome);

  ChannelMux& mux_;
  Slot* slot_;  // nullptr: there is an outcome
  std::optional<Result<std::unique_ptr<net::Stream>>> outcome_;
  net::Done<std::unique_ptr<net::Stream>> done_;
  io::Task deliver_;
};

}  // namespace tunproxy::ssh
