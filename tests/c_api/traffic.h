/* Traffic through a tunnel, from programs on one side to servers on the other, verified byte by byte. */
#ifndef TUNPROXY_TRAFFIC_H
#define TUNPROXY_TRAFFIC_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* A listener, or a connection, at `address` ("127.0.0.1"); -1 and errno if that fails. */
int listen_at(const char *address, uint16_t *port);
int dial(const char *address, uint16_t port);
/* "127.0.0.1:PORT" with a port that is free now. */
char *free_address(char text[32]);
/* All of it; 0 on an error or at the end. */
int read_all(int fd, void *to, size_t length);
int write_all(int fd, const void *from, size_t length);

/* A connection to `host`:`port` through the SOCKS5 listener at `listener` ("127.0.0.1:PORT"), or -1. */
int dial_socks(const char *listener, const char *host, uint16_t port);
/* Through that listener to a server of our own, with words both ways: 5 bytes up, 5 down. */
int words_go_through(const char *listener);

/* A server in threads of its own, where this thread's network is: over TCP what follows, over UDP an echo. */
struct server {
  int tcp, udp;
  uint16_t port; /* of both */
  pthread_t threads[2];
};
int server_start(struct server *server, const char *address);
void server_stop(struct server *server);

/* Over a connection to such a server: `length` bytes that follow from `seed` (not 0), up or down; 1 if each was right. */
int send_up(int fd, uint64_t length, uint64_t seed);
int take_down(int fd, uint64_t length, uint64_t seed);
/* Or what is sent down, after the first byte of it. */
int begin_down(int fd, uint64_t length);
/* Or single bytes that come back, from now on. */
int begin_echo(int fd);
int echo(int fd, char byte);

/* A socket whose datagram came back from `address`:`port`, or -1; and whether another one does. */
int datagram_echo(const char *address, uint16_t port);
int datagram_comes_back(int fd, const char *address, uint16_t port);

#endif
