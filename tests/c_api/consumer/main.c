/* What a program needs of an installed tunproxy: its header and either library. Prints the version. */
#include <stdio.h>
#include <tunproxy.h>

int main(void) {
  tunproxy_tunnel *tunnel = NULL;
  const tunproxy_callbacks callbacks = {.size = sizeof callbacks};
  if (tunproxy_abi_version() < TUNPROXY_ABI_VERSION) return 1;
  if (tunproxy_create(&callbacks, &tunnel) != TUNPROXY_OK) return 2;
  if (tunproxy_set_toml(tunnel, "ssh = \"me@192.0.2.1\"\nsocks = \"127.0.0.1:1\"\n") != TUNPROXY_OK) return 3;
  if (tunproxy_start_proxy(tunnel) != TUNPROXY_OK) return 4;
  if (tunproxy_stop(tunnel, 10000) != TUNPROXY_OK) return 5;
  puts(tunproxy_version());
  return tunproxy_destroy(tunnel);
}
