/* Packets by calls, from a real TUN. */
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/mover.h"
#include "tests/c_api/place.h"
#include "tests/c_api/traffic.h"

/* What the heap holds; 0 under sanitizers, which have their own. */
static size_t heap_bytes(void) {
  if (getenv("TEST_SANITIZED") != NULL) return 0;
  const struct mallinfo2 heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

void test_packets(void) {
  if (!places_there_are()) return;
  static struct mover mover;
  struct server server;
  CHECK(server_start(&server, FAR_END));
  mover_start(&mover, "TEST_SERVER_1");
  CHECK(place_run(&mover.place, traffic_goes, &server));
  /* What is no packet is dropped; what the queue has no room for is not taken. */
  static uint8_t junk[65535 + 41];
  const tunproxy_packet none[] = {{junk, 0}, {NULL, 20}, {junk, sizeof junk}, {junk, 1}};
  size_t taken = 0;
  OK(tunproxy_push_packets(mover.tunnel, none, 4, &taken));
  CHECK(taken == 4);
  const size_t before = heap_bytes();
  tunproxy_packet many[2048];
  for (int i = 0; i < 2048; ++i) many[i] = (tunproxy_packet){junk, 60000};
  OK(tunproxy_push_packets(mover.tunnel, many, 2048, &taken));
  CHECK(taken > 0 && taken < 2048);
  CHECK(place_run(&mover.place, traffic_goes, &server));
  CHECK(heap_bytes() < before + 2000000); /* of 4 MB, when they are through */
  tunproxy_stats stats = {.size = sizeof stats};
  OK(tunproxy_get_stats(mover.tunnel, &stats));
  CHECK(stats.packets_in > 1000 && stats.packets_out > 1000 && stats.packets_dropped > 0);
  mover_end(&mover);
  server_stop(&server);
}

/* --- who does what --- */

struct flows {
  struct server *server;
  struct mover *mover;
};

/* 1 if the list has exactly these two: a TCP flow and an association. */
static int listed(tunproxy_tunnel *tunnel) {
  tunproxy_flow flows[4];
  size_t count = 0;
  flows[0].size = sizeof flows[0];
  OK(tunproxy_get_flows(tunnel, flows, 4, &count));
  if (!CHECK(count == 2)) return 0;
  for (size_t i = 0; i < 2; ++i) {
    CHECK(flows[i].size == sizeof flows[0]);
    CHECK(flows[i].owner == 10042);
    CHECK(strncmp(flows[i].source, "10.9.0.1:", 9) == 0);
    CHECK(flows[i].bytes_up > 0 && flows[i].bytes_down > 0);
  }
  const tunproxy_flow *tcp = flows[0].protocol == 6 ? &flows[0] : &flows[1];
  const tunproxy_flow *udp = flows[0].protocol == 6 ? &flows[1] : &flows[0];
  CHECK(tcp->protocol == 6 && udp->protocol == 17 && tcp->id != udp->id);
  CHECK(strncmp(tcp->target, FAR_END ":", sizeof FAR_END) == 0);
  CHECK(strcmp(udp->target, "") == 0);
  /* A program whose struct is longer than the library's, with room for one; and one whose is shorter. */
  struct {
    tunproxy_flow flow;
    char more[32];
  } longer[2];
  memset(longer, 0x55, sizeof longer);
  longer[0].flow.size = sizeof longer[0];
  OK(tunproxy_get_flows(tunnel, &longer[0].flow, 2, &count));
  CHECK(count == 2 && longer[0].flow.id == flows[0].id && longer[1].flow.id == flows[1].id);
  CHECK(longer[0].more[0] == 0x55 && longer[1].flow.size == sizeof(tunproxy_flow));
  struct {
    size_t size;
    uint64_t id;
    int protocol;
  } shorter[3];
  memset(shorter, 0x55, sizeof shorter);
  shorter[0].size = sizeof shorter[0];
  OK(tunproxy_get_flows(tunnel, (tunproxy_flow *)shorter, 1, &count));
  CHECK(count == 2 && shorter[0].id == flows[0].id && shorter[0].size == sizeof shorter[0]);
  CHECK(shorter[1].id == UINT64_C(0x5555555555555555));
  return 1;
}

static int two_flows(void *argument) {
  const struct flows *flows = argument;
  const int tcp = dial(FAR_END, flows->server->port);
  const int udp = datagram_echo(FAR_END, flows->server->port);
  const int good = tcp >= 0 && begin_echo(tcp) && udp >= 0 && listed(flows->mover->tunnel);
  close(tcp);
  close(udp);
  return good;
}

void test_flows(void) {
  if (!places_there_are()) return;
  static struct mover mover;
  struct server server;
  CHECK(server_start(&server, FAR_END));
  mover_start(&mover, "TEST_SERVER_1");
  struct flows flows = {&server, &mover};
  CHECK(place_run(&mover.place, two_flows, &flows));
  CHECK(ear_calls(&mover.ear, EAR_OWNER) == 2); /* once a flow */
  pthread_mutex_lock(&mover.ear.mutex);
  CHECK(mover.ear.key.protocol == 17 && mover.ear.key.remote_port == server.port);
  CHECK(strcmp(mover.ear.flow_from, "10.9.0.1") == 0 && strcmp(mover.ear.flow_to, FAR_END) == 0);
  pthread_mutex_unlock(&mover.ear.mutex);
  tunproxy_stats stats = {.size = sizeof stats};
  OK(tunproxy_get_stats(mover.tunnel, &stats));
  CHECK(stats.flows == 2 && stats.udp_flows == 1);
  mover_end(&mover);
  server_stop(&server);
}

/* --- bulk --- */

struct transfer {
  struct server *server;
  uint64_t length;
  int up;
  int good;
};

static int transfer(void *argument) {
  struct transfer *transfer = argument;
  const int fd = dial(FAR_END, transfer->server->port);
  if (fd < 0) return 0;
  const int good = transfer->up ? send_up(fd, transfer->length, 99) : take_down(fd, transfer->length, 101);
  close(fd);
  return good;
}

struct transfer_at {
  struct place *place;
  struct transfer transfer;
};

static void *run_transfer(void *argument) {
  struct transfer_at *at = argument;
  at->transfer.good = place_run(at->place, transfer, &at->transfer);
  return NULL;
}

/* TEST_MEGABYTES in all, half of them up and half down, at the same time. */
void test_bulk_by_packets(void) {
  if (!places_there_are()) return;
  static struct mover mover;
  struct server server;
  const uint64_t half = (uint64_t)number_from("TEST_MEGABYTES", 32) * 1024 * 1024 / 2;
  CHECK(server_start(&server, FAR_END));
  mover_start(&mover, "TEST_SERVER_1");
  struct transfer_at both[2] = {{&mover.place, {&server, half, 0, 0}}, {&mover.place, {&server, half, 1, 0}}};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, run_transfer, &both[i]);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  CHECK(both[0].transfer.good);
  CHECK(both[1].transfer.good);
  tunproxy_stats stats = {.size = sizeof stats};
  OK(tunproxy_get_stats(mover.tunnel, &stats));
  CHECK(stats.bytes_up >= half && stats.bytes_down >= half);
  mover_end(&mover);
  server_stop(&server);
}

