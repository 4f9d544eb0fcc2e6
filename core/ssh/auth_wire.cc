#include "core/ssh/auth_wire.h"

#include <libssh2.h>
#include <openssl/crypto.h>

#include <utility>

#include "core/ssh/auth_message.h"
#include "tunproxy_ssh2.h"

namespace tunproxy::ssh {
namespace {

constexpr uint8_t kFirst = 50;  // RFC 4250 §4.1.2: the numbers of user authentication
constexpr uint8_t kLast = 79;

/// libssh2 calls back within the read that it was given to; the session's `abstract` belongs to the
/// session's owner.
thread_local AuthWire* reading = nullptr;

}  // namespace

/// The session's packets come here while it lives.
class AuthWire::Taking {
 public:
  Taking(LIBSSH2_SESSION* session, AuthWire* wire) : session_(session) {
    reading = wire;
    tunproxy_ssh2_take_packets(session_, &AuthWire::on_packet);
  }
  Taking(const Taking&) = delete;
  Taking& operator=(const Taking&) = delete;
  ~Taking() {
    tunproxy_ssh2_take_packets(session_, nullptr);
    reading = nullptr;
  }

 private:
  LIBSSH2_SESSION* session_;
};

AuthWire::~AuthWire() {
  OPENSSL_cleanse(out_.data(), out_.size());
}

void AuthWire::queue(ByteVector message) {
  out_ = std::move(message);
}

Result<bool> AuthWire::flush(LIBSSH2_SESSION* session) {
  if (out_.empty()) return true;
  const int code = tunproxy_ssh2_send(session, out_.data(), out_.size(), nullptr, 0);
  if (code == LIBSSH2_ERROR_EAGAIN) return false;
  OPENSSL_cleanse(out_.data(), out_.size());
  out_.clear();
  if (code != 0) return Error{ErrorCode::reset, "a message is too long to be sent"};
  return true;
}

Result<std::optional<ByteVector>> AuthWire::read(LIBSSH2_SESSION* session) {
  const Taking taking(session, this);
  for (int idle = 0;;) {
    const int code = tunproxy_ssh2_read(session);
    if (in_) return std::exchange(in_, std::nullopt);
    if (code > 0) idle = 0;
    if (code > 0) continue;
    // With ChaCha20 libssh2 gives up once after a packet's length, though all of it is there.
    if (code == LIBSSH2_ERROR_EAGAIN && ++idle < 2) continue;
    if (code == LIBSSH2_ERROR_EAGAIN) return std::optional<ByteVector>();
    if (!farewell_.empty()) return Error{ErrorCode::reset, "the server said: " + farewell_};
    char* text = nullptr;
    libssh2_session_last_error(session, &text, nullptr, 0);
    return Error{ErrorCode::reset, text != nullptr && *text != '\0' ? text : "no reason given"};
  }
}

int AuthWire::on_packet(LIBSSH2_SESSION*, unsigned char* data, size_t length, void**) {
  if (length == 0) return 0;
  if (data[0] == static_cast<uint8_t>(AuthMessage::disconnect)) {
    if (auto text = parse_text({data, length})) reading->farewell_ = text->substr(0, 200);
    return 0;
  }
  if (data[0] < kFirst || data[0] > kLast) return 0;
  reading->in_.emplace(data, data + length);
  return 1;
}

std::string AuthWire::signature_algorithms(LIBSSH2_SESSION* session) {
  const char* list = tunproxy_ssh2_signature_algorithms(session);
  return list != nullptr ? list : "";
}

}  // namespace tunproxy::ssh
