// Channel: a direct-tcpip channel of an SSH connection as a Stream.
#pragma once

#include <functional>

#include "core/io/loop.h"
#include "core/net/stream.h"
#include "core/ssh/channel_mux.h"
#include "core/ssh/channel_queue.h"

namespace tunproxy::ssh {

/// What was received and not consumed stays in its queue, which the channel's window bounds; what
/// is written is encrypted at once, so that it needs no queue. It may outlive the session: then it
/// has failed.
class Channel final : public net::Stream, private ChannelUser {
 public:
  /// Becomes the user of `slot`. REQUIRES: the slot is open
  Channel(ChannelMux& mux, Slot& slot);
  ~Channel() override;

  void on_progress(std::function<void()> look_again) override;
  Bytes peek() const override { return received_.front(); }
  void consume(size_t n) override;
  size_t write(Bytes bytes) override;
  void finish() override;
  bool finished() const override { return finished_; }
  bool ended() const override { return at_end_ && received_.empty(); }
  const Error* error() const override;

 private:
  void on_open_failed(const Error& error) override { on_lost(error); }
  void on_data(Bytes bytes, Buffer& buffer) override;
  void on_writable() override { progress_.schedule(); }
  void on_eof() override;
  void on_close() override;
  void on_lost(const Error& error) override;

  ChannelMux& mux_;
  Slot* slot_;  // nullptr: the channel is closed, the mux may be gone
  ChannelQueue received_;
  std::function<void()> look_again_;
  bool at_end_ = false;
  bool finished_ = false;
  bool failed_ = false;
  Error error_;
  io::Task progress_;
};

}  // namespace tunproxy::ssh
