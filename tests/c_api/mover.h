/* A running instance in packet mode, between a place's TUN and an SSH server. */
#ifndef TUNPROXY_C_API_MOVER_H
#define TUNPROXY_C_API_MOVER_H

#include "bindings/c/tunproxy.h"
#include "tests/c_api/ear.h"
#include "tests/c_api/place.h"

/* Where the servers of these tests are: local to the SSH servers, and behind the TUN for a place. */
#define FAR_END "192.0.2.1"

struct mover {
  struct ear ear;
  struct place place;
  tunproxy_tunnel *tunnel;
};

/* For the server of that environment variable; with mover_go() it is online. */
void mover_make(struct mover *mover, const char *server);
void mover_go(struct mover *mover);
void mover_start(struct mover *mover, const char *server); /* both */
void mover_end(struct mover *mover);

/* For place_run(): TCP both ways and UDP, to a `struct server` at FAR_END. */
int traffic_goes(void *server);

#endif
