"""TCP through the TUN of the whole machine: volumes, numbers, ends, names."""

import os

from world import GOOD, GOOD6, NO_HOST, NO_NET, SILENT, check, scale, until

GIB = 1 << 30
MIB = 1 << 20


def test_bulk_down(world):
    world.machine_tunnel()
    world.traffic("down", GOOD, scale(GIB, 64 * MIB))


def test_bulk_up(world):
    world.machine_tunnel()
    world.traffic("up", GOOD, scale(GIB, 64 * MIB))


def test_bulk_small_mtu(world):
    world.machine_tunnel("--mtu", 1280)
    world.traffic("down", GOOD, 20 * MIB)
    world.traffic("up", GOOD, 20 * MIB)


def test_ipv6(world):
    world.machine_tunnel()
    world.traffic("down", GOOD6, 20 * MIB)
    world.traffic("up", GOOD6, 20 * MIB)
    check(world.traffic("outcome", GOOD6, 9, 20) == "ECONNREFUSED", "refused over IPv6")


def test_server_over_ipv6(world):
    world.machine_tunnel(way=world.ssh_arguments(host="[fd77:1::1]"))
    world.traffic("down", GOOD, 5 * MIB)


def test_thousand_connections(world):
    world.machine_tunnel()
    world.traffic("many", GOOD, 1000)
    world.traffic("many", GOOD, 1000)


def test_half_close(world):
    world.machine_tunnel()
    world.traffic("half_close", GOOD)
    until(lambda: f"talk_first {MIB + 7}\n" in world.text("served.log"), "the target got all after its own end")


def test_reset(world):
    world.machine_tunnel()
    # SSH has no reset: sshd reports that of a target as the end of its data, and closes on the next write.
    shown = world.traffic("reset_by_target", GOOD)
    check(shown in ("ECONNRESET after now", "end, then a reset, after now"), shown)
    world.traffic("reset_by_us", GOOD)
    until(lambda: "watch " in world.text("served.log"), "the target's connection ends when the application resets")


def test_refused_and_unreachable(world):
    world.machine_tunnel()
    for host, port, outcome in ((GOOD, 9, "ECONNREFUSED"), (NO_HOST, 80, "EHOSTUNREACH"), (NO_NET, 80, "ENETUNREACH")):
        got = world.traffic("outcome", host, port, 20)
        check(got == outcome, f"{host} port {port}: {got} instead of {outcome}")


def test_blackhole_delays_nobody(world):
    world.machine_tunnel()
    waiting = [world.traffic_in_background(f"silent{n}", "outcome", SILENT, 80 + n, 100) for n in range(20)]
    world.traffic("many", GOOD, 50)
    world.traffic("down", GOOD, 20 * MIB)
    check(all(process.poll() is None for process in waiting[:1]), "the silent target is still being tried")


def test_slow_reader_beside_fast(world):
    world.machine_tunnel()
    ready = world.path("stalled")
    stalled = [world.traffic_in_background(f"stall{n}", "stall", GOOD, ready + str(n)) for n in range(4)]
    until(lambda: all(os.path.exists(ready + str(n)) for n in range(4)), "the slow readers are connected")
    world.traffic("down", GOOD, scale(256 * MIB, 32 * MIB))
    world.traffic("up", GOOD, scale(256 * MIB, 32 * MIB))
    check(all(process.poll() is None for process in stalled), "the slow readers are still there")


def test_port_scan(world):
    world.machine_tunnel()
    outcomes = world.traffic("scan", GOOD, 20000, 10000)
    check('"connected"' not in outcomes, f"nothing listens there: {outcomes}")
    world.traffic("down", GOOD, 5 * MIB)


def test_names(world):
    world.machine_tunnel()
    for way in ([], ["+tcp"]):
        code, output = world.run(["dig", "+short", "+tries=2", *way, "web.test"])
        check(code == 0 and output.strip() == GOOD, f"dig {way}: {output}")
        code, output = world.run(["dig", "+short", "+tries=2", *way, "AAAA", "web6.test"])
        check(code == 0 and output.strip() == GOOD6, f"dig {way}: {output}")
    code, output = world.run(["dig", "+noedns", "+tries=2", "many.test"])
    check(code == 0 and output.count("10.9.0.") == 120 and "Truncated, retrying in TCP" in output, output)
    check("NXDOMAIN" in world.run(["dig", "nothing.test"])[1], "a name that does not exist")
    code, output = world.run(["dig", "+short", "+tries=2", "@192.0.2.53", "web.test"])
    check(output.strip() == GOOD, f"whatever resolver a program asks: {output}")
    code, output = world.run(["curl", "-sS", "--max-time", "60", "http://web.test/"])
    check(code == 0 and "hello" in output, output)


def test_other_udp_fails_at_once(world):
    world.machine_tunnel("--udp", "none")
    script = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)\n"
              f"s.connect(('{GOOD}', 443)); s.send(b'x')\n"
              "try: s.recv(1)\nexcept ConnectionRefusedError: print('refused')")
    code, output = world.run(["python3", "-c", script])
    check(output.strip() == "refused", f"QUIC falls back at once: {output}")


def test_routes_and_excludes(world):
    world.machine_tunnel("--route", "203.0.113.0/24", "--exclude", "203.0.113.66/32")
    world.traffic("down", GOOD, MIB)
    _, way = world.run(["ip", "route", "get", "198.51.100.1"])
    check("dev c0" in way, f"other traffic stays outside: {way}")
    _, way = world.run(["ip", "route", "get", SILENT])
    check("dev c0" in way, f"the excluded block stays outside: {way}")
