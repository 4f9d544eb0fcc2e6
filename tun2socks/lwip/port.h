/* What lwIP, which is C with global state, needs from us. Filled in by tun2socks::Stack alone. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A variable that each thread has for itself: there is one stack in a thread. */
#define LWIP_PER_THREAD __thread

struct ip_addr;

/** TCP_WND and TCP_SND_BUF in bytes. Set while there is no connection. */
extern LWIP_PER_THREAD uint32_t tunproxy_lwip_window;
extern LWIP_PER_THREAD uint32_t tunproxy_lwip_send_buffer;

/** How often an assertion of lwIP did not hold. */
extern LWIP_PER_THREAD uint64_t tunproxy_lwip_assertions;

/** Called with each failed assertion; may be NULL. */
extern LWIP_PER_THREAD void (*tunproxy_lwip_on_assertion)(const char* message, const char* file,
                                                          int line);
/** The initial sequence number of a connection (RFC 6528). */
extern LWIP_PER_THREAD uint32_t (*tunproxy_lwip_make_isn)(const struct ip_addr* local,
                                                          uint16_t local_port,
                                                          const struct ip_addr* remote,
                                                          uint16_t remote_port);

void tunproxy_lwip_assertion(const char* message, const char* file, int line);
uint32_t tunproxy_lwip_isn(const struct ip_addr* local, uint16_t local_port,
                           const struct ip_addr* remote, uint16_t remote_port);
uint32_t tunproxy_lwip_random(void);

#ifdef __cplusplus
}
#endif