/* --- pause --- */

static int echo_there(void *fd) {
  return echo(*(int *)fd, 'p');
}
static int dial_there(void *argument) {
  struct flows *flows = argument;
  flows->server->tcp = dial(FAR_END, flows->server->port);
  return flows->server->tcp >= 0 && begin_echo(flows->server->tcp);
}

static uint64_t packets_to_server(void) {
  FILE *file = fopen("/proc/net/dev", "r"); /* the connection to the server is on lo, and nothing else is */
  char line[256];
  uint64_t packets = 0;
  while (fgets(line, sizeof line, file) != NULL) sscanf(line, " lo: %*u %lu", &packets);
  fclose(file);
  return packets;
}

/* While it sleeps nothing is asked of the network; afterwards the flows are still there. */
void test_pause(void) {
  if (!places_there_are()) return;
  static struct mover mover;
  struct server server;
  CHECK(server_start(&server, FAR_END));
  mover_make(&mover, "TEST_SERVER_1");
  OK(tunproxy_set(mover.tunnel, "keepalive", "5"));
  mover_go(&mover);
  CHECK(ear_wait_log(&mover.ear, "UDP"));
  struct server app = {.port = server.port};
  struct flows flows = {&app, &mover};
  CHECK(place_run(&mover.place, dial_there, &flows));
  OK(tunproxy_pause(mover.tunnel));
  uint64_t before;
  do { /* what was under way */
    before = packets_to_server();
    poll(NULL, 0, 2000);
  } while (packets_to_server() != before);
  poll(NULL, 0, 8000); /* twice the keepalive with the above */
  const uint64_t asleep = packets_to_server() - before;
  if (!CHECK(asleep == 0)) fprintf(stderr, "%lu packets\n", asleep);
  OK(tunproxy_wake(mover.tunnel));
  CHECK(place_run(&mover.place, echo_there, &app.tcp));
  CHECK(ear_times(&mover.ear, TUNPROXY_RECONNECTING) == 0);
  close(app.tcp);
  mover_end(&mover);
  server_stop(&server);
}
