#!/usr/bin/env bash
# Obtains the two third-party sources that are compiled in, lwIP and libssh2, as the distribution's
# source packages (so with its security patches), and unpacks them into DIR/lwip and DIR/libssh2. With --all
# also OpenSSL and libuv, and DIR/include with what consists of headers: what phones do not have
# (cmake/ThirdPartySources.cmake).
#
#   tools/scripts/fetch-sources.sh [--all] DIR
#
# The machine's own package client fetches them, from the mirror that the machine already uses, with the
# archive's signature checked. On a release older than trixie, a temporary list for trixie is read in a
# state directory of its own: the machine's package lists stay as they are. The upstream tarballs of the
# two are pinned by hash below; the distribution's patches, and the others, whose versions move with
# security updates, by the archive's signature.
set -euo pipefail

readonly release=trixie
readonly own_release=$(. /etc/os-release && echo "$VERSION_CODENAME")
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
declare -rA orig_sha256=(
  [libssh2]=d9ec76cbe34db98eec3539fe2c899d26b0c837cb3eb466a56b0f109cabf658f7
  [lwip]=83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1
)
declare -rA upstream_version=([libssh2]=1.11.1 [lwip]=2.2.1+dfsg1)

die() { echo "fetch-sources: $*" >&2; exit 1; }

packages=(libssh2 lwip)
headers=()
if [ "${1:-}" = --all ]; then
  packages+=(openssl libuv1)
  headers=(libfmt-dev libspdlog-dev libtomlplusplus-dev nlohmann-json3-dev)
  shift
fi
[ $# -eq 1 ] || die "usage: $0 [--all] DIR"
mkdir -p "$1"
readonly target=$(cd "$1" && pwd)
wanted=()
for package in "${packages[@]}"; do [ -d "$target/$package" ] || wanted+=("$package"); done
[ ! -d "$target/include" ] || headers=()
[ $((${#wanted[@]} + ${#headers[@]})) -gt 0 ] || exit 0

command -v apt-get >/dev/null && command -v dpkg-source >/dev/null ||
  die "needs apt-get and dpkg-source (Debian's dpkg-dev); elsewhere give the sources to cmake with" \
      "-DTUNPROXY_LIBSSH2_SOURCE=DIR -DTUNPROXY_LWIP_SOURCE=DIR"
[ -r "$keyring" ] || die "no $keyring: install debian-archive-keyring"

readonly work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,download}

# The repositories of the machine's own sources that carry the label "Debian" or "Debian-Security".
repository_uri() {
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk -v label="$1" '$1 == label { print $2; exit }'
}
archive=$(repository_uri Debian)
security=$(repository_uri Debian-Security)
[ -n "$archive" ] || die "the machine's package lists name no Debian mirror: run apt-get update first"
{
  for name in "$release" "$own_release"; do
    echo "deb-src [signed-by=$keyring] $archive $name main"
    [ -z "$security" ] || echo "deb-src [signed-by=$keyring] $security $name-security main"
  done
} >"$work/sources.list"

apt_private() {
  apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
apt_private update >"$work/log" 2>&1 || { cat "$work/log" >&2; die "cannot read the $release source lists"; }

check_tarball() { # PACKAGE: the upstream tarball is the pinned one
  local tarball
  tarball=$(find "$work/download" -name "${1}_${upstream_version[$1]}.orig.tar.*" ! -name '*.asc')
  [ -n "$tarball" ] || die "$release no longer carries $1 ${upstream_version[$1]}"
  echo "${orig_sha256[$1]}  $tarball" | sha256sum --check --quiet ||
    die "$1: the upstream tarball is not the pinned one"
}

release_of() { [ -n "${upstream_version[$1]:-}" ] && echo "$release" || echo "$own_release"; }

for package in "${wanted[@]}"; do
  (cd "$work/download" && apt_private source --download-only "$package/$(release_of "$package")" >"$work/log" 2>&1) ||
    { cat "$work/log" >&2; die "cannot fetch the source package $package"; }
  [ -z "${upstream_version[$package]:-}" ] || check_tarball "$package"
  # The package client has checked the signed index and the hashes of the .dsc and of its files.
  dpkg-source --no-check -x "$work"/download/"$package"_*.dsc "$work/$package" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; die "cannot unpack $package"; }
  (cd "$work/download" && ls "$package"_*.dsc) >"$work/$package/TUNPROXY_SOURCE"
  mv "$work/$package" "$target/$package"
  echo "$package: $(cat "$target/$package/TUNPROXY_SOURCE")"
done

for package in ${headers[@]+"${headers[@]}"}; do
  (cd "$work/download" && apt-get -q -o APT::Sandbox::User=root download "$package" >"$work/log" 2>&1) ||
    { cat "$work/log" >&2; die "cannot fetch the headers of $package"; }
  dpkg-deb -x "$work"/download/"$package"_*.deb "$work/headers"
  echo "$package: headers"
done
[ ! -d "$work/headers" ] || mv "$work/headers/usr/include" "$target/include"
