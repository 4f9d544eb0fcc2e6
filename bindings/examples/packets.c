/* The same in packet mode: the program moves the packets between a TUN interface and the tunnel itself, as an app does
 * whose system hands it packets and no descriptor.
 *
 *   packets TUN USER@HOST [KEY=VALUE…]
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tunproxy.h"

enum { kBatch = 32, kLongest = 65536 };

static volatile sig_atomic_t ending, failed;

static void on_signal(int number) {
  failed = number == SIGUSR1;
  ending = 1;
}

static void on_log(void *user, tunproxy_log_level level, const char *line) {
  (void)user;
  (void)level;
  fprintf(stderr, "%s\n", line);
}

static void on_state(void *user, tunproxy_state state, tunproxy_result reason, const char *text) {
  (void)user;
  fprintf(stderr, "state %d: %s %s\n", state, tunproxy_strerror(reason), text);
  if (state == TUNPROXY_FAILED) kill(getpid(), SIGUSR1);
}

/* From the tunnel's thread. What the interface has no room for is dropped, as on any network. */
static void on_packets(void *user, const tunproxy_packet *packets, size_t count) {
  const int fd = *(const int *)user;
  for (size_t i = 0; i < count; ++i) {
    if (write(fd, packets[i].data, packets[i].length) < 0) continue;
  }
}

static int open_tun(const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  return fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0 ? fd : -1;
}

/* Reads what is there, and hands it over until all is taken: a full queue is the interface's to hold up. */
static void move_packets(tunproxy_tunnel *tunnel, int fd) {
  static uint8_t bytes[kBatch][kLongest];
  tunproxy_packet packets[kBatch];
  size_t count = 0;
  while (count < kBatch) {
    const ssize_t length = read(fd, bytes[count], kLongest);
    if (length <= 0) break;
    packets[count].data = bytes[count];
    packets[count].length = (size_t)length;
    ++count;
  }
  size_t done = 0;
  while (done < count && !ending) {
    size_t taken = 0;
    if (tunproxy_push_packets(tunnel, packets + done, count - done, &taken) != TUNPROXY_OK) return;
    done += taken;
    if (done < count) poll(NULL, 0, 1);
  }
}

static int fail(tunproxy_tunnel *tunnel, const char *what) {
  fprintf(stderr, "%s: %s\n", what, tunproxy_error_text());
  tunproxy_destroy(tunnel);
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: packets TUN USER@HOST [KEY=VALUE...]\n"), 2;
  int fd = open_tun(argv[1]);
  if (fd < 0) return perror(argv[1]), 1;
  tunproxy_callbacks callbacks = {.size = sizeof callbacks,
                                  .user = &fd,
                                  .log = on_log,
                                  .state = on_state,
                                  .write_packets = on_packets};
  tunproxy_tunnel *tunnel = NULL;
  if (tunproxy_create(&callbacks, &tunnel) != TUNPROXY_OK) return fail(tunnel, "create");
  if (tunproxy_set(tunnel, "ssh", argv[2]) != TUNPROXY_OK) return fail(tunnel, "ssh");
  for (int i = 3; i < argc; ++i) {
    char *value = strchr(argv[i], '=');
    if (value == NULL) return fprintf(stderr, "%s: no KEY=VALUE\n", argv[i]), 2;
    *value++ = '\0';
    if (tunproxy_set(tunnel, argv[i], value) != TUNPROXY_OK) return fail(tunnel, argv[i]);
  }
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  signal(SIGUSR1, on_signal);
  if (tunproxy_start_packets(tunnel, 1500) != TUNPROXY_OK) return fail(tunnel, "start");
  struct pollfd readable = {.fd = fd, .events = POLLIN};
  while (!ending) {
    if (poll(&readable, 1, 1000) > 0) move_packets(tunnel, fd);
  }
  tunproxy_destroy(tunnel);
  close(fd);
  return failed;
}
