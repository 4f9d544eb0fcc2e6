/* c_api_fuzz [SECONDS [SEED]]: calls in any order, from several threads, while callbacks block, refuse and call in.
 *
 * Within c_api_driver. It ends with 0 if nothing crashed or hung, no callback came after tunproxy_destroy(), and no
 * call had an outcome that it may not have. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bindings/c/tunproxy.h"
#include "tests/c_api/traffic.h"

enum { INSTANCES = 4, CALLERS = 5 };

/* A place for one instance after another. */
struct slot {
  pthread_rwlock_t lock; /* written by who makes and ends the instance; REQUIRED by tunproxy_destroy() */
  tunproxy_tunnel *tunnel;
  int alive; /* its callbacks may come */
  char listener[32];
  uint64_t question; /* the last one */
  uint64_t random;   /* of the callbacks */
};

static struct slot slots[INSTANCES];
static struct server server;
static int ending;
static uint64_t calls, started, online;

static void die(const char *what, int outcome) {
  fprintf(stderr, "%s: %d (%s)\n", what, outcome, tunproxy_error_text());
  abort();
}

static uint64_t next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static uint64_t callback_random(struct slot *slot) {
  return next(&(uint64_t){__atomic_add_fetch(&slot->random, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED) | 1});
}

static void pause_ms(long ms) {
  const struct timespec pause = {0, ms * 1000000};
  nanosleep(&pause, NULL);
}

/* --- callbacks --- */

static void any_call(struct slot *slot, uint64_t *random, int in_callback);

/* Seldom: it blocks, or calls in. */
static uint64_t called(struct slot *slot) {
  static _Thread_local int depth;
  if (!__atomic_load_n(&slot->alive, __ATOMIC_ACQUIRE)) die("a callback after the end", 0);
  uint64_t random = callback_random(slot);
  if (random % 16 == 0) pause_ms((long)(random / 16 % 5));
  if (random % 8 == 1 && depth == 0) {
    ++depth;
    any_call(slot, &random, 1);
    --depth;
  }
  return next(&random);
}

static int on_protect(void *user, int fd) {
  (void)fd;
  return called(user) % 8 == 0;
}
static void on_log(void *user, tunproxy_log_level level, const char *line) {
  (void)level;
  if (strlen(line) == 0 && level > TUNPROXY_LOG_ERROR) abort();
  called(user);
}
static void on_state(void *user, tunproxy_state state, tunproxy_result reason, const char *text) {
  (void)reason;
  if (strlen(text) > 100000) abort();
  if (state == TUNPROXY_ONLINE) __atomic_add_fetch(&online, 1, __ATOMIC_RELAXED);
  called(user);
}
static void on_question(struct slot *slot, tunproxy_question question) {
  __atomic_store_n(&slot->question, question, __ATOMIC_RELEASE);
  const uint64_t what = called(slot) % 4;
  if (what == 0) tunproxy_answer(slot->tunnel, question, "yes");
  if (what == 1) tunproxy_refuse(slot->tunnel, question);
}
static void on_host_key(void *user, tunproxy_question question, const tunproxy_host_key *key) {
  if (strncmp(key->fingerprint, "SHA256:", 7) != 0) abort();
  on_question(user, question);
}
static void on_ask(void *user, tunproxy_question question, const char *prompt, int echo) {
  (void)echo;
  if (strlen(prompt) == 0) abort();
  on_question(user, question);
}
static int on_resolve(void *user, const char *name, tunproxy_addresses *addresses) {
  (void)name;
  addresses->count = called(user) % 20; /* more than there is room for, too */
  for (size_t i = 0; i < addresses->count && i < TUNPROXY_MAX_ADDRESSES; ++i) {
    strcpy(addresses->text[i], i % 3 == 2 ? "no address" : "127.0.0.1");
  }
  return addresses->count == 0;
}
static void on_packets(void *user, const tunproxy_packet *packets, size_t count) {
  unsigned sum = 0;
  for (size_t i = 0; i < count; ++i) sum += packets[i].data[0] + packets[i].data[packets[i].length - 1];
  if (sum == 1) abort(); /* they can all be read */
  called(user);
}
static int32_t on_owner(void *user, const tunproxy_flow_key *key) {
  return key->protocol == 6 ? (int32_t)called(user) : -1;
}

