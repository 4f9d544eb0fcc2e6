/* lwIP's view of the compiler. */
#pragma once

#include <stdint.h>
#include <stdlib.h>

#include "tun2socks/lwip/port.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define lwip_htons(x) ((u16_t)__builtin_bswap16(x))
#define lwip_htonl(x) ((u32_t)__builtin_bswap32(x))
#endif

#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_RAND() tunproxy_lwip_random()
#define LWIP_PLATFORM_DIAG(x) \
  do {                        \
  } while (0)
/* Peers can reach some of lwIP's assertions: they are told and counted, and the packet goes on. */
#define LWIP_PLATFORM_ASSERT(message) tunproxy_lwip_assertion((message), __FILE__, __LINE__)
