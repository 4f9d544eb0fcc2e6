// Stream: a two-way flow of bytes with backpressure, and the one interface for all of them.
//
// Implemented by a TCP socket (io::TcpStream), an SSH channel (ssh::Channel) and a TCP flow of the
// TUN (tun2socks::TcpFlow); joined in pairs by net::Relay. A byte is owned by one endpoint at a
// time: bytes that peek() shows stay with the stream until consume(), bytes that write() took are
// the stream's.
#pragma once

#include <functional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/base/time.h"

namespace tunproxy::net {

/// All state is level-triggered: the callback only says "look again", and may come without a
/// change. Lives in one loop thread. Destroying it ends the flow: orderly if it is finished() and
/// ended(), with a reset otherwise. It must not be destroyed from its own callback: hand it to
/// Loop::retire().
class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  virtual ~Stream() = default;

  /// Called from the loop whenever anything below may have changed; never from within these
  /// methods. Setting it makes one call come soon if there is anything to see; nullptr takes it
  /// away.
  virtual void on_progress(std::function<void()> look_again) = 0;

  /// Received and not yet consumed; after consume() there may be more at once. Empty: nothing now.
  /// Valid until the next consume() or return to the loop.
  virtual Bytes peek() const = 0;
  /// Gives `n` bytes of credit back to the sender. REQUIRES: n <= peek().size()
  virtual void consume(size_t n) = 0;

  /// Takes what fits and returns how much; a short count means: wait for progress.
  /// 0 after finish() or an error.
  virtual size_t write(Bytes bytes) = 0;
  /// A hint: of what write() took, no more than about `bytes` should wait to be sent, so that what
  /// is written last does not wait for long. A stream that knows no network ignores it.
  virtual void limit_unsent(size_t bytes) { (void)bytes; }
  /// A hint for streams whose user watches the peer himself: the network need not, and gives up
  /// only after `silence` in which the peer acknowledged nothing (0: never). To be repeated now and
  /// then, since how often it sends again meanwhile follows the round-trip time.
  virtual void outlast(Duration silence) { (void)silence; }
  /// Half-closes after the bytes that write() took. Idempotent.
  virtual void finish() = 0;
  /// finish() was called and everything, the end included, is out.
  virtual bool finished() const = 0;

  /// The peer half-closed and peek() is empty: nothing more will come.
  virtual bool ended() const = 0;
  /// Dead for good (the reason), or nullptr. peek() is empty then.
  virtual const Error* error() const = 0;
};

/// To say behind what its end meant, for people: ": why", or nothing if the peer just ended it.
inline std::string because(const Stream& stream) {
  return stream.error() != nullptr ? ": " + stream.error()->message : std::string();
}

}  // namespace tunproxy::net
