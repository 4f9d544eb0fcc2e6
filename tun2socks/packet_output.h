// PacketOutput: the way out for whole packets, with the counts of what went and what did not.
#pragma once

#include "tun2socks/packet_device.h"
#include "tun2socks/stats.h"

namespace tunproxy::tun2socks {

class PacketOutput {
 public:
  PacketOutput(PacketDevice& device, EngineStats& stats) : device_(device), stats_(stats) {}

  bool send(std::span<const Bytes> parts, const Offload& offload) {
    if (!device_.send(parts, offload)) {
      drop(Drop::device_full);
      return false;
    }
    ++stats_.packets_out;
    return true;
  }
  bool send(Bytes packet) { return send({&packet, 1}, {}); }
  void drop(Drop reason) { stats_.drop(reason); }

 private:
  PacketDevice& device_;
  EngineStats& stats_;
};

}  // namespace tunproxy::tun2socks
