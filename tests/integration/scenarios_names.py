"""--dns fake, and a SOCKS5 server: names resolve where the connection is made."""

import sys

import udp_traffic
from scenarios_status import status_json
from scenarios_udp import serve_udp, udp, udp_tunnel
from world import GOOD, check, until

CONNECTED = """
import socket, sys
family = socket.AF_INET6 if sys.argv[3] == "6" else socket.AF_INET
to = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), family, socket.SOCK_DGRAM)[0][4]
s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(10)
s.connect(to)
for n in (1, 1200, 9000):
    s.send(b"x" * n)
    assert len(s.recv(65535)) == n, n
print("echoed", to[0])
"""


def dig(world, *words):
    return world.run(["dig", "+short", "+tries=2", *words])[1].strip()


def expect_by_name(world):
    v4, v6 = dig(world, "web.test"), dig(world, "AAAA", "web.test")
    check(v4.startswith("198.19.") and v6.startswith("fd74:756e:666b:"), f"private addresses: {v4} {v6}")
    check(dig(world, "-x", v4) == "web.test." and dig(world, "-x", v6) == "web.test.", "reverse names")
    check(dig(world, "TYPE65", "web.test") == "", "no service binding")
    check(dig(world, "+tcp", "web.test") == v4, "the same over TCP")
    check("tttt" in dig(world, "TXT", "middle.test"), "other types are asked of the resolver")
    for way in ("-4", "-6"):
        code, output = world.run(["curl", way, "-sS", "--max-time", "60", "http://web.test/"])
        check(code == 0, f"curl {way}: {output}")
    code, output = world.run(["curl", "-sS", "--max-time", "60", "http://nothing.test/"])
    check(code == 7, f"a name that does not exist: {code} {output}")
    code, output = world.run(["curl", "-sS", "--max-time", "60", "http://198.19.255.254/"])
    check(code == 7, f"an address without a name: {code} {output}")
    check(udp(world, "outcome", "198.19.255.254") == "ECONNREFUSED", "and by UDP")
    check(udp(world, "outcome", "fd74:756e:666b::fffe") == "ECONNREFUSED", "over IPv6")


def test_names_fake(world):
    """TCP and connected UDP sockets by either family; what is asked of the resolver all the same; what fails."""
    program = udp_tunnel(world, "--dns", "fake")
    expect_by_name(world)
    for family in "46":
        code, output = world.run([sys.executable, "-c", CONNECTED, "web.test", str(udp_traffic.ECHO), family])
        check(code == 0, output)
    check(program.stop() == 0, program.err())


def test_names_fake_routes(world):
    """With routes of the user's, fake addresses go into the tunnel as well."""
    program = udp_tunnel(world, "--dns", "fake", "--route", "203.0.113.0/24", "--udp", "none")
    expect_by_name(world)
    check(program.stop() == 0, program.err())


BY_SOCKS5 = ["--socks5", "10.77.1.1:1080"]


def resolvers(world, *addresses):
    """The machine's own, from now on."""
    with open("/etc/resolv.conf", "w", encoding="ascii") as file:
        file.writelines(f"nameserver {address}\n" for address in addresses)
    world.before = world.machine_state()


def expect_by_socks5(world):
    """Hosts by the SOCKS5 server, over TCP and UDP; what it cannot resolve, by the machine's own resolver through it."""
    check(dig(world, "web.test").startswith("198.19."), "a private address")
    check(dig(world, "+tcp", "web.test").startswith("198.19."), "over TCP as well")
    code, output = world.run(["curl", "-4", "-sS", "--max-time", "60", "http://web.test/"])
    check(code == 0, f"curl: {output}")
    check("tttt" in dig(world, "TXT", "middle.test"), "other types, by the machine's own resolver")
    check("tttt" in dig(world, "+tcp", "TXT", "big.test"), "over TCP as well")
    check("tttt" in dig(world, "@192.0.2.53", "TXT", "middle.test"), "whomever a program asks")


def test_names_socks5(world):
    """Without --dns: the whole machine."""
    world.start_socks_server()
    resolvers(world, "127.0.0.53", "10.77.2.1")
    program = udp_tunnel(world, way=BY_SOCKS5)
    expect_by_socks5(world)
    code, output = world.run([sys.executable, "-c", CONNECTED, "web.test", str(udp_traffic.ECHO), "4"])
    check(code == 0, output)
    check(program.stop() == 0, program.err())


