// ChannelMux: the channels of one SSH connection (RFC 4254), all of them at once, over a Transport.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/base/address.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/stream.h"
#include "core/ssh/channel_message.h"
#include "core/ssh/channel_window.h"
#include "core/ssh/global_request.h"
#include "core/ssh/send_ahead.h"
#include "core/ssh/session_load.h"
#include "core/ssh/transport.h"

namespace tunproxy::ssh {

/// What the user of a channel hears. Called while packets are read: it may note and schedule, but
/// must not call the mux. After on_open_failed(), on_close() and on_lost() the slot is gone.
class ChannelUser {
 public:
  ChannelUser() = default;
  ChannelUser(const ChannelUser&) = delete;
  ChannelUser& operator=(const ChannelUser&) = delete;

  virtual void on_open() {}
  virtual void on_open_failed(const Error& error) = 0;
  virtual void on_data(Bytes bytes, Buffer& buffer) = 0;  ///< in `buffer`, which may be taken
  virtual void on_writable() {}                           ///< write() may take more now
  virtual void on_reply(bool) {}                          ///< to a channel request
  virtual void on_exit_status(int) {}
  virtual void on_eof() {}
  virtual void on_close() = 0;                   ///< the server closed the channel, both ways
  virtual void on_lost(const Error& error) = 0;  ///< the connection is gone

 protected:
  ~ChannelUser() = default;
};

/// What goes first when more is to be sent than the connection takes.
enum class Priority : uint8_t { bulk, expedited };

/// One channel's state on the wire. Owned by the mux; it outlives its user until the server has
/// closed its end too.
///
///   opening ──confirmation──► open ──release()──► closing ──the server's CLOSE──► gone
///      │ failure: gone             └──the server's CLOSE (answered): gone
struct Slot {
  enum class State : uint8_t { opening, open, closing };

  uint32_t id = 0;
  uint32_t peer_id = 0;
  State state = State::opening;
  Priority priority = Priority::bulk;
  bool waits_to_write = false;
  uint32_t max_packet = 0;
  size_t send_window = 0;
  size_t turn = 0;  // bytes that it may write while others wait
  ReceiveWindow receive_window;
  ChannelUser* user = nullptr;  // nullptr: nobody is interested any more
};

/// Lives in the loop thread; owns the stream.
class ChannelMux final : private RequestUser {
 public:
  static constexpr size_t kMaxChannels = 16384;
  static constexpr uint32_t kMaxPacket = 32768;
  static constexpr size_t kTurn = 128 * 1024;

  /// `share`: with other sessions. `on_lost` is called once, from the loop, when the connection is
  /// gone and all users know.
  ChannelMux(io::Loop& loop, std::unique_ptr<net::Stream> stream,
             std::shared_ptr<Transport> transport, std::shared_ptr<WindowShare> share,
             Duration open_timeout, std::function<void(const Error&)> on_lost);
  ChannelMux(const ChannelMux&) = delete;
  ChannelMux& operator=(const ChannelMux&) = delete;
  /// All users hear on_lost().
  ~ChannelMux();

  /// Asks for a channel; `user` hears the outcome within the timeout. nullptr: there are too many,
  /// or the connection is gone.
  Slot* open_direct_tcpip(const Target& target, ChannelUser* user,
                          Priority priority = Priority::bulk);
  Slot* open_session(ChannelUser* user);  ///< expedited
  /// Opens a session channel that `user` keeps until take_standing_session().
  void open_standing_session(ChannelUser* user);
  /// For servers that grant no other session channel: that one becomes `user`'s, if it is open.
  /// nullptr: it is not. May be called from on_open_failed().
  Slot* take_standing_session(ChannelUser* user);
  /// The server forbids connections: says so to people, once.
  void tell_forbidden(const Error& error);
  /// False: the command is too long for SSH, nothing was asked. REQUIRES: open
  bool request_exec(Slot& slot, std::string_view command);

  /// Sends what window, turn and the transport allow; short: on_writable() follows.
  size_t write(Slot& slot, Bytes bytes);
  void send_eof(Slot& slot);
  /// The user holds `queued` received bytes; gives the server the credit that is due.
  void grant(Slot& slot, size_t queued);
  /// The user goes: closes the channel, or takes an open back. The slot is the mux's again.
  void release(Slot& slot);

