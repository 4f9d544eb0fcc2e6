#!/usr/bin/env bash
# Builds build/apple/CTunProxy.xcframework (iOS, its simulator, macOS) on a Mac with Xcode and CMake; bindings/swift
# is a Swift package over it. The third-party sources are fetched, pinned by hash (cmake/Fetched.cmake).
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly out=$PWD/build/apple
readonly ios_version=15.0 macos_version=12.0

build() { # NAME SYSTEM SDK ARCHITECTURES VERSION
  local folder=$out/$1
  cmake -S . -B "$folder" -G Xcode -DCMAKE_SYSTEM_NAME="$2" -DCMAKE_OSX_SYSROOT="$3" \
    -DCMAKE_OSX_ARCHITECTURES="$4" -DCMAKE_OSX_DEPLOYMENT_TARGET="$5" \
    -DTUNPROXY_PLATFORM=apple -DTUNPROXY_TESTS=OFF
  cmake --build "$folder" --config Release --target tunproxy_bundle
  mkdir -p "$folder/headers"
  cp bindings/c/tunproxy.h bindings/swift/module.modulemap "$folder/headers/"
}

build ios iOS iphoneos arm64 "$ios_version"
build simulator iOS iphonesimulator "arm64;x86_64" "$ios_version"
build macos Darwin macosx "arm64;x86_64" "$macos_version"

libraries=()
for name in ios simulator macos; do
  library=$(find "$out/$name" -name libtunproxy_bundle.a -print -quit)
  libraries+=(-library "$library" -headers "$out/$name/headers")
done
rm -rf "$out/CTunProxy.xcframework"
xcodebuild -create-xcframework "${libraries[@]}" -output "$out/CTunProxy.xcframework"
