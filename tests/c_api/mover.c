#include "tests/c_api/mover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/traffic.h"

void mover_make(struct mover *mover, const char *server) {
  CHECK(place_open(&mover->place));
  mover->tunnel = make(&mover->ear, server);
  mover->ear.tun = mover->place.tun;
}

void mover_go(struct mover *mover) {
  OK(tunproxy_start_packets(mover->tunnel, 1500));
  place_start_pump(&mover->place, mover->tunnel);
  CHECK(ear_wait_state(&mover->ear, TUNPROXY_ONLINE));
}

void mover_start(struct mover *mover, const char *server) {
  mover_make(mover, server);
  mover_go(mover);
}

void mover_end(struct mover *mover) {
  place_stop_pump(&mover->place);
  destroy(mover->tunnel);
  place_close(&mover->place);
}

int traffic_goes(void *argument) {
  const struct server *server = argument;
  const int up = dial(FAR_END, server->port), down = dial(FAR_END, server->port);
  const int datagrams = datagram_echo(FAR_END, server->port);
  const int good = up >= 0 && down >= 0 && send_up(up, 3000001, 7) && take_down(down, 3000001, 8) && datagrams >= 0;
  if (!good) fprintf(stderr, "no traffic: %d %d %d, %s\n", up, down, datagrams, strerror(errno));
  close(up);
  close(down);
  close(datagrams);
  return good;
}
