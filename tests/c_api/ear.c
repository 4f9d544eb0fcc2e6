#include "tests/c_api/ear.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void ear_init(struct ear *ear) {
  memset(ear, 0, sizeof *ear);
  ear->tun = -1;
  pthread_mutex_init(&ear->mutex, NULL);
  pthread_cond_init(&ear->changed, NULL);
}

/* --- what is told --- */

static void enter(struct ear *ear, enum ear_call kind) {
  pthread_mutex_lock(&ear->mutex);
  ++ear->calls[kind];
}

static void leave(struct ear *ear, enum ear_call kind) {
  pthread_cond_broadcast(&ear->changed);
  pthread_mutex_unlock(&ear->mutex);
  if (ear->call_in != NULL) ear->call_in(ear, kind);
}

static void on_state(void *user, tunproxy_state state, tunproxy_result reason, const char *text) {
  struct ear *ear = user;
  enter(ear, EAR_STATE);
  if (ear->state_count < EAR_MOST_STATES) ear->states[ear->state_count++] = state;
  ear->reason = reason;
  snprintf(ear->text, sizeof ear->text, "%s", text);
  leave(ear, EAR_STATE);
}

static void on_log(void *user, tunproxy_log_level level, const char *line) {
  struct ear *ear = user;
  enter(ear, EAR_LOG);
  const size_t room = sizeof ear->log - ear->log_length;
  const int length = snprintf(ear->log + ear->log_length, room, "%d %s\n", level, line);
  if ((size_t)length < room) ear->log_length += (size_t)length;
  leave(ear, EAR_LOG);
}

static int on_protect(void *user, int fd) {
  struct ear *ear = user;
  (void)fd;
  enter(ear, EAR_PROTECT);
  const int refuse = ear->refuse_sockets;
  leave(ear, EAR_PROTECT);
  return refuse;
}

static void on_ask(void *user, tunproxy_question question, const char *prompt, int echo) {
  struct ear *ear = user;
  enter(ear, EAR_ASK);
  ear->question = question;
  ear->echo = echo;
  snprintf(ear->prompt, sizeof ear->prompt, "%s", prompt);
  leave(ear, EAR_ASK);
}

static void on_host_key(void *user, tunproxy_question question, const tunproxy_host_key *key) {
  struct ear *ear = user;
  enter(ear, EAR_HOST_KEY);
  ear->question = question;
  snprintf(ear->prompt, sizeof ear->prompt, "%s %s %s", key->host, key->type, key->fingerprint);
  leave(ear, EAR_HOST_KEY);
}

static int on_resolve(void *user, const char *name, tunproxy_addresses *addresses) {
  struct ear *ear = user;
  enter(ear, EAR_RESOLVE);
  snprintf(ear->resolved, sizeof ear->resolved, "%s", name);
  const int found = ear->address != NULL && addresses->size >= sizeof *addresses;
  if (found) {
    addresses->count = 1;
    snprintf(addresses->text[0], sizeof addresses->text[0], "%s", ear->address);
  }
  leave(ear, EAR_RESOLVE);
  return found ? 0 : 1;
}

static void on_packets(void *user, const tunproxy_packet *packets, size_t count) {
  struct ear *ear = user;
  enter(ear, EAR_WRITE);
  const int tun = ear->tun;
  leave(ear, EAR_WRITE);
  for (size_t i = 0; tun >= 0 && i < count; ++i) {
    if (write(tun, packets[i].data, packets[i].length) < 0) continue; /* a network may drop */
  }
}

static int32_t on_owner(void *user, const tunproxy_flow_key *key) {
  struct ear *ear = user;
  enter(ear, EAR_OWNER);
  ear->key = *key;
  snprintf(ear->flow_from, sizeof ear->flow_from, "%s", key->local_address);
  snprintf(ear->flow_to, sizeof ear->flow_to, "%s", key->remote_address);
  leave(ear, EAR_OWNER);
  return 10042;
}

tunproxy_callbacks ear_callbacks(struct ear *ear) {
  const tunproxy_callbacks callbacks = {.size = sizeof callbacks,
                                        .user = ear,
                                        .protect_socket = on_protect,
                                        .log = on_log,
                                        .state = on_state,
                                        .verify_host_key = on_host_key,
                                        .ask = on_ask,
                                        .resolve = on_resolve,
                                        .write_packets = on_packets,
                                        .flow_owner = on_owner};
  return callbacks;
}

/* --- waiting --- */

/* 0 after a minute. REQUIRES: the mutex */
static int wait_more(struct ear *ear, const struct timespec *until) {
  return pthread_cond_timedwait(&ear->changed, &ear->mutex, until) == 0;
}

