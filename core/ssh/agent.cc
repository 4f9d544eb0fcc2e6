#include "core/ssh/agent.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/io/system.h"
#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {
namespace {

constexpr uint8_t kRequestIdentities = 11;
constexpr uint8_t kIdentitiesAnswer = 12;
constexpr uint8_t kSignRequest = 13;
constexpr uint8_t kSignResponse = 14;
constexpr uint32_t kRsaSha256 = 2;
constexpr uint32_t kRsaSha512 = 4;
constexpr uint32_t kMaxMessage = 256 * 1024;
constexpr uint32_t kMaxKeys = 2048;

Error agent_error(ErrorCode code, std::string_view what) {
  return {code, "ssh-agent: " + std::string(what)};
}

Instant now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}

}  // namespace

Result<Agent> Agent::connect(const std::string& socket_path, const io::Event& cancelled) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path) {
    return agent_error(ErrorCode::usage, "its path is not that of a socket");
  }
  socket_path.copy(address.sun_path, socket_path.size());
  UniqueFd socket = io::open_socket(AF_UNIX, SOCK_STREAM, io::Blocking::no);
  if (!socket) return error_from_errno(errno, "ssh-agent");
  // A local socket connects at once, or says EAGAIN when its queue is full: then it is not
  // answering.
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return error_from_errno(errno, "ssh-agent");
  }
  return Agent(std::move(socket), cancelled);
}

Result<std::vector<AgentKey>> Agent::list() {
  const auto reply = exchange({kRequestIdentities}, kListTimeout);
  if (!reply) return reply.error();
  const Error malformed = agent_error(ErrorCode::protocol, "it sent a malformed list of keys");
  Bytes rest = *reply;
  if (rest.size() < 5 || rest[0] != kIdentitiesAnswer) return malformed;
  const uint32_t count = load_be32(rest.data() + 1);
  if (count > kMaxKeys) return malformed;
  rest = rest.subspan(5);
  std::vector<AgentKey> keys;
  for (uint32_t i = 0; i < count; ++i) {
    const auto blob = take_string(rest);
    const auto comment = take_string(rest);
    if (!blob || !comment) return malformed;
    keys.push_back({{blob->begin(), blob->end()}, std::string(as_text(*comment))});
  }
  return keys;
}

Result<ByteVector> Agent::sign(Bytes blob, Bytes data, std::string_view algorithm) {
  uint32_t flags = 0;
  if (algorithm.starts_with("rsa-sha2-256")) flags = kRsaSha256;
  if (algorithm.starts_with("rsa-sha2-512")) flags = kRsaSha512;
  ByteVector message{kSignRequest};
  append_string(message, blob);
  append_string(message, data);
  uint8_t encoded[4];
  store_be32(encoded, flags);
  append(message, encoded);
  const auto reply = exchange(message, kSignTimeout);
  if (!reply) return reply.error();
  Bytes rest = *reply;
  if (rest.empty() || rest[0] != kSignResponse) {
    return agent_error(ErrorCode::not_allowed, "it declined to sign");
  }
  rest = rest.subspan(1);
  const auto signature = take_string(rest);
  if (!signature) return agent_error(ErrorCode::protocol, "it sent a malformed signature");
  return ByteVector(signature->begin(), signature->end());
}

Result<ByteVector> Agent::exchange(const ByteVector& message, Duration timeout) {
  const Instant deadline = now() + timeout;
  ByteVector framed;
  append_string(framed, message);
  if (auto sent = write_all(framed, deadline); !sent) return sent.error();
  uint8_t length[4];
  if (auto got = read_exactly(length, deadline); !got) return got.error();
  if (load_be32(length) > kMaxMessage)
    return agent_error(ErrorCode::protocol, "its answer is too long");
  ByteVector reply(load_be32(length));
  if (auto got = read_exactly(reply, deadline); !got) return got.error();
  return reply;
}

Result<void> Agent::write_all(Bytes bytes, Instant deadline) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), io::kNoSignal);
    if (n > 0) {
      bytes = bytes.subspan(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      if (auto ready = wait_for(POLLOUT, deadline); !ready) return ready;
    } else if (errno != EINTR) {
      return error_from_errno(errno, "ssh-agent");
    }
  }
  return {};
}

Result<void> Agent::read_exactly(MutableBytes bytes, Instant deadline) {
  while (!bytes.empty()) {
    const ssize_t n = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (n > 0) {
      bytes = bytes.subspan(static_cast<size_t>(n));
    } else if (n == 0) {
      return agent_error(ErrorCode::reset, "it hung up");
    } else if (errno == EAGAIN) {
      if (auto ready = wait_for(POLLIN, deadline); !ready) return ready;
    } else if (errno != EINTR) {
      return error_from_errno(errno, "ssh-agent");
    }
  }
  return {};
}

Result<void> Agent::wait_for(short events, Instant deadline) {
  pollfd waits[] = {{socket_.get(), events, 0}, {cancelled_->fd(), POLLIN, 0}};
  const auto left = std::max(deadline - now(), Duration(0));
  const int ready = ::poll(waits, 2, static_cast<int>(left.count()));
  if (cancelled_->is_set()) return agent_error(ErrorCode::cancelled, "cancelled");
  if (ready == 0) return agent_error(ErrorCode::timed_out, "it does not answer");
  if (ready < 0 && errno != EINTR) return error_from_errno(errno, "ssh-agent");
  return {};
}

}  // namespace tunproxy::ssh
