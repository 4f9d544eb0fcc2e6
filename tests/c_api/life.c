/* From start to stop, and what can go wrong between. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/traffic.h"

static tunproxy_stats stats_of(tunproxy_tunnel *tunnel) {
  tunproxy_stats stats = {.size = sizeof stats};
  OK(tunproxy_get_stats(tunnel, &stats));
  return stats;
}

void test_life(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_start_proxy(tunnel));
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_set(tunnel, "udp", "none") == TUNPROXY_ERROR_STATE);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(ear.listener)); /* online is what has its ways in, too */
  CHECK(ear_wait_log(&ear, "SOCKS5 listener on 127.0.0.1:"));
  tunproxy_stats stats = stats_of(tunnel);
  CHECK(stats.state == TUNPROXY_ONLINE);
  CHECK(stats.sessions >= 1);
  CHECK(stats.flows == 1);
  CHECK(stats.bytes_up == 5 && stats.bytes_down == 5);
  OK(tunproxy_network_changed(tunnel));
  OK(tunproxy_memory_pressure(tunnel, TUNPROXY_PRESSURE_CRITICAL));
  CHECK(words_go_through(ear.listener));
  OK(tunproxy_memory_pressure(tunnel, TUNPROXY_PRESSURE_NONE));
  OK(tunproxy_reload(tunnel));
  CHECK(stats_of(tunnel).flows == 2);
  stop(tunnel);
  CHECK(stats_of(tunnel).state == TUNPROXY_STOPPED);
  stop(tunnel);
  const tunproxy_state right[] = {TUNPROXY_CONNECTING, TUNPROXY_AUTHENTICATING, TUNPROXY_ONLINE, TUNPROXY_STOPPED};
  CHECK(ear_states(&ear) == 4);
  for (int i = 0; i < 4; ++i) CHECK(ear_state_at(&ear, i) == right[i]);
  CHECK(ear_reason(&ear) == TUNPROXY_OK);
  /* It may be told something else, and start again. */
  OK(tunproxy_set(tunnel, "udp", "none"));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(ear.listener));
  CHECK(stats_of(tunnel).flows == 1);
  const int calls = ear_all_calls(&ear);
  destroy(tunnel);
  CHECK(ear_times(&ear, TUNPROXY_STOPPED) == 2);
  CHECK(ear_all_calls(&ear) > calls);
}

void test_two_at_once(void) {
  struct ear first_ear, second_ear;
  tunproxy_tunnel *first = make(&first_ear, "TEST_SERVER_1");
  tunproxy_tunnel *second = make(&second_ear, "TEST_SERVER_2");
  OK(tunproxy_start_proxy(first));
  OK(tunproxy_start_proxy(second));
  CHECK(ear_wait_state(&first_ear, TUNPROXY_ONLINE));
  CHECK(ear_wait_state(&second_ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(first_ear.listener));
  CHECK(words_go_through(second_ear.listener));
  destroy(first);
  CHECK(words_go_through(second_ear.listener));
  CHECK(ear_states(&second_ear) == 3);
  destroy(second);
}

void test_as_many_as_may_be(void) {
  tunproxy_tunnel *tunnels[TUNPROXY_MAX_INSTANCES];
  static struct ear ears[TUNPROXY_MAX_INSTANCES];
  for (int i = 0; i < TUNPROXY_MAX_INSTANCES; ++i) tunnels[i] = make(&ears[i], i % 2 ? "TEST_SERVER_1" : "TEST_SERVER_2");
  tunproxy_tunnel *surplus = NULL;
  CHECK(tunproxy_create(NULL, &surplus) == TUNPROXY_ERROR_LIMIT);
  CHECK(surplus == NULL);
  for (int i = 0; i < TUNPROXY_MAX_INSTANCES; ++i) OK(tunproxy_start_proxy(tunnels[i]));
  for (int i = 0; i < TUNPROXY_MAX_INSTANCES; ++i) CHECK(ear_wait_state(&ears[i], TUNPROXY_ONLINE));
  for (int i = 0; i < TUNPROXY_MAX_INSTANCES; ++i) CHECK(words_go_through(ears[i].listener));
  destroy(tunnels[0]);
  OK(tunproxy_create(NULL, &surplus));
  destroy(surplus);
  for (int i = 1; i < TUNPROXY_MAX_INSTANCES; ++i) destroy(tunnels[i]);
}

/* It has failed, and can be asked, and stopped, and mended. */
void test_a_start_that_fails_early(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_set(tunnel, "rules", "/nowhere/rules"));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear_reason(&ear) == TUNPROXY_ERROR_CONFIG);
  CHECK(ear_said(&ear, "/nowhere/rules"));
  OK(tunproxy_pause(tunnel));
  OK(tunproxy_wake(tunnel));
  OK(tunproxy_network_changed(tunnel));
  OK(tunproxy_memory_pressure(tunnel, TUNPROXY_PRESSURE_CRITICAL));
  CHECK(tunproxy_reload(tunnel) == TUNPROXY_ERROR_CONFIG);
  CHECK(stats_of(tunnel).state == TUNPROXY_FAILED);
  stop(tunnel);
  CHECK(ear_times(&ear, TUNPROXY_FAILED) == 1);
  CHECK(ear_state(&ear) == TUNPROXY_STOPPED);
  /* A way in that cannot be: the server is reached, but nothing is online. */
  OK(tunproxy_set(tunnel, "rules", ""));
  OK(tunproxy_set(tunnel, "socks", "192.0.2.77:1080"));
  OK(tunproxy_set(tunnel, "socks-open", "true"));
  const int before = ear_states(&ear);
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state_since(&ear, before, TUNPROXY_FAILED));
  CHECK(ear_times(&ear, TUNPROXY_ONLINE) == 0);
  CHECK(ear_times(&ear, TUNPROXY_FAILED) == 2);
  destroy(tunnel);
  CHECK(ear_state(&ear) == TUNPROXY_STOPPED);
}

