// The native methods of org.tunproxy.TunProxy, over the C API. Texts cross as bytes of UTF-8: what
// JNI calls UTF-8 is another encoding.
#include <jni.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bindings/c/tunproxy.h"

namespace {

constexpr jint kVersion = JNI_VERSION_1_6;
constexpr size_t kValues = 12;  // TunProxyStats.VALUES

JavaVM* machine = nullptr;

// What is looked up once: classes found from a thread of the library would be those of the system.
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
  jmethodID flow_owner = nullptr;
} names;

// Attaches a thread of the library, until it ends.
JNIEnv* environment() {
  struct Attached {
    JNIEnv* env = nullptr;
    ~Attached() {
      if (env != nullptr) machine->DetachCurrentThread();
    }
  };
  void* env = nullptr;
  if (machine->GetEnv(&env, kVersion) == JNI_OK) return static_cast<JNIEnv*>(env);
  static thread_local Attached attached;
#ifdef __ANDROID__
  machine->AttachCurrentThreadAsDaemon(&attached.env, nullptr);
#else
  machine->AttachCurrentThreadAsDaemon(reinterpret_cast<void**>(&attached.env), nullptr);
#endif
  return attached.env;
}

// Local references of a callback: its thread never returns to Java, which would free them.
class Frame {
 public:
  explicit Frame(JNIEnv* env) : env_(env), pushed_(env->PushLocalFrame(16) == 0) {}
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() {
    if (env_->ExceptionCheck() == JNI_TRUE) env_->ExceptionClear();  // out of memory
    if (pushed_) env_->PopLocalFrame(nullptr);
  }

 private:
  JNIEnv* env_;
  bool pushed_;
};

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

void wipe(std::string& text) {
  volatile char* byte = text.data();
  for (size_t i = 0; i < text.size(); ++i) byte[i] = '\0';
}

void throw_result(JNIEnv* env, int result) {
  jbyteArray text = to_java(env, tunproxy_error_text());
  jobject thrown = env->NewObject(names.exception, names.new_exception, result, text);
  if (thrown != nullptr) env->Throw(static_cast<jthrowable>(thrown));
}

void check(JNIEnv* env, int result) {
  if (result != TUNPROXY_OK) throw_result(env, result);
}

// --- the callbacks; `user` is a Peer ---

// An instance and the Bridge that hears of it.
struct Peer {
  jobject bridge = nullptr;
  tunproxy_tunnel* tunnel = nullptr;
};
thread_local const Peer* calling = nullptr;

// A call into Java. `env` is null if there is no more of it.
class IntoJava {
 public:
  explicit IntoJava(void* user)
      : env(environment()), former_(calling), frame_(env ? new Frame(env) : nullptr) {
    calling = static_cast<const Peer*>(user);
  }
  IntoJava(const IntoJava&) = delete;
  IntoJava& operator=(const IntoJava&) = delete;
  ~IntoJava() { calling = former_; }

  jobject bridge() const { return calling->bridge; }
  JNIEnv* const env;

 private:
  const Peer* former_;
  std::unique_ptr<Frame> frame_;
};

void on_state(void* user, tunproxy_state state, tunproxy_result reason, const char* text) {
  const IntoJava java(user);
  if (java.env == nullptr) return;
  java.env->CallVoidMethod(java.bridge(), names.state, static_cast<jint>(state),
                           static_cast<jint>(reason), to_java(java.env, text));
}

void on_log(void* user, tunproxy_log_level level, const char* line) {
  const IntoJava java(user);
  if (java.env == nullptr) return;
  java.env->CallVoidMethod(java.bridge(), names.log, static_cast<jint>(level),
                           to_java(java.env, line));
}

int on_protect(void* user, int fd) {
  const IntoJava java(user);
  if (java.env == nullptr) return 1;
  return java.env->CallBooleanMethod(java.bridge(), names.protect, fd) == JNI_TRUE ? 0 : 1;
}

