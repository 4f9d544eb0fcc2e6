// The native methods of org.tunproxy.LinuxTun, which Android has not.
#pragma once

#include <jni.h>

namespace tunproxy::jni {

/// False: an exception is pending.
bool register_linux_tun(JNIEnv* env);

}  // namespace tunproxy::jni