  /// Who hears of connections to ports at which the server listens for us; called while packets are
  /// read. It calls accept() or refuses by returning false.
  void on_forwarded(std::function<bool(const ForwardedOpen&)> forwarded) {
    forwarded_ = std::move(forwarded);
  }
  /// Takes the channel that is being offered. nullptr: there are too many.
  Slot* accept(const ForwardedOpen& open);

  /// Sends a global request that wants a reply, which `user` hears. False: too many wait for one,
  /// or the connection is gone.
  bool request(ByteVector message, RequestUser* user);
  /// Sends one that wants none.
  void notify(ByteVector message) { control(std::move(message)); }
  /// `user` goes before it heard.
  void forget(const RequestUser* user) { requests_.forget(user); }

  /// Stream::outlast() of the connection, now and while it carries something.
  void outlast(Duration silence);
  /// `stirred` is called, while data is written, by the first after kQuiet without any.
  void on_stir(std::function<void()> stirred) { stirred_ = std::move(stirred); }

  io::Loop& loop() { return loop_; }
  const Error* error() const { return failed_ ? &error_ : nullptr; }
  size_t channel_count() const { return slots_.size(); }  ///< those that are closing, too
  SessionLoad load(const ChannelUser* except) const;      ///< without that user's channel
  Duration round_trip() const { return windows_.shortest_round(); }
  Instant last_heard() const { return last_heard_; }      ///< when bytes came, whatever they were
  Instant last_carried() const { return last_carried_; }  ///< when data passed, either way

 private:
  Slot* new_slot(ChannelUser* user, Priority priority, size_t window);
  void erase_slot(uint32_t id);
  void await_answer(const Slot& slot);
  Slot* find(uint32_t id, Slot::State state);
  void control(ByteVector message);
  bool send_controls();
  bool send_data(Slot& slot, Bytes bytes);
  void wait_to_write(Slot& slot);
  std::deque<uint32_t>& waiting(const Slot& slot) {
    return slot.priority == Priority::expedited ? urgent_ : waiting_;
  }

  size_t room() const;
  bool has_room(const Slot& slot);

  void read();
  void tick();
  void flush();
  void wake_writers();
  void wake(std::deque<uint32_t>& waiting);
  void carried();
  void fail(Error error);
  void tell_lost();
  void expire_opens();
  void forget_settled_opens();

  void on_packet(Bytes packet, Buffer& buffer);
  void measure_round();
  void on_request_reply(bool success, MessageReader rest) override;
  void on_request_lost(const Error&) override {}
  void on_channel_open(MessageReader message);
  void on_confirmation(MessageReader message);
  void on_failure(MessageReader message);
  void on_window_adjust(MessageReader message);
  void on_data(MessageReader message, Buffer& buffer);
  void on_extended_data(MessageReader message);
  void on_eof(MessageReader message);
  void on_close(MessageReader message);
  void on_request(MessageReader message);
  void on_reply(MessageReader message, bool success);

  io::Loop& loop_;
  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<Transport> transport_;
  const Duration open_timeout_;
  std::function<void(const Error&)> on_lost_;
  std::function<bool(const ForwardedOpen&)> forwarded_;
  std::unordered_map<uint32_t, Slot> slots_;
  uint32_t next_id_ = 0;
  const std::shared_ptr<WindowShare> share_;
  WindowPolicy windows_;
  std::deque<ByteVector> controls_;  // small messages, before any data
  std::deque<uint32_t> urgent_;      // expedited channels that want to write, in turn
  std::deque<uint32_t> waiting_;     // the others
  SendAhead ahead_;
  RequestQueue requests_;
  Instant last_heard_;
  Instant last_carried_;
  std::function<void()> stirred_;
  std::optional<Duration> outlasts_;
  Instant told_to_outlast_{};
  uint64_t received_ = 0;
  uint64_t sent_ = 0;
  bool rekeying_ = false;
  std::deque<std::pair<Instant, uint32_t>> deadlines_;  // of opens, in order
  ChannelUser* standing_ = nullptr;                     // nullptr: none, or taken
  uint32_t standing_id_ = 0;
  bool told_forbidden_ = false;
  bool failed_ = false;
  Error error_;
  io::Timer open_timer_;
  io::Task tick_;
};

}  // namespace tunproxy::ssh
