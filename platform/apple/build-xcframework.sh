#!/usr/bin/env bash
# Builds build/apple/CTunProxy.xcframework (iOS, its simulator, macOS) on a Mac with Xcode, CMake and Ninja; bindings/swift
# is a Swift package over it. The sources in build/third_party come from tools/scripts/fetch-sources.sh --all, which runs
# on Debian or a relative (a container will do). Never run so far: see docs/embedding.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly out=$PWD/build/apple
readonly ios_version=15.0 macos_version=12.0
[ -d build/third_party/openssl ] || { echo "no build/third_party: see the head of this script" >&2; exit 1; }

build() { # NAME SYSTEM SDK VERSION ARCHITECTURE…: a static library with everything in it, and the headers
  local name=$1 system=$2 sdk=$3 version=$4 folder architecture thin=()
  shift 4
  for architecture; do
    folder=$out/$name-$architecture
    cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME="$system" \
      -DCMAKE_OSX_SYSROOT="$(xcrun --sdk "$sdk" --show-sdk-path)" -DCMAKE_OSX_ARCHITECTURES="$architecture" \
      -DCMAKE_OSX_DEPLOYMENT_TARGET="$version" -DTUNPROXY_LIBRARY_ONLY=ON \
      -DTUNPROXY_THIRD_PARTY="$PWD/build/third_party"
    cmake --build "$folder" --target tunproxy_c_objects
    find "$folder" -name '*.a' -print0 | xargs -0 libtool -static -o "$folder/libtunproxy.a"
    thin+=("$folder/libtunproxy.a")
  done
  mkdir -p "$out/$name/headers"
  lipo -create "${thin[@]}" -output "$out/$name/libtunproxy.a"
  cp bindings/c/tunproxy.h bindings/swift/module.modulemap "$out/$name/headers/"
}

rm -rf "$out"
build ios iOS iphoneos "$ios_version" arm64
build simulator iOS iphonesimulator "$ios_version" arm64 x86_64
build macos Darwin macosx "$macos_version" arm64 x86_64

libraries=()
for name in ios simulator macos; do
  libraries+=(-library "$out/$name/libtunproxy.a" -headers "$out/$name/headers")
done
xcodebuild -create-xcframework "${libraries[@]}" -output "$out/CTunProxy.xcframework"