/* --- calls --- */

/* clang-format off */
static const char *const settings[][2] = {
    {"host-key-policy", "ask"},    {"host-key-policy", "strict"}, {"udp", "none"},       {"udp", "auto"},
    {"log-level", "trace"},        {"log-level", "error"},        {"log-level", "debug"}, {"keepalive", "1"},
    {"keep-trying", "true"},       {"keep-trying", ""},           {"sessions", "1"},     {"sessions", "6"},
    {"dns", "fake"},               {"dns", ""},                   {"rules", "/nowhere"}, {"rules", ""},
    {"rule", "deny *.example"},    {"memory", "4"},               {"memory", ""},        {"nonsense", "1"},
    {"sessions", "many"},          {"identity", ""},              {"known-hosts", ""},   {"mtu", "1400"},
    {"default-action", "deny"},    {"default-action", ""},        {"isolate", "destination"}, {"isolate", ""}};
/* clang-format on */

static int good_outcome(int outcome, int in_callback) {
  switch (outcome) {
    case TUNPROXY_OK:
    case TUNPROXY_ERROR_STATE:
    case TUNPROXY_ERROR_CONFIG:
    case TUNPROXY_ERROR_TIMEOUT:
    case TUNPROXY_ERROR_ARGUMENT:
      return 1;
    case TUNPROXY_ERROR_CALLBACK:
      return in_callback;
    default:
      return 0;
  }
}

/* So that it may come online; nothing happens while it runs. */
static void set_up(struct slot *slot, uint64_t *random) {
  for (size_t i = 0; i < sizeof settings / sizeof settings[0]; ++i) tunproxy_set(slot->tunnel, settings[i][0], "");
  tunproxy_set(slot->tunnel, "ssh", getenv(next(random) % 2 ? "TEST_SERVER_1" : "TEST_SERVER_2"));
  tunproxy_set(slot->tunnel, "identity", getenv("TEST_KEY"));
  tunproxy_set(slot->tunnel, "identity", getenv("TEST_KEY_2"));
  if (next(random) % 4 == 0) tunproxy_set(slot->tunnel, "identity", getenv("TEST_LOCKED_KEY"));
  tunproxy_set(slot->tunnel, "known-hosts", getenv("TEST_KNOWN_HOSTS"));
  tunproxy_set(slot->tunnel, "socks", slot->listener);
}

static int set_something(tunproxy_tunnel *tunnel, uint64_t *random) {
  const char *const *setting = settings[next(random) % (sizeof settings / sizeof settings[0])];
  if (next(random) % 3) return tunproxy_set(tunnel, setting[0], setting[1]);
  if (next(random) % 2) return tunproxy_set_secret(tunnel, "passphrase", "secret", next(random) % 7);
  char toml[128];
  snprintf(toml, sizeof toml, "%s = \"%s\"\nsessions = %d\n", setting[0], setting[1], (int)(next(random) % 9));
  return tunproxy_set_toml(tunnel, toml);
}

/* An IP packet whose header is right as often as not: a SYN or a datagram to the server. */
static size_t make_packet(uint8_t *packet, uint64_t *random) {
  const int udp = next(random) % 2 == 0;
  const size_t length = 20 + (udp ? 8 + next(random) % 900 : 20);
  for (size_t i = 0; i < length; ++i) packet[i] = (uint8_t)next(random);
  const uint8_t header[20] = {
      0x45, 0, (uint8_t)(length >> 8), (uint8_t)length, 0, 0, 0, 0, 64, udp ? 17 : 6, 0, 0, 10, 9, 0, 1, 127, 0, 0, 1};
  memcpy(packet, header, sizeof header);
  packet[20 + 2] = (uint8_t)(server.port >> 8);
  packet[20 + 3] = (uint8_t)server.port;
  if (udp) packet[24] = (uint8_t)((length - 20) >> 8), packet[25] = (uint8_t)(length - 20), packet[26] = packet[27] = 0;
  if (!udp) packet[32] = 0x50, packet[33] = 2;
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
  sum = ~((sum & 0xffff) + (sum >> 16) + (((sum & 0xffff) + (sum >> 16)) >> 16));
  packet[10] = (uint8_t)(sum >> 8);
  packet[11] = (uint8_t)sum;
  if (next(random) % 4 == 0) packet[next(random) % length] ^= 1;
  return length;
}

