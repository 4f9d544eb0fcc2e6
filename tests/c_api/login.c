/* Host keys, questions and secrets. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/c_api/c_api_test.h"
#include "tests/c_api/traffic.h"

void test_questions(void) {
  struct ear ear;
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  char file[] = "/tmp/tunproxy_hosts_XXXXXX";
  close(mkstemp(file));
  OK(tunproxy_set(tunnel, "known-hosts", ""));
  OK(tunproxy_set(tunnel, "known-hosts", file));
  OK(tunproxy_set(tunnel, "host-key-policy", "ask"));
  OK(tunproxy_start_proxy(tunnel));
  tunproxy_question question = ear_wait_question(&ear);
  CHECK(question != 0);
  CHECK(strstr(ear.prompt, "SHA256:") != NULL);
  CHECK(tunproxy_answer(tunnel, question + 1, "yes") == TUNPROXY_ERROR_ARGUMENT);
  OK(tunproxy_refuse(tunnel, question));
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear_reason(&ear) == TUNPROXY_ERROR_HOST_KEY);
  CHECK(tunproxy_answer(tunnel, question, "yes") == TUNPROXY_ERROR_ARGUMENT);
  stop(tunnel);
  CHECK(ear_times(&ear, TUNPROXY_FAILED) == 1);
  OK(tunproxy_start_proxy(tunnel));
  question = ear_wait_question(&ear);
  OK(tunproxy_answer(tunnel, question, "yes"));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  stop(tunnel);
  OK(tunproxy_start_proxy(tunnel)); /* the file has it now */
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  stop(tunnel);
  CHECK(ear_calls(&ear, EAR_HOST_KEY) == 2);
  /* An unanswered question does not hold up the end. */
  unlink(file);
  OK(tunproxy_start_proxy(tunnel));
  question = ear_wait_question(&ear);
  CHECK(question != 0);
  stop(tunnel);
  CHECK(tunproxy_answer(tunnel, question, "yes") == TUNPROXY_ERROR_STATE);
  destroy(tunnel);
  unlink(file);
}

/* No agent, no keys, no known hosts but those that were named; what is accepted is known for the run. */
void test_nothing_of_the_user(void) {
  struct ear ear;
  char home[] = "/tmp/tunproxy_home_XXXXXX", command[512];
  CHECK(mkdtemp(home) != NULL);
  snprintf(command, sizeof command, "mkdir %s/.ssh && cp %s %s/.ssh/id_ed25519 && cp %s %s/.ssh/known_hosts", home,
           getenv("TEST_KEY"), home, getenv("TEST_KNOWN_HOSTS"), home);
  CHECK(system(command) == 0);
  char *former = getenv("HOME") == NULL ? NULL : strdup(getenv("HOME"));
  setenv("HOME", home, 1);
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_set(tunnel, "identity", ""));
  OK(tunproxy_set(tunnel, "known-hosts", ""));
  OK(tunproxy_set(tunnel, "sessions", "4"));
  OK(tunproxy_start_proxy(tunnel));
  OK(tunproxy_answer(tunnel, ear_wait_question(&ear), "yes")); /* though ~/.ssh/known_hosts has it */
  CHECK(ear_wait_state(&ear, TUNPROXY_FAILED));
  CHECK(ear_reason(&ear) == TUNPROXY_ERROR_AUTHENTICATION); /* though ~/.ssh/id_ed25519 would do */
  stop(tunnel);
  OK(tunproxy_set(tunnel, "identity", getenv("TEST_KEY")));
  OK(tunproxy_start_proxy(tunnel));
  OK(tunproxy_answer(tunnel, ear_wait_question(&ear), "yes"));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  /* The connection of its own for datagrams is no new question, and no refusal. */
  CHECK(ear_wait_log(&ear, "UDP"));
  CHECK(words_go_through(ear.listener));
  CHECK(ear_calls(&ear, EAR_HOST_KEY) == 2);
  CHECK(!ear_logged(&ear, "is not known"));
  destroy(tunnel);
  if (former != NULL) setenv("HOME", former, 1);
  free(former);
  snprintf(command, sizeof command, "rm -r %s", home);
  CHECK(system(command) == 0);
}

/* --- secrets --- */

/* How often `secret` is in this process's writable memory. */
static int times_in_memory(const char *secret, size_t length) {
  FILE *maps = fopen("/proc/self/maps", "r");
  const int memory = open("/proc/self/mem", O_RDONLY);
  static char block[1 << 20];
  char line[512];
  int times = 0;
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin = 0, end = 0;
    char mode[8] = "";
    sscanf(line, "%lx-%lx %7s", &begin, &end, mode);
    if (strncmp(mode, "rw", 2) != 0 || strstr(line, "[v") != NULL) continue;
    for (unsigned long at = begin; at < end; at += sizeof block - length) {
      const size_t wanted = end - at < sizeof block ? end - at : sizeof block;
      const ssize_t got = pread(memory, block, wanted, (off_t)at);
      if (got <= 0) break; /* of a sanitizer: not there */
      if ((uintptr_t)block >= at && (uintptr_t)block < at + (size_t)got) continue; /* ourselves */
      for (const char *p = block; (p = memmem(p, (size_t)(block + got - p), secret, length)) != NULL; ++p) ++times;
    }
  }
  fclose(maps);
  close(memory);
  memset(block, 0, sizeof block);
  return times;
}

/* Each byte inverted: to search for it without having it. */
static void invert(char *text, size_t length) {
  for (size_t i = 0; i < length; ++i) text[i] = (char)~text[i];
}

static int stays_in_memory(char *inverted, size_t length) {
  static char plain[4096];
  memcpy(plain, inverted, length);
  invert(plain, length);
  const int times = times_in_memory(plain, length);
  memset(plain, 0, sizeof plain);
  return times - 1; /* `plain` itself */
}

void test_secrets(void) {
  struct ear ear;
  static char key[4096], passphrase[256];
  tunproxy_tunnel *tunnel = make(&ear, "TEST_SERVER_1");
  OK(tunproxy_set(tunnel, "identity", ""));
  OK(tunproxy_set(tunnel, "log-level", "trace"));
  const int file = open(getenv("TEST_LOCKED_KEY"), O_RDONLY);
  const size_t key_length = (size_t)read(file, key, sizeof key);
  close(file);
  OK(tunproxy_set_secret(tunnel, "private-key", key, key_length));
  const size_t length = read_passphrase(passphrase, sizeof passphrase);
  OK(tunproxy_start_proxy(tunnel));
  const tunproxy_question question = ear_wait_question(&ear);
  CHECK(ear.echo == 0);
  OK(tunproxy_answer(tunnel, question, passphrase));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(words_go_through(ear.listener));
  stop(tunnel);
  OK(tunproxy_set_secret(tunnel, "passphrase", passphrase, length));
  OK(tunproxy_start_proxy(tunnel));
  CHECK(ear_wait_state(&ear, TUNPROXY_ONLINE));
  CHECK(ear_calls(&ear, EAR_ASK) == 1); /* nobody was asked again */
  destroy(tunnel);
  CHECK(!ear_logged(&ear, passphrase));
  CHECK(!ear_logged(&ear, "PRIVATE KEY"));
  if (getenv("TEST_SANITIZED") != NULL) return; /* their memory is too large to search, and keeps what was freed */
  /* Part of the key's text, without line breaks. */
  char *part = key + key_length / 2;
  const size_t part_length = 40;
  invert(key, sizeof key);
  invert(passphrase, sizeof passphrase);
  CHECK(stays_in_memory(passphrase, length) == 0);
  CHECK(stays_in_memory(part, part_length) == 0);
}
