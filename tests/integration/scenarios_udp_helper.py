"""What the relay helper at the server is told, and what becomes of UDP and names when it misbehaves."""

import os
import re
import signal
import struct
import time

from basics import process_table
from scenarios_cuts import cut, signal_all
from scenarios_udp import (ASKS_THE_SCRIPT, expect_names, expect_talk_goes_on, helpers, installed_helper, keys_script,
                           start_talk, udp, udp_tunnel)
from world import CLIENT, GOOD, SERVER, check, sh, until

RULES = 227  # the type of a message, see core/udp/relay_wire.h
MANY = 3000

# In place of the helper: writes down what that is told.
LISTENER = """#!/bin/sh
[ "$1" = --protocol ] && exit 0
tee "$HOME/said" | exec {helper} "$@"
"""

# In place of the helper: is one, until it is told to say nonsense; that only once.
BABBLER = """#!/bin/sh
[ "$1" = --protocol ] && exit 0
if [ -e "$HOME/babbled" ]; then exec {helper} "$@"; fi
{{ while [ ! -e "$HOME/babble" ]; do sleep 0.1; done; touch "$HOME/babbled"; exec yes "no frame at all"; }} </dev/null &
exec {helper} "$@"
"""

# Lets the connection that comes first in at once, others when it is told. sshd asks it several times in a login.
FIRST_IS_FAST = """#!/bin/sh
mkdir {lock} 2>/dev/null && echo $PPID > {lock}/first
until [ "$(cat {lock}/first)" = $PPID ] || [ -e {lock}/others ]; do sleep 0.1; done
cat {keys}
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


def connection_of(helper):
    """The client's port of the SSH connection by which a helper talks."""
    parents = {pid: parent for pid, parent, _, _ in process_table()}
    family = []
    while helper in parents:
        family.append(helper)
        helper = parents[helper]
    for line in sh(f"ip netns exec {SERVER} ss -Htnp state established sport = :22").splitlines():
        if any(f"pid={pid}," in line for pid in family):
            return int(re.search(r":(\d+)\s+users", line).group(1))
    raise AssertionError("no connection leads to the helper")


def forget(port):
    """A firewall that says nothing: from now on no packet of this connection passes, either way."""
    sh(f"""ip netns exec {CLIENT} nft -f - <<'END'
    table inet forget {{
      chain out {{ type filter hook output priority 0; tcp sport {port} drop; }}
      chain in {{ type filter hook input priority 0; tcp dport {port} drop; }}
    }}
END""")


# -- rules

def test_udp_rules_at_the_far_end(world):
    """The helper hears of them, and of new ones."""
    way = account_with(world, LISTENER.format(helper=installed_helper()))
    rules = write_rules(world, "allow udp 203.0.113.0/24:7000-7999", "deny udp 203.0.113.0/24", "deny tcp 10.0.0.0/8")
    program = udp_tunnel(world, "--rules", rules, way=way)
    block = bytes([203, 0, 113, 0])
    first = [(0, 24, 7000, 7999, block), (1, 24, 0, 65535, block)]
    until(lambda: rules_told(world) == [first], f"{rules_told(world)}")
    check(udp(world, "outcome", GOOD) == "echoed", "what is allowed")
    write_rules(world, "deny udp 192.0.2.7:53")
    program.send(1)
    second = [(1, 32, 53, 53, bytes([192, 0, 2, 7]))]
    until(lambda: rules_told(world) == [first, second], f"{rules_told(world)}")
    write_rules(world, "allow *")
    program.send(1)
    until(lambda: rules_told(world) == [first, second, []], f"{rules_told(world)}")
    check(udp(world, "outcome", GOOD) == "echoed", "UDP goes on")
    check(program.stop() == 0, program.err())


def test_udp_long_list_of_rules(world):
    """More than an SSH packet takes."""
    lines = [f"deny 2001:db8:1::{n:x}" for n in range(MANY)]
    program = udp_tunnel(world, "--rules", write_rules(world, *lines), way=world.account("/bin/bash"))
    until(lambda: list(helpers().values()) == ["python3"], f"the Python helper runs: {helpers()}")
    check(udp(world, "outcome", GOOD) == "echoed", "UDP works")
    check("reconnecting" not in program.err(), program.err())
    check(program.stop() == 0, program.err())


