#include "tunproxy_utun.h"

#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Of <sys/kern_control.h> and <sys/sys_domain.h>, which not every SDK has. */
struct control_info {
  uint32_t id;
  char name[96];
};
struct control_address {
  unsigned char length;
  unsigned char family;
  uint16_t system;
  uint32_t id;
  uint32_t unit;
  uint32_t reserved[5];
};
enum { kSystemFamily = 32, kMostDescriptors = 1024 };
#define GET_CONTROL_INFO _IOWR('N', 3, struct control_info)

static int is_utun(int fd) {
  struct control_address address;
  struct control_info info;
  socklen_t length = sizeof address;
  memset(&address, 0, sizeof address);
  memset(&info, 0, sizeof info);
  strcpy(info.name, "com.apple.net.utun_control");
  return getpeername(fd, (struct sockaddr *)&address, &length) == 0 && address.family == kSystemFamily &&
         ioctl(fd, GET_CONTROL_INFO, &info) == 0 && address.id == info.id;
}

int tunproxy_find_utun(void) {
  for (int fd = 0; fd < kMostDescriptors; ++fd) {
    if (is_utun(fd)) return fd;
  }
  return -1;
}
