"""Names and UDP together: a resolver that is asked by UDP, fake addresses over a udpgw, a proxy without UDP."""

import sys

import udp_traffic
from scenarios_names import CONNECTED, dig
from scenarios_status import status
from scenarios_udp import BY_UDPGW, CARRIED, expect_names, serve_udp, udp, udp_tunnel
from scenarios_udpgw import serve_udpgw
from world import GOOD, TARGET, UDP_TRAFFIC, check, sh, until

SOCKS, METRICS = 1090, 9190
RESOLVER = "10.77.2.2:5300"  # at the target; what it says differs from the server's own
TEXT = '"' + "t" * 250 + '"'


def serve_names(world):
    world.spawn(TARGET, "names", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                                  "--user=root", "--pid-file=", "--port=5300", "--log-facility=-",
                                  "--address=/there.test/192.0.2.77", "--local=/test/",
                                  f"--txt-record=big.test{(',' + 't' * 250) * 12}"])
    until(lambda: "started" in world.text("names.err"), "dnsmasq serves at the target")


def refuse(protocol):
    """From now on the resolver has only the other one."""
    sh(f"ip netns exec {TARGET} nft 'flush ruleset; add table inet t; "
       "add chain inet t c {{ type filter hook input priority 0; }}; "
       f"add rule inet t c {protocol} dport 5300 reject'".replace("{{", "{").replace("}}", "}"))


def expect_answers(world, what):
    check(dig(world, "there.test") == "192.0.2.77", f"{what}: {world.text('tunproxy0.err')[-2000:]}")
    check(dig(world, "@192.0.2.53", "there.test") == "192.0.2.77", f"{what}, any resolver")


def test_names_by_udp(world):
    """--dns ADDR: by UDP where it is carried; over TCP what is truncated, and all that UDP leaves unanswered."""
    serve_names(world)
    refuse("tcp")
    program = udp_tunnel(world, "--dns", RESOLVER)
    check(f"names: by {RESOLVER}" in program.err(), program.err())
    expect_answers(world, "by UDP alone")
    check(TEXT not in world.run(["dig", "+tries=1", "+timeout=2", "+tcp", "TXT", "big.test"])[1], "too long without TCP")
    sh(f"ip netns exec {TARGET} nft flush ruleset")
    until(lambda: world.run(["dig", "+tcp", "TXT", "big.test"])[1].count(TEXT) == 12, "truncated ones come over TCP")
    refuse("udp")
    expect_answers(world, "over TCP, when UDP stays unanswered")
    check(program.stop() == 0, program.err())


def test_names_by_tcp_alone(world):
    """--dns ADDR without a carrier."""
    serve_names(world)
    refuse("udp")
    program = udp_tunnel(world, "--dns", RESOLVER, "--udp", "none")
    expect_answers(world, "over TCP")
    check(program.stop() == 0, program.err())


def test_udpgw_fake_names(world):
    """A udpgw takes no names: they are resolved before."""
    serve_udpgw(world)
    program = udp_tunnel(world, "--dns", "fake", way=world.account("/usr/sbin/nologin"))
    until(lambda: BY_UDPGW in program.err(), program.err())
    for family in "46":
        code, output = world.run([sys.executable, "-c", CONNECTED, "web.test", str(udp_traffic.ECHO), family])
        check(code == 0 and "echoed" in output, f"IPv{family}: {output}")
    check(program.stop() == 0, program.err())


def test_udp_refused_by_socks5(world):
    """A SOCKS5 server that carries no UDP: this is told once, programs hear it at once, names go over TCP."""
    world.start_socks_server(commands="connect")
    program = udp_tunnel(world, way=["--socks5", "10.77.1.1:1080", "--dns", "10.77.2.1"])
    told = "UDP: not carried, programs get port unreachable (the SOCKS5 server"
    until(lambda: told in program.err(), f"it is told: {program.err()}")
    for _ in range(3):
        check(udp(world, "outcome", GOOD) == "ECONNREFUSED", "QUIC falls back at once")
    expect_names(world)
    shown = status(world)
    check("UDP:      not carried, programs get port unreachable (the SOCKS5 server" in shown, shown)
    check("names:    by 10.77.2.1 over TCP\n" in shown, shown)
    check(program.stop() == 0, program.err())
    check(program.err().count(told) == 1, f"once: {program.err()}")


def test_udp_status_line(world):
    """Who carries UDP and who resolves names: in the log, and in `tunproxy status`."""
    own = "the server's resolver (10.77.2.1)"
    none = "not carried, programs get port unreachable (--udp none)"
    relay = "carried by the relay helper at the server; NAT: full cone"
    for arguments, udp_is, names_are in (
            (["--udp", "none"], none, f"by {own} over TCP"),
            (["--udp", "none", "--dns", "10.77.2.1"], none, "by 10.77.2.1 over TCP"),
            (["--dns", "fake"], relay, f"by the server as it connects to them; other questions by {own}"),
            ([], relay, f"by {own}")):
        program = world.machine_tunnel(*arguments)
        line = f"UDP: {udp_is}; names: {names_are}\n"
        until(lambda line=line, program=program: line in program.err(), line)
        shown = status(world)
        check(f"UDP:      {udp_is}\nnames:    {names_are}\n" in shown, shown)
        check(program.stop() == 0, program.err())