static int push(tunproxy_tunnel *tunnel, uint64_t *random) {
  uint8_t bytes[16][1024];
  tunproxy_packet packets[16];
  const size_t count = next(random) % 17;
  for (size_t i = 0; i < count; ++i) packets[i] = (tunproxy_packet){bytes[i], make_packet(bytes[i], random)};
  size_t taken = 0;
  const int outcome = tunproxy_push_packets(tunnel, packets, count, &taken);
  if (taken > count) die("push_packets took more than there were", outcome);
  return outcome;
}

static int look(tunproxy_tunnel *tunnel, uint64_t *random) {
  if (next(random) % 2) {
    tunproxy_stats stats = {.size = sizeof stats};
    return tunproxy_get_stats(tunnel, &stats);
  }
  tunproxy_flow flows[4];
  size_t count = 0;
  flows[0].size = sizeof flows[0];
  return tunproxy_get_flows(tunnel, flows, 4, &count);
}

static int start(struct slot *slot, uint64_t *random) {
  tunproxy_tunnel *tunnel = slot->tunnel;
  int ends[2] = {-1, -1};
  if (next(random) % 4) set_up(slot, random);
  if (next(random) % 3 == 0) return tunproxy_start_proxy(tunnel);
  if (next(random) % 2 == 0) return tunproxy_start_packets(tunnel, 1500);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return TUNPROXY_OK;
  const int outcome = tunproxy_start_fd(tunnel, ends[0], 1500);
  if (outcome != TUNPROXY_OK) close(ends[0]);
  close(ends[1]); /* a device that is gone soon */
  return outcome;
}

/* Seldom, so that there is something to stop, unless it has failed. */
static int stop(tunproxy_tunnel *tunnel, uint64_t *random) {
  tunproxy_stats stats = {.size = sizeof stats};
  const int outcome = tunproxy_get_stats(tunnel, &stats);
  if (outcome != TUNPROXY_OK || (stats.state != TUNPROXY_FAILED && next(random) % 400)) return outcome;
  return tunproxy_stop(tunnel, (uint32_t)(next(random) % 300));
}

static int started_one(int outcome) {
  if (outcome == TUNPROXY_OK) __atomic_add_fetch(&started, 1, __ATOMIC_RELAXED);
  return outcome;
}

/* REQUIRES: the instance stays meanwhile */
static void any_call(struct slot *slot, uint64_t *random, int in_callback) {
  tunproxy_tunnel *tunnel = slot->tunnel;
  int outcome = TUNPROXY_OK;
  __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  const tunproxy_question question = __atomic_load_n(&slot->question, __ATOMIC_ACQUIRE);
  switch (next(random) % 16) {
    case 0:
      outcome = started_one(start(slot, random));
      break;
    case 1:
      outcome = stop(tunnel, random);
      break;
    case 2:
      outcome = set_something(tunnel, random);
      break;
    case 3:
    case 4:
    case 5:
      outcome = push(tunnel, random);
      break;
    case 6:
      outcome = tunproxy_answer(tunnel, question, "yes");
      break;
    case 7:
      outcome = tunproxy_refuse(tunnel, question + next(random) % 2);
      break;
    case 8:
      outcome = tunproxy_network_changed(tunnel);
      break;
    case 9:
      outcome = tunproxy_pause(tunnel);
      break;
    case 10:
      outcome = tunproxy_wake(tunnel);
      break;
    case 11:
      outcome = tunproxy_memory_pressure(tunnel, (tunproxy_pressure)(next(random) % 3));
      break;
    case 12:
      outcome = tunproxy_reload(tunnel);
      break;
    case 13:
      if (in_callback) outcome = tunproxy_destroy(tunnel);
      if (in_callback && outcome == TUNPROXY_OK) die("an end from within a callback", outcome);
      break;
    default:
      outcome = look(tunnel, random);
      break;
  }
  if (!good_outcome(outcome, in_callback)) die("an outcome that may not be", outcome);
}

