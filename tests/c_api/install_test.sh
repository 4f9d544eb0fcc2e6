#!/usr/bin/env bash
# Installs a build to a place of its own, twice (as a package does, and by prefix), and builds programs with what is there:
# by pkg-config and by CMake, each with the shared and with the static library.
#
#   install_test.sh BUILD VERSION LIBDIR
set -euo pipefail
readonly build=$1 version=$2 libdir=$3
readonly consumer=$(cd "$(dirname "$0")" && pwd)/consumer
readonly work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

installed() { [ -e "$1" ] || { echo "not installed: $1" >&2; exit 1; }; }
says_version() { # says_version PROGRAM…
  local said
  said=$("$@") || { echo "$*: exit code $?" >&2; exit 1; }
  [ "$said" = "$version" ] || { echo "$*: '$said' instead of '$version'" >&2; exit 1; }
}

DESTDIR=$work/root cmake --install "$build" --prefix /usr >/dev/null
readonly root=$work/root/usr
for file in bin/tunproxy bin/tunproxy-relay include/tunproxy.h "$libdir/libtunproxy.so" "$libdir/libtunproxy.a" \
    "$libdir/pkgconfig/tunproxy.pc" "$libdir/cmake/tunproxy/tunproxyConfig.cmake" share/doc/tunproxy/LICENSE; do
  installed "$root/$file"
done

# It may be moved: both kinds of package files find their place from where they are.
mv "$root" "$work/tree"
export PKG_CONFIG_PATH=$work/tree/$libdir/pkgconfig LD_LIBRARY_PATH=$work/tree/$libdir
[ "$(pkg-config --modversion tunproxy)" = "$version" ]
cc -Wall -Werror -std=c11 "$consumer/main.c" -o "$work/shared" $(pkg-config --cflags --libs tunproxy)
says_version "$work/shared"

cmake -S "$consumer" -B "$work/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$work/tree" >"$work/log" 2>&1 \
  && cmake --build "$work/cmake" >>"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
for program in c_tunproxy c_static cxx_tunproxy cxx_static; do says_version "$work/cmake/$program"; done

# -ltunproxy means the static one where there is no other.
rm "$work/tree/$libdir"/libtunproxy.so*
cc -Wall -Werror -std=c11 "$consumer/main.c" -o "$work/static" $(pkg-config --static --cflags --libs tunproxy)
unset LD_LIBRARY_PATH
says_version "$work/static"
says_version "$work/cmake/c_static"