/* A server that is not there fails the start, once. */
void test_no_server_there(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  char nobody[64] = "somebody@", address[32];
  OK(tunproxy_set(tunnel, "ssh", strcat(nobody, free_address(address))));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear_reason(&ear) == TUNPROXY_ERROR_UNREACHABLE);
  CHECK(ear_said(&ear, address));
  stop(tunnel);
  CHECK(ear_times(&ear, TUNPROXY_FAILED) == 1);
  CHECK(ear_times(&ear, TUNPROXY_AUTHENTICATING) == 0);
  destroy(tunnel);
}

/* With keep-trying it is waited for; a refusal that stays ends that. */
void test_keeps_trying(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  /* A name that nobody knows yet: the network may not be there. */
  char server[256], alias[64];
  const char *port = strrchr(getenv("TEST_SERVER_1"), ':') + 1;
  snprintf(server, sizeof server, "%s@server.invalid:%s", getenv("TEST_USER"), port);
  snprintf(alias, sizeof alias, "[127.0.0.1]:%s", port);
  OK(tunproxy_set(tunnel, "ssh", server));
  OK(tunproxy_set(tunnel, "host-key-alias", alias));
  OK(tunproxy_set(tunnel, "keep-trying", "true"));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_RECONNECTING));
  CHECK(ear_reason(&ear) == TUNPROXY_ERROR_UNREACHABLE);
  CHECK(ear_times(&ear, TUNPROXY_FAILED) == 0);
  while (ear_calls(&ear, EAR_RESOLVE) < 3) poll(NULL, 0, 5); /* several times */
  pthread_mutex_lock(&ear.mutex);
  ear.address = "127.0.0.1";
  pthread_mutex_unlock(&ear.mutex);
  OK(tunproxy_network_changed(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(ear.listener));
  stop(tunnel);
  OK(tunproxy_set(tunnel, "identity", ""));
  OK(tunproxy_set(tunnel, "identity", getenv("TEST_KEY_OF_NOBODY")));
  const int before = ear_states(&ear);
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state_since(&ear, before, TUNPROXY_FAILED));
  CHECK(ear_reason(&ear) == TUNPROXY_ERROR_AUTHENTICATION);
  destroy(tunnel);
}

/* --- a callback that blocks holds up the end, for no longer than was said --- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_the_gate(struct ear *ear, enum ear_call from) {
  (void)ear;
  if (from != EAR_PROTECT) return;
  pthread_mutex_lock(&gate);
  pthread_mutex_unlock(&gate);
}

static void *stop_soon(void *tunnel) {
  CHECK(tunproxy_stop(tunnel, 50) == TUNPROXY_ERROR_TIMEOUT);
  return NULL;
}

void test_a_callback_that_blocks(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  ear.call_in = wait_at_the_gate;
  pthread_mutex_lock(&gate);
  OK(tunproxy_start_proxy(tunnel));
  while (ear_calls(&ear, EAR_PROTECT) == 0) poll(NULL, 0, 5);
  CHECK(tunproxy_stop(tunnel, 0) == TUNPROXY_ERROR_TIMEOUT);
  pthread_t stoppers[3];
  for (int i = 0; i < 3; ++i) pthread_create(&stoppers[i], NULL, stop_soon, tunnel);
  for (int i = 0; i < 3; ++i) pthread_join(stoppers[i], NULL); /* none waits for another */
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_STATE);
  pthread_mutex_unlock(&gate);
  stop(tunnel);
  CHECK(ear_times(&ear, TUNPROXY_STOPPED) == 1);
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  destroy(tunnel);
}

/* --- many threads that start, ask and stop: nobody waits for an answer that nobody gives --- */

enum { ROUNDS = 40 };

static void *start_and_stop(void *tunnel) {
  for (int i = 0; i < ROUNDS; ++i) {
    const int started = tunproxy_start_proxy(tunnel);
    CHECK(started == TUNPROXY_OK || started == TUNPROXY_ERROR_STATE);
    OK(tunproxy_stop(tunnel, 60000));
  }
  return NULL;
}

static void *ask_and_ask(void *tunnel) {
  for (int i = 0; i < ROUNDS * 50; ++i) {
    tunproxy_stats stats = {.size = sizeof stats};
    size_t count = 0;
    OK(tunproxy_get_stats(tunnel, &stats));
    OK(tunproxy_get_flows(tunnel, NULL, 0, &count));
    const int reloaded = tunproxy_reload(tunnel);
    CHECK(reloaded == TUNPROXY_OK || reloaded == TUNPROXY_ERROR_STATE || reloaded == TUNPROXY_ERROR_CONFIG);
    const int changed = tunproxy_network_changed(tunnel);
    CHECK(changed == TUNPROXY_OK || changed == TUNPROXY_ERROR_STATE);
  }
  return NULL;
}

void test_stops_and_starts_of_many_threads(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  pthread_t threads[5];
  for (int i = 0; i < 5; ++i) pthread_create(&threads[i], NULL, i < 3 ? start_and_stop : ask_and_ask, tunnel);
  for (int i = 0; i < 5; ++i) pthread_join(threads[i], NULL);
  stop(tunnel);
  CHECK(ear_state(&ear) == TUNPROXY_STOPPED || ear_states(&ear) == EAR_MOST_STATES);
  destroy(tunnel);
}
