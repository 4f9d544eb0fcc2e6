/* A VPN in 60 lines: carries the packets of a TUN interface that is there and up through an SSH account.
 *
 *   ip tuntap add dev demo0 mode tun && ip address add 10.9.0.1/24 dev demo0 && ip link set demo0 up
 *   vpn demo0 user@host known-hosts=$HOME/.ssh/known_hosts identity=$HOME/.ssh/id_ed25519 [KEY=VALUE…]
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

static int failed;

static void on_log(void *file, tunproxy_log_level level, const char *line) {
  fprintf(file, "%d %s\n", level, line);
}

static void on_state(void *file, tunproxy_state state, tunproxy_result reason, const char *text) {
  fprintf(file, "state %d: %s %s\n", state, tunproxy_strerror(reason), text);
  if (state != TUNPROXY_FAILED) return;
  __atomic_store_n(&failed, 1, __ATOMIC_RELEASE);
  kill(getpid(), SIGTERM); /* main() waits for it: nothing is stopped from a callback */
}

static int open_tun(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  return fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0 ? fd : -1;
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: vpn TUN USER@HOST [KEY=VALUE...]\n"), 2;
  tunproxy_callbacks callbacks = {.size = sizeof callbacks, .user = stderr, .log = on_log, .state = on_state};
  tunproxy_tunnel *tunnel = NULL;
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  sigprocmask(SIG_BLOCK, &ending, NULL);
  int fd = open_tun(argv[1]), result = tunproxy_create(&callbacks, &tunnel), number = 0;
  if (fd < 0) return perror(argv[1]), 1;
  if (result == TUNPROXY_OK) result = tunproxy_set(tunnel, "ssh", argv[2]);
  for (int i = 3; i < argc && result == TUNPROXY_OK; ++i) {
    char *value = strchr(argv[i], '=');
    if (value == NULL) return fprintf(stderr, "%s: no KEY=VALUE\n", argv[i]), 2;
    *value++ = '\0';
    result = tunproxy_set(tunnel, argv[i], value);
  }
  if (result == TUNPROXY_OK) result = tunproxy_start_fd(tunnel, fd, 1500);
  if (result == TUNPROXY_OK) sigwait(&ending, &number);
  if (result != TUNPROXY_OK) fprintf(stderr, "vpn: %s\n", tunproxy_error_text());
  tunproxy_destroy(tunnel);
  return result != TUNPROXY_OK || __atomic_load_n(&failed, __ATOMIC_ACQUIRE);
}
