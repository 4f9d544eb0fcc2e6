// PacketDevice: where IP packets come from and go to. A TUN descriptor on Linux (platform/linux),
// batches of packets on phones, memory in tests.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "tun2socks/packet_buffer.h"

namespace tunproxy::tun2socks {

/// What the kernel and we leave each other to do with a packet (struct virtio_net_hdr, without its
/// wire form). All zero: a whole packet with a right checksum.
struct Offload {
  bool needs_checksum = false;   ///< the transport checksum field holds the pseudo-header sum only
  bool checksum_valid = false;   ///< received: already verified
  uint16_t checksum_start = 0;   ///< from the packet's first byte
  uint16_t checksum_offset = 0;  ///< from checksum_start
  uint16_t segment_size = 0;     ///< payload of each segment the packet stands for; 0: one packet
};

/// Who takes the packets of a device. Called from the loop, a batch at a time.
class PacketSink {
 public:
  virtual ~PacketSink() = default;
  /// `packet` begins with the IP header and is writable; valid during this call, with at least
  /// kPacketSlack readable bytes behind it. `storage` is the block that it lies in: a sink that
  /// wants the packet longer moves the block away, and gives it back before the device dies.
  /// nullptr: it must copy.
  virtual void on_packet(MutableBytes packet, const Offload& offload, PacketBuffer* storage) = 0;
  virtual void on_batch_end() = 0;
  static constexpr size_t kPacketSlack = 16;
};

class PacketDevice {
 public:
  PacketDevice() = default;
  PacketDevice(const PacketDevice&) = delete;
  PacketDevice& operator=(const PacketDevice&) = delete;
  virtual ~PacketDevice() = default;

  /// Begins to deliver. `on_failed` is called once if the device is gone (its error, for people).
  /// REQUIRES: `sink` outlives the device or stop().
  virtual void start(PacketSink& sink, std::function<void(const Error&)> on_failed) = 0;
  virtual void stop() = 0;
  /// Sends one packet, gathered from `parts`. False: the device is full now; the packet is dropped.
  virtual bool send(std::span<const Bytes> parts, const Offload& offload) = 0;
  virtual uint16_t mtu() const = 0;
  /// Takes and gives TCP packets of up to 64 KB with Offload (TSO/GSO), and every packet whose
  /// checksum says neither needs_checksum nor checksum_valid is to be verified.
  virtual bool offloads() const = 0;
};

}  // namespace tunproxy::tun2socks
