#include "tests/c_api/place.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int places_there_are(void) {
  if (getenv("TEST_NAMESPACES") != NULL) return 1;
  fprintf(stderr, "left out: it needs root, for network namespaces\n");
  return 0;
}

/* --- in a thread of the place --- */

struct call {
  struct place *place;
  int (*function)(void *);
  void *argument;
  int outcome;
};

static void *run_call(void *argument) {
  struct call *call = argument;
  call->outcome = setns(call->place->namespace, CLONE_NEWNET) == 0 && call->function(call->argument);
  return NULL;
}

int place_run(struct place *place, int (*function)(void *), void *argument) {
  struct call call = {place, function, argument, 0};
  pthread_t thread;
  if (pthread_create(&thread, NULL, run_call, &call) != 0) return 0;
  pthread_join(thread, NULL);
  return call.outcome;
}

static int run_command(void *command) {
  return system(command) == 0;
}

int place_command(struct place *place, const char *command) {
  return place_run(place, run_command, (void *)(uintptr_t)command);
}

/* --- opening it --- */

static int open_tun(void) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strcpy(request.ifr_name, "tp0");
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) == 0) return fd;
  close(fd);
  return -1;
}

static void *make(void *argument) {
  struct place *place = argument;
  if (unshare(CLONE_NEWNET) != 0) return perror("unshare"), NULL;
  place->namespace = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  place->tun = open_tun();
  if (place->tun < 0) return perror("tp0"), NULL;
  const int up = system(
      "ip link set lo up && ip link set tp0 txqueuelen 2000 up && ip address add 10.9.0.1/24 dev tp0 && "
      "ip -6 address add fd09::1/64 dev tp0 nodad && ip route add default dev tp0 && ip -6 route add default dev tp0");
  return up == 0 ? place : NULL;
}

int place_open(struct place *place) {
  memset(place, 0, sizeof *place);
  place->tun = place->namespace = -1;
  pthread_t thread;
  void *made = NULL;
  if (pthread_create(&thread, NULL, make, place) != 0) return 0;
  pthread_join(thread, &made);
  return made != NULL;
}

void place_close(struct place *place) {
  if (place->tun >= 0) close(place->tun);
  if (place->namespace >= 0) close(place->namespace);
}

/* --- packets --- */

enum { BATCH = 64, LONGEST = 2048 };

/* A full queue is the interface's to hold up. */
static void hand_over(struct place *place, const tunproxy_packet *packets, size_t count) {
  size_t done = 0;
  while (done < count && !__atomic_load_n(&place->ending, __ATOMIC_ACQUIRE)) {
    size_t taken = 0;
    if (tunproxy_push_packets(place->tunnel, packets + done, count - done, &taken) != TUNPROXY_OK) return;
    done += taken;
    if (done < count) poll(NULL, 0, 1);
  }
}

static void *pump(void *argument) {
  struct place *place = argument;
  static _Thread_local uint8_t bytes[BATCH][LONGEST];
  tunproxy_packet packets[BATCH];
  struct pollfd readable = {.fd = place->tun, .events = POLLIN};
  while (!__atomic_load_n(&place->ending, __ATOMIC_ACQUIRE)) {
    if (poll(&readable, 1, 50) <= 0) continue;
    size_t count = 0;
    for (; count < BATCH; ++count) {
      const ssize_t length = read(place->tun, bytes[count], LONGEST);
      if (length <= 0) break;
      packets[count] = (tunproxy_packet){bytes[count], (size_t)length};
    }
    hand_over(place, packets, count);
  }
  return NULL;
}

void place_start_pump(struct place *place, tunproxy_tunnel *tunnel) {
  place->tunnel = tunnel;
  place->ending = 0;
  pthread_create(&place->pump, NULL, pump, place);
}

void place_stop_pump(struct place *place) {
  __atomic_store_n(&place->ending, 1, __ATOMIC_RELEASE);
  pthread_join(place->pump, NULL);
}