void on_verify_host_key(void* user, tunproxy_question question, const tunproxy_host_key* key) {
  const IntoJava java(user);
  if (java.env == nullptr) return;
  JNIEnv* env = java.env;
  env->CallVoidMethod(java.bridge(), names.verify_host_key, static_cast<jlong>(question),
                      to_java(env, key->host), to_java(env, key->type),
                      to_java(env, key->fingerprint));
}

void on_ask(void* user, tunproxy_question question, const char* prompt, int echo) {
  const IntoJava java(user);
  if (java.env == nullptr) return;
  java.env->CallVoidMethod(java.bridge(), names.ask, static_cast<jlong>(question),
                           to_java(java.env, prompt), static_cast<jboolean>(echo != 0));
}

int on_resolve(void* user, const char* name, tunproxy_addresses* addresses) {
  const IntoJava java(user);
  if (java.env == nullptr) return 1;
  auto* found = static_cast<jbyteArray>(
      java.env->CallObjectMethod(java.bridge(), names.resolve, to_java(java.env, name)));
  if (found == nullptr) return 1;
  const std::string text = from_java(java.env, found);
  addresses->count = 0;
  size_t at = 0;
  while (at < text.size() && addresses->count < TUNPROXY_MAX_ADDRESSES) {
    const size_t end = std::min(text.find(' ', at), text.size());
    char(&room)[46] = addresses->text[addresses->count];
    const size_t length = std::min(end - at, sizeof room - 1);
    std::memcpy(room, text.data() + at, length);
    room[length] = '\0';
    ++addresses->count;
    at = end + 1;
  }
  return 0;
}

int32_t on_flow_owner(void* user, const tunproxy_flow_key* key) {
  const IntoJava java(user);
  if (java.env == nullptr) return -1;
  JNIEnv* env = java.env;
  return env->CallIntMethod(java.bridge(), names.flow_owner, static_cast<jint>(key->protocol),
                            to_java(env, key->local_address), static_cast<jint>(key->local_port),
                            to_java(env, key->remote_address), static_cast<jint>(key->remote_port));
}

tunproxy_callbacks callbacks_of(Peer* peer) {
  tunproxy_callbacks callbacks{};
  callbacks.size = sizeof callbacks;
  callbacks.user = peer;
  callbacks.state = on_state;
  callbacks.log = on_log;
  callbacks.protect_socket = on_protect;
  callbacks.verify_host_key = on_verify_host_key;
  callbacks.ask = on_ask;
  callbacks.resolve = on_resolve;
  callbacks.flow_owner = on_flow_owner;
  return callbacks;
}

// --- the native methods ---

Peer* peer(jlong handle) {
  return reinterpret_cast<Peer*>(handle);  // NOLINT(performance-no-int-to-ptr): what Java keeps
}

tunproxy_tunnel* tunnel(jlong handle) {
  return peer(handle)->tunnel;
}

jlong create(JNIEnv* env, jclass, jobject bridge) {
  auto made = std::make_unique<Peer>();
  const tunproxy_callbacks callbacks = callbacks_of(made.get());
  if (const int result = tunproxy_create(&callbacks, &made->tunnel); result != TUNPROXY_OK) {
    throw_result(env, result);
    return 0;
  }
  made->bridge = env->NewGlobalRef(bridge);
  return reinterpret_cast<jlong>(made.release());
}

void destroy(JNIEnv* env, jclass, jlong handle) {
  const std::unique_ptr<Peer> dying(peer(handle));
  tunproxy_destroy(dying->tunnel);
  env->DeleteGlobalRef(dying->bridge);
}

void refuse_in_callback(JNIEnv* env, jclass, jlong handle) {
  if (calling != peer(handle)) return;
  jbyteArray text = to_java(env, "a tunnel cannot be closed from its own listener");
  jobject thrown = env->NewObject(names.exception, names.new_exception,
                                  static_cast<jint>(TUNPROXY_ERROR_CALLBACK), text);
  if (thrown != nullptr) env->Throw(static_cast<jthrowable>(thrown));
}

void set(JNIEnv* env, jclass, jlong handle, jbyteArray key, jbyteArray value) {
  check(env,
        tunproxy_set(tunnel(handle), from_java(env, key).c_str(), from_java(env, value).c_str()));
}

