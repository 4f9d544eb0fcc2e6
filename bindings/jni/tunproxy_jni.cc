// The native methods of org.tunproxy.TunProxy, over the C API.
#include <jni.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "bindings/c/tunproxy.h"
#include "bindings/jni/callbacks.h"
#include "bindings/jni/java.h"
#ifndef __ANDROID__
#include "bindings/jni/linux_tun.h"
#endif

namespace tunproxy::jni {
namespace {

constexpr size_t kValues = 12;  // TunProxyStats.VALUES
constexpr size_t kBatch = 64;   // packets that go in together
constexpr jint kFlowReferences = 4;

void wipe(std::string& text) {
  volatile char* byte = text.data();
  for (size_t i = 0; i < text.size(); ++i) byte[i] = '\0';
}

void throw_result(JNIEnv* env, int result) {
  throw_failure(env, result, tunproxy_error_text());
}

void check(JNIEnv* env, int result) {
  if (result != TUNPROXY_OK) throw_result(env, result);
}

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
  env->DeleteGlobalRef(dying->lengths);
}

void refuse_in_callback(JNIEnv* env, jclass, jlong handle) {
  if (!is_calling(peer(handle))) return;
  throw_failure(env, TUNPROXY_ERROR_CALLBACK, "a tunnel cannot be closed from its own listener");
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

uint16_t fitting(jint mtu) {
  return mtu < 0 || mtu > 65535 ? 0 : static_cast<uint16_t>(mtu);
}

void start(JNIEnv* env, jclass, jlong handle, jint fd, jint mtu) {
  check(env, tunproxy_start_fd(tunnel(handle), fd, fitting(mtu)));
}

// `room` and `lengths` are the Bridge's, and the same each time.
void start_packets(JNIEnv* env, jclass, jlong handle, jint mtu, jobject room, jintArray lengths) {
  Peer& self = *peer(handle);
  if (self.room == nullptr) {
    self.lengths = static_cast<jintArray>(env->NewGlobalRef(lengths));
    if (self.lengths == nullptr) return throw_failure(env, TUNPROXY_ERROR_LIMIT, "out of memory");
    self.most_packets = static_cast<size_t>(env->GetArrayLength(lengths));
    self.room_size = static_cast<size_t>(env->GetDirectBufferCapacity(room));
    self.room = static_cast<uint8_t*>(env->GetDirectBufferAddress(room));
  }
  check(env, tunproxy_start_packets(self.tunnel, fitting(mtu)));
}

void start_proxy(JNIEnv* env, jclass, jlong handle) {
  check(env, tunproxy_start_proxy(tunnel(handle)));
}

// Java has checked that the packets lie within the buffer. None at all asks whether it still runs.
jint push(JNIEnv* env, jclass, jlong handle, jobject buffer, jint position, jintArray lengths,
          jint first, jint count) {
  const auto* at = static_cast<const uint8_t*>(env->GetDirectBufferAddress(buffer)) + position;
  jint done = 0;
  do {
    std::array<jint, kBatch> sizes;
    const jint some = std::min(count - done, static_cast<jint>(kBatch));
    env->GetIntArrayRegion(lengths, first + done, some, sizes.data());
    std::array<tunproxy_packet, kBatch> packets;
    for (size_t i = 0; i < static_cast<size_t>(some); ++i) {
      packets[i] = {at, static_cast<size_t>(sizes[i])};
      at += sizes[i];
    }
    size_t taken = 0;
    const int result =
        tunproxy_push_packets(tunnel(handle), packets.data(), static_cast<size_t>(some), &taken);
    check(env, result);
    done += static_cast<jint>(taken);
    if (taken < static_cast<size_t>(some)) break;
  } while (done < count);
  return done;
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
  jbyteArray source = to_java(env, flow.source);
  jbyteArray target = source != nullptr ? to_java(env, flow.target) : nullptr;
  if (target == nullptr) return nullptr;
  return env->NewObject(names().flow, names().new_flow, static_cast<jlong>(flow.id),
                        static_cast<jint>(flow.protocol), static_cast<jint>(flow.owner),
                        static_cast<jlong>(flow.age_ms), static_cast<jlong>(flow.bytes_up),
                        static_cast<jlong>(flow.bytes_down), source, target);
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
  jobjectArray all = env->NewObjectArray(static_cast<jsize>(found.size()), names().flow, nullptr);
  for (size_t i = 0; all != nullptr && i < found.size(); ++i) {
    if (env->PushLocalFrame(kFlowReferences) != 0) return nullptr;
    jobject flow = new_flow(env, found[i]);
    if (flow != nullptr) env->SetObjectArrayElement(all, static_cast<jsize>(i), flow);
    env->PopLocalFrame(nullptr);
    if (flow == nullptr) return nullptr;
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
      method("startPackets", "(JILjava/nio/ByteBuffer;[I)V", start_packets),
      method("push", "(JLjava/nio/ByteBuffer;I[III)I", push),
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

}  // namespace
}  // namespace tunproxy::jni

extern "C" JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM* vm, void*) {
  using namespace tunproxy::jni;  // NOLINT(google-build-using-namespace): this is its function
  void* found = nullptr;
  if (vm->GetEnv(&found, kVersion) != JNI_OK) return JNI_ERR;
  auto* const env = static_cast<JNIEnv*>(found);
  if (!look_up(vm, env) || !register_methods(env)) return JNI_ERR;
#ifndef __ANDROID__
  if (!register_linux_tun(env)) return JNI_ERR;
#endif
  return kVersion;
}
