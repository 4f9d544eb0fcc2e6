/* The C API as C11 sees it: c_api_test [CASE...], within c_api_driver. Exits with 0 if all cases pass. */
#include "tests/c_api/c_api_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/c_api/traffic.h"

static int failures;

int check_at(int good, const char *what, const char *file, int line) {
  if (good) return 1;
  __atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
  fprintf(stderr, "%s:%d: %s (last error: %s)\n", file, line, what, tunproxy_error_text());
  return 0;
}

tunproxy_tunnel *make_with(struct ear *ear, const char *server, const tunproxy_callbacks *callbacks) {
  tunproxy_tunnel *tunnel = NULL;
  OK(tunproxy_create(callbacks, &tunnel));
  ear->tunnel = tunnel;
  OK(tunproxy_set(tunnel, "ssh", getenv(server)));
  OK(tunproxy_set(tunnel, "identity", getenv("TEST_KEY")));
  OK(tunproxy_set(tunnel, "identity", getenv("TEST_KEY_2")));
  OK(tunproxy_set(tunnel, "known-hosts", getenv("TEST_KNOWN_HOSTS")));
  OK(tunproxy_set(tunnel, "socks", free_address(ear->listener)));
  return tunnel;
}

tunproxy_tunnel *make(struct ear *ear, const char *server) {
  ear_init(ear);
  const tunproxy_callbacks callbacks = ear_callbacks(ear);
  return make_with(ear, server, &callbacks);
}

void stop(tunproxy_tunnel *tunnel) {
  OK(tunproxy_stop(tunnel, 60000));
}

void destroy(tunproxy_tunnel *tunnel) {
  OK(tunproxy_destroy(tunnel));
}

int count_entries(const char *path) {
  DIR *directory = opendir(path);
  int count = 0;
  while (directory != NULL && readdir(directory) != NULL) ++count;
  if (directory != NULL) closedir(directory);
  return count;
}

int entries_become(const char *path, int count) {
  for (int i = 0; i < 1000 && count_entries(path) != count; ++i) poll(NULL, 0, 10);
  return count_entries(path) == count;
}

size_t read_passphrase(char *room, size_t size) {
  const int fd = open(getenv("TEST_PASSPHRASE"), O_RDONLY);
  const ssize_t got = read(fd, room, size - 1);
  close(fd);
  room[got > 0 ? got : 0] = '\0';
  return got > 0 ? (size_t)got : 0;
}

int number_from(const char *name, int otherwise) {
  const char *value = getenv(name);
  return value == NULL ? otherwise : atoi(value);
}

static const struct {
  const char *name;
  test_case run;
  int heavy; /* only if it is asked for */
} cases[] = {
    {"arguments", test_arguments, 0},
    {"configuration", test_configuration, 0},
    {"keys_of_the_command_line", test_keys_of_the_command_line, 0},
    {"sizes_of_other_versions", test_sizes_of_other_versions, 0},
    {"life", test_life, 0},
    {"two_at_once", test_two_at_once, 0},
    {"as_many_as_may_be", test_as_many_as_may_be, 0},
    {"a_start_that_fails_early", test_a_start_that_fails_early, 0},
    {"no_server_there", test_no_server_there, 0},
    {"keeps_trying", test_keeps_trying, 0},
    {"a_callback_that_blocks", test_a_callback_that_blocks, 0},
    {"stops_and_starts_of_many_threads", test_stops_and_starts_of_many_threads, 0},
    {"questions", test_questions, 0},
    {"nothing_of_the_user", test_nothing_of_the_user, 0},
    {"secrets", test_secrets, 0},
    {"every_socket_is_protected", test_every_socket_is_protected, 0},
    {"refused_sockets", test_refused_sockets, 0},
    {"names_by_the_program", test_names_by_the_program, 0},
    {"descriptors", test_descriptors, 0},
    {"a_device_that_is_none", test_a_device_that_is_none, 0},
    {"a_device_that_goes", test_a_device_that_goes, 0},
    {"packets", test_packets, 0},
    {"flows", test_flows, 0},
    {"two_devices", test_two_devices, 0},
    {"pause", test_pause, 0},
    {"memory_pressure", test_memory_pressure, 0},
    {"reload", test_reload, 0},
    {"orders_at_once", test_orders_at_once, 0},
    {"network_changed", test_network_changed, 0},
    {"wake", test_wake, 0},
    {"process_is_left_alone", test_process_is_left_alone, 0},
    {"callbacks_that_call_in", test_callbacks_that_call_in, 0},
    {"silence_after_the_end", test_silence_after_the_end, 0},
    {"many_rounds", test_many_rounds, 1},
    {"bulk_by_packets", test_bulk_by_packets, 1},
};

static int chosen(size_t index, int count, char **names) {
  for (int i = 0; i < count; ++i) {
    if (strcmp(names[i], cases[index].name) == 0) return 1;
  }
  return count == 0 && !cases[index].heavy;
}

int main(int argc, char **argv) {
  int ran = 0;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    if (!chosen(i, argc - 1, argv + 1)) continue;
    const int before = failures;
    fprintf(stderr, "%s\n", cases[i].name);
    alarm((unsigned)number_from("TEST_SECONDS", 300)); /* a case that hangs ends the program */
    cases[i].run();
    if (failures != before) fprintf(stderr, "  failed\n");
    ++ran;
  }
  if (ran == 0 || (argc > 1 && ran != argc - 1)) return fprintf(stderr, "no such case\n"), 2;
  return failures == 0 ? 0 : 1;
}
