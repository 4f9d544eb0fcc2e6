"""The C API's examples, as programs of their own: a TUN that somebody else made, and routes to it."""

import contextlib
import signal

from scenarios_udp import CARRIED, serve_udp, udp
from world import CLIENT, GOOD, GOOD6, check, scale, sh, until

TUN = "demo0"
ONLINE, FAILED = "state 3:", "state 6:"


@contextlib.contextmanager
def tun():
    """Only the targets' traffic goes there, so that the way to the server needs no mark."""
    sh(f"""
    ip -n {CLIENT} tuntap add dev {TUN} mode tun; ip -n {CLIENT} link set {TUN} addrgenmode none up mtu 1500
    ip -n {CLIENT} addr add 10.99.0.1/24 dev {TUN}; ip -n {CLIENT} addr add fd99::1/64 dev {TUN} nodad
    ip -n {CLIENT} route add 203.0.113.0/24 dev {TUN}; ip -n {CLIENT} route add 2001:db8:77::/64 dev {TUN}""")
    try:
        yield
    finally:
        sh(f"ip -n {CLIENT} link del {TUN}")


def keys(world, **more):
    settings = {"identity": world.path("user_key"), "known-hosts": world.path("known_hosts"), **more}
    return [f"{key}={value}" for key, value in settings.items()]


def online(program, times=1):
    until(lambda: program.err().count(ONLINE) >= times or program.process.poll() is not None, "it is online")
    check(program.process.poll() is None, program.err())


def carries(world, example):
    """TCP and UDP of ordinary programs, by IPv4 and IPv6; a new connection; an orderly end."""
    serve_udp(world)
    with tun():
        program = world.tunproxy(TUN, "root@10.77.1.1", *keys(world, keepalive="5"), program=example)
        online(program)
        until(lambda: CARRIED in program.err(), f"UDP is carried\n{program.err()}")
        for address in (GOOD, GOOD6):
            world.traffic("down", address, scale(30_000_000, 3_000_000))
            world.traffic("up", address, scale(30_000_000, 3_000_000))
            udp(world, "echo", address, 1, 1200, 9000)
        world.kill_sshd()
        world.start_sshd()
        online(program, 2)
        world.traffic("down", GOOD, 1_000_000)
        check(program.stop(signal.SIGTERM) == 0, f"exit code\n{program.err()}")
        check("state 5:" in program.err(), f"stopped\n{program.err()}")


def fails(world, example):
    """A failure for good ends it with an exit code of its own."""
    with tun():
        refused = world.tunproxy(TUN, "root@10.77.1.1", "identity=" + world.path("user_key"),
                                 "known-hosts=" + world.path("nothing"), program=example)
        check(refused.wait() == 1, f"exit code {refused.wait()}\n{refused.err()}")
        check(f"{FAILED} host key refused" in refused.err(), refused.err())
        wrong = world.tunproxy(TUN, "root@10.77.1.1", "udp=pigeon", program=example)
        check(wrong.wait() == 1 and "udp: " in wrong.err(), wrong.err())


def test_library_vpn(world):
    carries(world, "example_vpn")
    fails(world, "example_vpn")


def test_library_packets(world):
    carries(world, "example_packets")
    fails(world, "example_packets")
