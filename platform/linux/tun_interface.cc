#include "platform/linux/tun_interface.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/log.h"

extern "C" unsigned if_nametoindex(const char* name);  // <net/if.h> clashes with <linux/if.h>

namespace tunproxy::linux_host {
namespace {

constexpr int kIpv4Choices = 128;
constexpr int kIpv6Choices = 128;
constexpr int kNameChoices = 64;
constexpr uint8_t kShortestPrefix = 8;  // what is wider is some sort of default route
constexpr const char* kDevice = "/dev/net/tun";

bool overlap(const Cidr& a, const Cidr& b) {
  if (std::min(a.prefix, b.prefix) < kShortestPrefix) return false;
  const Cidr& wide = a.prefix < b.prefix ? a : b;
  const Cidr& narrow = a.prefix < b.prefix ? b : a;
  return wide.contains(narrow.address);
}

bool free_of(const std::vector<Cidr>& taken, const Cidr& block) {
  return std::none_of(taken.begin(), taken.end(),
                      [&](const Cidr& other) { return overlap(other, block); });
}

IpAddress ipv4_choice(int choice, uint8_t host) {
  const uint8_t bytes[4] = {198, 18, static_cast<uint8_t>(choice), host};
  return IpAddress::v4(bytes);
}

IpAddress ipv6_choice(int choice, uint8_t host) {
  const uint8_t bytes[16] = {0xfd, 't', 'u', 'n', 'p', 'r', static_cast<uint8_t>(choice), 0, 0, 0,
                             0,    0,   0,   0,   0,   host};
  return IpAddress::v6(bytes);
}

Error cannot_open(int error_number) {
  const std::string device = kDevice;
  switch (error_number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return {ErrorCode::no_permission,
              device +
                  " is missing: load the kernel module (sudo modprobe tun), or use --no-tun "
                  "--socks 127.0.0.1:1080"};
    case EACCES:
    case EPERM:
      return {ErrorCode::no_permission,
              "no permission to open " + device +
                  ": run as root (sudo), let users open it (sudo chmod 0666 " + device +
                  "), or use --no-tun --socks 127.0.0.1:1080"};
    default:
      return error_from_errno(error_number, "cannot open " + device);
  }
}

Error cannot_make(int error_number, const std::string& name) {
  if (error_number == EPERM || error_number == EACCES) {
    return {ErrorCode::no_permission,
            "no permission to make the interface " + name +
                ": run as root (sudo), tunnel one command with `-- COMMAND`, or use --no-tun "
                "--socks 127.0.0.1:1080"};
  }
  if (error_number == EBUSY || error_number == EINVAL) {
    return {ErrorCode::usage,
            "the interface " + name + " is in use: choose another name with --tun"};
  }
  return error_from_errno(error_number, "cannot make the interface " + name);
}

int set_interface(int fd, const std::string& name, int flags) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), std::min<size_t>(name.size(), IFNAMSIZ - 1));
  request.ifr_flags = static_cast<short>(flags);
  return ::ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : errno;
}

// With a vnet header the kernel hands over TCP packets of up to 64 KB with their checksums left
// open.
bool enable_offload(int fd) {
  int header_size = 10;
  return ::ioctl(fd, TUNSETVNETHDRSZ, &header_size) == 0 &&
         ::ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0;
}

Result<UniqueFd> open_device() {
  UniqueFd fd(::open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return cannot_open(errno);
  return fd;
}

Result<void> create(TunInterface& tun) {
  constexpr int kFlags = IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL;
  for (const bool with_header : {true, false}) {
    auto fd = open_device();
    if (!fd) return fd.error();
    const int failed =
        set_interface(fd->get(), tun.name, kFlags | (with_header ? IFF_VNET_HDR : 0));
    if (failed == 0 && (!with_header || enable_offload(fd->get()))) {
      tun.fd = std::move(*fd);
      tun.vnet_header = with_header;
      return {};
    }
    if (!with_header || failed == EPERM || failed == EBUSY) return cannot_make(failed, tun.name);
  }
  return {};
}

bool add_ipv6(Netlink& netlink, const TunInterface& tun) {
  auto added = netlink.add_address(tun.index, tun.addresses.ipv6, TunAddresses::kIpv6Prefix);
  if (!added) log::info("no IPv6 in the tunnel ({})", added.error().message);
  return added.has_value();
}

}  // namespace

Result<TunAddresses> choose_addresses(const std::vector<Cidr>& taken) {
  TunAddresses chosen;
  int v4 = 0;
  while (v4 < kIpv4Choices && !free_of(taken, {ipv4_choice(v4, 0), TunAddresses::kIpv4Prefix}))
    ++v4;
  int v6 = 0;
  while (v6 < kIpv6Choices && !free_of(taken, {ipv6_choice(v6, 0), TunAddresses::kIpv6Prefix}))
    ++v6;
  if (v4 == kIpv4Choices || v6 == kIpv6Choices) {
    return Error{
        ErrorCode::general,
        "no free addresses for the tunnel: 198.18.0.0/17 or fd74:756e:7072::/48 is in use"};
  }
  chosen.ipv4 = ipv4_choice(v4, 1);
  chosen.resolver = ipv4_choice(v4, 2);
  chosen.ipv6 = ipv6_choice(v6, 1);
  return chosen;
}

Result<std::string> choose_tun_name(const std::string& wanted) {
  const bool bad = wanted.size() >= IFNAMSIZ || wanted == "." || wanted == ".." ||
                   std::any_of(wanted.begin(), wanted.end(), [](unsigned char c) {
                     return c <= ' ' || c >= 0x7f || c == '/' || c == ':' || c == '%';
                   });
  if (bad) {
    return Error{ErrorCode::usage, "--tun " + wanted +
                                       ": an interface name has 1 to 15 characters, "
                                       "none of them a space, '/', ':' or '%'"};
  }
  if (!wanted.empty()) {
    if (if_nametoindex(wanted.c_str()) != 0) return cannot_make(EBUSY, wanted);
    return wanted;
  }
  std::string name = kDefaultTunName;
  for (int n = 0; n < kNameChoices; ++n) {
    name.replace(name.find_first_of("0123456789"), std::string::npos, std::to_string(n));
    if (if_nametoindex(name.c_str()) == 0) return name;
  }
  return cannot_make(EBUSY, name);
}

Result<TunInterface> make_tun(Netlink& netlink, const std::string& name, uint16_t mtu,
                              const TunAddresses& addresses) {
  TunInterface tun;
  tun.name = name;
  tun.mtu = mtu;
  tun.addresses = addresses;
  if (auto created = create(tun); !created) return created.error();
  tun.index = static_cast<int>(if_nametoindex(name.c_str()));
  if (auto up = netlink.bring_up(tun.index, mtu); !up) return up.error();
  auto added = netlink.add_address(tun.index, addresses.ipv4, TunAddresses::kIpv4Prefix);
  if (!added) return added.error();
  tun.ipv6 = add_ipv6(netlink, tun);
  return tun;
}

}  // namespace tunproxy::linux_host
