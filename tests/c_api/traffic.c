#include "tests/c_api/traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024 };

static struct sockaddr_in at(const char *address, uint16_t port) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, address, &place.sin_addr);
  return place;
}

int listen_at(const char *address, uint16_t *port) {
  struct sockaddr_in place = at(address, 0);
  socklen_t length = sizeof place;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&place, length) == 0 && listen(fd, 128) == 0) {
    getsockname(fd, (struct sockaddr *)&place, &length);
    *port = ntohs(place.sin_port);
    return fd;
  }
  perror(address);
  if (fd >= 0) close(fd);
  return -1;
}

/* Not by connect(): the tests watch the one that the library calls. */
int dial(const char *address, uint16_t port) {
  const struct sockaddr_in place = at(address, port);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (syscall(SYS_connect, fd, &place, sizeof place) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* Given to nobody else in this process. */
char *free_address(char text[32]) {
  static _Atomic unsigned char given[UINT16_MAX + 1];
  uint16_t port;
  do {
    port = 0;
    close(listen_at("127.0.0.1", &port));
  } while (atomic_exchange(&given[port], 1));
  snprintf(text, 32, "127.0.0.1:%d", port);
  return text;
}

int read_all(int fd, void *to, size_t length) {
  for (size_t done = 0; done < length;) {
    const ssize_t n = read(fd, (char *)to + done, length - done);
    if (n <= 0) return 0;
    done += (size_t)n;
  }
  return 1;
}

int write_all(int fd, const void *from, size_t length) {
  for (size_t done = 0; done < length;) {
    const ssize_t n = send(fd, (const char *)from + done, length - done, MSG_NOSIGNAL);
    if (n <= 0) return 0;
    done += (size_t)n;
  }
  return 1;
}

int dial_socks(const char *listener, const char *host, uint16_t port) {
  const char *colon = strrchr(listener, ':');
  char address[32];
  snprintf(address, sizeof address, "%.*s", (int)(colon - listener), listener);
  const int fd = dial(address, (uint16_t)atoi(colon + 1));
  if (fd < 0) return -1;
  const size_t length = strlen(host);
  uint8_t request[3 + 5 + 255 + 2] = {5, 1, 0, 5, 1, 0, 3, (uint8_t)length};
  memcpy(request + 8, host, length);
  request[8 + length] = (uint8_t)(port >> 8);
  request[9 + length] = (uint8_t)port;
  uint8_t answer[2 + 10];
  if (write_all(fd, request, 10 + length) && read_all(fd, answer, sizeof answer) && answer[3] == 0) return fd;
  close(fd);
  return -1;
}

int words_go_through(const char *listener) {
  uint16_t port = 0;
  const int target = listen_at("127.0.0.1", &port);
  const int app = dial_socks(listener, "127.0.0.1", port);
  const int far_end = app >= 0 ? accept(target, NULL, NULL) : -1;
  char words[6] = {0};
  int good = far_end >= 0;
  good = good && write_all(app, "there", 5) && read_all(far_end, words, 5) && strcmp(words, "there") == 0;
  good = good && write_all(far_end, "again", 5) && read_all(app, words, 5) && strcmp(words, "again") == 0;
  if (far_end >= 0) close(far_end);
  if (app >= 0) close(app);
  close(target);
  return good;
}

/* --- bytes that follow from a seed --- */

static void fill(uint8_t *bytes, size_t length, uint64_t *state) {
  for (size_t i = 0; i < length; i += sizeof *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    memcpy(bytes + i, state, sizeof *state);
  }
}

static int send_from(int fd, uint64_t length, uint64_t seed) {
  uint8_t bytes[BLOCK];
  for (uint64_t done = 0; done < length; done += sizeof bytes) {
    const uint64_t left = length - done;
    fill(bytes, sizeof bytes, &seed);
    if (!write_all(fd, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes)) return 0;
  }
  return 1;
}

static int take_from(int fd, uint64_t length, uint64_t seed) {
  uint8_t bytes[BLOCK], right[BLOCK];
  for (uint64_t done = 0; done < length; done += sizeof bytes) {
    const uint64_t left = length - done;
    const size_t now = left < sizeof bytes ? (size_t)left : sizeof bytes;
    fill(right, sizeof right, &seed);
    if (!read_all(fd, bytes, now) || memcmp(bytes, right, now) != 0) return 0;
  }
  return 1;
}

/* --- the server, and who uses it --- */

struct request {
  char what; /* 'u' up, 'd' down, 'e' echo */
  uint64_t length, seed;
};

static int ask(int fd, char what, uint64_t length, uint64_t seed) {
  struct request request;
  memset(&request, 0, sizeof request);
  request.what = what;
  request.length = length;
  request.seed = seed;
  return write_all(fd, &request, sizeof request);
}

int send_up(int fd, uint64_t length, uint64_t seed) {
  char verdict = 'n';
  return ask(fd, 'u', length, seed) && send_from(fd, length, seed) && read_all(fd, &verdict, 1) && verdict == 'y';
}

int take_down(int fd, uint64_t length, uint64_t seed) {
  return ask(fd, 'd', length, seed) && take_from(fd, length, seed);
}

int begin_down(int fd, uint64_t length) {
  char first;
  return ask(fd, 'd', length, 7) && read_all(fd, &first, 1);
}

int echo(int fd, char byte) {
  char back = (char)(byte + 1);
  return write_all(fd, &byte, 1) && read_all(fd, &back, 1) && back == byte;
}

int begin_echo(int fd) {
  return ask(fd, 'e', 0, 0) && echo(fd, 'x');
}

static void *serve_one(void *argument) {
  const int fd = (int)(intptr_t)argument;
  struct request request;
  if (read_all(fd, &request, sizeof request)) {
    char byte = 'n';
    if (request.what == 'u') {
      byte = take_from(fd, request.length, request.seed) ? 'y' : 'n';
      write_all(fd, &byte, 1);
    } else if (request.what == 'd') {
      send_from(fd, request.length, request.seed);
    } else {
      while (read_all(fd, &byte, 1) && write_all(fd, &byte, 1)) {
      }
    }
  }
  close(fd);
  return NULL;
}

static void *serve(void *argument) {
  const int fd = (int)(intptr_t)argument;
  for (;;) {
    const int client = accept(fd, NULL, NULL);
    if (client < 0) return NULL;
    pthread_t thread;
    pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)client);
    pthread_detach(thread);
  }
}