static struct timespec in_a_minute(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 60;
  return until;
}

int ear_wait_state_since(struct ear *ear, int since, tunproxy_state wanted) {
  const struct timespec until = in_a_minute();
  pthread_mutex_lock(&ear->mutex);
  int found = 0;
  for (int more = 1; more && !found;) {
    for (int i = since; i < ear->state_count; ++i) found = found || ear->states[i] == wanted;
    const int failed = ear->state_count > since && ear->states[ear->state_count - 1] == TUNPROXY_FAILED;
    more = !found && !failed && wait_more(ear, &until);
  }
  if (!found) fprintf(stderr, "no state %d: %s\n%s", wanted, ear->text, ear->log);
  pthread_mutex_unlock(&ear->mutex);
  return found;
}

int ear_wait_state(struct ear *ear, tunproxy_state wanted) {
  const struct timespec until = in_a_minute();
  pthread_mutex_lock(&ear->mutex);
  int found = 0;
  for (int more = 1; more && !found;) {
    const int last = ear->state_count == 0 ? -1 : (int)ear->states[ear->state_count - 1];
    found = last == (int)wanted;
    more = !found && last != TUNPROXY_FAILED && wait_more(ear, &until);
  }
  if (!found) fprintf(stderr, "no state %d: %s\n%s", wanted, ear->text, ear->log);
  pthread_mutex_unlock(&ear->mutex);
  return found;
}

tunproxy_question ear_wait_question(struct ear *ear) {
  const struct timespec until = in_a_minute();
  pthread_mutex_lock(&ear->mutex);
  while (ear->question == 0 && wait_more(ear, &until)) {
  }
  const tunproxy_question question = ear->question;
  ear->question = 0;
  if (question == 0) fprintf(stderr, "no question\n%s", ear->log);
  pthread_mutex_unlock(&ear->mutex);
  return question;
}

int ear_wait_log(struct ear *ear, const char *words) {
  const struct timespec until = in_a_minute();
  pthread_mutex_lock(&ear->mutex);
  while (strstr(ear->log, words) == NULL && wait_more(ear, &until)) {
  }
  const int found = strstr(ear->log, words) != NULL;
  if (!found) fprintf(stderr, "not logged: %s\n%s", words, ear->log);
  pthread_mutex_unlock(&ear->mutex);
  return found;
}

/* --- looking --- */

int ear_states(struct ear *ear) {
  pthread_mutex_lock(&ear->mutex);
  const int count = ear->state_count;
  pthread_mutex_unlock(&ear->mutex);
  return count;
}

tunproxy_state ear_state_at(struct ear *ear, int index) {
  pthread_mutex_lock(&ear->mutex);
  const tunproxy_state state = index < ear->state_count ? ear->states[index] : TUNPROXY_IDLE;
  pthread_mutex_unlock(&ear->mutex);
  return state;
}

int ear_times(struct ear *ear, tunproxy_state state) {
  int times = 0;
  pthread_mutex_lock(&ear->mutex);
  for (int i = 0; i < ear->state_count; ++i) times += ear->states[i] == state;
  pthread_mutex_unlock(&ear->mutex);
  return times;
}

tunproxy_state ear_state(struct ear *ear) {
  return ear_state_at(ear, ear_states(ear) - 1);
}

tunproxy_result ear_reason(struct ear *ear) {
  pthread_mutex_lock(&ear->mutex);
  const tunproxy_result reason = ear->reason;
  pthread_mutex_unlock(&ear->mutex);
  return reason;
}

int ear_calls(struct ear *ear, enum ear_call kind) {
  pthread_mutex_lock(&ear->mutex);
  const int calls = ear->calls[kind];
  pthread_mutex_unlock(&ear->mutex);
  return calls;
}

int ear_all_calls(struct ear *ear) {
  int calls = 0;
  for (int kind = 0; kind < EAR_KINDS; ++kind) calls += ear_calls(ear, (enum ear_call)kind);
  return calls;
}

int ear_said(struct ear *ear, const char *words) {
  pthread_mutex_lock(&ear->mutex);
  const int said = strstr(ear->text, words) != NULL;
  if (!said) fprintf(stderr, "the last state says: %s\n", ear->text);
  pthread_mutex_unlock(&ear->mutex);
  return said;
}

int ear_logged(struct ear *ear, const char *words) {
  pthread_mutex_lock(&ear->mutex);
  const int logged = strstr(ear->log, words) != NULL;
  pthread_mutex_unlock(&ear->mutex);
  return logged;
}
