"""UDP over a slow line: 20 Mb/s, 40 ms round-trip time, and a queue in front of it that bulk TCP fills.

 client ── slow0 10.77.3.2 ══ delay_link ══ 10.77.3.1 slow0 ── server      (takes the place of c0 – s0)
"""

import os

from scenarios_udp import ASKS_THE_SCRIPT, keys_script, udp, udp_tunnel
from world import CLIENT, FORMER, GOOD, SERVER, check, sh, until

RATE_MBIT, DELAY_MS, QUEUE_KB = 20, 20, 250
PINGS = 40
SLOWER_MBIT = 4
OURS_MS = 100 + 130  # what may wait in tunproxy: datagrams by their age, and what is on its way out already (64 KB)
MARGIN_MS = 300

# Serves the connection that comes first, and no other. sshd asks it several times in a login.
FIRST_ONLY = """#!/bin/sh
mkdir {lock} 2>/dev/null && echo $PPID > {lock}/first
[ "$(cat {lock}/first)" = $PPID ] && cat {keys}
"""


def delay_link():
    near = os.path.dirname(FORMER["program"])
    built = [os.environ.get("TUNPROXY_DELAY_LINK", ""), f"{near}/tools/bench/delay_link"]
    built = [path for path in built if os.access(path, os.X_OK)]
    check(built, "no delay_link: build it, or name it in TUNPROXY_DELAY_LINK")
    return built[0]


def slow_line(world, rate=RATE_MBIT):
    world.spawn(CLIENT, "delay_link", [delay_link(), CLIENT, SERVER, "slow0", str(DELAY_MS), str(rate), str(QUEUE_KB)])
    until(lambda: "ready" in world.text("delay_link.out"), "the slow line")
    sh(f"""
    for end in "{CLIENT} 10.77.3.2" "{SERVER} 10.77.3.1"; do
      set -- $end; ip -n $1 link set slow0 addrgenmode none up; ip -n $1 addr add $2/24 dev slow0; done
    ip -n {CLIENT} route add 10.77.1.1/32 via 10.77.3.1
    """)
    world.before = world.machine_state()


def expect_echoes_beside_bulk(world):
    """Datagrams come back, and wait not much longer than bytes of a bulk transfer, or as long as what may stand before
    them in queues."""
    bulk = [world.traffic_in_background(verb, verb, GOOD, 1 << 30) for verb in ("down", "up")]
    udp(world, "pings", GOOD, 20)  # until the queues are full
    lost, median = map(float, udp(world, "pings", GOOD, PINGS).split())
    by_tcp = float(world.traffic("round_trips", GOOD, 8))
    for process in bulk:
        check(process.poll() is None, "a bulk transfer ended")
        process.kill()
        process.wait()
    check(lost <= PINGS / 10, f"{lost} of {PINGS} datagrams were lost")
    print(f"     beside bulk: UDP {median:.0f} ms, TCP {by_tcp:.0f} ms", flush=True)
    queues = QUEUE_KB * 8 / RATE_MBIT + OURS_MS
    check(median < max(2 * by_tcp, 2 * DELAY_MS + queues + MARGIN_MS), f"UDP {median} ms, TCP {by_tcp} ms")


def test_udp_slow_line(world):
    """With an SSH connection of their own."""
    slow_line(world)
    program = udp_tunnel(world)
    check("share the SSH connection" not in program.err(), program.err())
    expect_echoes_beside_bulk(world)
    check(program.stop() == 0, program.err())


def test_udp_slow_line_shared(world):
    """Where the server lets us in once, datagrams go first on the one connection."""
    keys_script(world, FIRST_ONLY)
    slow_line(world)
    program = udp_tunnel(world)
    check("share the SSH connection" in program.err(), program.err())
    expect_echoes_beside_bulk(world)
    check(program.stop() == 0, program.err())


test_udp_slow_line_shared.world = ASKS_THE_SCRIPT


def test_udp_overload(world):
    """Half as much again as the line takes: what is late is dropped, so that the rest is not late as well."""
    slow_line(world, SLOWER_MBIT)
    program = udp_tunnel(world)
    _, idle = map(float, udp(world, "pings", GOOD, 20).split())
    lost, median = map(float, udp(world, "overload", GOOD, 1.5 * SLOWER_MBIT, 8).split())
    print(f"     echo {idle:.0f} ms, {median:.0f} ms under overload ({lost:.0f} lost)", flush=True)
    line = QUEUE_KB * 8 / SLOWER_MBIT
    check(median < idle + line + OURS_MS + MARGIN_MS, f"{idle} ms, under overload {median} ms")
    check(program.stop() == 0, program.err())
