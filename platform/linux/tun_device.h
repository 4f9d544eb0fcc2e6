// TunDevice: packets of a Linux TUN interface through its descriptor.
#pragma once

#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "tun2socks/packet_device.h"

namespace tunproxy::linux_host {

/// For a descriptor that was opened with IFF_VNET_HDR: asks the kernel for checksum, TCP and UDP
/// segmentation offload, with the 10-byte header that TunDevice speaks. False: it has none of it;
/// the descriptor still works, and every packet still carries the header.
bool enable_offload(int fd);

/// Reads a batch of packets each time the descriptor is readable. Lives in the loop's thread.
class TunDevice final : public tun2socks::PacketDevice {
 public:
  /// `fd` is a TUN with IFF_NO_PI, configured and up. `vnet_hdr`: it was opened with IFF_VNET_HDR
  /// and enable_offload() succeeded on it; without, it must have been opened without IFF_VNET_HDR.
  TunDevice(io::Loop& loop, UniqueFd fd, uint16_t mtu, bool vnet_hdr);
  ~TunDevice() override;

  void start(tun2socks::PacketSink& sink, std::function<void(const Error&)> on_failed) override;
  void stop() override;
  bool send(std::span<const Bytes> parts, const tun2socks::Offload& offload) override;
  uint16_t mtu() const override { return mtu_; }
  bool offloads() const override { return vnet_hdr_; }

 private:
  enum class Read { packet, nothing, failed };

  void on_readable();
  Read read_one();
  void fail(const Error& error);

  UniqueFd fd_;
  uint16_t mtu_;
  bool vnet_hdr_;
  tun2socks::PacketBufferPool pool_;
  tun2socks::PacketBuffer block_;
  size_t batch_bytes_ = 0;
  tun2socks::PacketSink* sink_ = nullptr;
  std::function<void(const Error&)> on_failed_;
  io::FdWatcher watcher_;
};

}  // namespace tunproxy::linux_host
