// Stream: TLS (RFC 8446, RFC 5246) over another stream.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/base/byte_queue.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/stream.h"
#include "core/tls/context.h"
#include "core/tls/failure.h"

struct bio_st;

namespace tunproxy::tls {

/// OpenSSL between two buffers in memory; the bytes below go to and come from a stream that it
/// owns. finish() sends close_notify, then ends the stream below; a peer's close_notify is ended().
/// A stream below that ends without one was cut off: error() reset, once what came before it is
/// consumed.
class Stream final : public net::Stream {
 public:
  /// Both within what the loop's memory budget allows.
  static constexpr size_t kReceived = 64 * 1024;  ///< decrypted and not yet consumed
  static constexpr size_t kUnsent = 64 * 1024;  ///< encrypted and not yet taken by the stream below
  /// What a connection is charged for OpenSSL's own memory.
  static constexpr size_t kFixed = 16 * 1024;
  /// How long a peer that has said goodbye may take to close the connection below, before we do.
  static constexpr Duration kLinger = 2s;

  /// `context` is kept as long as `connection`. `name`: of the server; empty at a server.
  Stream(io::Loop& loop, std::unique_ptr<net::Stream> below,
         std::unique_ptr<ssl_st, Freed> connection, std::shared_ptr<void> context,
         std::string name);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  bool established() const { return established_; }
  /// After an error: the peer knows, so that going now cuts nothing off that it should still hear.
  bool left() const { return below_->ended() || below_->error() != nullptr; }
  bool resumed() const;
  /// "TLSv1.3, TLS_AES_256_GCM_SHA384, resumed"
  std::string describe() const;

  void on_progress(std::function<void()> look_again) override;
  Bytes peek() const override { return in_.front(); }
  void consume(size_t n) override;
  size_t write(Bytes bytes) override;
  void limit_unsent(size_t bytes) override;
  void outlast(Duration silence) override { below_->outlast(silence); }
  void finish() override;
  bool finished() const override;
  bool ended() const override { return peer_finished_ && in_.empty() && !error_; }
  const Error* error() const override { return error_ && in_.empty() ? &*error_ : nullptr; }

 private:
  void on_below();
  void pump();
  bool feed();
  void shake_hands();
  void receive();
  bool look_at_plain_peer();
  void notice_end_below();
  void flush();
  void drain();
  void fail(Error error);
  void check(int result);
  size_t unsent() const;
  size_t room() const;
  size_t within_budget(size_t bytes) const;
  void charge();

  MemoryBudget& memory_;
  std::shared_ptr<void> context_;
  std::unique_ptr<net::Stream> below_;
  std::unique_ptr<ssl_st, Freed> connection_;
  bio_st* from_peer_ = nullptr;  // both belong to the connection
  bio_st* to_peer_ = nullptr;
  Rejection rejection_;
  ByteQueue in_{kReceived, &memory_};
  MemoryCharge charge_{memory_, kFixed};
  bool established_ = false;
  bool begun_ = false;  // the peer sent something
  bool finishing_ = false;
  bool peer_finished_ = false;
  bool lingered_ = false;
  size_t unsent_limit_ = kUnsent;
  std::optional<Error> error_;
  std::function<void()> look_again_;
  io::Task progress_;
  io::Timer linger_;
};

}  // namespace tunproxy::tls
