/* Devices: descriptors of a real TUN, and of what is none. */
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/mover.h"
#include "tests/c_api/place.h"
#include "tests/c_api/traffic.h"

static int is_there(const char *interface) {
  return if_nametoindex(interface) != 0;
}
static int there(void *argument) {
  (void)argument;
  return is_there("tp0");
}
static int gone(void *argument) {
  (void)argument;
  for (int i = 0; i < 1000 && is_there("tp0"); ++i) poll(NULL, 0, 10);
  return !is_there("tp0");
}

/* Taken on success and closed at the end; the caller's on failure. */
void test_descriptors(void) {
  if (!places_there_are()) return;
  struct ear ear;
  struct place place;
  struct server server;
  CHECK(server_start(&server, FAR_END));
  CHECK(place_open(&place));
  tunproxy_tunnel *tunnel = NULL;
  OK(tunproxy_create(NULL, &tunnel));
  CHECK(tunproxy_start_fd(tunnel, place.tun, 1500) == TUNPROXY_ERROR_CONFIG);
  CHECK(tunproxy_start_fd(tunnel, place.tun, 100) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(fcntl(place.tun, F_GETFD) >= 0);
  destroy(tunnel);
  CHECK(fcntl(place.tun, F_GETFD) >= 0);
  tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_start_fd(tunnel, place.tun, 1500));
  CHECK(tunproxy_push_packets(tunnel, NULL, 0, NULL) == TUNPROXY_ERROR_STATE);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(place_run(&place, traffic_goes, &server));
  CHECK(place_run(&place, there, NULL));
  stop(tunnel);
  CHECK(fcntl(place.tun, F_GETFD) < 0);
  CHECK(place_run(&place, gone, NULL)); /* with its last descriptor */
  place.tun = -1;
  destroy(tunnel);
  place_close(&place);
  server_stop(&server);
}

/* Before anything is done with it, if that can be seen; else it is a failure like others. */
void test_a_device_that_is_none(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  int ends[2];
  const int file = open(getenv("TEST_KEY"), O_RDONLY);
  CHECK(tunproxy_start_fd(tunnel, file, 1500) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(fcntl(file, F_GETFD) >= 0);
  close(file);
  CHECK(tunproxy_start_fd(tunnel, file, 1500) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(pipe(ends) == 0);
  CHECK(tunproxy_start_fd(tunnel, ends[0], 1500) == TUNPROXY_ERROR_ARGUMENT);
  close(ends[0]);
  close(ends[1]);
  OK(tunproxy_start_fd(tunnel, open("/dev/null", O_RDWR), 1500)); /* not even for waiting */
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear_reason(&ear) == TUNPROXY_ERROR_DEVICE);
  stop(tunnel);
  CHECK(ear_times(&ear, TUNPROXY_ONLINE) == 0);
  destroy(tunnel);
}

void test_a_device_that_goes(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  OK(tunproxy_start_fd(tunnel, ends[0], 1500));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  close(ends[1]);
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear_reason(&ear) == TUNPROXY_ERROR_DEVICE);
  stop(tunnel);
  if (places_there_are()) {
    struct place place;
    CHECK(place_open(&place));
    const int before = ear_states(&ear);
    OK(tunproxy_start_fd(tunnel, place.tun, 1500));
    place.tun = -1;
    CHECK(ear_wait_state_since(&ear, before, TUNPROXY_ONLINE));
    CHECK(place_command(&place, "ip link delete tp0"));
    CHECK(ear_wait_state_since(&ear, before, TUNPROXY_FAILED));
    CHECK(ear_reason(&ear) == TUNPROXY_ERROR_DEVICE);
    stop(tunnel);
    place_close(&place);
  }
  CHECK(ear_times(&ear, TUNPROXY_FAILED) == (places_there_are() ? 2 : 1));
  destroy(tunnel);
}

/* Each by its own server: the second one's permits FAR_END, but not this. */
#define FORBIDDEN_BY_SERVER_2 "192.0.2.3"

static int dial_forbidden(void *argument) {
  const struct server *server = argument;
  const int fd = dial(FORBIDDEN_BY_SERVER_2, server->port);
  if (fd < 0) return 0;
  const int good = begin_echo(fd);
  close(fd);
  return good;
}

void test_two_devices(void) {
  if (!places_there_are()) return;
  static struct mover mover;
  struct ear ear;
  struct place place;
  struct server server, forbidden;
  CHECK(server_start(&server, FAR_END));
  CHECK(server_start(&forbidden, FORBIDDEN_BY_SERVER_2));
  mover_start(&mover, "TEST_SERVER_2");
  CHECK(place_open(&place));
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_start_fd(tunnel, place.tun, 1500));
  place.tun = -1;
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(place_run(&place, traffic_goes, &server));
  CHECK(place_run(&mover.place, traffic_goes, &server));
  CHECK(place_run(&place, dial_forbidden, &forbidden));
  CHECK(!place_run(&mover.place, dial_forbidden, &forbidden));
  mover_end(&mover);
  CHECK(place_run(&place, traffic_goes, &server));
  destroy(tunnel);
  place_close(&place);
  server_stop(&server);
  server_stop(&forbidden);
}
