// What the JNI library shares: the machine, the names that it looked up, texts. Texts cross as
// bytes of UTF-8: what JNI calls UTF-8 is another encoding.
#pragma once

#include <jni.h>

#include <string>

namespace tunproxy::jni {

inline constexpr jint kVersion = JNI_VERSION_1_6;

/// Classes and methods, looked up once: from a thread of the library FindClass() would find those
/// of the system only.
struct Names {
  jclass exception = nullptr;
  jmethodID new_exception = nullptr;
  jclass flow = nullptr;
  jmethodID new_flow = nullptr;
  jmethodID state = nullptr;
  jmethodID log = nullptr;
  jmethodID protect = nullptr;
  jmethodID verify_host_key = nullptr;
  jmethodID ask = nullptr;
  jmethodID resolve = nullptr;
  jmethodID packets = nullptr;
  jmethodID flow_owner = nullptr;
};

/// Called by JNI_OnLoad(), before all else here. False: an exception is pending.
bool look_up(JavaVM* vm, JNIEnv* env);
const Names& names();

/// A thread of the library inside Java. Local references that were made meanwhile are freed, and an
/// exception that is left is dropped.
class Attached {
 public:
  enum class Until : uint8_t {
    done,        ///< this object ends: what a thread that outlives the machine has to ask for
    thread_ends  ///< cheap the next time
  };

  explicit Attached(Until until);
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  ~Attached();

  /// nullptr: there is no machine any more, or no memory.
  JNIEnv* env() const { return env_; }

 private:
  JNIEnv* env_ = nullptr;
  bool detach_ = false;
};

/// nullptr: no memory; an exception is pending.
jbyteArray to_java(JNIEnv* env, const char* text);
std::string from_java(JNIEnv* env, jbyteArray bytes);

/// Makes a TunProxyException pending.
void throw_failure(JNIEnv* env, int result, const char* text);

template <typename Function>
JNINativeMethod method(const char* name, const char* signature, Function* function) {
  return {const_cast<char*>(name), const_cast<char*>(signature), reinterpret_cast<void*>(function)};
}

}  // namespace tunproxy::jni