void set_toml(JNIEnv* env, jclass, jlong handle, jbyteArray text) {
  check(env, tunproxy_set_toml(tunnel(handle), from_java(env, text).c_str()));
}

void set_secret(JNIEnv* env, jclass, jlong handle, jbyteArray key, jbyteArray value) {
  std::string secret = from_java(env, value);
  const int result = tunproxy_set_secret(tunnel(handle), from_java(env, key).c_str(), secret.data(),
                                         secret.size());
  wipe(secret);
  check(env, result);
}

void start(JNIEnv* env, jclass, jlong handle, jint fd, jint mtu) {
  const jint fits = mtu < 0 || mtu > 65535 ? 0 : mtu;
  check(env, tunproxy_start_fd(tunnel(handle), fd, static_cast<uint16_t>(fits)));
}

void start_proxy(JNIEnv* env, jclass, jlong handle) {
  check(env, tunproxy_start_proxy(tunnel(handle)));
}

void network_changed(JNIEnv* env, jclass, jlong handle) {
  check(env, tunproxy_network_changed(tunnel(handle)));
}

void pause(JNIEnv* env, jclass, jlong handle) {
  check(env, tunproxy_pause(tunnel(handle)));
}

void wake(JNIEnv* env, jclass, jlong handle) {
  check(env, tunproxy_wake(tunnel(handle)));
}

void memory_pressure(JNIEnv* env, jclass, jlong handle, jint pressure) {
  check(env, tunproxy_memory_pressure(tunnel(handle), static_cast<tunproxy_pressure>(pressure)));
}

void reload(JNIEnv* env, jclass, jlong handle) {
  check(env, tunproxy_reload(tunnel(handle)));
}

void stats(JNIEnv* env, jclass, jlong handle, jlongArray to) {
  tunproxy_stats now{};
  now.size = sizeof now;
  if (const int result = tunproxy_get_stats(tunnel(handle), &now); result != TUNPROXY_OK) {
    return throw_result(env, result);
  }
  const auto wide = [](auto value) { return static_cast<jlong>(value); };
  const jlong values[kValues] = {
      wide(now.state),      wide(now.sessions),    wide(now.tcp_flows),       wide(now.udp_flows),
      wide(now.flows),      wide(now.refused),     wide(now.bytes_up),        wide(now.bytes_down),
      wide(now.packets_in), wide(now.packets_out), wide(now.packets_dropped), wide(now.reconnects)};
  env->SetLongArrayRegion(to, 0, kValues, values);
}

jobject new_flow(JNIEnv* env, const tunproxy_flow& flow) {
  return env->NewObject(names.flow, names.new_flow, static_cast<jlong>(flow.id),
                        static_cast<jint>(flow.protocol), static_cast<jint>(flow.owner),
                        static_cast<jlong>(flow.age_ms), static_cast<jlong>(flow.bytes_up),
                        static_cast<jlong>(flow.bytes_down), to_java(env, flow.source),
                        to_java(env, flow.target));
}

jobjectArray flows(JNIEnv* env, jclass, jlong handle) {
  size_t count = 0;
  int result = tunproxy_get_flows(tunnel(handle), nullptr, 0, &count);
  std::vector<tunproxy_flow> found(count + 16);  // some may come meanwhile
  found[0].size = sizeof found[0];
  if (result == TUNPROXY_OK) {
    result = tunproxy_get_flows(tunnel(handle), found.data(), found.size(), &count);
  }
  if (result != TUNPROXY_OK) {
    throw_result(env, result);
    return nullptr;
  }
  found.resize(std::min(count, found.size()));
  jobjectArray all = env->NewObjectArray(static_cast<jsize>(found.size()), names.flow, nullptr);
  for (size_t i = 0; all != nullptr && i < found.size(); ++i) {
    const Frame frame(env);
    jobject flow = new_flow(env, found[i]);
    if (flow != nullptr) env->SetObjectArrayElement(all, static_cast<jsize>(i), flow);
  }
  return all;
}

