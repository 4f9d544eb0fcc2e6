/* Linked to the tests under ThreadSanitizer: libuv closes descriptors by syscall(), which is not seen there, so that
 * whoever gets the number next would seem to race with whoever had it. This one calls close(), which is seen. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef long (*system_call)(long number, ...);

__attribute__((visibility("default"), no_sanitize("thread"))) long syscall(long number, ...) {
  long words[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; ++i) words[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_close) return close((int)words[0]);
  system_call libc = NULL;
  *(void **)&libc = dlsym(RTLD_NEXT, "syscall");
  return libc(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
