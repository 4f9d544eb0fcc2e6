#include "bindings/jni/linux_tun.h"

#include <sys/socket.h>

#include <cerrno>

#include "bindings/c/instance.h"
#include "bindings/jni/java.h"
#include "platform/linux/plain_tun.h"

namespace tunproxy::jni {
namespace {

void throw_error(JNIEnv* env, const Error& error) {
  throw_failure(env, c_api::code_for(error), error.message.c_str());
}

jint open(JNIEnv* env, jclass, jbyteArray name) {
  auto opened = linux_host::open_plain_tun(from_java(env, name));
  if (opened) return opened->release();
  throw_error(env, opened.error());
  return -1;
}

void mark(JNIEnv* env, jclass, jint fd, jint value) {
  if (::setsockopt(fd, SOL_SOCKET, SO_MARK, &value, sizeof value) == 0) return;
  throw_error(env, error_from_errno(errno, "marking a socket"));
}

}  // namespace

bool register_linux_tun(JNIEnv* env) {
  const jclass owner = env->FindClass("org/tunproxy/LinuxTun");
  if (owner == nullptr) return false;
  const JNINativeMethod methods[] = {
      method("open", "([B)I", open),
      method("setMark", "(II)V", mark),
  };
  return env->RegisterNatives(owner, methods, sizeof methods / sizeof methods[0]) == 0;
}

}  // namespace tunproxy::jni
