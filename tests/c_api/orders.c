/* Orders to a tunnel that runs, and what it leaves alone. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/traffic.h"

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Good rules count for new flows, bad ones change nothing; a flow that is open goes on. */
void test_reload(void) {
  char path[] = "/tmp/tunproxy-rules-XXXXXX";
  close(mkstemp(path));
  struct ear ear;
  struct server server;
  CHECK(server_start(&server, "127.0.0.1"));
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_set(tunnel, "rules", path));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  const int held = dial_socks(ear.listener, "127.0.0.1", server.port);
  CHECK(begin_echo(held));

  write_file(path, "deny 127.0.0.1\n");
  OK(tunproxy_reload(tunnel));
  CHECK(dial_socks(ear.listener, "127.0.0.1", server.port) < 0);
  CHECK(echo(held, 'r'));
  tunproxy_stats stats = {.size = sizeof stats};
  OK(tunproxy_get_stats(tunnel, &stats));
  CHECK(stats.tcp_flows == 1 && stats.refused == 1);

  write_file(path, "allow *\nforbid *\n");
  CHECK(tunproxy_reload(tunnel) == TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), path) != NULL && strstr(tunproxy_error_text(), "line 2") != NULL);
  CHECK(dial_socks(ear.listener, "127.0.0.1", server.port) < 0);

  write_file(path, "allow *\n");
  OK(tunproxy_reload(tunnel));
  CHECK(words_go_through(ear.listener));
  CHECK(echo(held, 'R'));
  close(held);
  destroy(tunnel);
  server_stop(&server);
  unlink(path);
}

/* What a start has begun runs, for whoever is told so. */
void test_orders_at_once(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  uint8_t nonsense[20] = {0x45};
  const tunproxy_packet packet = {nonsense, sizeof nonsense};
  for (int round = 0; round < 10; ++round) {
    size_t taken = 0;
    OK(tunproxy_start_packets(tunnel, 1500));
    if (round % 2 == 0) {
      OK(tunproxy_push_packets(tunnel, &packet, 1, &taken));
      CHECK(taken == 1);
    } else {
      OK(tunproxy_network_changed(tunnel));
    }
    stop(tunnel);
    CHECK(tunproxy_push_packets(tunnel, &packet, 1, &taken) == TUNPROXY_ERROR_STATE);
  }
  destroy(tunnel);
}

/* A connection that stands still is looked at, though no keepalive would for ever. */
void test_network_changed(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_set(tunnel, "keepalive", "0"));
  OK(tunproxy_set(tunnel, "udp", "none"));
  OK(tunproxy_set(tunnel, "log-level", "debug"));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  kill(getppid(), SIGUSR2);
  poll(NULL, 0, 500); /* all of them stand still by then */
  CHECK(!ear_logged(&ear, "takes over"));
  OK(tunproxy_network_changed(tunnel));
  CHECK(ear_wait_log(&ear, "takes over"));
  CHECK(words_go_through(ear.listener));
  destroy(tunnel);
}

/* A connection that is lost in a pause is made again after it, and not before. */
void test_wake(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  OK(tunproxy_pause(tunnel));
  kill(getppid(), SIGUSR1);
  CHECK(ear_wait_state(&ear, TUNPROXY_RECONNECTING));
  const int states = ear_states(&ear);
  poll(NULL, 0, 2000); /* many times the pause between two tries */
  CHECK(ear_states(&ear) == states);
  OK(tunproxy_wake(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(ear.listener));
  destroy(tunnel);
}

/* --- the process is the program's --- */

enum { SIGNALS = 65 };

struct process {
  struct sigaction handlers[SIGNALS];
  sigset_t mask;
  struct rlimit files;
  mode_t mode;
  char folder[4096];
  char environment[1 << 16];
};

extern char **environ;

static void look(struct process *process) {
  memset(process, 0, sizeof *process);
  for (int i = 1; i < SIGNALS; ++i) sigaction(i, NULL, &process->handlers[i]);
  sigprocmask(SIG_BLOCK, NULL, &process->mask);
  getrlimit(RLIMIT_NOFILE, &process->files);
  process->mode = umask(0);
  umask(process->mode);
  CHECK(getcwd(process->folder, sizeof process->folder) != NULL);
  size_t length = 0;
  for (char **variable = environ; *variable != NULL && length < sizeof process->environment; ++variable)
    length += (size_t)snprintf(process->environment + length, sizeof process->environment - length, "%s\n", *variable);
}

static int same(const struct process *one, const struct process *other) {
  for (int i = 1; i < SIGNALS; ++i) {
    if (one->handlers[i].sa_handler != other->handlers[i].sa_handler) return 0;
    if (sigismember(&one->mask, i) != sigismember(&other->mask, i)) return 0;
  }
  return one->files.rlim_cur == other->files.rlim_cur && one->mode == other->mode &&
         strcmp(one->folder, other->folder) == 0 && strcmp(one->environment, other->environment) == 0;
}

/* No signal handlers, no limits, no standard streams, whatever is logged. */
void test_process_is_left_alone(void) {
  static struct process before, during, after;
  char path[] = "/tmp/tunproxy-streams-XXXXXX";
  const int file = mkstemp(path);
  fflush(NULL);
  const int streams[2] = {dup(1), dup(2)};
  struct rlimit few = {0};
  getrlimit(RLIMIT_NOFILE, &few);
  const rlim_t usual = few.rlim_cur;
  few.rlim_cur = few.rlim_max < 500 ? few.rlim_max : 500; /* there is something to raise */
  setrlimit(RLIMIT_NOFILE, &few);
  look(&before);
  dup2(file, 1);
  dup2(file, 2);
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_set(tunnel, "log-level", "trace"));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(ear.listener));
  look(&during);
  destroy(tunnel);
  look(&after);
  fflush(NULL);
  struct stat written = {0};
  fstat(file, &written);
  for (int i = 0; i < 2; ++i) {
    dup2(streams[i], i + 1);
    close(streams[i]);
  }
  close(file);
  if (written.st_size == 0) unlink(path);
  few.rlim_cur = usual;
  setrlimit(RLIMIT_NOFILE, &few);
  if (!CHECK(written.st_size == 0)) fprintf(stderr, "see %s\n", path);
  CHECK(same(&before, &during));
  CHECK(same(&before, &after));
}
