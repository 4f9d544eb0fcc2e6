/* lwIP as the tunnel uses it: TCP only, driven from one event loop. What is not here has
   lwIP's default. Sizes that depend on the device are variables, set before the first connection. */
#pragma once

#include "tun2socks/lwip/port.h"

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 0
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_IPV6_SCOPES 0

/* Everything but TCP is ours, reassembly too: lwIP counts a packet in 16 bits, which the longest of IPv6 exceed. */
#define LWIP_ARP 0
#define LWIP_ETHERNET 0
#define LWIP_RAW 0
#define LWIP_UDP 0
#define LWIP_ICMP 0
#define LWIP_ICMP6 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_IGMP 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0
#define LWIP_IPV6_MLD 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0
#define LWIP_ND6_QUEUEING 0
#define LWIP_ND6_TCP_REACHABILITY_HINTS 0
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK 0

#define IP_FRAG 0
#define LWIP_IPV6_FRAG 0
#define IP_REASSEMBLY 0
#define LWIP_IPV6_REASS 0

#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define PBUF_POOL_SIZE 4
#define PBUF_POOL_BUFSIZE 1600
#define PBUF_POOL_FREE_OOSEQ 0

/* The segment size is the device's business: a TSO device takes what one IP packet holds. */
#define TCP_MSS 65495
#define TCP_CALCULATE_EFF_SEND_MSS 0
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 5
#define TCP_WND tunproxy_lwip_window
#define TCP_SND_BUF tunproxy_lwip_send_buffer
#define TCP_SND_QUEUELEN 4096
#define TCP_SNDLOWAT 16384
#define TCP_OVERSIZE 0
#define TCP_TTL 64
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 256
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_RTO_TIME 1000
#define TCP_MSL 2000UL
#define TCP_LISTEN_BACKLOG 0
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1

/* Local applications' checksums are right; ours are made, or left to the kernel, when a packet leaves. */
#define CHECKSUM_CHECK_IP 0
#define CHECKSUM_CHECK_TCP 0
#define CHECKSUM_CHECK_UDP 0
#define CHECKSUM_CHECK_ICMP 0
#define CHECKSUM_CHECK_ICMP6 0
#define CHECKSUM_GEN_IP 1
#define CHECKSUM_GEN_TCP 0

#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
#define LWIP_DISABLE_MEMP_SANITY_CHECKS 1

#define LWIP_HOOK_TCP_ISN(local, local_port, remote, remote_port) \
  tunproxy_lwip_isn((local), (local_port), (remote), (remote_port))

/* ip6.c calls it without a declaration, as ICMPv6 is left out: see port.c. */
#ifndef __cplusplus
struct pbuf;
void icmp6_param_problem(struct pbuf *packet, int code, const void *pointer);
#endif
