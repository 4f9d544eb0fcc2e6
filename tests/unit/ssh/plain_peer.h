// An SSH server of the tests' own making that speaks no cipher, for what no real server would say.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/ssh/channel_message.h"
#include "core/ssh/channel_mux.h"
#include "core/ssh/transport.h"
#include "tests/support/memory_stream.h"

namespace tunproxy::testing {

/// Before the first key exchange packets are plain (RFC 4253 §6): a mux may be put on a Transport
/// that never exchanged keys, and this is the other end of its stream.
class PlainPeer {
 public:
  explicit PlainPeer(std::unique_ptr<MemoryStream> stream) : stream_(std::move(stream)) {}

  /// Sends one packet.
  void say(Bytes payload) {
    constexpr size_t kBlock = 8, kHead = 5, kLeast = 4;
    const size_t padding = kLeast + (kBlock - (kHead + payload.size() + kLeast) % kBlock) % kBlock;
    const auto length = static_cast<uint32_t>(1 + payload.size() + padding);
    ByteVector packet(4);
    store_be32(packet.data(), length);
    packet.push_back(static_cast<uint8_t>(padding));
    append(packet, payload);
    packet.resize(packet.size() + padding);
    unsent_.insert(unsent_.end(), packet.begin(), packet.end());
    flush();
  }
  void flush() {
    const size_t taken = stream_->write(unsent_);
    unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<ptrdiff_t>(taken));
  }

  /// The payloads of the packets that came.
  std::vector<ByteVector> hear() {
    append(heard_, as_bytes(stream_->read_all()));
    std::vector<ByteVector> payloads;
    while (heard_.size() >= 5) {
      const size_t length = load_be32(heard_.data());
      if (heard_.size() < 4 + length) break;
      const size_t payload = length - 1 - heard_[4];
      payloads.emplace_back(heard_.begin() + 5,
                            heard_.begin() + 5 + static_cast<ptrdiff_t>(payload));
      heard_.erase(heard_.begin(), heard_.begin() + 4 + static_cast<ptrdiff_t>(length));
    }
    return payloads;
  }
  void leave() { stream_.reset(); }

 private:
  std::unique_ptr<MemoryStream> stream_;
  ByteVector heard_;
  ByteVector unsent_;
};

/// A mux, and the peer that it talks to.
struct PlainConnection {
  explicit PlainConnection(io::Loop& loop, Duration open_timeout = 5s) {
    auto [ours, theirs] = MemoryStream::make_pair(loop, {.capacity = 1 << 20});
    peer = std::make_unique<PlainPeer>(std::move(theirs));
    mux = std::make_unique<ssh::ChannelMux>(
        loop, std::move(ours), std::move(*ssh::Transport::create({.host_keys = "ssh-ed25519"})),
        std::make_shared<ssh::WindowShare>(loop.memory()), open_timeout,
        [this](const Error& error) { lost = error; });
  }

  std::unique_ptr<PlainPeer> peer;
  std::unique_ptr<ssh::ChannelMux> mux;
  std::optional<Error> lost;
};

}  // namespace tunproxy::testing
