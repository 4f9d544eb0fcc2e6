/* The sockets that go beside the tunnel, and the names that they need. */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/place.h"
#include "tests/c_api/traffic.h"

/* --- what the library calls, watched: the linker takes these instead of the C library's --- */

enum { MOST = 4096 };
static int fresh[MOST];       /* a socket that nobody has protected yet */
static int watching;          /* only while a test wants it */
static int gone_out, unprotected, protected_late;

static int is_network(int family) {
  return family == AF_INET || family == AF_INET6;
}

#define INSTEAD_OF(name) __asm__(name) __attribute__((visibility("default")))
int watched_socket(int family, int type, int protocol) INSTEAD_OF("socket");
int watched_connect(int fd, const struct sockaddr *address, socklen_t length) INSTEAD_OF("connect");
int watched_bind(int fd, const struct sockaddr *address, socklen_t length) INSTEAD_OF("bind");

int watched_socket(int family, int type, int protocol) {
  const int fd = (int)syscall(SYS_socket, family, type, protocol);
  if (fd >= 0 && fd < MOST) __atomic_store_n(&fresh[fd], is_network(family), __ATOMIC_SEQ_CST);
  return fd;
}

static void goes_out(int fd) {
  if (!__atomic_load_n(&watching, __ATOMIC_SEQ_CST)) return;
  __atomic_add_fetch(&gone_out, 1, __ATOMIC_SEQ_CST);
  if (fd < MOST && __atomic_load_n(&fresh[fd], __ATOMIC_SEQ_CST)) __atomic_add_fetch(&unprotected, 1, __ATOMIC_SEQ_CST);
}

int watched_connect(int fd, const struct sockaddr *address, socklen_t length) {
  if (is_network(address->sa_family)) goes_out(fd);
  return (int)syscall(SYS_connect, fd, address, length);
}

/* Of datagrams outside the tunnel: the library binds such a socket before it sends. */
int watched_bind(int fd, const struct sockaddr *address, socklen_t length) {
  int type = 0;
  socklen_t size = sizeof type;
  getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
  if (type == SOCK_DGRAM && is_network(address->sa_family)) goes_out(fd);
  return (int)syscall(SYS_bind, fd, address, length);
}

static int protect(void *user, int fd) {
  struct ear *ear = user;
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0) __atomic_add_fetch(&protected_late, 1, __ATOMIC_SEQ_CST);
  if (fd < MOST) __atomic_store_n(&fresh[fd], 0, __ATOMIC_SEQ_CST);
  pthread_mutex_lock(&ear->mutex);
  ++ear->calls[EAR_PROTECT];
  pthread_mutex_unlock(&ear->mutex);
  return 0;
}

static int ask_by_udp(void *server) {
  const int fd = datagram_echo("192.0.2.1", ((const struct server *)server)->port);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

/* All sessions, TCP and UDP that go direct, and what is made again after a loss. */
void test_every_socket_is_protected(void) {
  if (!places_there_are()) return;
  struct ear ear;
  struct place place;
  struct server direct, server;
  ear_init(&ear);
  tunproxy_callbacks callbacks = ear_callbacks(&ear);
  callbacks.protect_socket = protect;
  tunproxy_tunnel *tunnel = make_with(&ear, "TEST_SERVER_1", &callbacks);
  CHECK(server_start(&direct, "192.0.2.1"));
  CHECK(server_start(&server, "192.0.2.1"));
  CHECK(place_open(&place));
  ear.tun = place.tun;
  char rule[64];
  snprintf(rule, sizeof rule, "direct 192.0.2.1:%d", direct.port);
  OK(tunproxy_set(tunnel, "rule", rule));
  __atomic_store_n(&watching, 1, __ATOMIC_SEQ_CST);
  OK(tunproxy_start_packets(tunnel, 1500));
  place_start_pump(&place, tunnel);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(ear_wait_log(&ear, "UDP: carried")); /* that connection is there */
  CHECK(place_run(&place, ask_by_udp, &direct));
  CHECK(place_run(&place, ask_by_udp, &server));
  int apps[16];
  for (int i = 0; i < 16; ++i) {
    apps[i] = dial_socks(ear.listener, "192.0.2.1", i % 4 == 0 ? direct.port : server.port);
    CHECK(apps[i] >= 0 && begin_echo(apps[i]));
  }
  const int before = ear_calls(&ear, EAR_PROTECT);
  CHECK(kill(getppid(), SIGUSR1) == 0); /* c_api_driver kills all connections of server 1 */
  for (int i = 0; i < 6000 && ear_calls(&ear, EAR_PROTECT) < before + 2; ++i) poll(NULL, 0, 10);
  for (int i = 0; i < 60 && !words_go_through(ear.listener); ++i) poll(NULL, 0, 100);
  CHECK(words_go_through(ear.listener));
  stop(tunnel);
  place_stop_pump(&place);
  __atomic_store_n(&watching, 0, __ATOMIC_SEQ_CST);
  CHECK(__atomic_load_n(&unprotected, __ATOMIC_SEQ_CST) == 0);
  CHECK(protected_late == 0);
  /* Two sessions, twice; four connections and an association that go direct. */
  CHECK(__atomic_load_n(&gone_out, __ATOMIC_SEQ_CST) >= 9);
  CHECK(ear_calls(&ear, EAR_PROTECT) >= 9);
  for (int i = 0; i < 16; ++i) close(apps[i]);
  destroy(tunnel);
  place_close(&place);
  server_stop(&direct);
  server_stop(&server);
}

void test_refused_sockets(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  ear.refuse_sockets = 1;
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear_said(&ear, "refused to protect"));
  destroy(tunnel);
  CHECK(ear_times(&ear, TUNPROXY_AUTHENTICATING) == 0);
}

/* The look-up that comes before there is a tunnel is the program's. */
void test_names_by_the_program(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  const char *port = strrchr(getenv("TEST_SERVER_1"), ':') + 1;
  char server[256], alias[64];
  snprintf(server, sizeof server, "%s@server.invalid:%s", getenv("TEST_USER"), port);
  snprintf(alias, sizeof alias, "[127.0.0.1]:%s", port);
  OK(tunproxy_set(tunnel, "ssh", server));
  OK(tunproxy_set(tunnel, "host-key-alias", alias));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear_said(&ear, "cannot resolve server.invalid"));
  stop(tunnel);
  ear.address = "127.0.0.1";
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(strcmp(ear.resolved, "server.invalid") == 0);
  CHECK(words_go_through(ear.listener));
  destroy(tunnel);
}
