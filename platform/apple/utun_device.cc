#include "platform/apple/utun_device.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <utility>

namespace tunproxy::apple_host {
namespace {

using tun2socks::PacketSink;
using Family = std::array<uint8_t, 4>;

constexpr int kBatchPackets = 64;
constexpr size_t kSpareBlocks = 16;
constexpr size_t kMostParts = 64;

Family family_of(Bytes packet) {
  const bool v6 = packet[0] >> 4 == 6;
  return {0, 0, 0, static_cast<uint8_t>(v6 ? UtunDevice::kInet6 : UtunDevice::kInet)};
}

}  // namespace

UtunDevice::UtunDevice(io::Loop& loop, UniqueFd fd, uint16_t mtu)
    : fd_(std::move(fd)),
      mtu_(mtu),
      pool_(size_t{mtu} + PacketSink::kPacketSlack, kSpareBlocks),
      block_(pool_.take()),
      watcher_(loop, fd_.get(), [this](io::FdWatcher::Ready) { on_readable(); }) {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

void UtunDevice::start(PacketSink& sink, std::function<void(const Error&)> on_failed) {
  sink_ = &sink;
  on_failed_ = std::move(on_failed);
  watcher_.want(true, false);
}

void UtunDevice::stop() {
  watcher_.want(false, false);
  sink_ = nullptr;
}

void UtunDevice::on_readable() {
  if (sink_ == nullptr) return;
  Read last = Read::packet;
  for (int i = 0; i < kBatchPackets && last == Read::packet; ++i) last = read_one();
  const int error_number = errno;
  sink_->on_batch_end();
  if (last == Read::failed) fail(error_number);
}

// The packet says itself which family it is; the number in front is read and not looked at.
UtunDevice::Read UtunDevice::read_one() {
  Family family;
  std::array<iovec, 2> parts = {iovec{family.data(), family.size()}, iovec{block_.get(), mtu_}};
  const ssize_t n = ::readv(fd_.get(), parts.data(), static_cast<int>(parts.size()));
  if (n < 0) return errno == EAGAIN || errno == EINTR ? Read::nothing : Read::failed;
  if (n == 0) {
    errno = EPIPE;  // the interface is gone
    return Read::failed;
  }
  if (static_cast<size_t>(n) <= family.size()) return Read::packet;
  sink_->on_packet({block_.get(), static_cast<size_t>(n) - family.size()}, {}, &block_);
  if (!block_) block_ = pool_.take();
  return Read::packet;
}

void UtunDevice::fail(int error_number) {
  stop();
  if (auto on_failed = std::exchange(on_failed_, nullptr)) {
    on_failed(error_from_errno(error_number, "reading from the utun interface"));
  }
}

bool UtunDevice::send(std::span<const Bytes> parts, const tun2socks::Offload&) {
  if (parts.empty() || parts[0].empty() || parts.size() > kMostParts) return false;
  Family family = family_of(parts[0]);
  std::array<iovec, kMostParts + 1> gathered;
  gathered[0] = {family.data(), family.size()};
  int count = 1;
  for (const Bytes part : parts) {
    gathered[static_cast<size_t>(count++)] = {const_cast<uint8_t*>(part.data()), part.size()};
  }
  ssize_t n = 0;
  do {
    n = ::writev(fd_.get(), gathered.data(), count);
  } while (n < 0 && errno == EINTR);
  return n >= 0;
}

}  // namespace tunproxy::apple_host
