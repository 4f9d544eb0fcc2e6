"""What the relay helper at the server is told, and what becomes of UDP and names when it misbehaves."""

import os
import struct

from scenarios_udp import CARRIED, helpers, installed_helper, udp, udp_tunnel
from world import GOOD, check, until

RULES = 227  # the type of a message, see core/udp/relay_wire.h
MANY = 3000

# In place of the helper: writes down what that is told.
LISTENER = """#!/bin/sh
[ "$1" = --protocol ] && exit 0
tee "$HOME/said" | exec {helper} "$@"
"""


# -- what the scenarios share

def account_with(world, helper):
    """An account whose tunproxy-relay is this script."""
    way = world.account("/bin/sh")
    os.mkdir(world.path("home/bin"))
    with open(world.path("home/bin/tunproxy-relay"), "w", encoding="ascii") as file:
        file.write(helper)
    os.chmod(world.path("home/bin/tunproxy-relay"), 0o755)
    os.chmod(world.path("home"), 0o777)
    return way


def rules_told(world):
    """The parts of the rules that the helper got, each as [(denies, prefix, first port, last port, address)]."""
    with open(world.path("home/said"), "rb") as file:
        said = file.read()
    said = said[int(said.split(b"\n")[0].split()[1]):]  # the program says how long it is
    parts = []
    while len(said) >= 4 and len(said) >= 4 + int.from_bytes(said[:4], "big"):
        length, kind = struct.unpack_from("!IB", said)
        body, said = said[11:4 + length], said[4 + length:]
        if kind == RULES:
            parts.append(list(rules_in(body[1:])))
    return parts


def rules_in(body):
    while body:
        size = 22 if body[0] & 2 else 10
        _, prefix, first, last = struct.unpack_from("!BBHH", body)
        yield body[0] & 1, prefix, first, last, body[6:size]
        body = body[size:]


def write_rules(world, *lines):
    with open(world.path("rules"), "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
    return world.path("rules")


# -- rules

def test_udp_rules_at_the_far_end(world):
    """The helper hears of them, and of new ones."""
    way = account_with(world, LISTENER.format(helper=installed_helper()))
    rules = write_rules(world, "allow udp 203.0.113.0/24:7000-7999", "deny udp 203.0.113.0/24", "deny tcp 10.0.0.0/8")
    program = udp_tunnel(world, "--rules", rules, way=way)
    until(lambda: CARRIED in program.err(), program.err(), 30)
    block = bytes([203, 0, 113, 0])
    first = [(0, 24, 7000, 7999, block), (1, 24, 0, 65535, block)]
    until(lambda: rules_told(world) == [first], f"{rules_told(world)}", 30)
    check(udp(world, "outcome", GOOD) == "echoed", "what is allowed")
    write_rules(world, "deny udp 192.0.2.7:53")
    program.send(1)
    second = [(1, 32, 53, 53, bytes([192, 0, 2, 7]))]
    until(lambda: rules_told(world) == [first, second], f"{rules_told(world)}", 30)
    write_rules(world, "allow *")
    program.send(1)
    until(lambda: rules_told(world) == [first, second, []], f"{rules_told(world)}", 30)
    check(udp(world, "outcome", GOOD) == "echoed", "UDP goes on")
    check(program.stop() == 0, program.err())


def test_udp_long_list_of_rules(world):
    """More than an SSH packet takes."""
    lines = [f"deny 2001:db8:1::{n:x}" for n in range(MANY)]
    program = udp_tunnel(world, "--rules", write_rules(world, *lines), way=world.account("/bin/bash"))
    check(CARRIED in program.err(), program.err())
    check(list(helpers().values()) == ["python3"], f"the Python helper runs: {helpers()}")
    check(udp(world, "outcome", GOOD) == "echoed", "UDP works")
    check("reconnecting" not in program.err(), program.err())
    check(program.stop() == 0, program.err())
