"""Memory and descriptors: what is refused at a limit, what is said of it, and that nothing else suffers."""

import json
import os

import world as worlds
from scenarios_status import curl, status_json
from world import GOOD, check, scale, until

PORT = 1090
PROXY = f"127.0.0.1:{PORT}"
MEGABYTE = 1 << 20
STALLED = 150  # downloads by each way in


def peak(program):
    """Of the memory that the process had (VmHWM), in bytes."""
    with open(f"/proc/{program.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def buffered(world):
    return status_json(world)["tunnel"]["memory"]


def settled(world):
    """What buffers hold when nothing moves any more."""
    held = [-1, -2]

    def still():
        held.append(buffered(world)["used"])
        return held[-1] == held[-2] == held[-3]
    until(still, "the downloads have stalled")
    return held[-1]


def stall(world, name, count, port):
    """That many downloads that nobody reads: how many of them were let."""
    ready = world.path(name + ".ready")
    world.stalls = getattr(world, "stalls", [])
    world.stalls.append(world.traffic_in_background(name, "stall_many", GOOD, count, port, ready))
    until(lambda: os.path.exists(ready), f"{name}: {world.text(name + '.err')}")
    with open(ready, encoding="ascii") as file:
        return int(file.read())


def let_go(world):
    for process in world.stalls:
        process.kill()
        process.wait()


def outcomes(world, port, count):
    return json.loads(world.traffic("echoes", GOOD, port, count))


def test_memory_is_shared(world):
    """Hundreds of downloads that nobody reads stay within --memory, and other flows go on beside them."""
    program = world.machine_tunnel("--memory", "64", "--socks", PROXY)
    before = peak(program)
    count = scale(STALLED, STALLED // 3)
    for name, port in (("by_socks", PORT), ("by_tun", 0)):
        let = stall(world, name, count, port)
        check(let == count, f"{name}: {let} of {count}")
    held = settled(world)
    check(16 * MEGABYTE < held <= 64 * MEGABYTE, f"they hold {held / MEGABYTE:.1f} MB")
    world.traffic("down", GOOD, 5 * MEGABYTE)
    check(outcomes(world, 0, 20) == {"ok": 20}, "the TUN's new flows")
    check(outcomes(world, PORT, 20) == {"ok": 20}, "the listener's")
    memory = buffered(world)
    check(memory["cap"] == 64 * MEGABYTE and memory["used"] <= memory["cap"], str(memory))
    grown = peak(program) - before
    print(f"     {held / MEGABYTE:.0f} MB in buffers, the process grew by {grown / MEGABYTE:.0f} MB", flush=True)
    check(grown < 96 * MEGABYTE or worlds.FORMER["sanitized"], f"the process grew by {grown / MEGABYTE:.0f} MB")
    check("a limit is met" not in program.err(), program.err())


def test_memory_that_is_used_up(world):
    """Then new flows are refused and the log says why; those that there are go on, and when there is memory again, new ones."""
    program = world.machine_tunnel("--memory", "2", "--socks", PROXY)
    world.traffic_in_background("held", "round_trips", GOOD, 1000000)
    until(lambda: status_json(world)["totals"]["opened"] > 0, "a flow is open")
    stall(world, "stalled", 200, 0)
    held = settled(world)
    check(held < 4 * MEGABYTE, f"{held} bytes")
    for port, refusal in ((0, "EHOSTUNREACH"), (PORT, "reply 1")):
        got = outcomes(world, port, 5)
        check(got == {refusal: 5}, f"{got} with {buffered(world)}")
    check("503" in curl(world, "-x", f"http://{PROXY}", "-p", f"http://{GOOD}/")[1], "refused by HTTP")
    check("new flows are refused: the memory that buffers may take (--memory)" in program.err(), program.err())
    status = status_json(world)
    check(status["totals"]["refused"].get("limit", 0) >= 5, str(status["totals"]))
    moved = status["totals"]["ways"]["tunnel"]["up"]
    until(lambda: status_json(world)["totals"]["ways"]["tunnel"]["up"] > moved, "the open flow goes on")
    let_go(world)
    until(lambda: outcomes(world, 0, 1) == outcomes(world, PORT, 1) == {"ok": 1}, "there is memory again")


def test_descriptors_limit_is_raised(world):
    """As far as the system allows, whatever the shell says."""
    program = world.socks_tunnel(PORT, files="200:4000")
    with open(f"/proc/{program.process.pid}/limits", encoding="ascii") as limits:
        line = next(each for each in limits if each.startswith("Max open files"))
    check(line.split()[3:5] == ["4000", "4000"], line)


def test_descriptors_that_are_used_up(world):
    """From the TUN to a SOCKS5 server each flow takes one; the last are kept for the rest of the program."""
    world.start_socks_server()
    program = world.tunproxy("--socks5", "10.77.1.1:1080", "--socks", PROXY, files=120)
    world.wait_up_by_route(program, "tunproxy0")
    for count in (10, 90):
        got = outcomes(world, 0, count)
        check(got.get("ok", 0) >= min(count, 20) and got.keys() <= {"ok", "EHOSTUNREACH"}, str(got))
    check(got.get("EHOSTUNREACH", 0) > 5, f"the TUN's are refused at the limit: {got}")
    check("new flows are refused: too many open files" in program.err(), program.err())
    check(status_json(world)["totals"]["refused"].get("limit", 0) > 5, "it is counted, and the control socket answers")
    until(lambda: outcomes(world, 0, 10) == {"ok": 10}, "there are some again")
    check(outcomes(world, PORT, 5) == {"ok": 5}, "by SOCKS, too")
