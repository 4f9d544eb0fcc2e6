/* A place: a network namespace in which there is a TUN and nothing else, whose packets a tunnel carries. */
#ifndef TUNPROXY_PLACE_H
#define TUNPROXY_PLACE_H

#include <pthread.h>
#include <stdint.h>

#include "bindings/c/tunproxy.h"

struct place {
  int tun;         /* of the interface tp0, with 10.9.0.1/24 and the default route */
  pthread_t pump;  /* of packet mode */
  int ending;      /* the pump's */
  tunproxy_tunnel *tunnel;
  int namespace;
};

/* 1 if this process may make such things; else it says so, and the test is to be left out. */
int places_there_are(void);

int place_open(struct place *place);
/* Closes it; the TUN too, if that is still there. */
void place_close(struct place *place);
/* Runs `function` in a thread that is there, and returns what that returns. */
int place_run(struct place *place, int (*function)(void *), void *argument);
/* `command` by the shell, there: 1 if it succeeds. */
int place_command(struct place *place, const char *command);

/* Moves packets from the TUN into the tunnel until place_stop_pump(). (The other way is write_packets's.) */
void place_start_pump(struct place *place, tunproxy_tunnel *tunnel);
void place_stop_pump(struct place *place);

#endif
