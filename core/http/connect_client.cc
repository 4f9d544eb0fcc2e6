#include "core/http/connect_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/io/timer.h"

namespace tunproxy::http {

// Connection, TLS where it is asked for, request and reply, one after the other.
class ConnectClient::Dial final : public net::Attempt {
 public:
  using StreamDone = net::Done<std::unique_ptr<net::Stream>>;

  Dial(ConnectClient& client, const Target& target, StreamDone done)
      : client_(client),
        done_(std::move(done)),
        request_(encode_connect(target, client.options_.credentials)),
        timer_(client.loop_, [this] {
          fail({ErrorCode::timed_out, "the HTTP proxy gave no answer in time"});
        }) {
    step_ = client_.proxy_.dial([this](Result<std::unique_ptr<io::TcpStream>> stream) {
      step_.reset();
      if (!stream) return fail(unreachable(stream.error()));
      secure(std::move(*stream));
    });
  }
  ~Dial() override { leave_stream(); }
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

 private:
  void secure(std::unique_ptr<net::Stream> plain) {
    if (!client_.options_.secure) return ask(std::move(plain));
    step_ = client_.options_.secure(std::move(plain), [this](auto stream) {
      step_.reset();
      if (!stream) return fail(unreachable(stream.error()));
      ask(std::move(*stream));
    });
  }

  void ask(std::unique_ptr<net::Stream> stream) {
    stream_ = std::move(stream);
    timer_.start(client_.options_.reply_timeout);
    stream_->on_progress([this] { look_again(); });
  }

  void look_again() {
    flush();
    for (Bytes bytes = stream_->peek(); !bytes.empty(); bytes = stream_->peek()) {
      const auto reply = read(bytes);
      if (!reply) {
        return fail({ErrorCode::protocol,
                     fmt::format("the HTTP proxy {} is none: {}",
                                 client_.proxy_.target().to_string(), reply.error().message)});
      }
      if (*reply) return finish(**reply);
    }
    if (stream_->error() != nullptr || stream_->ended()) {
      fail({ErrorCode::server_unreachable,
            "the HTTP proxy closed the connection without an answer" + net::because(*stream_)});
    }
  }

  // Takes no byte behind the reply: those are the target's.
  Result<std::optional<ConnectReply>> read(Bytes bytes) {
    const size_t before = reply_.size();
    append(reply_, bytes.first(std::min(bytes.size(), kMaxHeader + 1)));
    Bytes rest = reply_;
    auto reply = decode_connect_reply(rest);
    const bool complete = reply && *reply;
    stream_->consume(reply_.size() - (complete ? rest.size() : 0) - before);
    return reply;
  }

  void flush() { sent_ += stream_->write(as_bytes(request_.text()).subspan(sent_)); }

  // These two are last in their paths: the attempt may be destroyed by its Done.
  void finish(const ConnectReply& reply) {
    if (!reply.succeeded()) {
      return fail(error_for(reply, client_.options_.credentials.has_value()));
    }
    timer_.stop();
    stream_->on_progress(nullptr);
    std::exchange(done_, nullptr)(std::move(stream_));
  }

  void fail(Error error) {
    timer_.stop();
    leave_stream();
    std::exchange(done_, nullptr)(std::move(error));
  }

  // It may be what is calling.
  void leave_stream() {
    if (!stream_) return;
    stream_->on_progress(nullptr);
    client_.loop_.retire(std::move(stream_));
  }

  Error unreachable(const Error& cause) const {
    return {ErrorCode::server_unreachable,
            fmt::format("cannot reach the HTTP proxy {}: {}", client_.proxy_.target().to_string(),
                        cause.message)};
  }

  ConnectClient& client_;
  StreamDone done_;
  const Secret request_;
  size_t sent_ = 0;   // of the request
  ByteVector reply_;  // the part that has come so far
  std::unique_ptr<net::Attempt> step_;
  std::unique_ptr<net::Stream> stream_;
  io::Timer timer_;
};

ConnectClient::ConnectClient(io::Loop& loop, Target proxy, ConnectOptions options)
    : loop_(loop), proxy_(loop, std::move(proxy), options.dial), options_(std::move(options)) {
  assert(!options_.credentials || options_.credentials->check());
}

std::unique_ptr<net::Attempt> ConnectClient::connect(const Target& target, Dial::StreamDone done) {
  return std::make_unique<Dial>(*this, target, std::move(done));
}

}  // namespace tunproxy::http
