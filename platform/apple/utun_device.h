// UtunDevice: packets of a utun interface through its descriptor.
#pragma once

#include "core/base/unique_fd.h"
#include "core/io/fd_watcher.h"
#include "core/io/loop.h"
#include "tun2socks/packet_device.h"

namespace tunproxy::apple_host {

/// Each packet stands behind the number of its address family, 4 bytes in network order. Nothing in
/// it belongs to Apple's systems alone, so that it can be tested anywhere. Lives in the loop's
/// thread.
class UtunDevice final : public tun2socks::PacketDevice {
 public:
  /// As Darwin numbers them, wherever this runs.
  static constexpr uint32_t kInet = 2;
  static constexpr uint32_t kInet6 = 30;

  UtunDevice(io::Loop& loop, UniqueFd fd, uint16_t mtu);

  void start(tun2socks::PacketSink& sink, std::function<void(const Error&)> on_failed) override;
  void stop() override;
  bool send(std::span<const Bytes> parts, const tun2socks::Offload& offload) override;
  uint16_t mtu() const override { return mtu_; }
  bool offloads() const override { return false; }

 private:
  enum class Read : uint8_t { packet, nothing, failed };

  void on_readable();
  Read read_one();
  void fail(int error_number);

  UniqueFd fd_;
  uint16_t mtu_;
  tun2socks::PacketBufferPool pool_;
  tun2socks::PacketBuffer block_;
  tun2socks::PacketSink* sink_ = nullptr;
  std::function<void(const Error&)> on_failed_;
  io::FdWatcher watcher_;
};

}  // namespace tunproxy::apple_host
