"""What goes wrong in the middle: rekeys under load, a server that dies."""

import signal

from world import GOOD, TARGET, check, scale, sh, until

MIB = 1 << 20


def test_rekey_under_load(world):
    """The server renews its keys every megabyte, while data flows both ways."""
    world.machine_tunnel()
    both = [world.traffic_in_background("down", "down", GOOD, scale(128 * MIB, 24 * MIB)),
            world.traffic_in_background("up", "up", GOOD, scale(128 * MIB, 24 * MIB))]
    for process in both:
        check(process.wait(110) == 0, world.text("down.err") + world.text("up.err"))
    world.traffic("many", GOOD, 100)


test_rekey_under_load.world = {"sshd": ["RekeyLimit 1M"]}


def test_server_dies_in_mid_transfer(world):
    """Flows end with an error, nothing hangs, nothing goes round the tunnel; the machine comes back whole."""
    program = world.machine_tunnel()
    broken = [world.traffic_in_background(f"break{n}", "break", GOOD, 8 << 30) for n in range(3)]
    open_downloads = f"ip netns exec {TARGET} ss -Htn state established 'sport = :7003'"
    until(lambda: sh(open_downloads).count("\n") == len(broken), "their connections")
    world.traffic("down", GOOD, 4 * MIB)
    world.kill_sshd()
    for n, process in enumerate(broken):
        check(process.wait(60) == 0 and "broke off" in world.text(f"break{n}.out"), world.text(f"break{n}.err"))
    check(world.traffic("outcome", GOOD, 80, 5) != "connected", "there is no way round")
    if program.process.poll() is None:
        world.start_sshd()  # it keeps trying, so it must come back
        until(lambda: world.traffic("outcome", GOOD, 80, 3) == "connected", "the tunnel comes back", 60)
        world.traffic("down", GOOD, 4 * MIB)


def test_another_key_on_the_way(world):
    """Somebody cuts the connection and answers in the server's place: the machine sends nothing in clear, until its user
    ends the tunnel."""
    fails_for_good(world, 3, "host key", f"cp {world.path('other_host_key')} {world.path('host_key')}")


def test_an_account_that_is_closed(world):
    fails_for_good(world, 4, "publickey", f": > {world.path('authorized_keys')}")


def fails_for_good(world, code, why, change):
    program = world.machine_tunnel()
    world.traffic("down", GOOD, MIB)
    world.kill_sshd()
    sh(change)
    world.start_sshd()
    until(lambda: "traffic is refused until you end tunproxy" in program.err(), f"it is told: {program.err()}")
    check(why in program.err(), program.err())
    for _ in range(3):
        check(world.traffic("outcome", GOOD, 80, 5) != "connected", "nothing passes")
    check(program.process.poll() is None, "it stays")
    check(program.stop() == code, f"the exit code tells why: {program.err()}")


def test_server_dies_under_a_command(world):
    """The command's network ends; the command itself decides what that means."""
    program = world.tunproxy(*world.ssh_arguments(), "--", "sh", "-c",
                             "echo up; while curl -sS --max-time 5 -o /dev/null http://203.0.113.1/; do :; done; exit 5")
    until(lambda: "up" in program.output() or program.process.poll() is not None, "the command runs")
    world.kill_sshd()
    check(program.wait(60) != 0, program.err())


def test_many_killed_clients(world):
    """Applications that vanish with their connections open leave nothing behind at the target."""
    world.machine_tunnel()
    ready = world.path("ready")
    process = world.traffic_in_background("stall", "stall", GOOD, ready)
    until(lambda: world.text("ready") == "" and process.poll() is None and _exists(ready), "connected")
    process.send_signal(signal.SIGKILL)
    until(lambda: "source error" in world.text("served.log"), "the target's connection ends")


def _exists(path):
    try:
        with open(path, encoding="ascii"):
            return True
    except FileNotFoundError:
        return False
