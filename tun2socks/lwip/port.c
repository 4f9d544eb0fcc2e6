#include "tun2socks/lwip/port.h"

#include <stddef.h>

LWIP_PER_THREAD uint32_t tunproxy_lwip_window = 65535;
LWIP_PER_THREAD uint32_t tunproxy_lwip_send_buffer = 65535;
LWIP_PER_THREAD uint64_t tunproxy_lwip_assertions = 0;
LWIP_PER_THREAD void (*tunproxy_lwip_on_assertion)(const char* message, const char* file,
                                                   int line) = NULL;
LWIP_PER_THREAD uint32_t (*tunproxy_lwip_make_isn)(const struct ip_addr* local, uint16_t local_port,
                                                   const struct ip_addr* remote,
                                                   uint16_t remote_port) = NULL;

void tunproxy_lwip_assertion(const char* message, const char* file, int line) {
  ++tunproxy_lwip_assertions;
  if (tunproxy_lwip_on_assertion != NULL) tunproxy_lwip_on_assertion(message, file, line);
}

uint32_t tunproxy_lwip_isn(const struct ip_addr* local, uint16_t local_port,
                           const struct ip_addr* remote, uint16_t remote_port) {
  return tunproxy_lwip_make_isn(local, local_port, remote, remote_port);
}

/* Only ephemeral ports and IP identifiers come from here; neither is used for accepted connections.
 */
uint32_t tunproxy_lwip_random(void) {
  return 0x9e3779b9U;
}

struct pbuf;

/* What lwIP calls in files that are left out. Its TCP timer is Stack's, which knows itself when it
 * is due. */
void tcp_timer_needed(void) {}
/* From ip6_input, which is never used: packets go straight to tcp_input. */
void icmp6_param_problem(struct pbuf* packet, int code, const void* pointer) {
  (void)packet;
  (void)code;
  (void)pointer;
}
