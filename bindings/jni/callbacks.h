// What the library calls back, led into Java.
#pragma once

#include <jni.h>

#include <cstddef>
#include <cstdint>

#include "bindings/c/tunproxy.h"

namespace tunproxy::jni {

/// An instance, and the Bridge that hears of it. `user` of its callbacks.
struct Peer {
  jobject bridge = nullptr;  ///< a global reference
  tunproxy_tunnel* tunnel = nullptr;
  // In packet mode, the direct buffer of the Bridge and its array of lengths (a global reference).
  uint8_t* room = nullptr;
  size_t room_size = 0;
  jintArray lengths = nullptr;
  size_t most_packets = 0;
};

tunproxy_callbacks callbacks_of(Peer* peer);

/// A callback of this peer is on this thread's stack.
bool is_calling(const Peer* peer);

}  // namespace tunproxy::jni
