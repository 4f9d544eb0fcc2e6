/* What tunproxy_memory_pressure() does to those that are open. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/mover.h"
#include "tests/c_api/traffic.h"

struct apps {
  struct server *server;
  int quiet, busy;         /* datagrams */
  struct tcp_info streams; /* of the last one, as the app's kernel sees it */
};

static int two_associations(void *argument) {
  struct apps *apps = argument;
  apps->quiet = datagram_echo(FAR_END, apps->server->port);
  apps->busy = datagram_echo(FAR_END, apps->server->port);
  return apps->quiet >= 0 && apps->busy >= 0;
}

static int busy_one(void *argument) {
  struct apps *apps = argument;
  return datagram_comes_back(apps->busy, FAR_END, apps->server->port);
}

static int stream(void *argument) {
  struct apps *apps = argument;
  const int fd = dial(FAR_END, apps->server->port);
  socklen_t size = sizeof apps->streams;
  const int good =
      fd >= 0 && send_up(fd, 3000000, 7) && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &apps->streams, &size) == 0;
  if (fd >= 0) close(fd);
  return good;
}

/* What a stream is allowed to send at once, when it has sent for a while. */
static unsigned window(struct mover *mover, struct apps *apps) {
  CHECK(place_run(&mover->place, stream, apps));
  return apps->streams.tcpi_snd_wnd;
}

static int is_of(const tunproxy_flow *flow, int fd) {
  struct sockaddr_in local;
  socklen_t size = sizeof local;
  int port = 0;
  getsockname(fd, (struct sockaddr *)&local, &size);
  return flow->protocol == 17 && sscanf(flow->source, "10.9.0.1:%d", &port) == 1 && port == ntohs(local.sin_port);
}

/* How many are there; which of the two. */
static int associations(struct mover *mover, const struct apps *apps, int *quiet, int *busy) {
  tunproxy_flow flows[8];
  size_t count = 0;
  int found = 0;
  flows[0].size = sizeof flows[0];
  OK(tunproxy_get_flows(mover->tunnel, flows, 8, &count));
  *quiet = *busy = 0;
  for (size_t i = 0; i < count && i < 8; ++i) {
    found += flows[i].protocol == 17;
    *quiet = *quiet || is_of(&flows[i], apps->quiet);
    *busy = *busy || is_of(&flows[i], apps->busy);
  }
  return found;
}

/* Windows shrink, and grow again when it is over; associations that are quiet end, and others do not. */
void test_memory_pressure(void) {
  if (!places_there_are()) return;
  static struct mover mover;
  struct server server;
  struct apps apps = {.server = &server};
  int quiet = 0, busy = 0;
  CHECK(server_start(&server, FAR_END));
  mover_make(&mover, "TEST_SERVER_1");
  OK(tunproxy_set(mover.tunnel, "profile", "mobile"));
  OK(tunproxy_set(mover.tunnel, "socks", ""));
  mover_go(&mover);
  const unsigned usual = window(&mover, &apps);
  CHECK(place_run(&mover.place, two_associations, &apps));
  OK(tunproxy_memory_pressure(mover.tunnel, TUNPROXY_PRESSURE_MODERATE));
  const unsigned moderate = window(&mover, &apps);
  CHECK(associations(&mover, &apps, &quiet, &busy) == 2 && quiet && busy);
  OK(tunproxy_memory_pressure(mover.tunnel, TUNPROXY_PRESSURE_CRITICAL));
  const unsigned critical = window(&mover, &apps);
  if (!CHECK(critical < moderate && moderate < usual && critical < usual / 4)) {
    fprintf(stderr, "windows: %u, %u, %u\n", usual, moderate, critical);
  }
  for (int i = 0; i < 600 && associations(&mover, &apps, &quiet, &busy) > 1; ++i) { /* it has to be quiet for a while */
    CHECK(place_run(&mover.place, busy_one, &apps));
    OK(tunproxy_memory_pressure(mover.tunnel, TUNPROXY_PRESSURE_CRITICAL));
    poll(NULL, 0, 100);
  }
  CHECK(associations(&mover, &apps, &quiet, &busy) == 1 && busy);
  CHECK(place_run(&mover.place, busy_one, &apps));
  OK(tunproxy_memory_pressure(mover.tunnel, TUNPROXY_PRESSURE_NONE));
  CHECK(window(&mover, &apps) > critical * 4);
  close(apps.quiet);
  close(apps.busy);
  mover_end(&mover);
  server_stop(&server);
}
