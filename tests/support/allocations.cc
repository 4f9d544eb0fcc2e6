#include "tests/support/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> live{0};
constexpr size_t kHeader = alignof(std::max_align_t);

void* allocate(size_t size) {
  auto* const block = static_cast<char*>(std::malloc(size + kHeader));
  if (block == nullptr) throw std::bad_alloc();
  *reinterpret_cast<size_t*>(block) = size;
  live += size + kHeader;  // an allocator's own share
  return block + kHeader;
}

void release(void* pointer) {
  if (pointer == nullptr) return;
  char* const block = static_cast<char*>(pointer) - kHeader;
  live -= *reinterpret_cast<size_t*>(block) + kHeader;
  std::free(block);
}

}  // namespace

void* operator new(size_t size) {
  return allocate(size);
}
void operator delete(void* pointer) noexcept {
  release(pointer);
}
void operator delete(void* pointer, size_t) noexcept {
  release(pointer);
}

namespace tunproxy::testing {

size_t allocated() {
  return live;
}

}  // namespace tunproxy::testing
