#include "core/socks5/client_bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/socks5/address_wire.h"
#include "core/socks5/reply.h"
#include "core/socks5/wire.h"

namespace tunproxy::socks5 {
namespace {

constexpr size_t kMaxReply = 3 + kMaxAddressSize;

}  // namespace

Result<Endpoint> listening_of(const Target& bound, const Endpoint& server) {
  if (bound.is_name() || bound.port() == 0) {
    return Error{ErrorCode::protocol, "the SOCKS5 server does not say where it listens"};
  }
  const IpAddress address = bound.address().unmapped();
  return Endpoint{address.is_any() ? server.address.unmapped() : address, bound.port()};
}

ClientBind::ClientBind(io::Loop& loop, std::unique_ptr<net::Stream> stream,
                       net::Done<net::Accepted> done)
    : loop_(loop), stream_(std::move(stream)), done_(std::move(done)) {
  stream_->on_progress([this] { look_again(); });
}

void ClientBind::look_again() {
  while (!stream_->peek().empty()) {
    const Result<bool> complete = read();
    if (!complete) return finish(complete.error());
    if (*complete) return finish({});
  }
  if (stream_->error() != nullptr || stream_->ended()) {
    finish(Error{ErrorCode::general, "the SOCKS5 server ended the BIND without a second reply" +
                                         net::because(*stream_)});
  }
}

// True if the reply is whole, and says that somebody came.
Result<bool> ClientBind::read() {
  const Bytes bytes = stream_->peek();
  const size_t before = in_.size();
  append(in_, bytes.first(std::min(bytes.size(), kMaxReply)));
  Bytes rest = in_;
  const auto reply = decode_reply(rest);
  if (!reply) return reply.error();
  const size_t behind = *reply ? rest.size() : 0;
  stream_->consume(in_.size() - behind - before);
  if (!*reply) return false;
  if ((*reply)->code != kSucceeded) {
    return Error{error_for_reply((*reply)->code),
                 fmt::format("the SOCKS5 server says: {}", reply_text((*reply)->code))};
  }
  const Target& peer = (*reply)->bound;
  if (!peer.is_name()) peer_ = {peer.address(), peer.port()};
  return true;
}

// Last in every path: the attempt may be destroyed by its Done.
void ClientBind::finish(Result<void> outcome) {
  stream_->on_progress(nullptr);
  if (!outcome) {
    loop_.retire(std::move(stream_));
    return std::exchange(done_, nullptr)(outcome.error());
  }
  std::exchange(done_, nullptr)(net::Accepted{std::move(stream_), peer_});
}

}  // namespace tunproxy::socks5