# -- helpers that fall silent, or break the protocol

@cut
def test_udp_frozen_helper(world):
    """It runs, and says nothing any more: names go another way meanwhile, then another helper carries UDP."""
    program = udp_tunnel(world, way=world.account("/bin/bash"))
    start_talk(world)
    expect_talk_goes_on(world, "UDP works")
    until(lambda: len(helpers()) == 1, f"one helper: {helpers()}")
    frozen = helpers()
    began = time.monotonic()
    signal_all(frozen, signal.SIGSTOP)
    code, answer = world.run(["dig", "+short", "+tries=1", "+timeout=10", "web.test"])
    check(code == 0 and answer.strip() == GOOD, f"names do not need it: {answer}")
    until(lambda: set(helpers()) - set(frozen), "another helper")
    print(f"     a frozen helper is replaced after {time.monotonic() - began:.1f} s", flush=True)
    expect_talk_goes_on(world, "UDP goes on")
    signal_all(frozen, signal.SIGCONT)
    until(lambda: not set(helpers()) & set(frozen), "the first one ends when it can", 60)
    expect_talk_goes_on(world, "UDP goes on with one of them")
    check("reconnecting" not in program.err(), "the connections are as they were: " + program.err())
    expect_names(world)


@cut
def test_udp_helper_babbles(world):
    """It greeted as it should, and then what it says makes no sense: it is given up, and the next one is used."""
    program = udp_tunnel(world, way=account_with(world, BABBLER.format(helper=installed_helper())))
    start_talk(world)
    expect_talk_goes_on(world, "UDP works")
    with open(world.path("home/babble"), "w", encoding="ascii"):
        pass
    until(lambda: os.path.exists(world.path("home/babbled")), "it babbles", 60)
    until(lambda: "the relay broke its protocol" in program.err(), "it is found out: " + program.err(), 60)
    expect_talk_goes_on(world, "UDP works again")
    expect_names(world)


# -- their connection

@cut
def test_udp_own_connection_late(world):
    """It takes its time: the one that everything shares serves meanwhile, and who began there stays there."""
    lock = keys_script(world, FIRST_IS_FAST)
    program = udp_tunnel(world, way=world.account("/bin/bash"))
    check("datagrams: by the shared" in program.err() and "datagrams: by their own" not in program.err(), program.err())
    start_talk(world)
    expect_talk_goes_on(world, "UDP works")
    first, = helpers()
    with open(os.path.join(lock, "others"), "w", encoding="ascii"):
        pass
    until(lambda: "datagrams: by their own" in program.err(), "they have their own: " + program.err())
    until(lambda: len(helpers()) == 2, f"a helper of their own: {helpers()}")
    os.kill(first, signal.SIGSTOP)
    had = world.text("talk.out").count("\n")
    check(udp(world, "outcome", GOOD) == "echoed", "a new local port uses the new one")
    check(world.text("talk.out").count("\n") <= had + 1, "an old one is where it was")
    os.kill(first, signal.SIGCONT)
    expect_talk_goes_on(world, "UDP goes on")
    expect_names(world)


test_udp_own_connection_late.world = ASKS_THE_SCRIPT


@cut
def test_udp_own_connection_silent(world):
    """A firewall forgets the connection of the datagrams: they and names go by another, long before it is given up."""
    program = udp_tunnel(world, way=world.account("/bin/bash"))
    start_talk(world)
    expect_talk_goes_on(world, "UDP works")
    until(lambda: "datagrams: by their own" in program.err(), "they have their own: " + program.err())
    until(lambda: len(helpers()) == 1, f"one helper: {helpers()}")
    first, = helpers()
    forget(connection_of(first))
    code, answer = world.run(["dig", "+short", "+tries=1", "+timeout=10", "web.test"])
    check(code == 0 and answer.strip() == GOOD, f"names do not need it: {answer}")
    expect_talk_goes_on(world, "UDP goes on")
    check(set(helpers()) - {first}, f"by another helper: {helpers()}")
    expect_names(world)
