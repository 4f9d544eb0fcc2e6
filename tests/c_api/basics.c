/* What needs no server: arguments, configuration, versions. */
#include <stddef.h>
#include <string.h>

#include "tests/c_api/c_api_test.h"

void test_arguments(void) {
  tunproxy_tunnel *tunnel = NULL;
  tunproxy_stats stats = {0};
  size_t count = 1;
  CHECK(tunproxy_abi_version() == TUNPROXY_ABI_VERSION);
  CHECK(strcmp(tunproxy_version(), TUNPROXY_TEST_VERSION) == 0);
  CHECK(strcmp(tunproxy_strerror(TUNPROXY_ERROR_CONFIG), tunproxy_strerror(9999)) != 0);
  CHECK(tunproxy_create(NULL, NULL) == TUNPROXY_ERROR_ARGUMENT);
  tunproxy_callbacks empty = {0};
  CHECK(tunproxy_create(&empty, &tunnel) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunnel == NULL);
  OK(tunproxy_create(NULL, &tunnel));
  CHECK(tunproxy_set(NULL, "ssh", "a@b") == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_set(tunnel, NULL, "a@b") == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_set_secret(tunnel, "passphrase", NULL, 3) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_set_toml(tunnel, NULL) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_start_fd(tunnel, -1, 1500) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_start_packets(tunnel, 1500) == TUNPROXY_ERROR_ARGUMENT); /* no write_packets */
  CHECK(tunproxy_get_stats(tunnel, &stats) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_get_flows(tunnel, NULL, 0, NULL) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_get_flows(tunnel, NULL, 1, &count) == TUNPROXY_ERROR_ARGUMENT);
  OK(tunproxy_get_flows(tunnel, NULL, 0, &count));
  CHECK(count == 0);
  CHECK(tunproxy_push_packets(tunnel, NULL, 1, NULL) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_push_packets(tunnel, NULL, 0, NULL) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_network_changed(tunnel) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_pause(tunnel) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_wake(tunnel) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_reload(tunnel) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_memory_pressure(tunnel, TUNPROXY_PRESSURE_CRITICAL) == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_memory_pressure(tunnel, (tunproxy_pressure)7) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_answer(tunnel, 1, "yes") == TUNPROXY_ERROR_STATE);
  CHECK(tunproxy_answer(tunnel, 1, NULL) == TUNPROXY_ERROR_ARGUMENT);
  CHECK(tunproxy_refuse(tunnel, 1) == TUNPROXY_ERROR_STATE);
  stats.size = sizeof stats;
  OK(tunproxy_get_stats(tunnel, &stats));
  CHECK(stats.state == TUNPROXY_IDLE);
  OK(tunproxy_stop(tunnel, 1000));
  destroy(tunnel);
  OK(tunproxy_destroy(NULL));
}

/* The errors name the key and, of a text, the line; what was before stays. */
void test_configuration(void) {
  tunproxy_tunnel *tunnel = NULL;
  OK(tunproxy_create(NULL, &tunnel));
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_CONFIG); /* there is no way out yet */
  CHECK(tunproxy_set(tunnel, "no-such-key", "1") == TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), "no-such-key") != NULL);
  CHECK(tunproxy_set(tunnel, "udp", "pigeon") == TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), "udp") != NULL);
  CHECK(tunproxy_set_toml(tunnel, "ssh = \"me@192.0.2.1\"\nsocks = \"127.0.0.1:1\"\nudp-idle = \"soon\"\n") ==
        TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), ":3: udp-idle") != NULL);
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_CONFIG); /* none of it was taken */
  CHECK(strstr(tunproxy_error_text(), "socks") != NULL);
  CHECK(tunproxy_set_secret(tunnel, "ssh", "x", 1) == TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), "ssh") != NULL);
  CHECK(tunproxy_set_secret(tunnel, "no-such-secret", "x", 1) == TUNPROXY_ERROR_CONFIG);
  OK(tunproxy_set(tunnel, "ssh", "192.0.2.1")); /* whose account? */
  OK(tunproxy_set(tunnel, "socks", "127.0.0.1:1"));
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_CONFIG);
  OK(tunproxy_set(tunnel, "socks", ""));
  OK(tunproxy_set(tunnel, "ssh", "me@192.0.2.1"));
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_CONFIG); /* nothing to do */
  OK(tunproxy_set(tunnel, "socks", "127.0.0.1:1"));
  OK(tunproxy_set(tunnel, "host-key-policy", "accept-new"));
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_CONFIG); /* where would it be remembered? */
  CHECK(strstr(tunproxy_error_text(), "known-hosts") != NULL);
  OK(tunproxy_set(tunnel, "ssh-config", "auto"));
  OK(tunproxy_set(tunnel, "ssh-config", "")); /* the user's files are not asked for any more */
  CHECK(tunproxy_start_proxy(tunnel) == TUNPROXY_ERROR_CONFIG);
  destroy(tunnel);
}

/* What only the command line does is no silent nothing. */
void test_keys_of_the_command_line(void) {
  static const char *const keys[][2] = {{"command", "true"},       {"log-file", "/tmp/log"}, {"tun", "tun7"},
                                        {"no-tun", "true"},        {"mtu", "1400"},          {"route", "10.0.0.0/8"},
                                        {"exclude", "10.0.0.0/8"}};
  tunproxy_tunnel *tunnel = NULL;
  OK(tunproxy_create(NULL, &tunnel));
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; ++i) {
    CHECK(tunproxy_set(tunnel, keys[i][0], keys[i][1]) == TUNPROXY_ERROR_CONFIG);
    CHECK(strstr(tunproxy_error_text(), keys[i][0]) != NULL);
    CHECK(strstr(tunproxy_error_text(), "not in the library") != NULL);
  }
  CHECK(tunproxy_set_toml(tunnel, "ssh = \"me@192.0.2.1\"\nlog-file = \"/tmp/log\"\n") == TUNPROXY_ERROR_CONFIG);
  CHECK(strstr(tunproxy_error_text(), "log-file") != NULL);
  destroy(tunnel);
}

/* A program that knows less, or more, than this library. */
void test_sizes_of_other_versions(void) {
  struct {
    tunproxy_stats stats;
    char more[64];
  } longer;
  tunproxy_tunnel *tunnel = NULL;
  tunproxy_callbacks callbacks = {.size = offsetof(tunproxy_callbacks, log)};
  callbacks.log = (void (*)(void *, tunproxy_log_level, const char *))(uintptr_t)1; /* beyond its size */
  OK(tunproxy_create(&callbacks, &tunnel));
  memset(&longer, 0x55, sizeof longer);
  longer.stats.size = sizeof longer;
  OK(tunproxy_get_stats(tunnel, &longer.stats));
  CHECK(longer.stats.size == sizeof(tunproxy_stats));
  CHECK(longer.stats.reconnects == 0);
  CHECK(longer.more[0] == 0x55);
  memset(&longer, 0x55, sizeof longer);
  longer.stats.size = offsetof(tunproxy_stats, flows);
  OK(tunproxy_get_stats(tunnel, &longer.stats));
  CHECK(longer.stats.size == offsetof(tunproxy_stats, flows));
  CHECK(longer.stats.udp_flows == 0);
  CHECK(longer.stats.flows == UINT64_C(0x5555555555555555));
  OK(tunproxy_set(tunnel, "ssh", "me@192.0.2.1"));
  OK(tunproxy_set(tunnel, "socks", "127.0.0.1:1"));
  OK(tunproxy_start_proxy(tunnel)); /* and nothing calls 1 */
  destroy(tunnel);
}
