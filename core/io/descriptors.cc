#include "core/io/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/unique_fd.h"

namespace tunproxy::io {

int64_t descriptors_left() {
  constexpr int64_t kPlenty = INT32_MAX;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > kPlenty) return kPlenty;
  const auto all = static_cast<int64_t>(limit.rlim_cur);
  const auto reserve = std::min<int64_t>(kReservedDescriptors, all / 4);
  const UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!probe) return errno == EMFILE || errno == ENFILE ? -reserve : kPlenty;
  return all - reserve - probe.get();
}

Result<void> check_descriptors() {
  if (descriptors_left() > 0) return {};
  return Error{ErrorCode::limit, "too many open files (ulimit -n)"};
}

}  // namespace tunproxy::io
