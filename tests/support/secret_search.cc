#include "tests/support/secret_search.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "core/base/unique_fd.h"

namespace tunproxy::testing {
namespace {

constexpr uint8_t kMask = 0x55;

/// Where it stands in `memory`, which was read from the address `from`; not counting `own`.
size_t count_in(std::string_view memory, uint64_t from, const Secret& own) {
  size_t count = 0;
  const auto own_address = reinterpret_cast<uint64_t>(own.c_str());
  for (size_t at = 0; at + own.size() <= memory.size(); ++at) {
    const void* found = ::memmem(memory.data() + at, memory.size() - at, own.c_str(), own.size());
    if (found == nullptr) break;
    at = static_cast<size_t>(static_cast<const char*>(found) - memory.data());
    if (from + at != own_address) ++count;
  }
  return count;
}

}  // namespace

std::string mask(std::string text) {
  for (char& c : text) c = static_cast<char>(c ^ kMask);
  return text;
}

Secret unmask(const std::string& masked) {
  std::string text = mask(masked);
  return Secret::take(text);
}

size_t count_in_memory(const std::string& masked) {
  constexpr uint64_t kBiggest = 512 * 1024 * 1024;  // the sanitizer's own areas are far bigger
  size_t count = 0;
  const Secret secret = unmask(masked);
  std::ifstream maps("/proc/self/maps");
  const UniqueFd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  std::string block;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    uint64_t begin = 0;
    uint64_t end = 0;
    char dash = 0;
    std::string rights;
    words >> std::hex >> begin >> dash >> end >> rights;
    if (!rights.starts_with("rw") || end - begin > kBiggest) continue;
    for (uint64_t at = begin; at < end;) {
      block.resize(std::min<uint64_t>(end - at, 1024 * 1024));
      const ssize_t n = ::pread(memory.get(), block.data(), block.size(), static_cast<off_t>(at));
      if (n <= 0) break;
      block.resize(static_cast<size_t>(n));
      count += count_in(block, at, secret);
      std::fill(block.begin(), block.end(), '\0');
      at += static_cast<uint64_t>(n);
    }
  }
  return count;
}

}  // namespace tunproxy::testing
