/* Prints what a program that was compiled earlier relies on: sizes, places, numbers. abi_check.py compares it. */
#include <stddef.h>
#include <stdio.h>

#include "bindings/c/tunproxy.h"

#define TYPE(type) printf("%s: %zu bytes\n", #type, sizeof(type))
#define FIELD(type, field) \
  printf("%s.%s at %zu, %zu bytes\n", #type, #field, offsetof(type, field), sizeof(((type *)0)->field))
#define VALUE(name) printf("%s = %lld\n", #name, (long long)(name))

static void structs(void) {
  TYPE(tunproxy_packet);
  FIELD(tunproxy_packet, data);
  FIELD(tunproxy_packet, length);
  TYPE(tunproxy_question);
  TYPE(tunproxy_host_key);
  FIELD(tunproxy_host_key, size);
  FIELD(tunproxy_host_key, host);
  FIELD(tunproxy_host_key, type);
  FIELD(tunproxy_host_key, fingerprint);
  FIELD(tunproxy_host_key, line);
  TYPE(tunproxy_addresses);
  FIELD(tunproxy_addresses, size);
  FIELD(tunproxy_addresses, count);
  FIELD(tunproxy_addresses, text);
  TYPE(tunproxy_flow_key);
  FIELD(tunproxy_flow_key, size);
  FIELD(tunproxy_flow_key, protocol);
  FIELD(tunproxy_flow_key, local_address);
  FIELD(tunproxy_flow_key, local_port);
  FIELD(tunproxy_flow_key, remote_address);
  FIELD(tunproxy_flow_key, remote_port);
  TYPE(tunproxy_callbacks);
  FIELD(tunproxy_callbacks, size);
  FIELD(tunproxy_callbacks, user);
  FIELD(tunproxy_callbacks, protect_socket);
  FIELD(tunproxy_callbacks, log);
  FIELD(tunproxy_callbacks, state);
  FIELD(tunproxy_callbacks, verify_host_key);
  FIELD(tunproxy_callbacks, ask);
  FIELD(tunproxy_callbacks, resolve);
  FIELD(tunproxy_callbacks, write_packets);
  FIELD(tunproxy_callbacks, flow_owner);
  TYPE(tunproxy_stats);
  FIELD(tunproxy_stats, size);
  FIELD(tunproxy_stats, state);
  FIELD(tunproxy_stats, sessions);
  FIELD(tunproxy_stats, tcp_flows);
  FIELD(tunproxy_stats, udp_flows);
  FIELD(tunproxy_stats, flows);
  FIELD(tunproxy_stats, refused);
  FIELD(tunproxy_stats, bytes_up);
  FIELD(tunproxy_stats, bytes_down);
  FIELD(tunproxy_stats, packets_in);
  FIELD(tunproxy_stats, packets_out);
  FIELD(tunproxy_stats, packets_dropped);
  FIELD(tunproxy_stats, reconnects);
  TYPE(tunproxy_flow);
  FIELD(tunproxy_flow, size);
  FIELD(tunproxy_flow, id);
  FIELD(tunproxy_flow, protocol);
  FIELD(tunproxy_flow, owner);
  FIELD(tunproxy_flow, age_ms);
  FIELD(tunproxy_flow, bytes_up);
  FIELD(tunproxy_flow, bytes_down);
  FIELD(tunproxy_flow, source);
  FIELD(tunproxy_flow, target);
}

static void numbers(void) {
  VALUE(TUNPROXY_ABI_VERSION);
  VALUE(TUNPROXY_MAX_INSTANCES);
  VALUE(TUNPROXY_MAX_ADDRESSES);
  VALUE(TUNPROXY_OK);
  VALUE(TUNPROXY_ERROR_ARGUMENT);
  VALUE(TUNPROXY_ERROR_CONFIG);
  VALUE(TUNPROXY_ERROR_STATE);
  VALUE(TUNPROXY_ERROR_CALLBACK);
  VALUE(TUNPROXY_ERROR_LIMIT);
  VALUE(TUNPROXY_ERROR_TIMEOUT);
  VALUE(TUNPROXY_ERROR_HOST_KEY);
  VALUE(TUNPROXY_ERROR_AUTHENTICATION);
  VALUE(TUNPROXY_ERROR_UNREACHABLE);
  VALUE(TUNPROXY_ERROR_PERMISSION);
  VALUE(TUNPROXY_ERROR_PROTOCOL);
  VALUE(TUNPROXY_ERROR_DEVICE);
  VALUE(TUNPROXY_ERROR_OTHER);
  VALUE(TUNPROXY_IDLE);
  VALUE(TUNPROXY_CONNECTING);
  VALUE(TUNPROXY_AUTHENTICATING);
  VALUE(TUNPROXY_ONLINE);
  VALUE(TUNPROXY_RECONNECTING);
  VALUE(TUNPROXY_STOPPED);
  VALUE(TUNPROXY_FAILED);
  VALUE(TUNPROXY_LOG_TRACE);
  VALUE(TUNPROXY_LOG_DEBUG);
  VALUE(TUNPROXY_LOG_INFO);
  VALUE(TUNPROXY_LOG_WARN);
  VALUE(TUNPROXY_LOG_ERROR);
  VALUE(TUNPROXY_PRESSURE_NONE);
  VALUE(TUNPROXY_PRESSURE_MODERATE);
  VALUE(TUNPROXY_PRESSURE_CRITICAL);
}

int main(void) {
  structs();
  numbers();
  return 0;
}
