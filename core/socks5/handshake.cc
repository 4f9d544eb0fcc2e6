#include "core/socks5/handshake.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/socks5/reply.h"
#include "core/socks5/socks4_wire.h"

namespace tunproxy::socks5 {
namespace {

// More than any message has, so that optimistic data behind a request is not copied.
constexpr size_t kMaxFeed = 1024;

constexpr std::string_view kHttpBody = "This port speaks SOCKS5, not HTTP.\n";

std::string http_answer() {
  return fmt::format(
      "HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      kHttpBody.size(), kHttpBody);
}

// As long as the time does not tell how much of it was right.
bool same_secret(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned>(a[i] ^ b[i % std::max<size_t>(b.size(), 1)]);
  }
  return difference == 0;
}

}  // namespace

size_t ServerHandshake::feed(Bytes input, ByteVector& out) {
  const size_t before = buffer_.size();
  const Bytes fresh = input.first(std::min(input.size(), kMaxFeed));
  append(buffer_, fresh);
  Bytes rest = buffer_;
  size_t left = 0;
  do {
    left = rest.size();
    step(rest, out);
  } while (rest.size() < left && state_ < State::complete);
  if (state_ == State::complete) {
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
    case State::greeting: {
      on_first_byte(input[0], out);
      if (state_ == State::failed) return;
      const auto greeting = decode_greeting(input);
      if (!greeting) return fail(greeting.error().message);
      if (*greeting) on_greeting(**greeting, out);
      return;
    }
    case State::credentials: {
      const auto given = decode_credentials(input);
      if (!given) return fail(given.error().message);
      if (*given) on_credentials(**given, out);
      return;
    }
    case State::request: {
      auto request = decode_request(input);
      if (!request) {
        encode(Reply{reply_for_error(request.error().code), {}}, out);
        return fail(request.error().message);
      }
      if (!*request) return;
      request_ = std::move(**request);
      state_ = State::complete;
      return;
    }
    case State::complete:
    case State::failed:
      return;
  }
}

void ServerHandshake::on_first_byte(uint8_t first, ByteVector& out) {
  switch (detect(first)) {
    case Protocol::socks5:
      return;
    case Protocol::socks4:
      (void)encode(Socks4Reply{kSocks4Rejected, {}}, out);
      return fail("the client speaks SOCKS4");
    case Protocol::http:
      append(out, as_bytes(http_answer()));
      return fail("the client speaks HTTP");
    case Protocol::unknown:
      return fail("the client does not speak SOCKS");
  }
}

void ServerHandshake::on_greeting(const Greeting& greeting, ByteVector& out) {
  const Method wanted = required_ ? Method::user_password : Method::none;
  if (!greeting.offers(wanted)) {
    encode(MethodChoice{Method::no_acceptable}, out);
    return fail("the client offers no acceptable authentication method");
  }
  encode(MethodChoice{wanted}, out);
  state_ = required_ ? State::credentials : State::request;
}

void ServerHandshake::on_credentials(const Credentials& given, ByteVector& out) {
  const bool user_matches = same_secret(given.user, required_->user);
  const bool matches = same_secret(given.password, required_->password) && user_matches;
  encode(CredentialsStatus{static_cast<uint8_t>(matches ? 0 : 1)}, out);
  if (!matches) return fail("wrong user name or password");
  state_ = State::request;
}

void ServerHandshake::fail(std::string why) {
  failure_ = std::move(why);
  state_ = State::failed;
}

}  // namespace tunproxy::socks5
