#!/usr/bin/env bash
# Shows the tunnel at work, on this machine alone: builds the program, makes three network namespaces
#
#     client ── 10.213.1.0/24 ── server (sshd) ── 10.213.2.0/24 ── web (a web server)
#
# of which the client can reach only the server, and sends requests from the client to the web server
# through `tunproxy --ssh`. Everything is removed at the end.
#
#   sudo tools/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || { echo "tools/demo.sh: run it as root: it makes network namespaces" >&2; exit 1; }

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '\033[36m$ %s\033[0m\n' "$*"; }

say "Installing what is needed and building tunproxy"
mkdir -p build
tools/setup.sh --demo >build/setup.log 2>&1 || { cat build/setup.log; exit 1; }
cmake --preset release -DTUNPROXY_TESTS=OFF >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build --preset release --target tunproxy
readonly tunproxy=$PWD/build/release/tunproxy

readonly id=tpdemo$$
readonly client=$id-client server=$id-server web=$id-web
readonly work=$(mktemp -d)
clean_up() {
  trap - EXIT INT TERM
  for namespace in "$client" "$server" "$web"; do
    ip netns pids "$namespace" 2>/dev/null | xargs -r kill 2>/dev/null || true
  done
  wait 2>/dev/null || true
  for namespace in "$client" "$server" "$web"; do ip netns delete "$namespace" 2>/dev/null || true; done
  rm -rf "$work" "/etc/netns/$client"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

in_client() { ip netns exec "$client" "$@"; }
until_works() {
  for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
  echo "gave up waiting for: $*" >&2
  return 1
}
join_namespaces() {  # join_namespaces A B NETWORK: A gets NETWORK.1, B gets NETWORK.2
  local a=${3//./}a b=${3//./}b
  ip link add "$a" netns "$1" type veth peer name "$b" netns "$2"
  ip -n "$1" address add "$3.1/24" dev "$a" && ip -n "$1" link set "$a" up
  ip -n "$2" address add "$3.2/24" dev "$b" && ip -n "$2" link set "$b" up
}

say "Three hosts: client, server, web"
for namespace in "$client" "$server" "$web"; do
  ip netns add "$namespace"
  ip -n "$namespace" link set lo up
done
join_namespaces "$client" "$server" 10.213.1
join_namespaces "$server" "$web" 10.213.2

# The client's own resolv.conf: the tunnel replaces it while it is up, and must not touch this machine's.
mkdir -p "/etc/netns/$client"
echo "nameserver 10.213.1.2" >"/etc/netns/$client/resolv.conf"

mkdir -p "$work/www" /run/sshd
echo "Hello from a host that only the SSH server can reach." >"$work/www/index.html"
head -c 100000000 /dev/zero >"$work/www/100MB"
ip netns exec "$web" python3 -m http.server --directory "$work/www" 80 >"$work/web.log" 2>&1 &

cat >"$work/udp_echo.py" <<'END'
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 7))
while True:
    datagram, peer = server.recvfrom(65535)
    server.sendto(datagram.upper(), peer)
END
cat >"$work/udp_ask.py" <<'END'
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
client.sendto(b"a datagram, through an ssh account", (sys.argv[1], 7))
answer, peer = client.recvfrom(65535)
print("answer from %s:%d: %s" % (*peer, answer.decode()))
END
ip netns exec "$web" python3 "$work/udp_echo.py" &

ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$work/user_key"
cp "$work/user_key.pub" "$work/authorized_keys"
echo "10.213.1.2 $(cut -d' ' -f1,2 "$work/host_key.pub")" >"$work/known_hosts"
cat >"$work/sshd_config" <<END
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
StrictModes no
PermitRootLogin yes
PidFile none
SetEnv HOME=$work
END
ip netns exec "$server" /usr/sbin/sshd -D -f "$work/sshd_config" -E "$work/sshd.log" &
until_works in_client bash -c 'exec 3<>/dev/tcp/10.213.1.2/22'
until_works ip netns exec "$server" curl -s http://10.213.2.2/

readonly options=(--ssh root@10.213.1.2 --identity "$work/user_key" --known-hosts "$work/known_hosts"
  --dns 10.213.2.2)

say "Without the tunnel the client cannot reach the web server"
show "curl http://10.213.2.2/"
in_client curl -sS --max-time 3 http://10.213.2.2/ || true

say "One command through the tunnel:  tunproxy --ssh root@10.213.1.2 -- curl …"
show "tunproxy --ssh root@10.213.1.2 -- curl http://10.213.2.2/"
in_client "$tunproxy" "${options[@]}" -- curl -sS http://10.213.2.2/
show "tunproxy --ssh root@10.213.1.2 -- curl http://10.213.2.2/100MB"
in_client "$tunproxy" "${options[@]}" -- \
  curl -sS -o /dev/null -w '%{size_download} bytes at %{speed_download} bytes/s\n' http://10.213.2.2/100MB

show "tunproxy --ssh root@10.213.1.2 -- python3 udp_ask.py 10.213.2.2      # UDP: the server needs only python3"
in_client "$tunproxy" "${options[@]}" -- python3 "$work/udp_ask.py" 10.213.2.2

say "The whole machine (here: the whole client namespace) through the tunnel"
show "tunproxy --ssh root@10.213.1.2 &"
ip netns exec "$client" "$tunproxy" "${options[@]}" &
readonly tunnel=$!
until_works in_client curl -sS --max-time 3 http://10.213.2.2/
show "curl http://10.213.2.2/"
in_client curl -sS http://10.213.2.2/
show "curl http://10.213.2.2:81/       # nobody listens there: the refusal comes through, too"
in_client curl -sS http://10.213.2.2:81/ || true
kill "$tunnel"
wait "$tunnel"

say "What the web server saw: requests from the SSH server (10.213.2.1), none from the client"
grep -o '^[0-9.]* .*GET [^ ]*' "$work/web.log" | sort | uniq -c
say "Done; everything is removed again"
