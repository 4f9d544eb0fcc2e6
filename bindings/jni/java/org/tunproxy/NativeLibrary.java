package org.tunproxy;

/** Loads libtunproxy_jni, once. */
final class NativeLibrary {
  static {
    System.loadLibrary("tunproxy_jni");
  }

  private NativeLibrary() {}

  static void load() {}
}
