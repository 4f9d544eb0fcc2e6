#include "core/socks5/negotiate.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/io/timer.h"
#include "core/socks5/reply.h"

namespace tunproxy::socks5 {
namespace {

enum class State : uint8_t { choice, status, reply, over };

class Negotiation final : public net::Attempt {
 public:
  Negotiation(io::Loop& loop, std::unique_ptr<net::Stream> stream, std::optional<Request> request,
              NegotiateOptions options, net::Done<Negotiated> done)
      : loop_(loop),
        stream_(std::move(stream)),
        request_(std::move(request)),
        options_(std::move(options)),
        done_(std::move(done)),
        timer_(loop, [this] { on_timeout(); }) {
    Greeting greeting{{static_cast<uint8_t>(Method::none)}};
    if (options_.account) {
      greeting.methods.push_back(static_cast<uint8_t>(Method::user_password));
    }
    out_.reserve(2 * kMaxMessage);  // so that growing leaves no copies of a secret
    encode(greeting, out_);
    timer_.start(options_.greeting_timeout);
    stream_->on_progress([this] { look_again(); });
  }

 private:
  void look_again() {
    for (Bytes bytes = stream_->peek(); !bytes.empty() && state_ != State::over;
         bytes = stream_->peek()) {
      const Result<void> read_well = read(bytes);
      if (!read_well) return fail(read_well.error());
    }
    if (state_ == State::over) return succeed();
    flush();
    if (stream_->error() != nullptr || stream_->ended()) on_closed();
  }

  // Takes bytes up to the end of a message and none behind it.
  Result<void> read(Bytes bytes) {
    const size_t before = in_.size();
    append(in_, bytes.first(std::min(bytes.size(), kMaxMessage)));
    Bytes rest = in_;
    const Result<bool> complete = step(rest);
    if (!complete) return complete.error();
    const size_t behind = *complete ? rest.size() : 0;
    stream_->consume(in_.size() - behind - before);
    if (*complete) in_.clear();
    return {};
  }

  // One message; false: it has not come whole.
  Result<bool> step(Bytes& input) {
    switch (state_) {
      case State::choice:
        return on_message(decode_method_choice(input));
      case State::status:
        return on_message(decode_credentials_status(input));
      case State::reply:
        return on_message(decode_reply(input));
      case State::over:
        break;
    }
    return true;
  }

  template <typename Message>
  Result<bool> on_message(Result<std::optional<Message>> message) {
    if (!message) {
      return Error{ErrorCode::protocol,
                   "the server does not speak SOCKS5: " + message.error().message};
    }
    if (!*message) return false;
    const Result<void> handled = handle(**message);
    if (!handled) return handled.error();
    return true;
  }

  Result<void> handle(const MethodChoice& choice) {
    if (choice.method == Method::none) {
      send_request();
    } else if (choice.method == Method::user_password && options_.account) {
      send_account();
    } else {
      return Error{ErrorCode::authentication_failed,
                   options_.account ? "the SOCKS5 server accepts no user and password"
                                    : "the SOCKS5 server asks for a user and password"};
    }
    return {};
  }

  Result<void> handle(const CredentialsStatus& status) {
    if (status.status != 0) {
      return Error{ErrorCode::authentication_failed,
                   "the SOCKS5 server refuses the user and password"};
    }
    send_request();
    return {};
  }

  Result<void> handle(const Reply& reply) {
    if (reply.code != kSucceeded) {
      return Error{error_for_reply(reply.code),
                   fmt::format("the SOCKS5 server says: {}", reply_text(reply.code))};
    }
    bound_ = reply.bound;
    state_ = State::over;
    return {};
  }

  void send_account() {
    Credentials message{options_.account->user, std::string(options_.account->password.text())};
    encode(message, out_);
    wipe(message.password);
    state_ = State::status;
  }

  void send_request() {
    state_ = State::over;
    if (!request_) return;
    encode(*request_, out_);
    timer_.start(options_.reply_timeout);
    state_ = State::reply;
  }

  void flush() {
    const size_t taken = stream_->write(out_);
    std::copy(out_.begin() + static_cast<ptrdiff_t>(taken), out_.end(), out_.begin());
    wipe(out_.data() + out_.size() - taken, taken);
    out_.resize(out_.size() - taken);
  }

  // Over TLS 1.3 a server that wants another certificate, or one at all, says so only here.
  void on_closed() {
    const Error* error = stream_->error();
    std::string text = "the SOCKS5 server closed the connection";
    if (state_ == State::reply) text += " without a reply";
    ErrorCode code = state_ == State::reply ? ErrorCode::general : ErrorCode::server_unreachable;
    if (error != nullptr && error->code == ErrorCode::authentication_failed) code = error->code;
    fail({code, text + net::because(*stream_)});
  }

  void on_timeout() {
    if (state_ == State::reply) {
      fail({ErrorCode::timed_out, "the SOCKS5 server gave no reply in time"});
    } else {
      fail({ErrorCode::server_unreachable, "the SOCKS5 server does not answer"});
    }
  }

  // These two are last in their paths: the attempt may be destroyed by its Done.
  void fail(Error error) {
    timer_.stop();
    stream_->on_progress(nullptr);
    loop_.retire(std::move(stream_));
    std::exchange(done_, nullptr)(std::move(error));
  }

  void succeed() {
    timer_.stop();
    stream_->on_progress(nullptr);
    std::exchange(done_, nullptr)(Negotiated{std::move(stream_), std::move(bound_)});
  }

  static constexpr size_t kMaxMessage = 512;

  io::Loop& loop_;
  std::unique_ptr<net::Stream> stream_;
  const std::optional<Request> request_;
  const NegotiateOptions options_;
  net::Done<Negotiated> done_;
  State state_ = State::choice;
  Target bound_;
  ByteVector in_;   // the part of a message that has come so far
  ByteVector out_;  // what the stream has not taken yet
  io::Timer timer_;
};

}  // namespace

Result<void> Account::check() const {
  const auto fits = [](std::string_view text) {
    return !text.empty() && text.size() <= kMaxCredential;
  };
  if (fits(user) && fits(password.text())) return {};
  return Error{ErrorCode::usage, "a SOCKS5 user name and password have 1 to 255 bytes each"};
}

std::unique_ptr<net::Attempt> negotiate(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                                        std::optional<Request> request, NegotiateOptions options,
                                        net::Done<Negotiated> done) {
  return std::make_unique<Negotiation>(loop, std::move(stream), std::move(request),
                                       std::move(options), std::move(done));
}

}  // namespace tunproxy::socks5
