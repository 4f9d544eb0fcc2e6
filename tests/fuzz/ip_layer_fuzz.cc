// Feeds packets to the engine as a hostile application would: anything in any order, and a proxy
// whose outcomes the input decides. Input: records of a command byte, a length byte pair and a
// packet.
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/log.h"
#include "core/io/loop.h"
#include "tun2socks/checksum.h"
#include "tun2socks/engine.h"

namespace {

using tunproxy::Bytes;
using tunproxy::ByteVector;
using tunproxy::Error;
using tunproxy::ErrorCode;
using tunproxy::load_be16;
using tunproxy::MutableBytes;
using tunproxy::Result;
using tunproxy::store_be16;
namespace io = tunproxy::io;
namespace net = tunproxy::net;
namespace tun2socks = tunproxy::tun2socks;

/// Swallows or echoes what it gets, as its seed says.
class FuzzStream final : public net::Stream {
 public:
  FuzzStream(io::Loop& loop, uint8_t seed)
      : seed_(seed), progress_(loop, [this] {
          if (look_again_) look_again_();
        }) {}

  void on_progress(std::function<void()> look_again) override {
    look_again_ = std::move(look_again);
    progress_.schedule();
  }
  Bytes peek() const override { return bytes_; }
  void consume(size_t n) override {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(n));
  }
  size_t write(Bytes bytes) override {
    if (finished_ || (seed_ & 1) != 0) return 0;
    const size_t taken = (seed_ & 2) != 0 ? bytes.size() / 2 + 1 : bytes.size();
    if (bytes.empty()) return 0;
    if ((seed_ & 4) != 0 && bytes_.size() < 100000) {
      tunproxy::append(bytes_, bytes.first(taken));
      progress_.schedule();
    }
    return taken;
  }
  void finish() override { finished_ = true; }
  bool finished() const override { return finished_; }
  bool ended() const override { return (seed_ & 8) != 0 && bytes_.empty(); }
  const Error* error() const override { return (seed_ & 0xf0) == 0xf0 ? &error_ : nullptr; }

 private:
  uint8_t seed_;
  bool finished_ = false;
  ByteVector bytes_;
  Error error_{ErrorCode::reset, "fuzzed"};
  std::function<void()> look_again_;
  io::Task progress_;
};

class FuzzUpstream final : public net::Proxy, public net::NameService {
 public:
  struct Waiting {
    net::Done<std::unique_ptr<net::Stream>> connected;
    net::Done<ByteVector> answered;
    ByteVector query;
    bool cancelled = false;
  };

  std::unique_ptr<net::Attempt> connect(const tunproxy::Target&,
                                        net::Done<std::unique_ptr<net::Stream>> done) override {
    return wait(Waiting{std::move(done), nullptr, {}});
  }
  std::unique_ptr<net::Attempt> exchange(const tunproxy::Endpoint&, Bytes query,
                                         net::Done<ByteVector> done) override {
    return wait(Waiting{nullptr, std::move(done), {query.begin(), query.end()}});
  }
  /// Gives everything that waits the outcome of `seed`.
  void answer(io::Loop& loop, uint8_t seed) {
    for (auto& one : std::exchange(waiting_, {})) {
      if (one->cancelled) continue;
      if (one->answered) {
        one->query.resize(one->query.size() + (seed & 1) * 2000U, seed);
        one->answered(one->query);
      } else if ((seed & 1) != 0) {
        one->connected(Error{static_cast<ErrorCode>(seed % 17), "fuzzed"});
      } else {
        one->connected(std::unique_ptr<net::Stream>(std::make_unique<FuzzStream>(loop, seed >> 1)));
      }
    }
  }

 private:
  class Cancel final : public net::Attempt {
   public:
    explicit Cancel(std::shared_ptr<Waiting> one) : one_(std::move(one)) {}
    Cancel(const Cancel&) = delete;
    Cancel& operator=(const Cancel&) = delete;
    ~Cancel() override { one_->cancelled = true; }

   private:
    std::shared_ptr<Waiting> one_;
  };

  std::unique_ptr<net::Attempt> wait(Waiting one) {
    waiting_.push_back(std::make_shared<Waiting>(std::move(one)));
    return std::make_unique<Cancel>(waiting_.back());
  }

  std::vector<std::shared_ptr<Waiting>> waiting_;
};

