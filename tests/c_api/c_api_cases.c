#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"

void test_arguments(void) {
  tunproxy_tunnel *tunnel = NULL;
  tunproxy_stats stats = {0};
  size_t count = 0;
  CHECK(tunproxy_abi_version() == TUNPROXY_ABI_VERSION);
  CHECK(strlen(tunproxy_version()) > 0);
  CHECK(strcmp(tunproxy_strerror(TUNPROXY_ERROR_CONFIG), tunproxy_strerror(9999)) != 0);
  CHECK(tunproxy_create(NULL, NULL) == TUNPROXY_ERROR_ARGUMENT);
  tunproxy_callbacks empty = {0};
  CHECK(tunproxy_create(&empty, &tunnel) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunnel == NULL);
  CHECK(tunproxy_create(NULL, &tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_set(NULL, "ssh", "a@b") == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_set(tunnel, NULL, "a@b") == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_set_toml(tunnel, NULL) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_start_fd(tunnel, -1, 1500) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_start_packets(tunnel, 1500) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_get_stats(tunnel, &stats) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_get_flows(tunnel, NULL, 0, NULL) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_get_flows(tunnel, NULL, 0, &count) == TUNPROXY_OK);
  CHECK(count == 0);
  CHECK(tunproxy_push_packets(tunnel, NULL, 0, NULL) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_network_changed(tunnel) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_answer(tunnel, 1, "yes") == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_stop(tunnel, 1000) == TUNPROXY_OK);
  CHECK(tunproxy_destroy(tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_destroy(NULL) == TUNPROXY_OK);
}

void test_configuration(void) {
  tunproxy_tunnel *tunnel = NULL;
  CHECK(tunproxy_create(NULL, &tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_set(tunnel, "no-such-key", "1") == TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), "no-such-key") != NULL);
  CHECK(tunproxy_set(tunnel, "udp", "pigeon") == TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), "udp") != NULL);
  CHECK(tunproxy_set_toml(tunnel, "udp = \"none\"\nudp-idle = \"soon\"\n") == TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), "udp-idle") != NULL);
  CHECK(strstr(tunproxy_error_text(), "2") != NULL); /* the line */
  CHECK(tunproxy_set_secret(tunnel, "ssh", "x", 1) == TUNPROXY_ERROR_CONFIG);
  /* There is no way out yet. */
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_CONFIG);
  CHECK(tunproxy_destroy(tunnel) == TUNPROXY_OK);
}

void test_life(void) {
  struct ear ear;
  ear_init(&ear);
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_set(tunnel, "mtu", "1400") == TUNPROXY_ERROR_STATE);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(&ear));
  tunproxy_stats stats = {.size = sizeof stats};
  CHECK(tunproxy_get_stats(tunnel, &stats) == TUNPROXY_OK);
  CHECK(stats.state == TUNPROXY_ONLINE);
  CHECK(stats.sessions >= 1);
  CHECK(stats.flows == 1);
  CHECK(stats.bytes_up == 5 && stats.bytes_down == 5);
  CHECK(tunproxy_network_changed(tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_pause(tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_wake(tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_memory_pressure(tunnel, TUNPROXY_PRESSURE_CRITICAL) == TUNPROXY_OK);
  CHECK(words_go_through(&ear));
  CHECK(tunproxy_memory_pressure(tunnel, TUNPROXY_PRESSURE_NONE) == TUNPROXY_OK);
  CHECK(tunproxy_reload(tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_stop(tunnel, 10000) == TUNPROXY_OK);
  CHECK(ear.state == TUNPROXY_STOPPED);
  CHECK(tunproxy_stop(tunnel, 10000) == TUNPROXY_OK);
  const int calls = ear_calls(&ear);
  CHECK(tunproxy_destroy(tunnel) == TUNPROXY_OK);
  CHECK(ear_calls(&ear) == calls);
}

void test_two_at_once(void) {
  struct ear first_ear, second_ear;
  ear_init(&first_ear);
  ear_init(&second_ear);
  tunproxy_tunnel *first = make(&first_ear, "TEST_SERVER_1");
  tunproxy_tunnel *second = make(&second_ear, "TEST_SERVER_2");
  CHECK(tunproxy_start_proxy(first) == TUNPROXY_OK);
  CHECK(tunproxy_start_proxy(second) == TUNPROXY_OK);
  CHECK(ear_wait_state(&first_ear, TUNPROXY_ONLINE));
  CHECK(ear_wait_state(&second_ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(&first_ear));
  CHECK(words_go_through(&second_ear));
  CHECK(tunproxy_destroy(first) == TUNPROXY_OK);
  CHECK(words_go_through(&second_ear));
  CHECK(tunproxy_destroy(second) == TUNPROXY_OK);
}

void test_questions(void) {
  struct ear ear;
  ear_init(&ear);
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  char file[] = "/tmp/tunproxy_hosts_XXXXXX";
  close(mkstemp(file));
  CHECK(tunproxy_set(tunnel, "known-hosts", "") == TUNPROXY_OK);
  CHECK(tunproxy_set(tunnel, "known-hosts", file) == TUNPROXY_OK);
  CHECK(tunproxy_set(tunnel, "host-key-policy", "ask") == TUNPROXY_OK);
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_OK);
  tunproxy_question question = ear_wait_question(&ear);
  CHECK(question != 0);
  CHECK(strstr(ear.prompt, "SHA256:") != NULL);
  CHECK(tunproxy_answer(tunnel, question + 1, "yes") == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_refuse(tunnel, question) == TUNPROXY_OK);
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear.reason == TUNPROXY_ERROR_HOST_KEY);
  CHECK(tunproxy_answer(tunnel, question, "yes") == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_stop(tunnel, 10000) == TUNPROXY_OK);

  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_OK);
  question = ear_wait_question(&ear);
  CHECK(tunproxy_answer(tunnel, question, "yes") == TUNPROXY_OK);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  /* An unanswered question does not hold up the end. */
  CHECK(tunproxy_stop(tunnel, 10000) == TUNPROXY_OK);
  unlink(file);
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_OK);
  CHECK(ear_wait_question(&ear) != 0);
  CHECK(tunproxy_stop(tunnel, 10000) == TUNPROXY_OK);
  CHECK(tunproxy_destroy(tunnel) == TUNPROXY_OK);
  unlink(file);
}

