#!/usr/bin/env bash
# Installs what building (and, with --tests, testing) tunproxy needs on Debian and its relatives, and
# obtains the two sources that are compiled in. Run it as root or with sudo at hand. Idempotent.
#
#   tools/setup.sh [--tests]
set -euo pipefail
cd "$(dirname "$0")/.."

readonly build_packages=(build-essential cmake ninja-build pkg-config patch dpkg-dev
  libuv1-dev libspdlog-dev libfmt-dev libssl-dev libcli11-dev libnl-route-3-dev libgtest-dev libgmock-dev)
readonly test_packages=(clang clang-format libclang-rt-14-dev ccache openssh-server openssh-client
  sshpass libpam-modules dante-server dnsmasq-base bind9-dnsutils iproute2 iputils-ping nftables tcpdump
  curl python3 procps util-linux nmap expect)

packages=("${build_packages[@]}")
[ "${1:-}" != --tests ] || packages+=("${test_packages[@]}")

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  # Services (an sshd on port 22, a proxy) must not start on the user's machine for our sake.
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

tools/scripts/fetch-sources.sh build/third_party
