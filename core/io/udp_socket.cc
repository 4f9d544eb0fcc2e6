#include "core/io/udp_socket.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "core/io/descriptors.h"
#include "core/io/system.h"

namespace tunproxy::io {
namespace {

constexpr unsigned kRoundsPerEvent = 4;
constexpr int kBufferSize = 4 * 1024 * 1024;  // the kernel grants what its administrator allows

struct Slots {
  std::array<Message, UdpSocket::kBatch> headers{};
  std::array<iovec, UdpSocket::kBatch> parts{};
  std::array<sockaddr_storage, UdpSocket::kBatch> names{};

  void set(size_t i, void* data, size_t size, size_t name_size) {
    parts[i] = {data, size};
    headers[i].msg_hdr.msg_iov = &parts[i];
    headers[i].msg_hdr.msg_iovlen = 1;
    headers[i].msg_hdr.msg_name = &names[i];
    headers[i].msg_hdr.msg_namelen = static_cast<socklen_t>(name_size);
  }
};

// Where a batch is received. Each slot holds the largest datagram, yet memory is only used where
// datagrams were written, so it is one for all sockets of a thread. The odd distance keeps small
// datagrams from all falling into the same lines of the processor's cache.
struct Inbox {
  static constexpr size_t kSlot = 65536 + 1344;

  Inbox() : memory(new uint8_t[kSlot * UdpSocket::kBatch]) {}
  uint8_t* slot(size_t i) const { return memory.get() + i * kSlot; }

  std::unique_ptr<uint8_t[]> memory;
  Slots slots;
};

Inbox& inbox() {
  static thread_local Inbox of_thread;
  return of_thread;
}

Result<UniqueFd> bind_socket(const Endpoint& at, const PrepareSocket& prepare) {
  sockaddr_storage address{};
  const socklen_t length = at.to_sockaddr(&address);
  UniqueFd socket = io::open_socket(address.ss_family, SOCK_DGRAM, Blocking::no);
  if (!socket) return error_from_errno(errno, "UDP socket");
  const int on = 1;
  if (at.address.is_v6()) {
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kBufferSize, sizeof kBufferSize);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kBufferSize, sizeof kBufferSize);
  if (prepare) {
    const Result<void> prepared = prepare(socket.get());
    if (!prepared) return prepared.error();
  }
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return error_from_errno(errno, "UDP bind");
  }
  return socket;
}

}  // namespace

Result<std::unique_ptr<UdpSocket>> UdpSocket::bind(Loop& loop, const Endpoint& at,
                                                   OnDatagram on_datagram,
                                                   const PrepareSocket& prepare) {
  if (auto spare = check_descriptors(); !spare) return spare.error();
  Result<UniqueFd> socket = bind_socket(at, prepare);
  if (!socket) return socket.error();
  return std::unique_ptr<UdpSocket>(
      new UdpSocket(loop, *std::move(socket), std::move(on_datagram)));
}

UdpSocket::UdpSocket(Loop& loop, UniqueFd socket, OnDatagram on_datagram)
    : socket_(std::move(socket)),
      on_datagram_(std::move(on_datagram)),
      watcher_(loop, socket_.get(), [this](FdWatcher::Ready) { on_readable(); }) {
  watcher_.want(true, false);
}

Endpoint UdpSocket::local() const {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
  return Endpoint::from(reinterpret_cast<sockaddr*>(&address));
}

void UdpSocket::on_readable() {
  for (unsigned round = 0; round < kRoundsPerEvent && receive() == kBatch; ++round) {
  }
}

size_t UdpSocket::receive() {
  Inbox& box = inbox();
  for (size_t i = 0; i < kBatch; ++i) {
    box.slots.set(i, box.slot(i), Inbox::kSlot, sizeof(sockaddr_storage));
  }
  const int n = receive_messages(socket_.get(), box.slots.headers.data(), kBatch);
  const size_t count = n > 0 ? static_cast<size_t>(n) : 0;  // an error was some earlier datagram's
  for (size_t i = 0; i < count; ++i) {
    on_datagram_(Endpoint::from(reinterpret_cast<sockaddr*>(&box.slots.names[i])),
                 {box.slot(i), box.slots.headers[i].msg_len});
  }
  return count;
}

bool UdpSocket::send(const Endpoint& to, Bytes payload) {
  sockaddr_storage address{};
  const socklen_t length = to.to_sockaddr(&address);
  const ssize_t n = ::sendto(socket_.get(), payload.data(), payload.size(), MSG_DONTWAIT,
                             reinterpret_cast<sockaddr*>(&address), length);
  if (n < 0) ++unsent_;
  return n >= 0;
}

size_t UdpSocket::send(std::span<const Datagram> datagrams) {
  size_t sent = 0;
  while (!datagrams.empty()) {
    const auto some = datagrams.first(std::min(datagrams.size(), kBatch));
    const size_t taken = send_some(some);
    sent += taken;
    if (taken == some.size()) {
      datagrams = datagrams.subspan(taken);
      continue;
    }
    const bool full = errno == EAGAIN || errno == ENOBUFS;
    const size_t lost = full ? datagrams.size() - taken : 1;
    unsent_ += lost;
    datagrams = datagrams.subspan(taken + lost);
  }
  return sent;
}

// Returns how many the kernel took, in order; errno says why not the next one.
size_t UdpSocket::send_some(std::span<const Datagram> datagrams) {
  Slots slots;
  for (size_t i = 0; i < datagrams.size(); ++i) {
    const socklen_t length = datagrams[i].peer.to_sockaddr(&slots.names[i]);
    const Bytes payload = datagrams[i].payload;
    slots.set(i, const_cast<uint8_t*>(payload.data()), payload.size(), length);
  }
  size_t taken = 0;
  while (taken < datagrams.size()) {
    const int n = send_messages(socket_.get(), &slots.headers[taken],
                                static_cast<unsigned>(datagrams.size() - taken));
    if (n <= 0) break;
    taken += static_cast<size_t>(n);
  }
  return taken;
}

}  // namespace tunproxy::io
