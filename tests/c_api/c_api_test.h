/* What the tests of the C API share. */
#ifndef TUNPROXY_C_API_TEST_H
#define TUNPROXY_C_API_TEST_H

#include <pthread.h>

#include "bindings/c/tunproxy.h"

#define CHECK(condition) check_at((condition), #condition, __FILE__, __LINE__)
void check_at(int good, const char *what, const char *file, int line);

/* What an instance told, under the mutex. */
struct ear {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  tunproxy_state state;
  tunproxy_result reason;
  char text[512];
  char log[16384];
  int calls;
  int protected_sockets;
  int protected_too_late;
  int refuse_sockets;
  tunproxy_question question;
  int echo;
  char prompt[512];
};

void ear_init(struct ear *ear);
tunproxy_callbacks ear_callbacks(struct ear *ear);
int ear_wait_state(struct ear *ear, tunproxy_state wanted);
tunproxy_question ear_wait_question(struct ear *ear);
int ear_calls(struct ear *ear);

char *free_address(char text[32]);
tunproxy_tunnel *make(struct ear *ear, const char *server);
int words_go_through(struct ear *ear);

void test_arguments(void);
void test_configuration(void);
void test_life(void);
void test_two_at_once(void);
void test_questions(void);
void test_protect(void);
void test_descriptors(void);
void test_callbacks_that_call_in(void);
void test_many_rounds(void);

#endif