void stop(JNIEnv* env, jclass, jlong handle, jint timeout) {
  check(env, tunproxy_stop(tunnel(handle), static_cast<uint32_t>(timeout < 0 ? 0 : timeout)));
}

jboolean answer(JNIEnv* env, jclass, jlong handle, jlong question, jbyteArray text) {
  const auto id = static_cast<tunproxy_question>(question);
  if (text == nullptr) {
    return tunproxy_refuse(tunnel(handle), id) == TUNPROXY_OK ? JNI_TRUE : JNI_FALSE;
  }
  std::string words = from_java(env, text);
  const int result = tunproxy_answer(tunnel(handle), id, words.c_str());
  wipe(words);
  return result == TUNPROXY_OK ? JNI_TRUE : JNI_FALSE;
}

jstring version(JNIEnv* env, jclass) {
  return env->NewStringUTF(tunproxy_version());
}

template <typename Function>
JNINativeMethod method(const char* name, const char* signature, Function* function) {
  return {const_cast<char*>(name), const_cast<char*>(signature), reinterpret_cast<void*>(function)};
}

bool register_methods(JNIEnv* env) {
  const jclass owner = env->FindClass("org/tunproxy/TunProxy");
  if (owner == nullptr) return false;
  const JNINativeMethod methods[] = {
      method("version", "()Ljava/lang/String;", version),
      method("create", "(Lorg/tunproxy/Bridge;)J", create),
      method("set", "(J[B[B)V", set),
      method("setToml", "(J[B)V", set_toml),
      method("setSecret", "(J[B[B)V", set_secret),
      method("start", "(JII)V", start),
      method("startProxy", "(J)V", start_proxy),
      method("networkChanged", "(J)V", network_changed),
      method("pause", "(J)V", pause),
      method("wake", "(J)V", wake),
      method("memoryPressure", "(JI)V", memory_pressure),
      method("reload", "(J)V", reload),
      method("stats", "(J[J)V", stats),
      method("flows", "(J)[Lorg/tunproxy/TunProxyFlow;", flows),
      method("stop", "(JI)V", stop),
      method("refuseInCallback", "(J)V", refuse_in_callback),
      method("destroy", "(J)V", destroy),
      method("answer", "(JJ[B)Z", answer),
  };
  return env->RegisterNatives(owner, methods, sizeof methods / sizeof methods[0]) == 0;
}

jclass find_class(JNIEnv* env, const char* name) {
  const jclass found = env->FindClass(name);
  return found == nullptr ? nullptr : static_cast<jclass>(env->NewGlobalRef(found));
}

bool look_up_names(JNIEnv* env) {
  names.exception = find_class(env, "org/tunproxy/TunProxyException");
  names.flow = find_class(env, "org/tunproxy/TunProxyFlow");
  const jclass bridge = env->FindClass("org/tunproxy/Bridge");
  if (names.exception == nullptr || names.flow == nullptr || bridge == nullptr) return false;
  names.new_exception = env->GetMethodID(names.exception, "<init>", "(I[B)V");
  names.new_flow = env->GetMethodID(names.flow, "<init>", "(JIIJJJ[B[B)V");
  names.state = env->GetMethodID(bridge, "state", "(II[B)V");
  names.log = env->GetMethodID(bridge, "log", "(I[B)V");
  names.protect = env->GetMethodID(bridge, "protect", "(I)Z");
  names.verify_host_key = env->GetMethodID(bridge, "verifyHostKey", "(J[B[B[B)V");
  names.ask = env->GetMethodID(bridge, "ask", "(J[BZ)V");
  names.resolve = env->GetMethodID(bridge, "resolve", "([B)[B");
  names.flow_owner = env->GetMethodID(bridge, "flowOwner", "(I[BI[BI)I");
  return env->ExceptionCheck() == JNI_FALSE;
}

}  // namespace

extern "C" JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM* vm, void*) {
  machine = vm;
  void* env = nullptr;
  if (vm->GetEnv(&env, kVersion) != JNI_OK) return JNI_ERR;
  auto* const jni = static_cast<JNIEnv*>(env);
  return look_up_names(jni) && register_methods(jni) ? kVersion : JNI_ERR;
}
