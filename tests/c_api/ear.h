/* An instance under test: what its callbacks were told, and what they are to do. */
#ifndef TUNPROXY_EAR_H
#define TUNPROXY_EAR_H

#include <pthread.h>
#include <stdint.h>

#include "bindings/c/tunproxy.h"

/* Which callback; for counting. */
enum ear_call {
  EAR_PROTECT,
  EAR_LOG,
  EAR_STATE,
  EAR_HOST_KEY,
  EAR_ASK,
  EAR_RESOLVE,
  EAR_WRITE,
  EAR_OWNER,
  EAR_KINDS
};

enum { EAR_MOST_STATES = 128 };

struct ear {
  pthread_mutex_t mutex; /* guards what follows */
  pthread_cond_t changed;
  int calls[EAR_KINDS];
  tunproxy_state states[EAR_MOST_STATES]; /* in their order */
  int state_count;
  tunproxy_result reason; /* of the last one */
  char text[512];
  char log[1 << 18];
  size_t log_length;
  tunproxy_question question; /* that nobody has looked at; 0: none */
  int echo;
  char prompt[512];
  char resolved[256]; /* the name that was to be looked up last */
  tunproxy_flow_key key; /* of the last flow; without its texts */
  char flow_from[64], flow_to[64];

  /* Set before the start. */
  tunproxy_tunnel *tunnel;
  char listener[32]; /* of make(): "127.0.0.1:PORT" */
  int refuse_sockets;
  const char *address;   /* the answer of resolve; NULL: none */
  int tun;               /* where write_packets writes to; -1: nowhere */
  void (*call_in)(struct ear *ear, enum ear_call from); /* in each callback, without the mutex; may be NULL */
};

void ear_init(struct ear *ear);
/* All of them, with `ear` as the user. */
tunproxy_callbacks ear_callbacks(struct ear *ear);

/* Waits (a minute) for a state to be told, from the `since`th on; 0 and words on stderr if that does not happen. */
int ear_wait_state_since(struct ear *ear, int since, tunproxy_state wanted);
/* The same, for it to be the last one. */
int ear_wait_state(struct ear *ear, tunproxy_state wanted);
tunproxy_question ear_wait_question(struct ear *ear);
int ear_wait_log(struct ear *ear, const char *words);

int ear_states(struct ear *ear); /* how many were told */
tunproxy_state ear_state_at(struct ear *ear, int index);
int ear_times(struct ear *ear, tunproxy_state state);
tunproxy_state ear_state(struct ear *ear); /* the last one */
tunproxy_result ear_reason(struct ear *ear);
int ear_calls(struct ear *ear, enum ear_call kind);
int ear_all_calls(struct ear *ear);
int ear_said(struct ear *ear, const char *words);        /* in the text of the last state */
int ear_logged(struct ear *ear, const char *words);      /* in any line */

#endif
