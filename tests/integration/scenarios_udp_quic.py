"""QUIC by real programs (ngtcp2's): HTTP/3 through the tunnel."""

import os
import shutil

from scenarios_udp import udp_tunnel
from world import GOOD, GOOD6, TARGET, check, sh, until

FILE_SIZE = 3_000_000


def serve_http3(world):
    """ngtcp2's server at web.test, with one large file and a page."""
    sh(f"""
    cd {world.path('')}; mkdir web; head -c {FILE_SIZE} /dev/urandom > web/file; echo '<p>hello by quic</p>' > web/page.html
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=web.test -days 2 \\
      -addext subjectAltName=DNS:web.test -keyout web_key -out web_cert 2>/dev/null
    """)
    for number, address in enumerate((GOOD, GOOD6)):
        world.spawn(TARGET, f"quic{number}", ["gtlsserver", "-q", "-d", world.path("web"), address, "443",
                                             world.path("web_key"), world.path("web_cert")])
    until(lambda: sh(f"ip netns exec {TARGET} ss -Hlun 'sport = 443'").count("\n") == 2, "the QUIC servers listen")


def fetch(world, host, *more):
    """Downloads the file by HTTP/3; it must come whole."""
    got = world.path("got")
    shutil.rmtree(got, ignore_errors=True)
    os.mkdir(got)
    code, output = world.run(["gtlsclient", "-q", "--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close",
                              "--download", got, *more, host, "443", "https://web.test/file"])
    check(code == 0, f"HTTP/3 from {host} {more}: {output[-2000:]}")
    with open(world.path("web/file"), "rb") as wanted, open(os.path.join(got, "file"), "rb") as came:
        check(wanted.read() == came.read(), f"the file from {host} {more}")


def test_udp_quic(world):
    """Whole files, by address and by name; a client that moves to another local port in the middle."""
    serve_http3(world)
    program = udp_tunnel(world)
    for host in (GOOD, GOOD6, "web.test"):
        fetch(world, host)
    fetch(world, GOOD, "--change-local-addr=20ms")
    check(program.stop() == 0, program.err())


def test_udp_quic_fake_names(world):
    """By a private address that stands for the name."""
    serve_http3(world)
    program = udp_tunnel(world, "--dns", "fake")
    fetch(world, "web.test")
    check(program.stop() == 0, program.err())
