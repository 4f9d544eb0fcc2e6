#!/usr/bin/env bash
# Runs the Swift class over libtunproxy, and checks the types of the packet tunnel over stubs of Apple's classes; with any
# Swift compiler.
#
#   tests/apple/swift.sh SOURCE LIBRARY_FOLDER
set -euo pipefail
readonly source=$1 library=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$source/bindings/c/tunproxy.h" "$work"
grep -v 'link "c++"' "$source/bindings/swift/module.modulemap" >"$work/module.modulemap"  # the library has its own here
mkdir "$work/utun"
cp "$source/bindings/swift/Sources/CTunProxyUtun/include/tunproxy_utun.h" "$work/utun"
echo 'module CTunProxyUtun { header "tunproxy_utun.h" export * }' >"$work/utun/module.modulemap"
compile() { swiftc -swift-version 5 -warnings-as-errors -module-cache-path "$work/cache" -I "$work" -I "$work/utun" "$@"; }
readonly link=(-L "$work" -L "$library" -ltunproxy -Xlinker "-rpath-link=$library" -Xlinker "-rpath=$library" -Xlinker "-rpath=$work")

cd "$work"
compile -emit-module -emit-library -module-name TunProxy -o libTunProxySwift.so "${link[@]}" \
  "$source/bindings/swift/Sources/TunProxy/TunProxy.swift"
compile -o main -lTunProxySwift "${link[@]}" "$source/tests/apple/main.swift"
LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}:$library timeout 120 ./main

for name in NetworkExtension Network os; do
  compile -emit-module -parse-as-library -module-name "$name" "$source/tests/apple/stubs/$name.swift"
done
compile -typecheck -parse-as-library "$source/platform/apple/PacketTunnelProvider.swift"
