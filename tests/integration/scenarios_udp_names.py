"""Names and UDP together: a resolver that is asked by UDP, fake addresses over a udpgw, a proxy without UDP."""

import sys

import udp_traffic
from scenarios_names import CONNECTED, dig
from scenarios_udp import BY_UDPGW, expect_names, udp, udp_tunnel
from scenarios_udpgw import serve_udpgw
from world import GOOD, TARGET, check, sh, until

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
    until(lambda: world.run(["dig", "+tcp", "TXT", "big.test"])[1].count(TEXT) == 12, "truncated ones come over TCP", 20)
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
    until(lambda: BY_UDPGW in program.err(), program.err(), 30)
    for family in "46":
        code, output = world.run([sys.executable, "-c", CONNECTED, "web.test", str(udp_traffic.ECHO), family])
        check(code == 0 and "echoed" in output, f"IPv{family}: {output}")
    check(program.stop() == 0, program.err())


def test_udp_refused_by_socks5(world):
    """A SOCKS5 server that carries no UDP: this is told once, programs hear it at once, names go over TCP."""
    world.start_socks_server(commands="connect")
    program = udp_tunnel(world, way=["--socks5", "10.77.1.1:1080", "--dns", "10.77.2.1"])
    told = "UDP: not carried, programs get port unreachable (the SOCKS5 server"
    until(lambda: told in program.err(), f"it is told: {program.err()}", 20)
    for _ in range(3):
        check(udp(world, "outcome", GOOD) == "ECONNREFUSED", "QUIC falls back at once")
    expect_names(world)
    check(program.stop() == 0, program.err())
    check(program.err().count(told) == 1, f"once: {program.err()}")
