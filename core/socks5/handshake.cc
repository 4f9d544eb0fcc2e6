#include "core/socks5/handshake.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cassert>

#include "core/socks5/http_wire.h"
#include "core/socks5/reply.h"
#include "core/socks5/socks4_wire.h"

namespace tunproxy::socks5 {
namespace {

// More than a message of SOCKS has, so that optimistic data behind a request is not copied.
constexpr size_t kMaxFeed = 1024;
constexpr uint8_t kRefusedCredentials = 1;

}  // namespace

size_t ServerHandshake::feed(Bytes input, ByteVector& out) {
  const size_t before = buffer_.size();
  const Bytes fresh = input.first(std::min(input.size(), kMaxFeed));
  append(buffer_, fresh);
  Bytes rest = buffer_;
  State last = state_;
  size_t left = 0;
  do {
    left = rest.size();
    last = state_;
    step(rest, out);
  } while ((rest.size() < left || state_ != last) && !waits());
  if (waits() && state_ != State::failed) {
    const size_t taken = buffer_.size() - rest.size() - before;
    buffer_ = {};
    return taken;
  }
  buffer_.erase(buffer_.begin(), buffer_.end() - static_cast<ptrdiff_t>(rest.size()));
  return fresh.size();
}

void ServerHandshake::step(Bytes& input, ByteVector& out) {
  if (input.empty()) return;
  switch (state_) {
    case State::first_byte:
      return on_first_byte(input[0]);
    case State::greeting:
      return read_greeting(input, out);
    case State::credentials:
      return read_credentials(input, out);
    case State::socks4:
      return read_socks4(input, out);
    case State::http:
      return read_http(input, out);
    case State::request:
      return read_request(input, out);
    case State::checking:
    case State::complete:
    case State::failed:
      return;
  }
}

void ServerHandshake::on_first_byte(uint8_t first) {
  protocol_ = detect(first);
  switch (protocol_) {
    case Protocol::socks5:
      state_ = State::greeting;
      return;
    case Protocol::socks4:
      state_ = State::socks4;
      return;
    case Protocol::http:
      state_ = State::http;
      return;
    case Protocol::unknown:
      return fail("the client speaks neither SOCKS nor HTTP");
  }
}

void ServerHandshake::read_greeting(Bytes& input, ByteVector& out) {
  const auto greeting = decode_greeting(input);
  if (greeting && !*greeting) return;
  const Method wanted = authenticate_ ? Method::user_password : Method::none;
  if (!greeting || !(*greeting)->offers(wanted)) {
    encode(MethodChoice{Method::no_acceptable}, out);
    return fail(greeting ? "the client offers no acceptable authentication method"
                         : greeting.error().message);
  }
  encode(MethodChoice{wanted}, out);
  state_ = authenticate_ ? State::credentials : State::request;
}

void ServerHandshake::read_credentials(Bytes& input, ByteVector& out) {
  auto given = decode_credentials(input);
  if (!given) {
    encode(CredentialsStatus{kRefusedCredentials}, out);
    return fail(given.error().message);
  }
  if (*given) check(std::move(**given));
}

void ServerHandshake::check(Credentials given) {
  credentials_ = std::move(given);
  state_ = State::checking;
}

void ServerHandshake::on_checked(bool right, ByteVector& out) {
  assert(state_ == State::checking);
  forget_password();
  if (right) user_ = credentials_.user;
  if (protocol_ == Protocol::http) {
    if (!right) return reject_http(407, "wrong user name or password", out);
    state_ = State::complete;
    return;
  }
  encode(CredentialsStatus{right ? uint8_t{0} : kRefusedCredentials}, out);
  if (!right) return fail("wrong user name or password");
  state_ = State::request;
}

void ServerHandshake::on_overload(ByteVector& out) {
  assert(state_ == State::checking);
  forget_password();
  constexpr const char* kWhy = "too many passwords are being checked";
  if (protocol_ == Protocol::http) return reject_http(503, kWhy, out);
  encode(CredentialsStatus{kRefusedCredentials}, out);
  fail(kWhy);
}

void ServerHandshake::forget_password() {
  ::OPENSSL_cleanse(credentials_.password.data(), credentials_.password.size());
}

void ServerHandshake::read_request(Bytes& input, ByteVector& out) {
  auto request = decode_request(input);
  if (!request) {
    encode(Reply{reply_for_error(request.error().code), {}}, out);
    return fail(request.error().message);
  }
  if (!*request) return;
  request_ = std::move(**request);
  state_ = State::complete;
}

void ServerHandshake::read_socks4(Bytes& input, ByteVector& out) {
  auto request = decode_socks4_request(input);
  if (!request) return reject_socks4(request.error().message, out);
  if (!*request) return;
  if (authenticate_) {
    return reject_socks4("SOCKS4 knows no password, and clients have to authenticate", out);
  }
  const auto command = static_cast<Command>((*request)->command);
  if (command != Command::connect && command != Command::bind) {
    return reject_socks4("SOCKS4 has no such command", out);
  }
  request_ = {command, std::move((*request)->target)};
  state_ = State::complete;
}

void ServerHandshake::read_http(Bytes& input, ByteVector& out) {
  const auto decoded = decode_http_request(input);
  if (!decoded) {
    const int status = decoded.error().code == ErrorCode::limit ? 431 : 400;
    return reject_http(status, decoded.error().message, out);
  }
  if (!*decoded) return;
  const HttpRequest& head = **decoded;
  if (head.method != "CONNECT") {
    return reject_http(501,
                       "this proxy serves the method CONNECT alone, not plain HTTP: for http:// "
                       "addresses, set it as a SOCKS5 proxy",
                       out);
  }
  Result<Target> target = head.authority();
  if (!target) return reject_http(400, target.error().message, out);
  request_ = {Command::connect, *std::move(target)};
  if (!authenticate_) {
    state_ = State::complete;
    return;
  }
  std::optional<Credentials> given = head.basic();
  if (!given) return reject_http(407, "a user name and a password are needed", out);
  check(std::move(*given));
}

void ServerHandshake::reject_socks4(std::string why, ByteVector& out) {
  (void)encode(Socks4Reply{kSocks4Rejected, {}}, out);
  fail(std::move(why));
}

void ServerHandshake::reject_http(int status, std::string why, ByteVector& out) {
  append_http_refusal(status, why, out);
  fail(std::move(why));
}

void ServerHandshake::fail(std::string why) {
  failure_ = std::move(why);
  state_ = State::failed;
}

}  // namespace tunproxy::socks5
