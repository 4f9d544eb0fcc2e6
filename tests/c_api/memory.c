/* c_api_memory TUN USER@HOST [KEY=VALUE...]: the library over a TUN, for tools/bench/bench_memory.py to look at from
 * outside.
 *
 * Prints what is resident before there is an instance (KB), and `online` when it is; ends with its standard input. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bindings/c/tunproxy.h"

static void on_log(void *user, tunproxy_log_level level, const char *line) {
  (void)user;
  fprintf(stderr, "%d %s\n", level, line);
}

static void on_state(void *user, tunproxy_state state, tunproxy_result reason, const char *text) {
  (void)user;
  (void)reason;
  if (state == TUNPROXY_ONLINE) puts("online");
  if (state == TUNPROXY_FAILED) printf("failed: %s\n", text);
}

static void check(int result) {
  if (result == TUNPROXY_OK) return;
  fprintf(stderr, "c_api_memory: %s\n", tunproxy_error_text());
  exit(1);
}

static long resident_kilobytes(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) exit(1);
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: c_api_memory TUN USER@HOST [KEY=VALUE...]\n"), 2;
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strncpy(request.ifr_name, argv[1], sizeof request.ifr_name - 1);
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) return perror(argv[1]), 1;
  printf("%ld KB\n", resident_kilobytes());
  const tunproxy_callbacks callbacks = {.size = sizeof callbacks, .log = on_log, .state = on_state};
  tunproxy_tunnel *tunnel = NULL;
  check(tunproxy_create(&callbacks, &tunnel));
  check(tunproxy_set(tunnel, "ssh", argv[2]));
  for (int i = 3; i < argc; ++i) {
    char *value = strchr(argv[i], '=');
    if (value == NULL) return fprintf(stderr, "%s: no KEY=VALUE\n", argv[i]), 2;
    *value++ = '\0';
    check(tunproxy_set(tunnel, argv[i], value));
  }
  check(tunproxy_start_fd(tunnel, fd, 1500));
  while (getchar() != EOF) {
  }
  check(tunproxy_destroy(tunnel));
  return 0;
}
