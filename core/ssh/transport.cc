#include "core/ssh/transport.h"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <utility>

#include "tunproxy_ssh2.h"

namespace tunproxy::ssh {
namespace {

constexpr size_t kReadAtMost = 256 * 1024;
constexpr size_t kRepliesAtMost = 2 * 1024 * 1024;  // a flood of requests ends here
constexpr int kExchangeAtMost = 16;                          // packets of a key exchange
constexpr int kNoSocket = 0x7fffffff;  // libssh2 wants a number; it is only handed to our callbacks

const char* host_key_name(int type) {
  switch (type) {
    case LIBSSH2_HOSTKEY_TYPE_RSA:
      return "ssh-rsa";
    case LIBSSH2_HOSTKEY_TYPE_DSS:
      return "ssh-dss";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_256:
      return "ecdsa-sha2-nistp256";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_384:
      return "ecdsa-sha2-nistp384";
    case LIBSSH2_HOSTKEY_TYPE_ECDSA_521:
      return "ecdsa-sha2-nistp521";
    case LIBSSH2_HOSTKEY_TYPE_ED25519:
      return "ssh-ed25519";
    default:
      return "unknown";
  }
}

template <typename Function>
libssh2_cb_generic* generic(Function* function) {
  return reinterpret_cast<libssh2_cb_generic*>(function);
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, 200));
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return out;
}

}  // namespace

