# lwIP, unpatched, with our options (tun2socks/lwip). Its init.c rejects run-time sizes and is left out, as
# is every protocol that tun2socks serves itself.
set(lwip_core "${TUNPROXY_LWIP_SOURCE}/src/core")
add_library(tunproxy_lwip STATIC
  "${lwip_core}/def.c"
  "${lwip_core}/inet_chksum.c"
  "${lwip_core}/ip.c"
  "${lwip_core}/mem.c"
  "${lwip_core}/memp.c"
  "${lwip_core}/netif.c"
  "${lwip_core}/pbuf.c"
  "${lwip_core}/tcp.c"
  "${lwip_core}/tcp_in.c"
  "${lwip_core}/tcp_out.c"
  "${lwip_core}/ipv4/ip4.c"
  "${lwip_core}/ipv4/ip4_addr.c"
  "${lwip_core}/ipv4/ip4_frag.c"
  "${lwip_core}/ipv6/ip6.c"
  "${lwip_core}/ipv6/ip6_addr.c"
  "${lwip_core}/ipv6/ip6_frag.c"
  "${lwip_core}/ipv6/nd6.c"
  "${CMAKE_SOURCE_DIR}/tun2socks/lwip/port.c")
target_include_directories(tunproxy_lwip SYSTEM PUBLIC
  "${CMAKE_SOURCE_DIR}/tun2socks/lwip"
  "${TUNPROXY_LWIP_SOURCE}/src/include")
target_include_directories(tunproxy_lwip PRIVATE "${CMAKE_SOURCE_DIR}")
target_compile_options(tunproxy_lwip PRIVATE -w)
