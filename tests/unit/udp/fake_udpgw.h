// A udpgw in memory, written from the wire format alone: what a client says, and what it is told.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/memory_stream.h"

namespace tunproxy::udp {

/// A frame as it is on the wire: u16 LE length | u8 flags | u16 LE connection | address | datagram.
struct WireFrame {
  uint8_t flags = 0;
  uint16_t connection = 0;
  std::string address;  // with the port
  std::string data;
};

inline std::string wire_address(std::string_view address, uint16_t port) {
  const Endpoint endpoint{*IpAddress::parse(address), port};
  std::string bytes(as_text(endpoint.address.bytes()));
  bytes.push_back(static_cast<char>(port >> 8));
  bytes.push_back(static_cast<char>(port & 0xff));
  return bytes;
}

class FakeUdpgw {
 public:
  static constexpr uint8_t kKeepalive = 1, kRebind = 2, kDns = 4, kIpv6 = 8;

  explicit FakeUdpgw(std::unique_ptr<testing::MemoryStream> stream) : stream_(std::move(stream)) {
    stream_->on_progress([this] { on_progress(); });
  }

  void say(const WireFrame& frame) {
    const std::string body = frame.address + frame.data;
    const size_t length = 3 + body.size();
    std::string bytes;
    for (const size_t value : {length & 0xff, length >> 8, size_t{frame.flags},
                               size_t{frame.connection} & 0xff, size_t{frame.connection} >> 8}) {
      bytes.push_back(static_cast<char>(value));
    }
    write(bytes + body);
  }
  void write(std::string_view bytes) {
    outgoing_ += bytes;
    on_progress();
  }
  /// Answers the last frame as a server does: the same header and address.
  void answer(std::string_view data) {
    const WireFrame& last = frames.back();
    say({static_cast<uint8_t>(last.flags & kIpv6), last.connection, last.address,
         std::string(data)});
  }
  size_t count(uint8_t flag) const {
    return static_cast<size_t>(std::count_if(frames.begin(), frames.end(), [&](const auto& frame) {
      return (frame.flags & flag) != 0;
    }));
  }
  testing::MemoryStream& stream() { return *stream_; }
  void vanish() { stream_.reset(); }
  void read() { on_progress(); }

  bool answers_dns = true;
  bool reads = true;
  std::vector<WireFrame> frames;
  std::string raw;  // all that came

 private:
  static size_t le16(std::string_view bytes) {
    return static_cast<size_t>(static_cast<uint8_t>(bytes[0]) | static_cast<uint8_t>(bytes[1])
                                                                    << 8);
  }

  void on_progress() {
    outgoing_.erase(0, stream_->write(as_bytes(outgoing_)));
    if (!reads) return;
    const std::string came = stream_->read_all();
    raw += came;
    incoming_ += came;
    while (incoming_.size() >= 2 && incoming_.size() >= 2 + le16(incoming_)) {
      const std::string body = incoming_.substr(2, le16(incoming_));
      incoming_.erase(0, 2 + body.size());
      hear(body);
    }
  }

  void hear(const std::string& body) {
    WireFrame frame;
    frame.flags = static_cast<uint8_t>(body.at(0));
    frame.connection = static_cast<uint16_t>(le16(body.substr(1, 2)));
    const size_t address = (frame.flags & kKeepalive) != 0 ? 0
                           : (frame.flags & kIpv6) != 0    ? 18
                                                           : 6;
    frame.address = body.substr(3, address);
    frame.data = body.substr(3 + address);
    frames.push_back(frame);
    if ((frame.flags & kDns) == 0 || !answers_dns) return;
    std::string reply = frame.data;
    reply.at(2) = static_cast<char>(0x81);
    answer(reply);
  }

  std::unique_ptr<testing::MemoryStream> stream_;
  std::string incoming_;
  std::string outgoing_;
};

}  // namespace tunproxy::udp
