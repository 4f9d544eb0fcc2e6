#include "platform/device.h"

#include <utility>

#include "platform/linux/tun_device.h"

namespace tunproxy {

std::unique_ptr<tun2socks::PacketDevice> open_device(io::Loop& loop, UniqueFd fd, uint16_t mtu) {
  return std::make_unique<linux_host::TunDevice>(loop, std::move(fd), mtu, /*vnet_hdr=*/false);
}

}  // namespace tunproxy
