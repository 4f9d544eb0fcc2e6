// PacketBuffer: a block of memory that packets are received into and that can be kept, without a
// copy, for as long as somebody needs the packet; and the pool that the blocks come from and go
// home to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tunproxy::tun2socks {

class PacketBufferPool;

struct PacketBufferReturn {
  PacketBufferPool* pool = nullptr;
  void operator()(uint8_t* block) const;
};

/// Destroying it sends the block home. REQUIRES: it does not outlive its pool.
using PacketBuffer = std::unique_ptr<uint8_t[], PacketBufferReturn>;

/// Blocks of one size. Keeps a few that came home, so that a steady flow of packets allocates
/// nothing.
class PacketBufferPool {
 public:
  PacketBufferPool(size_t block_size, size_t keep) : block_size_(block_size), keep_(keep) {}
  PacketBufferPool(const PacketBufferPool&) = delete;
  PacketBufferPool& operator=(const PacketBufferPool&) = delete;

  PacketBuffer take() {
    std::unique_ptr<uint8_t[]> block;
    if (home_.empty()) {
      block.reset(new uint8_t[block_size_]);
    } else {
      block = std::move(home_.back());
      home_.pop_back();
    }
    return {block.release(), PacketBufferReturn{this}};
  }
  size_t block_size() const { return block_size_; }

 private:
  friend struct PacketBufferReturn;

  void come_home(std::unique_ptr<uint8_t[]> block) {
    if (home_.size() < keep_) home_.push_back(std::move(block));
  }

  size_t block_size_;
  size_t keep_;
  std::vector<std::unique_ptr<uint8_t[]>> home_;
};

inline void PacketBufferReturn::operator()(uint8_t* block) const {
  pool->come_home(std::unique_ptr<uint8_t[]>(block));
}

}  // namespace tunproxy::tun2socks