def test_names_socks5_tcp_alone(world):
    """The same through a server that carries no UDP."""
    world.start_socks_server(commands="connect")
    resolvers(world, "10.77.2.1")
    program = udp_tunnel(world, way=BY_SOCKS5)
    expect_by_socks5(world)
    check(program.stop() == 0, program.err())


def test_names_socks5_no_resolver(world):
    """Where the machine has no resolver that others can ask, hosts resolve all the same; the rest fails at once."""
    world.start_socks_server()
    resolvers(world, "127.0.0.53")
    program = udp_tunnel(world, way=BY_SOCKS5)
    code, output = world.run(["curl", "-sS", "--max-time", "60", "http://web.test/"])
    check(code == 0, f"curl: {output}")
    for way in ("+notcp", "+tcp"):
        code, output = world.run(["dig", way, "+tries=1", "TXT", "middle.test"])
        check(code == 0 and "SERVFAIL" in output, f"{way}: {output}")
    check(program.stop() == 0, program.err())


def test_names_socks5_command(world):
    """The same for one command."""
    world.start_socks_server()
    serve_udp(world)
    resolvers(world, "10.77.2.1")
    curl = ["curl", "-4", "-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}", "http://web.test/"]
    for command, answer in ((curl, "200"), (["dig", "+short", "+tries=2", "TXT", "middle.test"], "tttt"),
                            ([sys.executable, "-c", CONNECTED, "web.test", str(udp_traffic.ECHO), "4"], "echoed 198.19.")):
        program = world.tunproxy(*BY_SOCKS5, "--", *command)
        check(program.wait() == 0 and answer in program.output(), f"{command}: {program.output()}{program.err()}")


# The proxy's own relay; fragments have no ports.
test_names_socks5.world = test_names_socks5_command.world = {
    "ours": "(udp and host 10.77.1.1 and not port 53) or (host 10.77.1.1 and ip[6:2] & 0x1fff != 0)"}


def test_names_known_however_they_are_asked(world):
    """Rules about names hold in the TUN for answers over TCP, and for those that were too long for UDP."""
    program = world.machine_tunnel("--rule", "deny web.test", "--rule", "deny many.test", "--udp", "none")
    world.traffic("down", GOOD, 1 << 10)
    check(dig(world, "+tcp", "web.test") == GOOD, "over TCP")
    check(world.traffic("outcome", GOOD, 80, 20) == "EHOSTUNREACH", "an address that is known by a denied name")
    addresses = dig(world, "many.test").split()
    check(len(addresses) == 120, f"a truncated one, over TCP: {addresses}")
    for address in (addresses[0], addresses[60]):
        check(world.traffic("outcome", address, 80, 20) == "EHOSTUNREACH", f"all of its addresses: {address}")
    refused = status_json(world)["totals"]["refused"]
    check(refused == {"not allowed": 3}, f"all by the rules: {refused}")
    check(program.stop() == 0, program.err())


def test_names_resolver_told_again(world):
    """The server is asked for its resolver with each connection; the usual ones serve while it has not told."""
    told = "/mnt/server-etc/resolv.conf"
    with open(told, encoding="ascii") as file:
        content = file.read()
    try:
        open(told, "w", encoding="ascii").close()
        program = world.machine_tunnel()
        until(lambda: "the server does not tell its resolver" in program.err(), program.err())
        until(lambda: dig(world, "web.test") == GOOD, "by the server's 127.0.0.1")
        for resolver in ("127.0.0.1", "10.77.2.1"):
            with open(told, "w", encoding="ascii") as file:
                file.write(f"nameserver {resolver}\n")
            world.kill_sshd()
            world.start_sshd()
            until(lambda: f"by the server's resolver ({resolver})" in program.err(), f"it tells: {program.err()}", 60)
            until(lambda: dig(world, "web.test") == GOOD, "by that one")
    finally:
        with open(told, "w", encoding="ascii") as file:
            file.write(content)
    check(program.stop() == 0, program.err())
