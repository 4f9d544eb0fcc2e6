// The packet device over a descriptor that an app hands over, as its system makes them.
#pragma once

#include <memory>

#include "core/base/unique_fd.h"
#include "core/io/loop.h"
#include "tun2socks/packet_device.h"

namespace tunproxy {

/// Linux and Android: a TUN without packet information and without virtio headers. Apple's systems:
/// a utun.
std::unique_ptr<tun2socks::PacketDevice> open_device(io::Loop& loop, UniqueFd fd, uint16_t mtu);

}  // namespace tunproxy
