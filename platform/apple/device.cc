#include "platform/device.h"

#include <utility>

#include "platform/apple/utun_device.h"

namespace tunproxy {

std::unique_ptr<tun2socks::PacketDevice> open_device(io::Loop& loop, UniqueFd fd, uint16_t mtu) {
  return std::make_unique<apple_host::UtunDevice>(loop, std::move(fd), mtu);
}

}  // namespace tunproxy
