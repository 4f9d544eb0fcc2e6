// Transport: libssh2 as a codec (RFC 4253): packets on one side, a Stream's bytes on the other.
#pragma once

#include <libssh2.h>

#include <functional>
#include <memory>
#include <string>

#include "core/base/byte_queue.h"
#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/net/stream.h"
#include "core/ssh/algorithms.h"
#include "core/ssh/channel_queue.h"
#include "core/ssh/login.h"
#include "core/ssh/transport_out.h"

namespace tunproxy::ssh {

/// Owns the LIBSSH2_SESSION and the bytes between it and the stream, which stays with the caller.
/// libssh2 reads only within the calls that are given the stream, or from what fill() brought; what
/// it sends is always taken whole. One thread at a time: the loop's, or a login step's.
class Transport {
 public:
  /// The longest packet that libssh2 sends.
  static constexpr size_t kMaxPacket = 34743;
  /// Gets one packet's payload, from within read_packets(); must not call the transport. The
  /// payload is in `buffer`, which may be taken.
  using OnPacket = std::function<void(Bytes payload, Buffer& buffer)>;

  /// Error usage: of one of the lists nothing can be used. REQUIRES: `algorithms.host_keys` says
  /// what to offer.
  static Result<std::shared_ptr<Transport>> create(const Algorithms& algorithms);
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport();

  LIBSSH2_SESSION* session() { return session_; }

  /// Banner and key exchange. True: done. False: call again when bytes came.
  Result<bool> handshake(net::Stream& stream);
  HostKey host_key() const;

  /// Copies what the stream holds for a login step, which runs without it.
  void fill(net::Stream& stream);

  /// From now on `on_packet` gets the packets of the connection protocol (RFC 4254), all others and
  /// key exchange stay with libssh2.
  void take_packets(OnPacket on_packet);
  /// Handles what the stream holds, at most 256 KB of it. An Error ends the connection.
  Result<void> read_packets(net::Stream& stream);

  /// Sends one packet, `head` and `body` one after the other. False: keys are being exchanged,
  /// nothing was sent, try again after more was read. REQUIRES: <= kMaxPacket
  Result<bool> send(Bytes head, Bytes body);
  size_t out_size() const { return out_.size(); }

  /// Writes to the stream what it takes.
  void flush(net::Stream& stream);

 private:
  Transport(LIBSSH2_SESSION* session, Algorithms offered);
  class Reading;

  enum class Whose : uint8_t { user, libssh2, nobody };
  Whose whose(uint8_t type);
  static ssize_t on_send(libssh2_socket_t, const void* bytes, size_t length, int, void** self);
  static ssize_t on_receive(libssh2_socket_t, void* buffer, size_t length, int, void** self);
  static int on_packet(LIBSSH2_SESSION*, unsigned char* data, size_t length, void** self);
  static void on_disconnect(LIBSSH2_SESSION*, int reason, const char* text, int length, const char*,
                            int, void** self);
  ssize_t receive(MutableBytes buffer);
  Error disagreed() const;
  Error lost(int code, net::Stream& stream) const;

  LIBSSH2_SESSION* session_;
  const Algorithms offered_;
  OnPacket on_packet_;
  net::Stream* stream_ = nullptr;  // only within a call that was given it
  size_t budget_ = 0;              // what such a call may still take from it
  uint64_t received_ = 0;
  bool at_end_ = false;
  bool exchanging_ = false;  // keys, since take_packets()
  int exchanged_ = 0;        // packets of that
  bool out_of_turn_ = false;
  ByteQueue in_;
  OutBuffer out_;
  std::string farewell_;  // the server's own words, if it disconnected with some
};

}  // namespace tunproxy::ssh