FRAGMENTS = """
import socket, sys
control = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
control.sendall(bytes.fromhex("050100"))
assert control.recv(2) == bytes.fromhex("0500")
control.sendall(bytes.fromhex("05030001000000000000"))
reply = control.recv(10)
assert reply[1] == 0, reply
relay = ("127.0.0.1", int.from_bytes(reply[8:], "big"))
own, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
own.settimeout(20)
to = socket.inet_aton(sys.argv[2]) + int(sys.argv[3]).to_bytes(2, "big")
own.sendto(bytes.fromhex("00000001") + to + b"whole", relay)
assert own.recv(65535).endswith(b"whole")
own.sendto(bytes.fromhex("00000101") + to + b"part", relay)
own.sendto(b"??", relay)
own.sendto(bytes.fromhex("00000003") + bytes([12]) + b"nowhere.test" + to[4:] + b"nobody's", relay)
other.sendto(bytes.fromhex("00000001") + to + b"another port's", relay)
own.sendto(bytes.fromhex("00000001") + to + b"whole", relay)
assert own.recv(65535).endswith(b"whole")
"""


def test_udp_drops_are_counted(world):
    """With their reasons, in `tunproxy status` and for Prometheus."""
    program = udp_tunnel(world, "--socks", f"127.0.0.1:{SOCKS}", "--metrics", f"127.0.0.1:{METRICS}")
    code, output = world.run([sys.executable, "-c", FRAGMENTS, str(SOCKS), GOOD, str(udp_traffic.ECHO)])
    check(code == 0, output)
    drops = ("socks_udp/fragment", "socks_udp/malformed", "socks_udp/wrong_port")
    # The helper tells a moment later; the association may have ended while it looked the name up.
    until(lambda: any(f"1 helper/{why}" in status(world) for why in ("no_address", "association_gone")), "its drops")
    shown = status(world)
    check(all(f"1 {drop}" in shown for drop in drops), shown)
    check("of SOCKS 00" in shown and "datagrams:" in shown, shown)
    code, metrics = world.run(["curl", "-sS", "--max-time", "60", f"http://127.0.0.1:{METRICS}/metrics"])
    check(all(f'tunproxy_drops_total{{reason="{drop}"}} 1\n' in metrics for drop in drops), metrics)
    check("tunproxy_udp_associations " in metrics, metrics)
    check(program.stop() == 0, program.err())


TLS = 1443


def serve_tls(world, number, *arguments):
    """A listener of ours with TLS, for all machines."""
    sh(f"""
    cd {world.directory}; test ! -e tls.pem || exit 0
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=listener -days 2 \\
      -addext subjectAltName=IP:127.0.0.1,IP:10.77.1.2 -keyout tls.key -out tls.pem 2>/dev/null
    chmod 600 tls.key""")
    program = world.tunproxy(*world.ssh_arguments(), "--no-tun", "--socks", f"0.0.0.0:{TLS + number}", "--socks-open",
                             "--socks-tls", f"{world.path('tls.pem')}:{world.path('tls.key')}", *arguments)
    until(lambda: CARRIED in program.err(), f"a carrier: {program.err()}")


def test_udp_beside_tls(world):
    """Datagrams would go beside TLS in clear: both ends refuse them, unless told otherwise; names go through it."""
    serve_udp(world)
    serve_tls(world, 0)
    serve_tls(world, 1, "--socks-clear-udp")
    refused, carried, clear = "ECONNREFUSED", "echoed", ("--socks5-clear-udp",)
    for host, number, arguments, outcome in (("127.0.0.1", 0, (), refused), ("127.0.0.1", 0, clear, carried),
                                             ("10.77.1.2", 0, clear, refused), ("10.77.1.2", 1, clear, carried)):
        way = ["--socks5", f"tls://{host}:{TLS + number}", "--socks5-ca", world.path("tls.pem"), "--dns", "10.77.2.1", *arguments]
        program = world.tunproxy(*way, "--", sys.executable, UDP_TRAFFIC, "outcome", GOOD)
        check(program.wait() == 0 and program.output().strip() == outcome, f"{way}: {program.output()}{program.err()}")
        check(arguments or "--socks5-clear-udp" in program.err(), f"what to do is said: {program.err()}")
    program = world.tunproxy(*way[:6], "--", "dig", "+short", "+tries=2", "web.test")
    check(program.wait() == 0 and program.output().strip() == GOOD, f"names: {program.output()}{program.err()}")
    for program in reversed(world.programs[:2]):  # the first made the folder of the control sockets
        check(program.stop() == 0, program.err())