// Lets libssh2 read from the stream for as long as it lives.
class Transport::Reading {
 public:
  Reading(Transport& transport, net::Stream& stream) : transport_(transport) {
    transport_.stream_ = &stream;
    transport_.budget_ = kReadAtMost;
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading() { transport_.stream_ = nullptr; }

 private:
  Transport& transport_;
};

Result<std::shared_ptr<Transport>> Transport::create(const Algorithms& algorithms) {
  static std::once_flag once;
  std::call_once(once, [] { libssh2_init(0); });
  LIBSSH2_SESSION* session = libssh2_session_init_ex(nullptr, nullptr, nullptr, nullptr);
  if (session == nullptr) return Error{ErrorCode::general, "no memory for an SSH session"};
  std::shared_ptr<Transport> transport(new Transport(session, with_defaults(algorithms)));
  if (auto offered = offer(session, transport->offered_); !offered) return offered.error();
  return transport;
}

Transport::Transport(LIBSSH2_SESSION* session, Algorithms offered)
    : session_(session), offered_(std::move(offered)), in_(kReadAtMost) {
  *libssh2_session_abstract(session_) = this;
  libssh2_session_set_blocking(session_, 0);
  libssh2_session_callback_set2(session_, LIBSSH2_CALLBACK_SEND, generic(&Transport::on_send));
  libssh2_session_callback_set2(session_, LIBSSH2_CALLBACK_RECV, generic(&Transport::on_receive));
  libssh2_session_callback_set2(session_, LIBSSH2_CALLBACK_DISCONNECT,
                                generic(&Transport::on_disconnect));
}

Transport::~Transport() {
  libssh2_session_free(session_);
}

void Transport::fill(net::Stream& stream) {
  while (in_.room() > 0 && !stream.peek().empty()) {
    stream.consume(in_.append(stream.peek()));
  }
  if (in_.empty() && stream.ended()) at_end_ = true;
}

ssize_t Transport::on_receive(libssh2_socket_t, void* buffer, size_t length, int, void** self) {
  return static_cast<Transport*>(*self)->receive({static_cast<uint8_t*>(buffer), length});
}

ssize_t Transport::receive(MutableBytes buffer) {
  Bytes bytes = in_.front();
  const bool queued = !bytes.empty();
  if (!queued && stream_ != nullptr) {
    bytes = stream_->peek().first(std::min(stream_->peek().size(), budget_));
    if (bytes.empty() && (stream_->ended() || stream_->error() != nullptr)) at_end_ = true;
  }
  if (bytes.empty()) return at_end_ ? 0 : -EAGAIN;
  bytes = bytes.first(std::min(bytes.size(), buffer.size()));
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  received_ += bytes.size();
  if (queued) {
    in_.consume(bytes.size());
  } else {
    budget_ -= bytes.size();
    stream_->consume(bytes.size());
  }
  return static_cast<ssize_t>(bytes.size());
}

Result<bool> Transport::handshake(net::Stream& stream) {
  const Reading reading(*this, stream);
  for (;;) {
    const uint64_t before = received_;
    const int code = libssh2_session_handshake(session_, kNoSocket);
    if (code == 0) return true;
    if (code == LIBSSH2_ERROR_KEX_FAILURE) return disagreed();
    if (code != LIBSSH2_ERROR_EAGAIN) return lost(code, stream);
    if (received_ == before) return false;
  }
}

Error Transport::disagreed() const {
  size_t length = 0;
  const unsigned char* packet = tunproxy_ssh2_server_kexinit(session_, &length);
  return no_agreement(offered_, {packet, length});
}

HostKey Transport::host_key() const {
  size_t length = 0;
  int type = LIBSSH2_HOSTKEY_TYPE_UNKNOWN;
  const char* blob = libssh2_session_hostkey(session_, &length, &type);
  const Bytes bytes = as_bytes(blob != nullptr ? std::string_view(blob, length) : "");
  return {host_key_name(type), {bytes.begin(), bytes.end()}};
}

void Transport::take_packets(OnPacket on_packet) {
  on_packet_ = std::move(on_packet);
  tunproxy_ssh2_take_packets(session_, &Transport::on_packet);
}

Result<void> Transport::read_packets(net::Stream& stream) {
  const Reading reading(*this, stream);
  for (;;) {
    const uint64_t before = received_;
    const int code = tunproxy_ssh2_read(session_);
    if (out_.size() > kRepliesAtMost) {
      return Error{ErrorCode::limit, "the SSH server asks more than it reads"};
    }
    if (out_of_turn_) {
      return Error{ErrorCode::protocol, "the SSH server exchanges keys out of turn"};
    }
    if (code > 0) continue;
    // ChaCha20 gives up once after a packet's length: only without new bytes is the end reached.
    if (code == LIBSSH2_ERROR_EAGAIN && received_ != before) continue;
    if (code == LIBSSH2_ERROR_EAGAIN) return {};
    return lost(code, stream);
  }
}

int Transport::on_packet(LIBSSH2_SESSION*, unsigned char* data, size_t length, void** self) {
  Transport& transport = *static_cast<Transport*>(*self);
  switch (transport.whose(data[0])) {
    case Whose::libssh2:
      return 0;
    case Whose::nobody:
      return 1;
    case Whose::user:
      break;
  }
  Buffer buffer(data);
  transport.on_packet_({data, length}, buffer);
  if (!buffer) return 2;
  (void)buffer.release();  // libssh2 frees it
  return 1;
}

// What libssh2 does not expect it would keep for ever.
Transport::Whose Transport::whose(uint8_t type) {
  constexpr uint8_t kDisconnect = 1, kIgnore = 2, kUnimplemented = 3, kDebug = 4, kExtensions = 7;
  constexpr uint8_t kKeyExchangeInit = 20, kNewKeys = 21, kLastOfKeyExchange = 49;
  constexpr uint8_t kGlobalRequest = 80;
  if (type > kGlobalRequest || type == kUnimplemented) return Whose::user;
  if (type == kGlobalRequest || type == kDisconnect || type == kIgnore || type == kDebug ||
      type == kExtensions) {
    return Whose::libssh2;  // is done with it at once
  }
  if (type < kKeyExchangeInit || type > kLastOfKeyExchange) return Whose::nobody;
  const bool begins = type == kKeyExchangeInit;
  if (begins == exchanging_ || ++exchanged_ > kExchangeAtMost) {
    out_of_turn_ = true;
    return Whose::nobody;
  }
  exchanging_ = type != kNewKeys;
  if (!exchanging_) exchanged_ = 0;
  return Whose::libssh2;
}

void Transport::on_disconnect(LIBSSH2_SESSION*, int, const char* text, int length, const char*, int,
                              void** self) {
  if (text == nullptr || length <= 0) return;
  static_cast<Transport*>(*self)->farewell_ = printable({text, static_cast<size_t>(length)});
}

Result<bool> Transport::send(Bytes head, Bytes body) {
  const int code = tunproxy_ssh2_send(session_, head.data(), head.size(), body.data(), body.size());
  if (code == 0) return true;
  if (code == LIBSSH2_ERROR_EAGAIN) return false;
  return Error{ErrorCode::reset, "SSH connection lost: cannot encrypt a packet"};
}

ssize_t Transport::on_send(libssh2_socket_t, const void* bytes, size_t length, int, void** self) {
  static_cast<Transport*>(*self)->out_.append({static_cast<const uint8_t*>(bytes), length});
  return static_cast<ssize_t>(length);
}

void Transport::flush(net::Stream& stream) {
  while (!out_.empty()) {
    const size_t offered = out_.size();
    const size_t taken = stream.write(out_.front());
    out_.consume(taken);
    if (taken < offered) return;
  }
}

Error Transport::lost(int code, net::Stream& stream) const {
  if (!farewell_.empty()) {
    return {ErrorCode::server_unreachable, "the SSH server disconnected: " + farewell_};
  }
  if (stream.error() != nullptr) {
    return {ErrorCode::server_unreachable, "SSH connection lost: " + stream.error()->message};
  }
  if (at_end_ || code == LIBSSH2_ERROR_SOCKET_DISCONNECT) {
    return {ErrorCode::server_unreachable, "the SSH server closed the connection"};
  }
  char* text = nullptr;
  libssh2_session_last_error(session_, &text, nullptr, 0);
  const std::string detail =
      text != nullptr && *text != '\0' ? text : "code " + std::to_string(code);
  return {ErrorCode::protocol, "SSH protocol error: " + printable(detail)};
}

}  // namespace tunproxy::ssh
