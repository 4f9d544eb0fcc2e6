// An in-memory Stream for the tests of everything that uses one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "core/io/loop.h"
#include "core/net/stream.h"

namespace tunproxy::testing {

/// How a MemoryStream misbehaves within its contract.
struct Manners {
  size_t peek_at_most = SIZE_MAX;   ///< 1: one byte at a time
  size_t write_at_most = SIZE_MAX;  ///< bytes that one write() takes
  size_t capacity = 64 * 1024;      ///< bytes written and not yet consumed by the peer
};

/// One end of a pair: what one end writes, the other peeks. Both ends need not live equally long;
/// the death of one that was not finished and ended resets the other.
class MemoryStream final : public net::Stream {
 public:
  static std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> make_pair(
      io::Loop& loop, Manners manners = {});
  ~MemoryStream() override;

  void on_progress(std::function<void()> look_again) override;
  Bytes peek() const override;
  void consume(size_t n) override;
  size_t write(Bytes bytes) override;
  void finish() override;
  bool finished() const override { return finished_; }
  bool ended() const override;
  const Error* error() const override { return failed_ ? &error_ : nullptr; }

  /// Makes this end fail, as a broken connection does.
  void break_with(Error error);
  /// Takes everything that is there.
  std::string read_all();

 private:
  MemoryStream(io::Loop& loop, Manners manners)
      : manners_(manners), progress_(loop, [this] {
          if (look_again_) look_again_();
        }) {}

  Manners manners_;
  MemoryStream* peer_ = nullptr;
  ByteVector incoming_;
  bool peer_finished_ = false;
  bool finished_ = false;
  bool failed_ = false;
  Error error_;
  std::function<void()> look_again_;
  io::Task progress_;
};

/// Runs the loop until `condition` holds; false after `limit` of real time.
bool run_until(io::Loop& loop, const std::function<bool()>& condition, Duration limit = 30s);

}  // namespace tunproxy::testing
