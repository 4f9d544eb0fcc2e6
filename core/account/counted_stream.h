// CountedStream: a Stream that keeps its flow's account: two additions for each piece, and no copy.
#pragma once

#include <memory>
#include <utility>

#include "core/account/account.h"
#include "core/net/stream.h"

namespace tunproxy::account {

/// The flow ends with it.
class CountedStream final : public net::Stream {
 public:
  CountedStream(std::unique_ptr<net::Stream> stream, Account::Entry entry)
      : stream_(std::move(stream)), entry_(std::move(entry)) {}
  ~CountedStream() override;

  void on_progress(std::function<void()> look_again) override {
    stream_->on_progress(std::move(look_again));
  }
  Bytes peek() const override { return stream_->peek(); }
  void consume(size_t n) override {
    entry_.flow().down += n;
    stream_->consume(n);
  }
  size_t write(Bytes bytes) override {
    const size_t taken = stream_->write(bytes);
    entry_.flow().up += taken;
    return taken;
  }
  void limit_unsent(size_t bytes) override { stream_->limit_unsent(bytes); }
  void outlast(Duration silence) override { stream_->outlast(silence); }
  void finish() override { stream_->finish(); }
  bool finished() const override { return stream_->finished(); }
  bool ended() const override { return stream_->ended(); }
  const Error* error() const override { return stream_->error(); }

 private:
  std::unique_ptr<net::Stream> stream_;
  Account::Entry entry_;
};

}  // namespace tunproxy::account