void test_protect(void) {
  struct ear ear;
  ear_init(&ear);
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_OK);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(ear.protected_sockets >= 1);
  CHECK(ear.protected_too_late == 0);
  CHECK(tunproxy_stop(tunnel, 10000) == TUNPROXY_OK);
  ear.refuse_sockets = 1;
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_OK);
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(strstr(ear.text, "protect") != NULL);
  CHECK(tunproxy_destroy(tunnel) == TUNPROXY_OK);
}

/* Taken on success and closed at the end; the caller's on failure. */
void test_descriptors(void) {
  struct ear ear;
  ear_init(&ear);
  int ends[2];
  CHECK(pipe(ends) == 0);
  tunproxy_tunnel *tunnel = NULL;
  CHECK(tunproxy_create(NULL, &tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_start_fd(tunnel, ends[0], 1500) == TUNPROXY_ERROR_CONFIG);
  CHECK(fcntl(ends[0], F_GETFD) >= 0);
  CHECK(tunproxy_start_fd(tunnel, ends[0], 100) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(fcntl(ends[0], F_GETFD) >= 0);
  CHECK(tunproxy_destroy(tunnel) == TUNPROXY_OK);
  tunnel = make(&ear, "TEST_SERVER_1");
  CHECK(tunproxy_start_fd(tunnel, ends[0], 1500) == TUNPROXY_OK);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(tunproxy_destroy(tunnel) == TUNPROXY_OK);
  CHECK(fcntl(ends[0], F_GETFD) < 0);
  close(ends[1]);
}

static tunproxy_tunnel *of_the_callback;
static int destroyed_as, stopped_as, asked_as;

static void call_in(void *user, tunproxy_state state, tunproxy_result reason, const char *text) {
  struct ear *ear = user;
  (void)reason;
  (void)text;
  tunproxy_stats stats = {.size = sizeof stats};
  destroyed_as = tunproxy_destroy(of_the_callback);
  stopped_as = tunproxy_stop(of_the_callback, 1000);
  asked_as = tunproxy_get_stats(of_the_callback, &stats);
  pthread_mutex_lock(&ear->mutex);
  ear->state = state;
  pthread_cond_broadcast(&ear->changed);
  pthread_mutex_unlock(&ear->mutex);
}

void test_callbacks_that_call_in(void) {
  struct ear ear;
  ear_init(&ear);
  tunproxy_callbacks callbacks = ear_callbacks(&ear);
  callbacks.state = call_in;
  CHECK(tunproxy_create(&callbacks, &of_the_callback) == TUNPROXY_OK);
  CHECK(tunproxy_set(of_the_callback, "ssh", getenv("TEST_SERVER_1")) == TUNPROXY_OK);
  CHECK(tunproxy_set(of_the_callback, "ssh-config", "none") == TUNPROXY_OK);
  CHECK(tunproxy_set(of_the_callback, "identity", getenv("TEST_KEY")) == TUNPROXY_OK);
  CHECK(tunproxy_set(of_the_callback, "known-hosts", getenv("TEST_KNOWN_HOSTS")) == TUNPROXY_OK);
  char address[32];
  CHECK(tunproxy_set(of_the_callback, "socks", free_address(address)) == TUNPROXY_OK);
  CHECK(tunproxy_set(of_the_callback, "identity", getenv("TEST_KEY_2")) == TUNPROXY_OK);
  CHECK(tunproxy_start_proxy(of_the_callback) == TUNPROXY_OK);
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(tunproxy_destroy(of_the_callback) == TUNPROXY_OK);
  CHECK(destroyed_as == TUNPROXY_ERROR_CALLBACK);
  CHECK(stopped_as == TUNPROXY_ERROR_CALLBACK);
  CHECK(asked_as == TUNPROXY_OK);
}

static int count_entries(const char *path) {
  DIR *directory = opendir(path);
  int count = 0;
  while (directory != NULL && readdir(directory) != NULL) ++count;
  if (directory != NULL) closedir(directory);
  return count;
}

/* Starts and stops leave no descriptor and no thread behind. */
void test_many_rounds(void) {
  const char *wanted = getenv("TEST_ROUNDS");
  const int rounds = wanted == NULL ? 200 : atoi(wanted);
  struct ear ear;
  ear_init(&ear);
  int descriptors = 0, threads = 0;
  for (int round = 0; round < rounds; ++round) {
    tunproxy_tunnel *tunnel = make(&ear, round % 2 == 0 ? "TEST_SERVER_1" : "TEST_SERVER_2");
    ear.log[0] = '\0';
    CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_OK);
    if (round % 4 != 3) { /* else it is stopped while it connects */
      CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
      CHECK(words_go_through(&ear));
    }
    CHECK(tunproxy_stop(tunnel, 10000) == TUNPROXY_OK);
    CHECK(tunproxy_destroy(tunnel) == TUNPROXY_OK);
    if (round == 10) descriptors = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
  }
  CHECK(count_entries("/proc/self/fd") == descriptors);
  CHECK(count_entries("/proc/self/task") == threads);
}
