"""UDP through a udpgw at the server, where the account may run nothing: a server of our own speaks it."""

import os
import sys

from scenarios_udp import BY_UDPGW, NOT_CARRIED, expect_names, helpers, udp, udp_tunnel
from world import GOOD, GOOD6, SERVER, UDP_TRAFFIC, check, until

UDPGW_SIZES = (1, 1200, 1472, 1473, 9000)


def serve_udpgw(world):
    program = os.path.join(os.path.dirname(UDP_TRAFFIC), "udpgw_server.py")
    server = world.spawn(SERVER, "udpgw", [sys.executable, program, "10.77.2.1"])
    until(lambda: "ready" in world.text("udpgw.out"), "the udpgw serves")
    return server


def expect_udpgw_works(world):
    udp(world, "echo", GOOD, *UDPGW_SIZES)
    udp(world, "echo", GOOD6, *UDPGW_SIZES)
    check(udp(world, "peers", GOOD, 100) == "100 peers", "one local port to many peers")
    check(udp(world, "ports", GOOD, 50, 1) == "50 of 50", "many local ports to one peer")
    expect_names(world)


def test_udpgw(world):
    """An account that may run nothing, and a udpgw beside its sshd; that one dies and comes back."""
    server = serve_udpgw(world)
    program = udp_tunnel(world, way=world.account("/usr/sbin/nologin"))
    until(lambda: BY_UDPGW in program.err(), f"{BY_UDPGW}: {program.err()}")
    expect_udpgw_works(world)
    server.kill()
    server.wait()
    until(lambda: NOT_CARRIED in program.err(), f"its end is told: {program.err()}")
    check(udp(world, "outcome", GOOD) == "ECONNREFUSED", "nothing carries UDP")
    serve_udpgw(world)
    until(lambda: program.err().count(BY_UDPGW) == 2, f"it is found again: {program.err()}", 60)
    expect_udpgw_works(world)


def test_udpgw_by_choice(world):
    serve_udpgw(world)
    program = udp_tunnel(world, "--udp", "udpgw", "--udpgw", "127.0.0.1:7300", way=world.account("/bin/bash"))
    check(BY_UDPGW in program.err() and not helpers(), program.err())
    expect_udpgw_works(world)
