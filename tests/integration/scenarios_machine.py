"""The machine itself: everything back on exit, refused after a crash, restored on request."""

import os
import signal

from world import GOOD, GOOD6, check


def test_interrupt_puts_everything_back(world):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        program = world.machine_tunnel()
        check(world.machine_state() != world.before, "the tunnel is in place")
        world.traffic("down", GOOD, 1 << 20)
        check(program.stop(number) == 0, f"exit code after signal {number}: {program.err()}")
        check(world.machine_state() == world.before, f"as before:\n{world.before}\nnow\n{world.machine_state()}")


def test_restore_after_kill(world):
    program = world.machine_tunnel()
    program.send(signal.SIGKILL)
    program.wait()
    for host in (GOOD, GOOD6):
        got = world.traffic("outcome", host, 80, 5)
        check(got in ("EHOSTUNREACH", "ENETUNREACH"), f"after a crash traffic is refused, not leaked: {got}")
    restored = world.tunproxy("--restore")
    check(restored.wait() == 0, restored.err())
    check(world.machine_state() == world.before, f"as before:\n{world.before}\nnow\n{world.machine_state()}")
    again = world.tunproxy("--restore")
    check(again.wait() == 0, f"nothing to do is no failure: {again.err()}")


def test_next_start_after_kill(world):
    program = world.machine_tunnel()
    program.send(signal.SIGKILL)
    program.wait()
    # resolv.conf is still the crashed one's, so wait for the new instance by what only it can do.
    again = world.tunproxy(*world.ssh_arguments(), "--", "curl", "-sS", "--max-time", "60", "http://web.test/")
    check(again.wait() in (0, 5), "one command neither needs nor undoes the machine's: " + again.err())
    next_one = world.tunproxy(*world.ssh_arguments(), "--tun", "next0")
    world.wait_up_by_route(next_one, "next0")
    world.traffic("down", GOOD, 1 << 20)
    check(next_one.stop() == 0, next_one.err())


def test_second_instance_is_refused(world):
    world.machine_tunnel()
    up = world.machine_state()
    second = world.tunproxy(*world.ssh_arguments(), "--tun", "other0")
    check(second.wait() == 1 and "already" in second.err(), second.err())
    restore = world.tunproxy("--restore")
    check(restore.wait() == 1, "a live one is not restored: " + restore.err())
    check(world.machine_state() == up, "the first is untouched")
    world.traffic("down", GOOD, 1 << 20)


def test_named_tun(world):
    world.machine_tunnel("--tun", "mytun")
    check("mytun" in world.run(["ip", "-br", "link"])[1], "the TUN has the given name")


def test_linked_resolv_conf(world):
    """/etc/resolv.conf is a link, as on most machines, and is one again afterwards."""
    os.rename("/etc/resolv.conf", "/etc/resolv.real")
    os.symlink("resolv.real", "/etc/resolv.conf")
    before = world.machine_state()
    program = world.machine_tunnel()
    check(not os.path.islink("/etc/resolv.conf"), "replaced")
    program.stop()
    check(os.readlink("/etc/resolv.conf") == "resolv.real", "a link again")
    check(world.machine_state() == before, world.machine_state())
    os.rename("/etc/resolv.real", "/etc/resolv.conf")
