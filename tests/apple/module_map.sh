#!/usr/bin/env bash
# The module that Swift imports: header and map, laid together as build-xcframework.sh does, compile as a module. And the
# C target of the Swift package compiles.
set -euo pipefail
readonly source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$source/bindings/c/tunproxy.h" "$source/bindings/swift/module.modulemap" "$work"
cat >"$work/use.m" <<'END'
@import CTunProxy;
int use(tunproxy_tunnel **instance);
int use(tunproxy_tunnel **instance) {
  tunproxy_callbacks callbacks = {.size = sizeof callbacks};
  return tunproxy_create(&callbacks, instance) == TUNPROXY_OK;
}
END
flags=(-fsyntax-only -Wall -Wextra -Werror)
clang -x objective-c "${flags[@]}" -fmodules -fmodules-cache-path="$work/cache" -I "$work" "$work/use.m"
clang -std=c11 -D_GNU_SOURCE "${flags[@]}" -I "$source/bindings/swift/Sources/CTunProxyUtun/include" \
  "$source"/bindings/swift/Sources/CTunProxyUtun/*.c
