#include "core/tls/stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/tls/failure.h"

namespace tunproxy::tls {
namespace {

constexpr size_t kRecord = 16 * 1024;  // plain bytes of the longest record
const Error kCutOff{ErrorCode::reset, "TLS: the connection was cut off without a goodbye"};
const Error kHungUp{ErrorCode::reset, "TLS: the peer hung up during the handshake"};

}  // namespace

Stream::Stream(io::Loop& loop, std::unique_ptr<net::Stream> below,
               std::unique_ptr<ssl_st, Freed> connection, std::shared_ptr<void> context,
               std::string name)
    : memory_(loop.memory()),
      context_(std::move(context)),
      below_(std::move(below)),
      connection_(std::move(connection)),
      rejection_{std::move(name), {}},
      progress_(loop, [this] { on_below(); }),
      linger_(loop, [this] {
        lingered_ = true;
        on_below();
      }) {
  from_peer_ = BIO_new(BIO_s_mem());
  to_peer_ = BIO_new(BIO_s_mem());
  if (!connection_ || from_peer_ == nullptr || to_peer_ == nullptr) {
    BIO_free(from_peer_);
    BIO_free(to_peer_);
    error_ = Error{ErrorCode::general, "TLS: the connection could not be prepared"};
    return;
  }
  BIO_set_mem_eof_return(from_peer_, -1);  // empty: more will come
  SSL_set_app_data(connection_.get(), &rejection_);
  SSL_set_bio(connection_.get(), from_peer_, to_peer_);
  below_->on_progress([this] { on_below(); });
  progress_.schedule();  // a client speaks first
}

Stream::~Stream() {
  below_->on_progress(nullptr);
  // A flow that was dropped says nothing against its session, which OpenSSL would not resume.
  if (connection_ && established_ && !error_) {
    SSL_set_shutdown(connection_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
}

bool Stream::resumed() const {
  return SSL_session_reused(connection_.get()) == 1;
}

std::string Stream::describe() const {
  return std::string(SSL_get_version(connection_.get())) + ", " +
         SSL_get_cipher_name(connection_.get()) + (resumed() ? ", resumed" : "");
}

void Stream::on_progress(std::function<void()> look_again) {
  look_again_ = std::move(look_again);
  if (look_again_) progress_.schedule();
}

void Stream::on_below() {
  pump();
  if (look_again_) look_again_();
}

void Stream::pump() {
  if (error_) return drain();
  ERR_clear_error();
  // What cannot be decrypted for want of room stays in the stream below.
  do {
    if (!established_) shake_hands();
    if (established_) receive();
  } while (!error_ && feed());
  notice_end_below();
  flush();
  charge();
}

/// Moves some bytes up from below. False: none are there, or those that are must wait: for room, or
/// for the peer to read what OpenSSL answers of its own accord, as it does to each demand for new
/// keys.
bool Stream::feed() {
  if (unsent() >= kUnsent) flush();
  const bool full = (established_ && room() == 0) || unsent() >= kUnsent;
  const Bytes bytes = below_->peek();
  if (bytes.empty() || full || BIO_ctrl_pending(from_peer_) >= kRecord) return false;
  if (!std::exchange(begun_, true) && look_at_plain_peer()) return false;
  const size_t n = std::min(bytes.size(), kRecord);
  if (BIO_write(from_peer_, bytes.data(), static_cast<int>(n)) != static_cast<int>(n)) {
    fail({ErrorCode::general, "TLS: no memory"});
    return false;
  }
  below_->consume(n);
  return true;
}

bool Stream::look_at_plain_peer() {
  if (SSL_is_server(connection_.get()) == 0) return false;
  const std::string who = plain_peer(below_->peek());
  if (!who.empty()) fail({ErrorCode::protocol, "TLS: this is " + who + " at a port for TLS"});
  return !who.empty();
}

void Stream::shake_hands() {
  const int result = SSL_do_handshake(connection_.get());
  established_ = result == 1;
  check(result);
}

void Stream::receive() {
  for (size_t most = room(); !error_ && !peer_finished_ && most > 0; most = room()) {
    const MutableBytes to = in_.prepare(std::min(most, kRecord));
    size_t n = 0;
    const int result = SSL_read_ex(connection_.get(), to.data(), std::min(most, to.size()), &n);
    in_.commit(result == 1 ? n : 0);
    if (result != 1) return check(result);
  }
}

/// After a call that did not succeed: is it waiting, at the peer's goodbye, or over?
void Stream::check(int result) {
  switch (SSL_get_error(connection_.get(), result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return;
    case SSL_ERROR_ZERO_RETURN:
      peer_finished_ = true;
      return;
    default:
      fail(take_failure(rejection_));
  }
}

void Stream::notice_end_below() {
  if (error_) return;
  if (below_->error() != nullptr) {
    if (!peer_finished_ || !finished()) error_ = *below_->error();
    return;
  }
  if (!below_->ended() || BIO_ctrl_pending(from_peer_) >= kRecord || room() == 0) return;
  if (!established_) return fail(kHungUp);
  if (!peer_finished_) error_ = kCutOff;
}

void Stream::flush() {
  char* bytes = nullptr;
  for (long n = 0; (n = BIO_get_mem_data(to_peer_, &bytes)) > 0;) {
    const size_t offered = static_cast<size_t>(n);
    const size_t taken = below_->write({reinterpret_cast<const uint8_t*>(bytes), offered});
    std::array<uint8_t, 4096> skipped;
    for (size_t left = taken; left > 0;) {
      const size_t step = std::min(left, skipped.size());
      left -= static_cast<size_t>(
          std::max(BIO_read(to_peer_, skipped.data(), static_cast<int>(step)), 1));
    }
    if (taken < offered) return;
  }
  if (finishing_) below_->finish();
  if (finishing_ && peer_finished_ && !linger_.active() && !lingered_) linger_.start(kLinger);
}

/// Ends it with an alert, if OpenSSL has one to send; what came before is void.
void Stream::fail(Error error) {
  error_ = std::move(error);
  in_.clear();
  flush();
  below_->finish();
}

/// What still comes is not read, but the end behind it is noticed.
void Stream::drain() {
  flush();
  while (!below_->peek().empty()) below_->consume(below_->peek().size());
}

void Stream::consume(size_t n) {
  in_.consume(n);
  // There may be more where that came from; whoever is to hear of it hears of it from the loop.
  progress_.schedule();
}

size_t Stream::unsent() const {
  return BIO_ctrl_pending(to_peer_);
}

size_t Stream::room() const {
  const size_t most = within_budget(kReceived);
  return in_.size() < most ? most - in_.size() : 0;
}

// A record has to fit in any case.
size_t Stream::within_budget(size_t bytes) const {
  return std::min(bytes, std::max(memory_.allowance(), kRecord));
}

// OpenSSL's buffers do not shrink.
void Stream::charge() {
  const size_t queued = BIO_ctrl_pending(from_peer_) + unsent();
  charge_.set(std::max(charge_.bytes(), kFixed + queued));
}

size_t Stream::write(Bytes bytes) {
  if (error_ || !established_ || finishing_) return 0;
  flush();
  size_t taken = 0;
  ERR_clear_error();
  while (taken < bytes.size() && unsent() < within_budget(unsent_limit_)) {
    size_t n = 0;
    const Bytes rest = bytes.subspan(taken);
    const int result =
        SSL_write_ex(connection_.get(), rest.data(), std::min(rest.size(), kRecord), &n);
    if (result != 1) {
      check(result);
      break;
    }
    taken += n;
    flush();
  }
  charge();
  if (error_) progress_.schedule();
  return taken;
}

void Stream::limit_unsent(size_t bytes) {
  unsent_limit_ = std::clamp<size_t>(bytes, 1, kUnsent);
  below_->limit_unsent(bytes);
}

void Stream::finish() {
  if (std::exchange(finishing_, true) || error_) return;
  if (established_) SSL_shutdown(connection_.get());
  flush();
  progress_.schedule();
}

bool Stream::finished() const {
  if (!finishing_ || error_ || unsent() > 0 || !below_->finished()) return false;
  // Its own end may be under way; going before it comes would reset the connection.
  return !peer_finished_ || below_->ended() || below_->error() != nullptr || lingered_;
}

}  // namespace tunproxy::tls
