// PacketQueue: the packet device of a program that moves its packets itself, in batches.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "bindings/c/tunproxy.h"
#include "core/io/loop.h"
#include "tun2socks/packet_device.h"

namespace tunproxy::c_api {

/// Lives in the loop's thread, but for push(). Both directions are bounded; what does not fit is
/// the program's to keep (in) or is dropped (out, by the program).
class PacketQueue final : public tun2socks::PacketDevice {
 public:
  using Write = std::function<void(const tunproxy_packet* packets, size_t count)>;

  static constexpr size_t kMaxPackets = 1024;           ///< that wait for the loop
  static constexpr size_t kMaxBytes = 4 * 1024 * 1024;  ///< of them, without a budget
  static constexpr size_t kBatchPackets = 64;           ///< that go out together, at most
  static constexpr size_t kBatchBytes = 256 * 1024;

  /// `budget`: bytes that all of the tunnel's buffers may take, 0 if there is no limit. `write`
  /// takes packets out, in the loop's thread, a batch at a time.
  PacketQueue(io::Loop& loop, uint16_t mtu, size_t budget, Write write);

  /// From any thread, until the loop ends: copies packets in; returns how many there was room for.
  /// Packets of no bytes, or longer than any IP packet, are taken and dropped.
  size_t push(const tunproxy_packet* packets, size_t count);

  void start(tun2socks::PacketSink& sink, std::function<void(const Error&)> on_failed) override;
  void stop() override;
  bool send(std::span<const Bytes> parts, const tun2socks::Offload& offload) override;
  uint16_t mtu() const override { return mtu_; }
  bool offloads() const override { return false; }

 private:
  // Packets one after another, each with the slack that its reader may look into.
  struct Batch {
    std::vector<uint8_t> bytes;
    std::vector<size_t> lengths;

    /// Memory beyond `kept` bytes is given back: it was for a burst.
    void clear(size_t kept);
  };

  void deliver();
  void flush();

  io::Loop& loop_;
  const uint16_t mtu_;
  const size_t most_bytes_;  // that wait
  const size_t kept_;        // of memory, when nothing does
  const Write write_;
  tun2socks::PacketSink* sink_ = nullptr;
  std::mutex mutex_;
  Batch incoming_;  // under the mutex
  Batch reading_;
  Batch outgoing_;
  std::vector<tunproxy_packet> views_;
  io::Task flush_;
};

}  // namespace tunproxy::c_api
