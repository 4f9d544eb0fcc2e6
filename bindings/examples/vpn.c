/* A VPN in a page: opens a TUN interface that is there and up, and carries its packets through an SSH account.
 *
 *   ip tuntap add dev demo0 mode tun && ip address add 10.9.0.1/24 dev demo0 && ip link set demo0 up
 *   vpn demo0 user@host [KEY=VALUE…]
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tunproxy.h"

static void on_log(void *user, tunproxy_log_level level, const char *line) {
  (void)user;
  (void)level;
  fprintf(stderr, "%s\n", line);
}

static void on_state(void *user, tunproxy_state state, tunproxy_result reason, const char *text) {
  (void)user;
  fprintf(stderr, "state %d: %s %s\n", state, tunproxy_strerror(reason), text);
  if (state == TUNPROXY_FAILED) raise(SIGTERM);
}

static int open_tun(const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) == 0) return fd;
  close(fd);
  return -1;
}

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, tunproxy_error_text());
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: vpn TUN USER@HOST [KEY=VALUE...]\n"), 2;
  tunproxy_callbacks callbacks = {.size = sizeof callbacks, .log = on_log, .state = on_state};
  tunproxy_tunnel *tunnel = NULL;
  if (tunproxy_create(&callbacks, &tunnel) != TUNPROXY_OK) return fail("create");
  if (tunproxy_set(tunnel, "ssh", argv[2]) != TUNPROXY_OK) return fail("ssh");
  for (int i = 3; i < argc; ++i) {
    char *value = strchr(argv[i], '=');
    if (value == NULL) return fprintf(stderr, "%s: no KEY=VALUE\n", argv[i]), 2;
    *value++ = '\0';
    if (tunproxy_set(tunnel, argv[i], value) != TUNPROXY_OK) return fail(argv[i]);
  }
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  sigprocmask(SIG_BLOCK, &ending, NULL);

  int fd = open_tun(argv[1]);
  if (fd < 0) return perror(argv[1]), 1;
  if (tunproxy_start_fd(tunnel, fd, 1500) != TUNPROXY_OK) return fail("start");
  int number = 0;
  sigwait(&ending, &number);
  tunproxy_destroy(tunnel);
  return 0;
}
