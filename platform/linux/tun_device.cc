#include "platform/linux/tun_device.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <utility>

namespace tunproxy::linux_host {
namespace {

using tun2socks::Offload;
using tun2socks::PacketSink;

constexpr int kBatchPackets = 64;
// A batch this large ends early: its packets are still in the cache when they are passed on.
constexpr size_t kBatchBytes = size_t{512} * 1024;
constexpr size_t kLargestPacket = 65535 + 40;
constexpr size_t kSpareBlocks = 16;
constexpr size_t kMostParts = 64;

// Newer than the headers of the oldest supported distribution.
constexpr unsigned kOffloadUso4 = 0x20;
constexpr unsigned kOffloadUso6 = 0x40;

/// struct virtio_net_hdr, whose header is not C++. In the machine's byte order.
struct VirtioNetHeader {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t header_length = 0;
  uint16_t gso_size = 0;
  uint16_t checksum_start = 0;
  uint16_t checksum_offset = 0;
};
static_assert(sizeof(VirtioNetHeader) == 10);
constexpr uint8_t kNeedsChecksum = 1;
constexpr uint8_t kDataValid = 2;
constexpr uint8_t kGsoNone = 0;
constexpr uint8_t kGsoTcp4 = 1;
constexpr uint8_t kGsoTcp6 = 4;
constexpr uint8_t kGsoUdpL4 = 5;
constexpr uint8_t kGsoEcn = 0x80;

size_t block_size(uint16_t mtu, bool vnet_hdr) {
  return (vnet_hdr ? kLargestPacket : size_t{mtu}) + PacketSink::kPacketSlack;
}

Offload to_offload(const VirtioNetHeader& header) {
  Offload offload;
  offload.needs_checksum = (header.flags & kNeedsChecksum) != 0;
  offload.checksum_valid = (header.flags & kDataValid) != 0;
  offload.checksum_start = header.checksum_start;
  offload.checksum_offset = header.checksum_offset;
  if ((header.gso_type & ~kGsoEcn) != kGsoNone) {
    offload.segment_size = header.gso_size;
  }
  return offload;
}

uint8_t gso_type(Bytes headers) {
  constexpr uint8_t kUdp = 17;
  const bool v6 = headers[0] >> 4 == 6;
  if (headers[v6 ? 6 : 9] == kUdp) return kGsoUdpL4;
  return v6 ? kGsoTcp6 : kGsoTcp4;
}

VirtioNetHeader to_header(const Offload& offload, Bytes headers) {
  VirtioNetHeader header;
  if (offload.needs_checksum) header.flags = kNeedsChecksum;
  header.checksum_start = offload.checksum_start;
  header.checksum_offset = offload.checksum_offset;
  if (offload.segment_size == 0) return header;
  header.gso_type = gso_type(headers);
  header.gso_size = offload.segment_size;
  const size_t ip_length = offload.checksum_start;
  const bool tcp = header.gso_type != kGsoUdpL4 && headers.size() > ip_length + 12;
  const size_t transport_length = tcp ? static_cast<size_t>(headers[ip_length + 12] >> 4) * 4 : 8;
  header.header_length = static_cast<uint16_t>(ip_length + transport_length);
  return header;
}

}  // namespace

bool enable_offload(int fd) {
  int header_size = sizeof(VirtioNetHeader);
  if (::ioctl(fd, TUNSETVNETHDRSZ, &header_size) != 0) return false;
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (::ioctl(fd, TUNSETOFFLOAD, kTcp | kOffloadUso4 | kOffloadUso6) == 0) return true;
  return ::ioctl(fd, TUNSETOFFLOAD, kTcp) == 0;
}

TunDevice::TunDevice(io::Loop& loop, UniqueFd fd, uint16_t mtu, bool vnet_hdr)
    : fd_(std::move(fd)),
      mtu_(mtu),
      vnet_hdr_(vnet_hdr),
      pool_(block_size(mtu, vnet_hdr), kSpareBlocks),
      block_(pool_.take()),
      watcher_(loop, fd_.get(), [this](io::FdWatcher::Ready) { on_readable(); }) {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

TunDevice::~TunDevice() = default;

void TunDevice::start(PacketSink& sink, std::function<void(const Error&)> on_failed) {
  sink_ = &sink;
  on_failed_ = std::move(on_failed);
  if (auto usable = watcher_.usable(); !usable) return fail(usable.error());
  watcher_.want(true, false);
}

void TunDevice::stop() {
  watcher_.want(false, false);
  sink_ = nullptr;
}

void TunDevice::on_readable() {
  if (sink_ == nullptr) return;
  batch_bytes_ = 0;
  Read last = Read::packet;
  for (int i = 0; i < kBatchPackets && batch_bytes_ < kBatchBytes && last == Read::packet; ++i) {
    last = read_one();
  }
  const int error_number = errno;
  sink_->on_batch_end();
  if (last == Read::failed) fail(error_from_errno(error_number, "reading from the TUN interface"));
}

TunDevice::Read TunDevice::read_one() {
  VirtioNetHeader header;
  const size_t capacity = pool_.block_size() - PacketSink::kPacketSlack;
  std::array<iovec, 2> parts = {iovec{&header, sizeof header}, iovec{block_.get(), capacity}};
  const size_t skipped = vnet_hdr_ ? 0 : 1;
  const ssize_t n =
      ::readv(fd_.get(), parts.data() + skipped, static_cast<int>(parts.size() - skipped));
  if (n < 0) return errno == EAGAIN || errno == EINTR ? Read::nothing : Read::failed;
  if (n == 0) {  // not of a TUN, but of a socket in its place
    errno = ENODEV;
    return Read::failed;
  }
  const size_t header_size = vnet_hdr_ ? sizeof header : 0;
  if (static_cast<size_t>(n) <= header_size) return Read::packet;
  const size_t length = static_cast<size_t>(n) - header_size;
  batch_bytes_ += length;
  sink_->on_packet({block_.get(), length}, to_offload(header), &block_);
  if (!block_) block_ = pool_.take();
  return Read::packet;
}

void TunDevice::fail(const Error& error) {
  stop();
  if (auto on_failed = std::exchange(on_failed_, nullptr)) on_failed(error);
}

bool TunDevice::send(std::span<const Bytes> parts, const Offload& offload) {
  std::array<iovec, kMostParts + 1> gathered;
  if (parts.empty() || parts.size() > kMostParts) return false;
  int count = 0;
  VirtioNetHeader header;
  if (vnet_hdr_) {
    header = to_header(offload, parts[0]);
    gathered[static_cast<size_t>(count++)] = {&header, sizeof header};
  }
  for (const Bytes part : parts) {
    gathered[static_cast<size_t>(count++)] = {const_cast<uint8_t*>(part.data()), part.size()};
  }
  ssize_t n = 0;
  do {
    n = ::writev(fd_.get(), gathered.data(), count);
  } while (n < 0 && errno == EINTR);
  return n >= 0;
}

}  // namespace tunproxy::linux_host
