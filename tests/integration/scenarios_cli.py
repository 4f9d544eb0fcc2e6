"""The command line: what each form does, its exit codes and its one-line messages."""

import os
import signal
import sys

from world import GOOD, GOOD6, TRAFFIC, check, until

NOBODY = 65534


def expect(program, code, *words):
    """The exit code, and exactly one line on stderr, with these words in it."""
    got = program.wait()
    check(got == code, f"exit code {got} instead of {code}: {' '.join(program.command)}\n{program.err()}")
    lines = program.err().strip().splitlines()
    check(len(lines) == 1 and lines[0].startswith("tunproxy: "), f"one clear line, not: {program.err()!r}")
    for word in words:
        check(word in lines[0], f"{word!r} is not in: {lines[0]}")


def test_command_without_root(world):
    """`-- COMMAND` as an ordinary user: names, TCP, the command's own exit code."""
    os.chown(world.path("user_key"), NOBODY, NOBODY)
    curl = world.tunproxy(*world.ssh_arguments(), "--", "curl", "-sS", "--max-time", "60", "http://web.test/", user=NOBODY)
    check(curl.wait() == 0, f"curl through the tunnel: {curl.err()}")
    check(curl.output() == "hello from the other side\n", curl.output())
    seven = world.tunproxy(*world.ssh_arguments(), "--", "sh", "-c", "exit 7", user=NOBODY)
    check(seven.wait() == 7, f"the command's own exit code: {seven.err()}")


def test_command_as_root(world):
    up = world.tunproxy(*world.ssh_arguments(), "--", sys.executable, TRAFFIC, "up", GOOD, str(5 << 20))
    check(up.wait() == 0, up.err())
    six = world.tunproxy(*world.ssh_arguments(), "--", "curl", "-sS", "-6", "--max-time", "60", "http://web6.test/")
    check(six.wait() == 0 and six.output().startswith("hello"), six.err())


def test_command_exit_codes(world):
    for command, code in ((["/nonexistent/program"], 127), (["/etc/passwd"], 126), (["sh", "-c", "kill -TERM $$"], 143)):
        program = world.tunproxy(*world.ssh_arguments(), "--", *command)
        check(program.wait() == code, f"{command}: not {code}: {program.err()}")


def test_command_gets_signals(world):
    program = world.tunproxy(*world.ssh_arguments(), "--", "sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done")
    until(lambda: "up" in program.output() or program.process.poll() is not None, "the command runs")
    program.send(signal.SIGTERM)
    check(program.wait() == 9, program.err())


def test_socks_listener(world):
    world.socks_tunnel(1090)
    for way in ("--socks5-hostname", "--socks5"):
        host = "web.test" if way.endswith("hostname") else GOOD
        code, output = world.run(["curl", "-sS", "--max-time", "60", way, "127.0.0.1:1090", f"http://{host}/"])
        check(code == 0 and "hello" in output, output)
    code, output = world.run(["curl", "-sS", "--max-time", "60", "--socks5", "127.0.0.1:1090", f"http://[{GOOD6}]/"])
    check(code == 0 and "hello" in output, output)
    code, output = world.run(["curl", "-sS", "--max-time", "60", "--socks5", "127.0.0.1:1090", f"http://{GOOD}:9/"])
    check(code == 97 and "(5)" in output, f"a refused target is reply 5: {output}")
    check(world.run(["ip", "-br", "link", "show", "type", "tun"])[1].strip() == "", "no TUN")


def test_socks5_upstream(world):
    world.start_socks_server()
    world.machine_tunnel(way=["--socks5", "10.77.1.1:1080"])
    world.traffic("down", GOOD, 20 << 20)
    world.traffic("up", GOOD, 20 << 20)
    check(world.traffic("outcome", GOOD, 9, 20) == "ECONNREFUSED", "refused through SOCKS5")
    check(world.traffic("reset_by_target", GOOD).endswith("after now"), "a reset through SOCKS5")


def test_wrong_host_key(world):
    expect(world.tunproxy(*world.ssh_arguments(known_hosts="other_known_hosts"), "--", "true"), 3)


def test_unknown_host_key(world):
    expect(world.tunproxy(*world.ssh_arguments(known_hosts="empty_known_hosts"), "--", "true"), 3)


def test_accept_new_host_key(world):
    arguments = world.ssh_arguments(known_hosts="empty_known_hosts")[:-1] + ["accept-new"]
    first = world.tunproxy(*arguments, "--", "true")
    check(first.wait() == 0, first.err())
    kept = world.text("empty_known_hosts")  # the distribution's ssh_config may want the name hashed
    check("10.77.1.1 " in kept or kept.startswith("|1|"), "the key is remembered: " + kept)
    again = world.tunproxy(*world.ssh_arguments(known_hosts="empty_known_hosts"), "--", "true")
    check(again.wait() == 0, again.err())


def test_wrong_key(world):
    expect(world.tunproxy(*world.ssh_arguments(identity="stranger_key"), "--", "true"), 4)


def test_missing_key(world):
    expect(world.tunproxy(*world.ssh_arguments(identity="no_such_key"), "--", "true"), 2, "no_such_key")


def test_server_unreachable(world):
    expect(world.tunproxy(*world.ssh_arguments(), "--port", "23", "--", "true"), 5)
    expect(world.tunproxy("--ssh", "root@no-such-host.invalid", "--", "true"), 5)
    # Looking that name up is the one thing that has to go out before there is a tunnel.
    world.leak_allowed = True


def test_no_permission(world):
    expect(world.tunproxy(*world.ssh_arguments(), user=NOBODY), 6, "sudo")


def test_usage(world):
    ssh = ["--ssh", "root@10.77.1.1"]
    for bad in ([], ["--frobnicate"], ["--ssh"], ["--ssh", "root@10.77.1.1:99999"], [*ssh, "--mtu", "3"],
                [*ssh, "--mtu", "many"], [*ssh, "--route", "10.0.0.0/33"], [*ssh, "--exclude", "everything"],
                [*ssh, "--socks", "nonsense"], [*ssh, "--no-tun"], [*ssh, "--socks5", "10.77.1.1:1080"],
                [*ssh, "--host-key-policy", "maybe"], [*ssh, "--tun", "a-name-that-is-too-long"],
                [*ssh, "--tun", "c0"], [*ssh, "--"], [*ssh, "--log-level", "loud"], ["stray"]):
        expect(world.tunproxy(*bad), 2)


def test_help_and_version(world):
    for flag, word in (("--help", "--host-key-policy"), ("--version", "tunproxy ")):
        program = world.tunproxy(flag)
        check(program.wait() == 0 and word in program.output() and program.err() == "", program.output() + program.err())
