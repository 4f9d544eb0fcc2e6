#!/usr/bin/env bash
# Installs what is needed, builds everything and passes all tests. Needs root (network namespaces, TUN).
#
#   sudo tools/test.sh [--quick]        --quick: without fuzzers and the second compiler
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
[ "${1:-}" != --quick ] || quick=true
[ "$(id -u)" = 0 ] || { echo "tools/test.sh: run it as root: the tests make network namespaces" >&2; exit 1; }

readonly jobs=$(nproc)
# Lets clones in different folders share what was compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
# A busy machine is no defect: what fails beside others gets one more chance alone.
run_tests() { # BUILD [-R PATTERN]
  ctest --test-dir "build/$1" "${@:2}" -j "$jobs" --output-on-failure --progress && return
  step "once more, alone"
  ctest --test-dir "build/$1" --rerun-failed --output-on-failure
}
step() { printf '\n== %s (%s)\n' "$1" "$(date +%T)"; }

build() { # PRESET [TARGET…]
  cmake --preset "$1" -DTUNPROXY_JNI=ON >"build/$1.log" 2>&1 || { cat "build/$1.log"; exit 1; }
  cmake --build --preset "$1" -j "$jobs" ${2:+--target "${@:2}"} >"build/$1.log" 2>&1 || { tail -n 60 "build/$1.log"; exit 1; }
}

step "packages and sources"
mkdir -p build
tools/setup.sh --tests >build/setup.log 2>&1 || { cat build/setup.log; exit 1; }

step "build: asan (the unit tests) and release (the program)"
build asan
build release

# Ten minutes, and gently: it is waited for at the end.
TUNPROXY_SOAK_MINUTES=10 TUNPROXY=$PWD/build/release/tunproxy nice tests/integration/run.sh soak >build/soak.log 2>&1 &
readonly soak=$!
release_run=
trap 'kill -KILL "$soak" $release_run 2>/dev/null || true' EXIT  # their namespaces end with them

if ! $quick; then
  step "build: clang, the program and the fuzzers"
  build fuzz tunproxy fuzzers
  step "build: ThreadSanitizer, the library alone"
  build tsan c_api_driver c_api_test c_api_fuzz
fi

step "unit tests under AddressSanitizer and UndefinedBehaviorSanitizer"
run_tests asan

step "the library as it is installed: starts, bulk, symbols, package files, reference"
run_tests release -R '^c_api'

if ! $quick; then
  step "fuzzers, a minute each"
  ctest --test-dir build/fuzz -R '^fuzz_' -j "$jobs" --output-on-failure

  step "threads under ThreadSanitizer"
  run_tests tsan -R '^c_api(_fuzz)?$'
fi

# Both at the same time: a scenario waits more than it computes. Each has namespaces of its own.
step "integration tests against real servers, in network namespaces: the release and the sanitized build"
TUNPROXY=$PWD/build/release/tunproxy tests/integration/run.sh --except soak >build/integration.log 2>&1 &
release_run=$!
sanitized=0
TUNPROXY=$PWD/build/asan/tunproxy tests/integration/run.sh --sanitized || sanitized=$?
released=0
wait "$release_run" || released=$?
step "the release build's outcome"
cat build/integration.log
step "the soak's outcome"
soaked=0
wait "$soak" || soaked=$?
cat build/soak.log
[ "$sanitized" = 0 ] && [ "$released" = 0 ] && [ "$soaked" = 0 ] || { echo "integration tests failed" >&2; exit 1; }
step "all tests passed"
