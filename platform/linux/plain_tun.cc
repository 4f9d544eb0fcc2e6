#include "platform/linux/plain_tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace tunproxy::linux_host {
namespace {

Error cannot_open(int error_number, const std::string& name) {
  if (error_number == EPERM || error_number == EACCES) {
    return {ErrorCode::no_permission,
            "no permission to open the interface " + name + ": run it as root (sudo)"};
  }
  return error_from_errno(error_number, "opening the interface " + name);
}

}  // namespace

Result<UniqueFd> open_plain_tun(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return Error{ErrorCode::usage, "'" + name + "' is no name for an interface: 1 to 15 bytes"};
  }
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return cannot_open(errno, name);
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return cannot_open(errno, name);
  return fd;
}

}  // namespace tunproxy::linux_host
