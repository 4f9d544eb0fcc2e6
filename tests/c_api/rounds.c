/* Starts and stops, again and again. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/traffic.h"

static long resident_kilobytes(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  long pages = 0;
  if (fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Every other round ends in the middle of a transfer. */
static void one_round(int round, struct ear *ear, const struct server *server) {
  tunproxy_tunnel *tunnel = make(ear, round % 2 == 0 ? "TEST_SERVER_1" : "TEST_SERVER_2");
  int by_packets = round % 3 == 0;
  OK(by_packets ? tunproxy_start_packets(tunnel, 1500) : tunproxy_start_proxy(tunnel));
  int open = -1;
  if (round % 4 != 3) { /* else it is stopped while it connects */
    CHECK(ear_wait_state(ear, TUNPROXY_ONLINE));
    CHECK(words_go_through(ear->listener));
    if (round % 2 == 0) {
      open = dial_socks(ear->listener, "127.0.0.1", server->port);
      CHECK(begin_down(open, 64 << 20));
    }
  }
  stop(tunnel);
  if (open >= 0) close(open);
  destroy(tunnel);
}

/* No descriptor, thread or memory stays behind. TEST_ROUNDS; the memory is looked at unless TEST_SANITIZED. */
void test_many_rounds(void) {
  static struct ear ear;
  struct server server;
  CHECK(server_start(&server, "127.0.0.1"));
  const int rounds = number_from("TEST_ROUNDS", 200);
  const int settled = rounds / 4;
  const long most_growth = 1500; /* KB; the allocator's, not ours */
  int descriptors = 0, threads = 0;
  long memory = 0;
  for (int round = 0; round < rounds; ++round) {
    one_round(round, &ear, &server);
    if (round != settled) continue;
    poll(NULL, 0, 1000); /* threads of the server's end */
    descriptors = count_entries("/proc/self/fd");
    threads = count_entries("/proc/self/task");
    memory = resident_kilobytes();
  }
  const long growth = resident_kilobytes() - memory;
  printf("%d rounds: %ld KB more than after %d\n", rounds, growth, settled);
  CHECK(entries_become("/proc/self/fd", descriptors));
  CHECK(entries_become("/proc/self/task", threads));
  if (getenv("TEST_SANITIZED") == NULL) CHECK(growth <= most_growth);
  server_stop(&server);
}
