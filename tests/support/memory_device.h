// MemoryDevice: a PacketDevice in memory, and a small TCP/IP host on the other side of it.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "core/base/address.h"
#include "tun2socks/packet_device.h"

namespace tunproxy::testing {

/// Collects what is sent and delivers what a test puts in, at once.
class MemoryDevice final : public tun2socks::PacketDevice {
 public:
  explicit MemoryDevice(uint16_t mtu = 1500, bool offloads = false)
      : mtu_(mtu), offloads_(offloads), pool_(kBlock, 4) {}

  void start(tun2socks::PacketSink& sink, std::function<void(const Error&)>) override {
    sink_ = &sink;
  }
  void stop() override { sink_ = nullptr; }
  bool send(std::span<const Bytes> parts, const tun2socks::Offload& offload) override;
  uint16_t mtu() const override { return mtu_; }
  bool offloads() const override { return offloads_; }

  struct Sent {
    ByteVector bytes;
    tun2socks::Offload offload;
  };

  /// Delivers packets as one batch. The block each lies in is exactly as long as the contract says,
  /// so that a sanitizer sees every read past it; with `keepable` it can be kept.
  void deliver(std::vector<ByteVector> packets, tun2socks::Offload offload = {},
               bool keepable = false);
  void deliver(ByteVector packet) { deliver(std::vector<ByteVector>{std::move(packet)}); }

  std::deque<Sent> sent;  ///< what the engine sent, oldest first
  bool full = false;      ///< refuse what the engine sends

 private:
  static constexpr size_t kBlock = 70000;

  uint16_t mtu_;
  bool offloads_;
  tun2socks::PacketBufferPool pool_;
  tun2socks::PacketSink* sink_ = nullptr;
};

/// A parsed packet of the engine. make() checks every checksum and length on the way.
struct SeenPacket {
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;
  ByteVector payload;  ///< from the transport header on

  // TCP, if it is that
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  uint8_t flags = 0;
  uint16_t window = 0;
  ByteVector options;
  ByteVector data;

  /// nullopt if anything about the packet is wrong.
  static std::optional<SeenPacket> make(const MemoryDevice::Sent& sent);
  bool has(uint8_t tcp_flags) const { return (flags & tcp_flags) == tcp_flags; }
};

/// What goes into a TCP segment of the test's host.
struct Segment {
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  uint8_t flags = 0;
  uint16_t window = 65535;
  ByteVector options;
  ByteVector data;
};

ByteVector make_tcp(const Endpoint& from, const Endpoint& to, const Segment& segment);
ByteVector make_udp(const Endpoint& from, const Endpoint& to, Bytes data);
ByteVector make_echo(const IpAddress& from, const IpAddress& to, Bytes data);
/// Cuts an IP packet into fragments of at most `size` bytes of payload (a multiple of 8).
std::vector<ByteVector> fragment(Bytes packet, size_t size, uint32_t id);

}  // namespace tunproxy::testing
