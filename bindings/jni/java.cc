#include "bindings/jni/java.h"

#include <cstring>

namespace tunproxy::jni {
namespace {

constexpr jint kLocalReferences = 16;

JavaVM* machine = nullptr;
Names found;

jclass find_class(JNIEnv* env, const char* name) {
  const jclass local = env->FindClass(name);
  return local == nullptr ? nullptr : static_cast<jclass>(env->NewGlobalRef(local));
}

JNIEnv* attach() {
  char name[] = "tunproxy";
  JavaVMAttachArgs arguments{kVersion, name, nullptr};
#ifdef __ANDROID__
  JNIEnv* env = nullptr;
  machine->AttachCurrentThreadAsDaemon(&env, &arguments);
  return env;
#else
  void* env = nullptr;
  machine->AttachCurrentThreadAsDaemon(&env, &arguments);
  return static_cast<JNIEnv*>(env);
#endif
}

struct DetachAtEnd {
  bool wanted = false;
  ~DetachAtEnd() {
    if (wanted) machine->DetachCurrentThread();
  }
};
thread_local DetachAtEnd detach_at_end;

}  // namespace

bool look_up(JavaVM* vm, JNIEnv* env) {
  machine = vm;
  found.exception = find_class(env, "org/tunproxy/TunProxyException");
  found.flow = find_class(env, "org/tunproxy/TunProxyFlow");
  const jclass bridge = env->FindClass("org/tunproxy/Bridge");
  if (found.exception == nullptr || found.flow == nullptr || bridge == nullptr) return false;
  const struct {
    jmethodID& id;
    jclass owner;
    const char* name;
    const char* signature;
  } methods[] = {
      {found.new_exception, found.exception, "<init>", "(I[B)V"},
      {found.new_flow, found.flow, "<init>", "(JIIJJJ[B[B)V"},
      {found.state, bridge, "state", "(II[B)V"},
      {found.log, bridge, "log", "(I[B)V"},
      {found.protect, bridge, "protect", "(I)Z"},
      {found.verify_host_key, bridge, "verifyHostKey", "(J[B[B[B[B)V"},
      {found.ask, bridge, "ask", "(J[BZ)V"},
      {found.resolve, bridge, "resolve", "([B)[B"},
      {found.packets, bridge, "packets", "(I)V"},
      {found.flow_owner, bridge, "flowOwner", "(I[BI[BI)I"},
  };
  for (const auto& wanted : methods) {
    wanted.id = env->GetMethodID(wanted.owner, wanted.name, wanted.signature);
    if (wanted.id == nullptr) return false;
  }
  return true;
}

const Names& names() {
  return found;
}

Attached::Attached(Until until) {
  void* env = nullptr;
  if (machine->GetEnv(&env, kVersion) == JNI_OK) {
    env_ = static_cast<JNIEnv*>(env);
  } else {
    env_ = attach();
    if (env_ == nullptr) return;
    detach_ = until == Until::done;
    detach_at_end.wanted = !detach_;
  }
  if (env_->PushLocalFrame(kLocalReferences) == 0) return;
  env_->ExceptionClear();
  if (detach_) machine->DetachCurrentThread();
  env_ = nullptr;
}

Attached::~Attached() {
  if (env_ == nullptr) return;
  if (env_->ExceptionCheck() == JNI_TRUE) env_->ExceptionClear();
  env_->PopLocalFrame(nullptr);
  if (detach_) machine->DetachCurrentThread();
}

jbyteArray to_java(JNIEnv* env, const char* text) {
  const auto length = static_cast<jsize>(std::strlen(text));
  jbyteArray bytes = env->NewByteArray(length);
  if (bytes != nullptr) {
    env->SetByteArrayRegion(bytes, 0, length, reinterpret_cast<const jbyte*>(text));
  }
  return bytes;
}

std::string from_java(JNIEnv* env, jbyteArray bytes) {
  std::string text(static_cast<size_t>(env->GetArrayLength(bytes)), '\0');
  env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(text.size()),
                          reinterpret_cast<jbyte*>(text.data()));
  return text;
}

void throw_failure(JNIEnv* env, int result, const char* text) {
  jbyteArray bytes = to_java(env, text);
  if (bytes == nullptr) return;
  jobject thrown = env->NewObject(found.exception, found.new_exception, result, bytes);
  if (thrown != nullptr) env->Throw(static_cast<jthrowable>(thrown));
}

}  // namespace tunproxy::jni
