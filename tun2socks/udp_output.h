// UdpOutput: writes UDP datagrams to the device: whole, or cut into IP fragments if they are longer
// than its MTU.
#pragma once

#include <cstdint>

#include "core/base/address.h"
#include "tun2socks/packet_output.h"

namespace tunproxy::tun2socks {

class UdpOutput {
 public:
  UdpOutput(PacketDevice& device, PacketOutput& output, EngineStats& stats);

  /// Sends a datagram that seems to come from `from`. False: it, or a fragment of it, was dropped
  /// and counted: an address that cannot be a sender's or is not of `to`'s family, too many bytes
  /// for IP (65507, or 65527 in IPv6), a full device.
  bool send(const Endpoint& from, const Endpoint& to, Bytes payload);

 private:
  Drop check(const Endpoint& from, const Endpoint& to, size_t length) const;
  bool send_whole(const Endpoint& from, const Endpoint& to, Bytes payload);
  bool send_fragments(const Endpoint& from, const Endpoint& to, Bytes payload);
  size_t write_fragment_header(uint8_t* at, const Endpoint& from, const Endpoint& to, size_t offset,
                               size_t length, bool more) const;

  PacketOutput& output_;
  EngineStats& stats_;
  size_t mtu_;
  bool offloads_;
  uint32_t fragment_id_;
};

/// The whole IP packet of a datagram, however long. REQUIRES: one family; no more bytes than IP
/// carries
ByteVector make_udp_packet(const Endpoint& from, const Endpoint& to, Bytes payload);

}  // namespace tunproxy::tun2socks
