#!/usr/bin/env bash
# Runs the integration tests: the real program against real servers, in network namespaces.
#
#   sudo tests/integration/run.sh [--list] [--sanitized] [--keep] [--except NAME]… [NAME…]
#
# TUNPROXY names the program (default build/release/tunproxy). All of it happens in a PID and a mount
# namespace of its own, so that whatever becomes of the tests, nothing of them stays on the machine.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "tests/integration/run.sh: run it as root (network namespaces)" >&2; exit 1; }
ulimit -n "$(ulimit -Hn)"
exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
  python3 tests/integration/run.py "$@"
