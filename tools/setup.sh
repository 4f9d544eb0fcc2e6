#!/usr/bin/env bash
# Installs what building tunproxy needs on Debian, and on what uses its archive (with --demo or --tests: what those
# need as well), and obtains the two sources that are compiled in. Run it as root, or with sudo at hand.
# Idempotent; no service is started.
#
#   tools/setup.sh [--demo | --tests]
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(build-essential cmake ninja-build pkg-config patch dpkg-dev libuv1-dev libspdlog-dev
  libfmt-dev libssl-dev libcrypt-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev prometheus-cpp-dev libnl-route-3-dev libgtest-dev libgmock-dev)
readonly demo_packages=(openssh-server openssh-client iproute2 curl python3 util-linux)
readonly test_packages=(clang clang-format libclang-rt-14-dev ccache sshpass libpam-modules
  dante-server tinyproxy-bin socat dropbear-bin tinysshd python3-asyncssh
  dnsmasq-base bind9-dnsutils iputils-ping nftables tcpdump procps
  zsh fish tcsh chrony snmp snmpd iperf3 krb5-admin-server krb5-kdc krb5-user sip-tester ngtcp2-client ngtcp2-server
  dbus-daemon libsystemd-shared openssl default-jdk-headless doxygen
  chromium dante-client stunnel4 lftp ncat netcat-openbsd proxychains4 python3-pyftpdlib python3-socks whois)

case "${1:-}" in
  "") ;;
  --demo) packages+=("${demo_packages[@]}") ;;
  --tests) packages+=("${demo_packages[@]}" "${test_packages[@]}") ;;
  *) echo "usage: $0 [--demo | --tests]" >&2; exit 2 ;;
esac

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

# A package must not start its service (an sshd on port 22, a proxy) on the user's machine for our sake.
readonly policy=/usr/sbin/policy-rc.d
if [ ${#missing[@]} -gt 0 ]; then
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
  fi
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

tools/scripts/fetch-sources.sh build/third_party
[ "${1:-}" != --tests ] || tools/scripts/fetch-resolved.sh build/third_party