static void *answer_datagrams(void *argument) {
  const int fd = (int)(intptr_t)argument;
  char bytes[65536];
  struct sockaddr_storage peer;
  for (;;) {
    socklen_t size = sizeof peer;
    const ssize_t n = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &size);
    if (n <= 0) return NULL; /* an empty one is how it is stopped */
    sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&peer, size);
  }
}

int server_start(struct server *server, const char *address) {
  server->tcp = listen_at(address, &server->port);
  server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const struct sockaddr_in place = at(address, server->port);
  if (server->tcp < 0 || bind(server->udp, (const struct sockaddr *)&place, sizeof place) != 0) return 0;
  pthread_create(&server->threads[0], NULL, serve, (void *)(intptr_t)server->tcp);
  pthread_create(&server->threads[1], NULL, answer_datagrams, (void *)(intptr_t)server->udp);
  return 1;
}

void server_stop(struct server *server) {
  struct sockaddr_in place;
  socklen_t size = sizeof place;
  getsockname(server->udp, (struct sockaddr *)&place, &size);
  sendto(server->udp, "", 0, 0, (struct sockaddr *)&place, size);
  shutdown(server->tcp, SHUT_RDWR);
  for (int i = 0; i < 2; ++i) pthread_join(server->threads[i], NULL);
  close(server->tcp);
  close(server->udp);
}

int datagram_comes_back(int fd, const char *address, uint16_t port) {
  const struct sockaddr_in place = at(address, port);
  const struct timeval patience = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char back[8] = {0};
  int good = 0;
  for (int i = 0; i < 30 && !good; ++i) { /* datagrams may get lost */
    sendto(fd, "ping", 4, 0, (const struct sockaddr *)&place, sizeof place);
    good = recv(fd, back, sizeof back, 0) == 4 && memcmp(back, "ping", 4) == 0;
  }
  return good;
}

int datagram_echo(const char *address, uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return datagram_comes_back(fd, address, port) ? fd : (close(fd), -1);
}
