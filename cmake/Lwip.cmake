# lwIP with our options (tun2socks/lwip) and a patch that gives each thread its own state (cmake/lwip/). Its
# init.c rejects run-time sizes and is left out, as is every protocol that tun2socks serves itself.
set(lwip_copy "${CMAKE_BINARY_DIR}/lwip")
include(PatchedCopy)
tunproxy_patched_copy("lwIP 2.2.1" "${TUNPROXY_LWIP_SOURCE}" "${CMAKE_CURRENT_LIST_DIR}/lwip/tunproxy.patch"
  "${lwip_copy}")
set(lwip_core "${lwip_copy}/src/core")
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
  "${lwip_copy}/src/include")
target_include_directories(tunproxy_lwip PRIVATE "${CMAKE_SOURCE_DIR}")
target_compile_options(tunproxy_lwip PRIVATE -w)
