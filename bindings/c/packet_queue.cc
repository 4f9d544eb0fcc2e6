#include "bindings/c/packet_queue.h"

#include <algorithm>
#include <utility>

namespace tunproxy::c_api {
namespace {

constexpr size_t kLongestPacket = 65535 + 40;
constexpr size_t kShareOfBudget = 16;
constexpr size_t kKept = size_t{256} * 1024;

size_t most_bytes(size_t budget) {
  if (budget == 0) return PacketQueue::kMaxBytes;
  return std::clamp(budget / kShareOfBudget, 2 * kLongestPacket, PacketQueue::kMaxBytes);
}

}  // namespace

void PacketQueue::Batch::clear(size_t kept) {
  bytes.clear();
  lengths.clear();
  if (bytes.capacity() > kept) std::vector<uint8_t>().swap(bytes);
}

PacketQueue::PacketQueue(io::Loop& loop, uint16_t mtu, size_t budget, Write write)
    : loop_(loop),
      mtu_(mtu),
      most_bytes_(most_bytes(budget)),
      kept_(std::min(kKept, most_bytes_ / 4)),
      write_(std::move(write)),
      flush_(loop, [this] { flush(); }) {}

size_t PacketQueue::push(const tunproxy_packet* packets, size_t count) {
  size_t taken = 0;
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    was_empty = incoming_.lengths.empty();
    for (; taken < count; ++taken) {
      const tunproxy_packet& packet = packets[taken];
      if (packet.data == nullptr || packet.length == 0 || packet.length > kLongestPacket) continue;
      const size_t bytes =
          incoming_.bytes.size() + packet.length + tun2socks::PacketSink::kPacketSlack;
      if (incoming_.lengths.size() == kMaxPackets || bytes > most_bytes_) break;
      incoming_.bytes.insert(incoming_.bytes.end(), packet.data, packet.data + packet.length);
      incoming_.bytes.resize(bytes);
      incoming_.lengths.push_back(packet.length);
    }
    was_empty = was_empty && !incoming_.lengths.empty();
  }
  if (was_empty) loop_.post([this] { deliver(); });
  return taken;
}

void PacketQueue::start(tun2socks::PacketSink& sink, std::function<void(const Error&)>) {
  sink_ = &sink;
}

void PacketQueue::stop() {
  sink_ = nullptr;
}

void PacketQueue::deliver() {
  {
    const std::lock_guard lock(mutex_);
    std::swap(incoming_, reading_);
  }
  uint8_t* next = reading_.bytes.data();
  for (const size_t length : reading_.lengths) {
    if (sink_ != nullptr) sink_->on_packet({next, length}, {}, nullptr);
    next += length + tun2socks::PacketSink::kPacketSlack;
  }
  if (sink_ != nullptr) sink_->on_batch_end();
  reading_.clear(kept_);
}

bool PacketQueue::send(std::span<const Bytes> parts, const tun2socks::Offload&) {
  size_t length = 0;
  for (const Bytes part : parts) {
    outgoing_.bytes.insert(outgoing_.bytes.end(), part.begin(), part.end());
    length += part.size();
  }
  outgoing_.lengths.push_back(length);
  if (outgoing_.lengths.size() == kBatchPackets || outgoing_.bytes.size() >= kBatchBytes) {
    flush();
  } else {
    flush_.schedule();
  }
  return true;
}

void PacketQueue::flush() {
  if (outgoing_.lengths.empty()) return;
  const uint8_t* next = outgoing_.bytes.data();
  for (const size_t length : outgoing_.lengths) {
    views_.push_back({next, length});
    next += length;
  }
  write_(views_.data(), views_.size());
  views_.clear();
  outgoing_.clear(kept_);
}

}  // namespace tunproxy::c_api
