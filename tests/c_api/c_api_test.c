/* The C API, as C11 sees it. c_api_driver starts two SSH servers and runs this with TEST_SERVER_1 and TEST_SERVER_2
 * ("user@127.0.0.1:port"), TEST_KEY and TEST_KNOWN_HOSTS. Exits with 0 if all tests pass. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bindings/c/tunproxy.h"
#include "tests/c_api/c_api_test.h"

static int failures = 0;

void check_at(int good, const char *what, const char *file, int line) {
  if (good) return;
  __atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
  fprintf(stderr, "%s:%d: %s (last error: %s)\n", file, line, what, tunproxy_error_text());
}

/* --- an instance and what it was told --- */

void ear_init(struct ear *ear) {
  memset(ear, 0, sizeof *ear);
  pthread_mutex_init(&ear->mutex, NULL);
  pthread_cond_init(&ear->changed, NULL);
}

static void on_state(void *user, tunproxy_state state, tunproxy_result reason, const char *text) {
  struct ear *ear = user;
  pthread_mutex_lock(&ear->mutex);
  ear->state = state;
  ear->reason = reason;
  snprintf(ear->text, sizeof ear->text, "%s", text);
  ++ear->calls;
  pthread_cond_broadcast(&ear->changed);
  pthread_mutex_unlock(&ear->mutex);
}

static void on_log(void *user, tunproxy_log_level level, const char *line) {
  struct ear *ear = user;
  (void)level;
  pthread_mutex_lock(&ear->mutex);
  ++ear->calls;
  const size_t used = strlen(ear->log);
  snprintf(ear->log + used, sizeof ear->log - used, "%s\n", line);
  pthread_mutex_unlock(&ear->mutex);
}

static int on_protect(void *user, int fd) {
  struct ear *ear = user;
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  pthread_mutex_lock(&ear->mutex);
  ++ear->calls;
  ++ear->protected_sockets;
  if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0) ++ear->protected_too_late;
  const int refuse = ear->refuse_sockets;
  pthread_mutex_unlock(&ear->mutex);
  return refuse;
}

static void on_ask(void *user, tunproxy_question question, const char *prompt, int echo) {
  struct ear *ear = user;
  pthread_mutex_lock(&ear->mutex);
  ++ear->calls;
  ear->question = question;
  ear->echo = echo;
  snprintf(ear->prompt, sizeof ear->prompt, "%s", prompt);
  pthread_cond_broadcast(&ear->changed);
  pthread_mutex_unlock(&ear->mutex);
}

static void on_host_key(void *user, tunproxy_question question, const tunproxy_host_key *key) {
  struct ear *ear = user;
  pthread_mutex_lock(&ear->mutex);
  ++ear->calls;
  ear->question = question;
  snprintf(ear->prompt, sizeof ear->prompt, "%s %s %s", key->host, key->type, key->fingerprint);
  pthread_cond_broadcast(&ear->changed);
  pthread_mutex_unlock(&ear->mutex);
}

tunproxy_callbacks ear_callbacks(struct ear *ear) {
  tunproxy_callbacks callbacks = {.size = sizeof callbacks,
                                  .user = ear,
                                  .protect_socket = on_protect,
                                  .log = on_log,
                                  .state = on_state,
                                  .verify_host_key = on_host_key,
                                  .ask = on_ask};
  return callbacks;
}

static void deadline(struct timespec *until) {
  clock_gettime(CLOCK_REALTIME, until);
  until->tv_sec += 60;
}

int ear_wait_state(struct ear *ear, tunproxy_state wanted) {
  struct timespec until;
  deadline(&until);
  pthread_mutex_lock(&ear->mutex);
  int late = 0;
  while (!late && ear->state != wanted && !(ear->state == TUNPROXY_FAILED && wanted != TUNPROXY_FAILED)) {
    late = pthread_cond_timedwait(&ear->changed, &ear->mutex, &until);
  }
  const int good = ear->state == wanted;
  if (!good) fprintf(stderr, "state %d instead of %d: %s\n%s", ear->state, wanted, ear->text, ear->log);
  pthread_mutex_unlock(&ear->mutex);
  return good;
}

