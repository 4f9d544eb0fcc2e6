#include "bindings/jni/callbacks.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "bindings/jni/java.h"

namespace tunproxy::jni {
namespace {

thread_local const Peer* calling = nullptr;

// One call of the library into Java. Exceptions of the app end in the Bridge; one that is pending
// after a call is the machine's (no memory, no stack), and whoever looks takes it for a refusal.
class IntoJava {
 public:
  IntoJava(void* user, Attached::Until until) : former_(calling), attached_(until) {
    calling = static_cast<const Peer*>(user);
  }
  IntoJava(const IntoJava&) = delete;
  IntoJava& operator=(const IntoJava&) = delete;
  ~IntoJava() { calling = former_; }

  JNIEnv* env() const { return attached_.env(); }
  const Peer& peer() const { return *calling; }
  jobject bridge() const { return calling->bridge; }

 private:
  const Peer* former_;
  const Attached attached_;
};

// Of the thread of an instance, which ends when it is stopped.
constexpr auto kOwnThread = Attached::Until::thread_ends;
// Of any thread, also one that is joined after the machine's end, and must not meet it again then.
constexpr auto kAnyThread = Attached::Until::done;

void on_state(void* user, tunproxy_state state, tunproxy_result reason, const char* text) {
  const IntoJava java(user, kOwnThread);
  JNIEnv* env = java.env();
  if (env == nullptr) return;
  if (jbyteArray why = to_java(env, text)) {
    env->CallVoidMethod(java.bridge(), names().state, static_cast<jint>(state),
                        static_cast<jint>(reason), why);
  }
}

void on_log(void* user, tunproxy_log_level level, const char* line) {
  const IntoJava java(user, kAnyThread);
  JNIEnv* env = java.env();
  if (env == nullptr) return;
  if (jbyteArray text = to_java(env, line)) {
    env->CallVoidMethod(java.bridge(), names().log, static_cast<jint>(level), text);
  }
}

int on_protect(void* user, int fd) {
  const IntoJava java(user, kOwnThread);
  JNIEnv* env = java.env();
  if (env == nullptr) return 1;
  const jboolean done = env->CallBooleanMethod(java.bridge(), names().protect, fd);
  return env->ExceptionCheck() == JNI_FALSE && done == JNI_TRUE ? 0 : 1;
}

void on_verify_host_key(void* user, tunproxy_question question, const tunproxy_host_key* key) {
  const IntoJava java(user, kAnyThread);
  JNIEnv* env = java.env();
  jbyteArray host = env != nullptr ? to_java(env, key->host) : nullptr;
  jbyteArray type = host != nullptr ? to_java(env, key->type) : nullptr;
  jbyteArray print = type != nullptr ? to_java(env, key->fingerprint) : nullptr;
  jbyteArray line = print != nullptr ? to_java(env, key->line) : nullptr;
  if (line != nullptr) {
    env->CallVoidMethod(java.bridge(), names().verify_host_key, static_cast<jlong>(question), host,
                        type, print, line);
    if (env->ExceptionCheck() == JNI_FALSE) return;
  }
  tunproxy_refuse(java.peer().tunnel, question);
}

void on_ask(void* user, tunproxy_question question, const char* prompt, int echo) {
  const IntoJava java(user, kAnyThread);
  JNIEnv* env = java.env();
  jbyteArray text = env != nullptr ? to_java(env, prompt) : nullptr;
  if (text != nullptr) {
    env->CallVoidMethod(java.bridge(), names().ask, static_cast<jlong>(question), text,
                        static_cast<jboolean>(echo != 0));
    if (env->ExceptionCheck() == JNI_FALSE) return;
  }
  tunproxy_refuse(java.peer().tunnel, question);
}

// Addresses that are separated by spaces.
void split(const std::string& text, tunproxy_addresses& addresses) {
  addresses.count = 0;
  size_t at = 0;
  while (at < text.size() && addresses.count < TUNPROXY_MAX_ADDRESSES) {
    const size_t end = std::min(text.find(' ', at), text.size());
    char(&room)[46] = addresses.text[addresses.count];
    const size_t length = std::min(end - at, sizeof room - 1);
    std::memcpy(room, text.data() + at, length);
    room[length] = '\0';
    ++addresses.count;
    at = end + 1;
  }
}

int on_resolve(void* user, const char* name, tunproxy_addresses* addresses) {
  const IntoJava java(user, kAnyThread);
  JNIEnv* env = java.env();
  jbyteArray text = env != nullptr ? to_java(env, name) : nullptr;
  if (text == nullptr) return 1;
  auto* found =
      static_cast<jbyteArray>(env->CallObjectMethod(java.bridge(), names().resolve, text));
  if (env->ExceptionCheck() == JNI_TRUE || found == nullptr) return 1;
  split(from_java(env, found), *addresses);
  return 0;
}

// As many packets as fit are put one after another into the room of the Bridge. Returns how many.
size_t hand_over(const IntoJava& java, const tunproxy_packet* packets, size_t count) {
  const Peer& peer = java.peer();
  size_t bytes = 0;
  size_t done = 0;
  for (; done < std::min(count, peer.most_packets); ++done) {
    const tunproxy_packet& packet = packets[done];
    if (packet.length > peer.room_size - bytes) break;
    std::memcpy(peer.room + bytes, packet.data, packet.length);
    bytes += packet.length;
    const auto length = static_cast<jint>(packet.length);
    java.env()->SetIntArrayRegion(peer.lengths, static_cast<jsize>(done), 1, &length);
  }
  java.env()->CallVoidMethod(java.bridge(), names().packets, static_cast<jint>(done));
  if (java.env()->ExceptionCheck() == JNI_TRUE) java.env()->ExceptionClear();
  return std::max<size_t>(done, 1);  // one that is longer than the room is no IP packet
}

void on_packets(void* user, const tunproxy_packet* packets, size_t count) {
  const IntoJava java(user, kOwnThread);
  if (java.env() == nullptr || java.peer().room == nullptr) return;
  for (size_t done = 0; done < count;) done += hand_over(java, packets + done, count - done);
}

int32_t on_flow_owner(void* user, const tunproxy_flow_key* key) {
  const IntoJava java(user, kOwnThread);
  JNIEnv* env = java.env();
  jbyteArray local = env != nullptr ? to_java(env, key->local_address) : nullptr;
  jbyteArray remote = local != nullptr ? to_java(env, key->remote_address) : nullptr;
  if (remote == nullptr) return -1;
  const jint owner = env->CallIntMethod(
      java.bridge(), names().flow_owner, static_cast<jint>(key->protocol), local,
      static_cast<jint>(key->local_port), remote, static_cast<jint>(key->remote_port));
  return env->ExceptionCheck() == JNI_FALSE ? owner : -1;
}

}  // namespace

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
  callbacks.write_packets = on_packets;
  callbacks.flow_owner = on_flow_owner;
  return callbacks;
}

bool is_calling(const Peer* peer) {
  return calling == peer;
}

}  // namespace tunproxy::jni