/* --- threads --- */

static void make_instance(struct slot *slot, uint64_t *random) {
  const tunproxy_callbacks callbacks = {sizeof callbacks, slot,   on_protect, on_log,     on_state,
                                        on_host_key,      on_ask, on_resolve, on_packets, on_owner};
  __atomic_store_n(&slot->alive, 1, __ATOMIC_RELEASE);
  const int made = tunproxy_create(&callbacks, &slot->tunnel);
  if (made != TUNPROXY_OK) die("create", made);
  set_up(slot, random);
}

static void end_instance(struct slot *slot) {
  const int ended = tunproxy_destroy(slot->tunnel);
  if (ended != TUNPROXY_OK) die("destroy", ended);
  __atomic_store_n(&slot->alive, 0, __ATOMIC_RELEASE);
}

static void *caller(void *seed) {
  uint64_t random = (uint64_t)(uintptr_t)seed;
  while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE)) {
    struct slot *slot = &slots[next(&random) % INSTANCES];
    if (next(&random) % 2000 == 0) {
      pthread_rwlock_wrlock(&slot->lock);
      end_instance(slot);
      make_instance(slot, &random);
      pthread_rwlock_unlock(&slot->lock);
      continue;
    }
    pthread_rwlock_rdlock(&slot->lock);
    any_call(slot, &random, 0);
    pthread_rwlock_unlock(&slot->lock);
    if (next(&random) % 4 == 0) pause_ms((long)(next(&random) % 3));
  }
  return NULL;
}

/* Connections through whatever listens, which may be nobody. */
static void *client(void *seed) {
  uint64_t random = (uint64_t)(uintptr_t)seed;
  while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE)) {
    const int fd = dial_socks(slots[next(&random) % INSTANCES].listener, "127.0.0.1", server.port);
    if (fd >= 0) send_up(fd, next(&random) % 3000000, 1 + next(&random) % 99);
    if (fd >= 0) close(fd);
    pause_ms(20);
  }
  return NULL;
}

static void run(int seconds, uint64_t seed) {
  pthread_t threads[CALLERS + 1];
  pthread_rwlockattr_t whoever_ends_comes_first;
  pthread_rwlockattr_init(&whoever_ends_comes_first);
  pthread_rwlockattr_setkind_np(&whoever_ends_comes_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  for (int i = 0; i < INSTANCES; ++i) {
    pthread_rwlock_init(&slots[i].lock, &whoever_ends_comes_first);
    free_address(slots[i].listener);
    slots[i].random = next(&seed);
    make_instance(&slots[i], &seed);
  }
  for (int i = 0; i < CALLERS; ++i) pthread_create(&threads[i], NULL, caller, (void *)(uintptr_t)next(&seed));
  pthread_create(&threads[CALLERS], NULL, client, (void *)(uintptr_t)next(&seed));
  for (int i = 0; i < seconds; ++i) sleep(1);
  __atomic_store_n(&ending, 1, __ATOMIC_RELEASE);
  alarm(120); /* whoever hangs, hangs now */
  for (int i = 0; i <= CALLERS; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < INSTANCES; ++i) end_instance(&slots[i]);
}

int main(int argc, char **argv) {
  const int seconds = argc > 1 ? atoi(argv[1]) : 60;
  const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : ((uint64_t)time(NULL) << 16 | (uint64_t)getpid());
  printf("seed %llu\n", (unsigned long long)seed);
  fflush(stdout);
  if (!server_start(&server, "127.0.0.1")) return 1;
  run(seconds, seed);
  server_stop(&server);
  printf("%llu calls, %llu starts, %llu times online\n", (unsigned long long)calls, (unsigned long long)started,
         (unsigned long long)online);
  return online > 0 ? 0 : 1;
}
