#!/usr/bin/env bash
# Unpacks the distribution's systemd-resolved into DIR/systemd-resolved, for the tests that run it.
#
#   tools/scripts/fetch-resolved.sh DIR
#
# It is not installed: that would make this machine's /etc/resolv.conf its own.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
[ -x /lib/systemd/systemd-resolved ] && exit 0
[ -x "$1/systemd-resolved/lib/systemd/systemd-resolved" ] && exit 0
[ -x "$1/systemd-resolved/usr/lib/systemd/systemd-resolved" ] && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get -q -o APT::Sandbox::User=root download systemd-resolved >log 2>&1) ||
  { cat "$work/log" >&2; echo "fetch-resolved: cannot fetch the package systemd-resolved" >&2; exit 1; }
mkdir -p "$1"
rm -rf "$1/systemd-resolved"
dpkg-deb -x "$work"/systemd-resolved_*.deb "$1/systemd-resolved"
