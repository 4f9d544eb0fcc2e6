/* Callbacks that call in, and none after the end. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/mover.h"
#include "tests/c_api/place.h"
#include "tests/c_api/traffic.h"


/* Stop, destroy and start are refused; the rest is answered. From any callback, in any thread. */
static void call_in(struct ear *ear, enum ear_call from) {
  static _Thread_local int inside; /* what is called in may log */
  tunproxy_tunnel *tunnel = ear->tunnel;
  if (inside || tunnel == NULL) return;
  inside = 1;
  tunproxy_stats stats = {.size = sizeof stats};
  tunproxy_flow flows[8];
  size_t count = 0;
  flows[0].size = sizeof flows[0];
  CHECK(tunproxy_destroy(tunnel) == TUNPROXY_ERROR_CALLBACK);
  CHECK(tunproxy_stop(tunnel, 1000) == TUNPROXY_ERROR_CALLBACK);
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_CALLBACK);
  OK(tunproxy_get_stats(tunnel, &stats));
  OK(tunproxy_get_flows(tunnel, flows, 8, &count));
  const int reloaded = tunproxy_reload(tunnel);
  CHECK(reloaded == TUNPROXY_ERROR_CALLBACK || from == EAR_RESOLVE || from == EAR_ASK || from == EAR_HOST_KEY ||
        from == EAR_LOG || reloaded == TUNPROXY_ERROR_STATE);
  if (from == EAR_STATE) CHECK(stats.state == ear_state(ear));
  const int changed = tunproxy_memory_pressure(tunnel, TUNPROXY_PRESSURE_MODERATE);
  CHECK(changed == TUNPROXY_OK || changed == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_set(tunnel, "udp", "none") == TUNPROXY_ERROR_STATE);
  if (from == EAR_HOST_KEY || from == EAR_ASK) {
    pthread_mutex_lock(&ear->mutex);
    const tunproxy_question question = ear->question;
    pthread_mutex_unlock(&ear->mutex);
    char passphrase[256];
    read_passphrase(passphrase, sizeof passphrase);
    OK(tunproxy_answer(tunnel, question, from == EAR_HOST_KEY ? "yes" : passphrase));
  }
  inside = 0;
}

static int traffic(void *argument) {
  const struct server *server = argument;
  const int tcp = dial(FAR_END, server->port);
  const int udp = datagram_echo(FAR_END, server->port);
  const int good = tcp >= 0 && send_up(tcp, 300000, 5) && udp >= 0;
  close(tcp);
  close(udp);
  return good;
}

/* All eight of them. */
void test_callbacks_that_call_in(void) {
  if (!places_there_are()) return;
  struct ear ear;
  struct place place;
  struct server server;
  CHECK(server_start(&server, FAR_END));
  CHECK(place_open(&place));
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  const char *port = strrchr(getenv("TEST_SERVER_1"), ':') + 1;
  char address[256];
  snprintf(address, sizeof address, "%s@server.invalid:%s", getenv("TEST_USER"), port);
  OK(tunproxy_set(tunnel, "ssh", address));
  OK(tunproxy_set(tunnel, "known-hosts", ""));
  OK(tunproxy_set(tunnel, "identity", ""));
  OK(tunproxy_set(tunnel, "identity", getenv("TEST_LOCKED_KEY")));
  OK(tunproxy_set(tunnel, "log-level", "debug"));
  ear.address = "127.0.0.1";
  ear.tun = place.tun;
  ear.call_in = call_in;
  OK(tunproxy_start_packets(tunnel, 1500));
  place_start_pump(&place, tunnel);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(place_run(&place, traffic, &server));
  stop(tunnel);
  place_stop_pump(&place);
  for (int kind = 0; kind < EAR_KINDS; ++kind) {
    if (!CHECK(ear_calls(&ear, (enum ear_call)kind) > 0)) fprintf(stderr, "callback %d\n", kind);
  }
  destroy(tunnel);
  place_close(&place);
  server_stop(&server);
}

/* --- under traffic --- */

struct crowd {
  const char *listener;
  uint16_t port;
  int ending;
};

static void *keep_busy(void *argument) {
  struct crowd *crowd = argument;
  while (!__atomic_load_n(&crowd->ending, __ATOMIC_ACQUIRE)) {
    const int fd = dial_socks(crowd->listener, "127.0.0.1", crowd->port);
    if (fd < 0) {
      poll(NULL, 0, 1);
      continue;
    }
    send_up(fd, 2000000, 3);
    close(fd);
  }
  return NULL;
}

static int dead; /* whoever is called now is called too late */
static void not_any_more(struct ear *ear, enum ear_call from) {
  (void)ear;
  if (__atomic_load_n(&dead, __ATOMIC_ACQUIRE)) {
    fprintf(stderr, "callback %d after destroy\n", from);
    abort();
  }
}

void test_silence_after_the_end(void) {
  struct server server;
  CHECK(server_start(&server, "127.0.0.1"));
  for (int round = 0; round < 5; ++round) {
    struct ear ear;
    tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
    OK(tunproxy_set(tunnel, "log-level", "trace"));
    ear.call_in = not_any_more;
    __atomic_store_n(&dead, 0, __ATOMIC_RELEASE);
    OK(tunproxy_start_proxy(tunnel));
    struct crowd crowd = {ear.listener, server.port, 0};
    pthread_t threads[4];
    for (int i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, keep_busy, &crowd);
    CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
    tunproxy_stats stats = {.size = sizeof stats};
    do { /* it flows */
      poll(NULL, 0, 5);
      OK(tunproxy_get_stats(tunnel, &stats));
    } while (stats.bytes_up < (uint64_t)(1000000 * round));
    destroy(tunnel);
    __atomic_store_n(&dead, 1, __ATOMIC_RELEASE);
    poll(NULL, 0, 50);
    __atomic_store_n(&crowd.ending, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  }
  server_stop(&server);
}
