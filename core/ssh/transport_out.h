// OutBuffer: encrypted bytes on their way to the connection.
#pragma once

#include <cstddef>
#include <vector>

#include "core/base/bytes.h"

namespace tunproxy::ssh {

/// First in, first out, contiguous. Unlike base's ByteQueue it keeps its memory when it runs empty:
/// it does so thousands of times a second, and there is one a session.
class OutBuffer {
 public:
  void append(Bytes bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  Bytes front() const { return Bytes(bytes_).subspan(head_); }
  size_t size() const { return bytes_.size() - head_; }
  bool empty() const { return size() == 0; }
  void consume(size_t n);  ///< REQUIRES: n <= size()

 private:
  ByteVector bytes_;
  size_t head_ = 0;
};

inline void OutBuffer::consume(size_t n) {
  head_ += n;
  if (head_ == bytes_.size()) {
    bytes_.clear();
    head_ = 0;
  } else if (head_ >= bytes_.size() - head_) {  // moves less than it frees
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace tunproxy::ssh
