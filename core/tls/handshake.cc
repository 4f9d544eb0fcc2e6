#include "core/tls/handshake.h"

#include <optional>
#include <utility>

#include "core/base/log.h"
#include "core/io/timer.h"
#include "core/tls/stream.h"

namespace tunproxy::tls {
namespace {

class Handshake final : public net::Attempt {
 public:
  Handshake(io::Loop& loop, std::unique_ptr<Stream> stream,
            net::Done<std::unique_ptr<net::Stream>> done, Duration timeout)
      : loop_(loop), stream_(std::move(stream)), done_(std::move(done)), timer_(loop, [this] {
          end(error_ ? *error_ : Error{ErrorCode::timed_out, "TLS: no handshake in time"});
        }) {
    timer_.start(timeout);
    stream_->on_progress([this] { look(); });
  }
  ~Handshake() override { leave(); }
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

 private:
  void look() {
    if (stream_->error() != nullptr) return fail(*stream_->error());
    if (!stream_->established()) return;
    log::debug("TLS: {}", stream_->describe());
    timer_.stop();
    stream_->on_progress(nullptr);
    std::exchange(done_, nullptr)(std::move(stream_));  // destroys this
  }

  // The peer is left a moment to hear why.
  void fail(const Error& error) {
    if (stream_->left()) return end(error);
    if (error_) return;
    error_ = error;
    timer_.start(Stream::kLinger);
  }

  void end(const Error& error) {
    const Error copy = error;
    timer_.stop();
    leave();
    std::exchange(done_, nullptr)(copy);  // destroys this
  }

  // It may be what is calling.
  void leave() {
    if (!stream_) return;
    stream_->on_progress(nullptr);
    loop_.retire(std::move(stream_));
  }

  io::Loop& loop_;
  std::unique_ptr<Stream> stream_;
  net::Done<std::unique_ptr<net::Stream>> done_;
  std::optional<Error> error_;
  io::Timer timer_;
};

}  // namespace

std::unique_ptr<net::Attempt> accept(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                                     std::shared_ptr<ServerContext> context,
                                     net::Done<std::unique_ptr<net::Stream>> done,
                                     Duration timeout) {
  auto connection = context->make();
  auto tls = std::make_unique<Stream>(loop, std::move(stream), std::move(connection),
                                      std::move(context), "");
  return std::make_unique<Handshake>(loop, std::move(tls), std::move(done), timeout);
}

std::unique_ptr<net::Attempt> connect(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                                      std::shared_ptr<ClientContext> context,
                                      net::Done<std::unique_ptr<net::Stream>> done,
                                      Duration timeout) {
  auto connection = context->make();
  const std::string name = context->name();
  auto tls = std::make_unique<Stream>(loop, std::move(stream), std::move(connection),
                                      std::move(context), name);
  return std::make_unique<Handshake>(loop, std::move(tls), std::move(done), timeout);
}

}  // namespace tunproxy::tls
