/* The cases of c_api_test, which c_api_driver runs with two SSH servers (see there for the environment). */
#ifndef TUNPROXY_C_API_TEST_H
#define TUNPROXY_C_API_TEST_H

#include "bindings/c/tunproxy.h"
#include "tests/c_api/ear.h"

#define CHECK(condition) check_at((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define OK(call) check_at((call) == TUNPROXY_OK, #call, __FILE__, __LINE__)

/* 1 if it is good; else the case has failed, and goes on. */
int check_at(int good, const char *what, const char *file, int line);

/* An instance with the callbacks of `ear`, which it initializes; for the server of that environment variable, with its
 * key, and a listener at ear->listener. */
tunproxy_tunnel *make(struct ear *ear, const char *server);
/* The same with `callbacks`, from ear_callbacks(). */
tunproxy_tunnel *make_with(struct ear *ear, const char *server, const tunproxy_callbacks *callbacks);
/* Stops it, and waits as long as is reasonable. */
void stop(tunproxy_tunnel *tunnel);
void destroy(tunproxy_tunnel *tunnel);

/* Entries of a folder: descriptors, threads. */
int count_entries(const char *path);
/* Waits for `count` entries: what was ended may be on its way. */
int entries_become(const char *path, int count);
/* Of TEST_LOCKED_KEY; its length. */
size_t read_passphrase(char *room, size_t size);
/* Of the environment, or `otherwise`. */
int number_from(const char *name, int otherwise);

typedef void (*test_case)(void);

void test_arguments(void);
void test_configuration(void);
void test_keys_of_the_command_line(void);
void test_sizes_of_other_versions(void);

void test_life(void);
void test_two_at_once(void);
void test_as_many_as_may_be(void);
void test_a_start_that_fails_early(void);
void test_no_server_there(void);
void test_keeps_trying(void);
void test_a_callback_that_blocks(void);
void test_stops_and_starts_of_many_threads(void);

void test_questions(void);
void test_nothing_of_the_user(void);
void test_secrets(void);

void test_every_socket_is_protected(void);
void test_refused_sockets(void);
void test_names_by_the_program(void);

void test_descriptors(void);
void test_a_device_that_is_none(void);
void test_a_device_that_goes(void);
void test_packets(void);
void test_flows(void);
void test_two_devices(void);
void test_pause(void);
void test_memory_pressure(void);

void test_reload(void);
void test_orders_at_once(void);
void test_network_changed(void);
void test_wake(void);
void test_process_is_left_alone(void);

void test_callbacks_that_call_in(void);
void test_silence_after_the_end(void);

void test_many_rounds(void);
void test_bulk_by_packets(void);

#endif