/// Remembers the numbers of the engine's last TCP segment, so that inputs can land in its windows.
class FuzzDevice final : public tun2socks::PacketDevice {
 public:
  explicit FuzzDevice(bool offloads) : offloads_(offloads), pool_(70000, 2) {}
  void start(tun2socks::PacketSink& sink, std::function<void(const Error&)>) override {
    sink_ = &sink;
  }
  void stop() override { sink_ = nullptr; }
  bool send(std::span<const Bytes> parts, const tun2socks::Offload&) override {
    const Bytes head = parts[0];
    const size_t ip = head[0] >> 4 == 4 ? 20 : 40;
    const uint8_t protocol = head[ip == 20 ? 9 : 6];
    if (protocol == 6 && head.size() >= ip + 20) {
      last_.assign(head.begin() + static_cast<ptrdiff_t>(ip),
                   head.begin() + static_cast<ptrdiff_t>(ip) + 20);
    }
    return true;
  }
  uint16_t mtu() const override { return 1500; }
  bool offloads() const override { return offloads_; }

  void deliver(uint8_t command, ByteVector packet) {
    if ((command & 1) != 0) adopt_numbers(packet);
    mend(packet);
    tun2socks::Offload offload;
    offload.needs_checksum = true;
    if ((command & 2) != 0) offload.segment_size = 100;
    const size_t length = packet.size();
    if ((command & 4) != 0) {
      tun2socks::PacketBuffer block = pool_.take();
      std::copy(packet.begin(), packet.end(), block.get());
      sink_->on_packet({block.get(), length}, offload, &block);
    } else {
      packet.resize(length + tun2socks::PacketSink::kPacketSlack);
      packet.shrink_to_fit();
      sink_->on_packet({packet.data(), length}, offload, nullptr);
    }
  }
  void end_batch() { sink_->on_batch_end(); }

 private:
  /// Sets sequence and acknowledgement so that the packet continues the last connection; what the
  /// input has there becomes a small offset.
  void adopt_numbers(ByteVector& packet) const {
    const size_t ip = !packet.empty() && packet[0] >> 4 == 6 ? 40 : 20;
    if (last_.empty() || packet.size() < ip + 20) return;
    uint8_t* const tcp = packet.data() + ip;
    const uint32_t acknowledged = tunproxy::load_be32(&last_[8]);
    const uint32_t sent = tunproxy::load_be32(&last_[4]);
    tunproxy::store_be32(tcp + 4,
                         acknowledged + static_cast<uint32_t>(static_cast<int8_t>(tcp[7])));
    tunproxy::store_be32(tcp + 8, sent + tcp[11] % 4);
  }
  /// The header checksum is right, or nothing gets anywhere.
  static void mend(ByteVector& packet) {
    if (packet.size() < 20 || packet[0] >> 4 != 4) return;
    const size_t header = static_cast<size_t>(packet[0] & 15) * 4;
    if (header < 20 || header > packet.size()) return;
    store_be16(&packet[10], 0);
    store_be16(&packet[10], tun2socks::checksum(Bytes(packet).first(header)));
  }

  bool offloads_;
  tun2socks::PacketBufferPool pool_;
  tun2socks::PacketSink* sink_ = nullptr;
  ByteVector last_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = tunproxy::log::configure(tunproxy::log::Level::off, "").has_value();
  if (!quiet || size < 4) return 0;
  io::Loop loop;
  FuzzDevice device((data[0] & 1) != 0);
  FuzzUpstream upstream;
  tun2socks::EngineOptions options;
  options.memory_cap = 1 << 20;
  auto engine = tun2socks::Engine::create(loop, device, upstream, &upstream, nullptr, options);
  if (!engine) return 0;
  (*engine)->start([](const Error&) {});
  Bytes input(data + 1, size - 1);
  while (input.size() >= 3) {
    const uint8_t command = input[0];
    const size_t length = std::min<size_t>(load_be16(&input[1]) % 4096, input.size() - 3);
    const Bytes packet = input.subspan(3, length);
    device.deliver(command, {packet.begin(), packet.end()});
    input = input.subspan(3 + length);
    if ((command & 8) != 0) continue;
    device.end_batch();
    if ((command & 16) != 0) upstream.answer(loop, command >> 5);
    loop.run_once(false);
  }
  device.end_batch();
  loop.run_once(false);
  if ((*engine)->stats().buffered_bytes > options.memory_cap) __builtin_trap();
  engine->reset();
  return 0;
}
