// NameStream: DNS over TCP (RFC 7766) in front of a NameService: the far end of a client's
// connection to port 53.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>

#include "core/base/address.h"
#include "core/base/byte_queue.h"
#include "core/base/memory_budget.h"
#include "core/base/time.h"
#include "core/dns/message.h"
#include "core/io/loop.h"
#include "core/io/timer.h"
#include "core/net/name_service.h"
#include "core/net/stream.h"

namespace tunproxy::dns {

/// What is written to it are queries, each behind its length; what it shows are the answers, in the
/// order in which they come. A query that nobody answers is told so (server failure), and one for a
/// zone, whose answer would be many messages, that this is not done here. Whatever is no query ends
/// it with an error.
class NameStream final : public net::Stream {
 public:
  static constexpr size_t kMaxQuery = 4096;  ///< bytes; a longer one ends the stream
  static constexpr size_t kMaxPending = 16;  ///< queries; then it takes no more until one is done
  static constexpr size_t kMaxAnswers = size_t{64} * 1024;  ///< bytes not consumed; likewise, and
                                                            ///< less where memory is short
  static constexpr Duration kIdle = 20s;  ///< it half-closes after so long with nothing to do

  /// The client connected to `server`. REQUIRES: `loop` and `names` outlive it.
  NameStream(io::Loop& loop, net::NameService& names, const Endpoint& server,
             Duration idle = kIdle);
  ~NameStream() override;

  void on_progress(std::function<void()> look_again) override;
  Bytes peek() const override;
  void consume(size_t n) override;
  size_t write(Bytes bytes) override;
  void finish() override;
  bool finished() const override { return finished_; }
  bool ended() const override;
  const Error* error() const override { return error_ ? &*error_ : nullptr; }

 private:
  struct Query {
    ByteVector message;
    Question question;
    std::unique_ptr<net::Attempt> attempt;
  };
  using Queries = std::list<Query>;

  void serve();
  std::optional<Bytes> next_query();
  void ask(Bytes message);
  void answered(Queries::iterator query, const Result<ByteVector>& answer);
  void put(Bytes answer);
  void fail(const char* why);
  void settle();

  io::Loop& loop_;
  net::NameService& names_;
  const Endpoint server_;
  const Duration idle_after_;
  std::function<void()> look_again_;
  ByteQueue in_{2 + kMaxQuery};
  ByteQueue out_{kMaxAnswers};
  MemoryCharge charge_;
  Queries queries_;
  bool finished_ = false;  // the client half-closed
  bool over_ = false;      // nothing more is asked
  std::optional<Error> error_;
  io::Task progress_;
  io::Timer idle_;
};

}  // namespace tunproxy::dns