tunproxy_question ear_wait_question(struct ear *ear) {
  struct timespec until;
  deadline(&until);
  pthread_mutex_lock(&ear->mutex);
  while (ear->question == 0 && pthread_cond_timedwait(&ear->changed, &ear->mutex, &until) == 0) {
  }
  const tunproxy_question question = ear->question;
  ear->question = 0;
  pthread_mutex_unlock(&ear->mutex);
  return question;
}

int ear_calls(struct ear *ear) {
  pthread_mutex_lock(&ear->mutex);
  const int calls = ear->calls;
  pthread_mutex_unlock(&ear->mutex);
  return calls;
}

/* --- tools --- */

static int listen_anywhere(uint16_t *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0) return -1;
  getsockname(fd, (struct sockaddr *)&address, &length);
  *port = ntohs(address.sin_port);
  return fd;
}

char *free_address(char text[32]) {
  uint16_t port = 0;
  close(listen_anywhere(&port));
  snprintf(text, 32, "127.0.0.1:%d", port);
  return text;
}

tunproxy_tunnel *make(struct ear *ear, const char *server) {
  tunproxy_tunnel *tunnel = NULL;
  const tunproxy_callbacks callbacks = ear_callbacks(ear);
  CHECK(tunproxy_create(&callbacks, &tunnel) == TUNPROXY_OK);
  CHECK(tunproxy_set(tunnel, "ssh", getenv(server)) == TUNPROXY_OK);
  CHECK(tunproxy_set(tunnel, "ssh-config", "none") == TUNPROXY_OK);
  CHECK(tunproxy_set(tunnel, "identity", getenv("TEST_KEY")) == TUNPROXY_OK);
  CHECK(tunproxy_set(tunnel, "identity", getenv("TEST_KEY_2")) == TUNPROXY_OK);
  CHECK(tunproxy_set(tunnel, "known-hosts", getenv("TEST_KNOWN_HOSTS")) == TUNPROXY_OK);
  char address[32];
  CHECK(tunproxy_set(tunnel, "socks", free_address(address)) == TUNPROXY_OK);
  return tunnel;
}

/* The port that the log names for the SOCKS5 listener. */
static uint16_t listener_port(struct ear *ear) {
  for (int i = 0; i < 6000; ++i) {
    pthread_mutex_lock(&ear->mutex);
    const char *at = strstr(ear->log, "listener on 127.0.0.1:");
    const int port = at == NULL ? 0 : atoi(at + strlen("listener on 127.0.0.1:"));
    pthread_mutex_unlock(&ear->mutex);
    if (port != 0) return (uint16_t)port;
    usleep(10000);
  }
  return 0;
}

static int dial(uint16_t port) {
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

static int read_all(int fd, void *to, size_t length) {
  for (size_t done = 0; done < length;) {
    const ssize_t n = read(fd, (char *)to + done, length - done);
    if (n <= 0) return 0;
    done += (size_t)n;
  }
  return 1;
}

/* A connection through the tunnel's listener to a listener here, with words both ways. */
int words_go_through(struct ear *ear) {
  uint16_t target_port = 0;
  const int target = listen_anywhere(&target_port);
  const int app = dial(listener_port(ear));
  if (target < 0 || app < 0) return 0;
  const uint8_t greeting[] = {5, 1, 0};
  const uint8_t request[] = {5, 1, 0, 1, 127, 0, 0, 1, (uint8_t)(target_port >> 8), (uint8_t)target_port};
  uint8_t answer[12];
  int good = write(app, greeting, sizeof greeting) == sizeof greeting && read_all(app, answer, 2) &&
             write(app, request, sizeof request) == sizeof request && read_all(app, answer, 10) && answer[1] == 0;
  const int far_end = good ? accept(target, NULL, NULL) : -1;
  char words[6] = {0};
  good = good && write(app, "there", 5) == 5 && read_all(far_end, words, 5) && strcmp(words, "there") == 0;
  good = good && write(far_end, "again", 5) == 5 && read_all(app, words, 5) && strcmp(words, "again") == 0;
  if (far_end >= 0) close(far_end);
  close(app);
  close(target);
  return good;
}

int main(void) {
  alarm(600);
  test_arguments();
  test_configuration();
  test_life();
  test_two_at_once();
  test_questions();
  test_protect();
  test_descriptors();
  test_callbacks_that_call_in();
  test_many_rounds();
  if (failures == 0) printf("all tests passed\n");
  return failures == 0 ? 0 : 1;
}
