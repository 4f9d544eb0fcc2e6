"""--dns fake: names resolve where the connection is made."""

import sys

import udp_traffic
from scenarios_udp import udp_tunnel
from world import check

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
    check("tttt" in dig(world, "TXT", "middle.test"), "other types are asked of the resolver")
    for way in ("-4", "-6"):
        code, output = world.run(["curl", way, "-sS", "--max-time", "20", "http://web.test/"])
        check(code == 0, f"curl {way}: {output}")
    code, output = world.run(["curl", "-sS", "--max-time", "20", "http://nothing.test/"])
    check(code == 7, f"a name that does not exist: {code} {output}")
    code, output = world.run(["curl", "-sS", "--max-time", "20", "http://198.19.255.254/"])
    check(code == 7, f"an address without a name: {code} {output}")


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
