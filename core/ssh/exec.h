// Exec: a command that runs at the server, and its output.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/proxy.h"
#include "core/ssh/channel_mux.h"
#include "core/ssh/session.h"

namespace tunproxy::ssh {

/// Destroying it closes the channel; the command sees its pipes break.
class Exec final : public net::Attempt, private ChannelUser {
 public:
  static constexpr size_t kMaxOutput = 64 * 1024;

  Exec(ChannelMux& mux, std::string command, Duration timeout, net::Done<ExecResult> done);
  ~Exec() override;

 private:
  void on_open() override;
  void on_open_failed(const Error& error) override;
  void on_data(Bytes bytes, Buffer& buffer) override;
  void on_reply(bool success) override;
  void on_exit_status(int status) override { result_.exit_status = status; }
  void on_close() override;
  void on_lost(const Error& error) override;
  void settle(Result<ExecResult> outcome);

  ChannelMux& mux_;
  Slot* slot_;  // nullptr: the channel is gone
  const std::string command_;
  ExecResult result_;
  std::optional<Result<ExecResult>> outcome_;
  net::Done<ExecResult> done_;
  io::Task deliver_;
  io::Timer timer_;
};

}  // namespace tunproxy::ssh
