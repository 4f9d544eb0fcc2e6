"""--isolate: SSH connections of their own for users and for destinations, seen from the server."""

import re
import signal

from scenarios_status import status, status_json
from scenarios_socks import CLIENTS, PORT, PYTHON, client, curl, user_options
from world import CLIENT, GOOD, GOOD6, SERVER, check, sh, until

ECHO = 7001
METRICS = "127.0.0.1:9191"


def hold(world, name, host, *who):
    """A flow that stays, and echoes."""
    process = world.spawn(CLIENT, name, [PYTHON, CLIENTS, "hold", str(PORT), host, str(ECHO), *who])
    until(lambda: world.text(name + ".out") or process.poll() is not None, f"{name} echoes")
    check(process.poll() is None, f"{name}: {world.text(name + '.err')}")
    return process


def carriers(world):
    """For each process of a connection's sshd that has flows: their targets' addresses."""
    found = {}
    for line in sh(f"ip netns exec {SERVER} ss -Htnp state established dport = :{ECHO}").splitlines():
        address = line.split()[3].rpartition(":")[0].strip("[]").removeprefix("::ffff:")
        found.setdefault(int(re.search(r"pid=(\d+)", line).group(1)), []).append(address)
    return found


def ssh_connections():
    return len(sh(f"ip netns exec {SERVER} ss -Htn state established sport = :22").splitlines())


def test_isolate_user(world):
    world.socks_tunnel(PORT, "--udp", "none", "--isolate", "user", *user_options(world))
    hold(world, "anna1", GOOD, "anna", "secret")
    anna = set(carriers(world))
    hold(world, "bob1", GOOD, "bob", "bobs password")
    hold(world, "anna2", GOOD, "anna", "secret")
    found = carriers(world)
    check(sorted(map(len, found.values())) == [1, 2], f"anna's two flows share a connection, bob has his own: {found}")
    check(len(found[anna.pop()]) == 2, "the first one is anna's")
    check(ssh_connections() == 3, "and there is the one that was there before")
    names = {session["name"] for session in status_json(world)["tunnel"]["sessions"]}
    check(names == {"streams 1", "streams of anna", "streams of bob"}, names)


def test_isolate_destination(world):
    program = world.socks_tunnel(PORT, "--udp", "none", "--isolate", "destination", "--metrics", METRICS)
    hold(world, "one", GOOD)
    hold(world, "again", GOOD)
    other = hold(world, "other", GOOD6)
    found = carriers(world)
    check(sorted(found.values()) == [[GOOD6], [GOOD, GOOD]], f"a connection for each destination: {found}")
    check(ssh_connections() == 3, "and there is the one that was there before")

    told = status(world) + status(world, "--json") + curl(world, f"http://{METRICS}/metrics")[1]
    check('session="isolated 2"' in told, told)
    check(GOOD not in told and GOOD6 not in told and "2001:db8" not in told, f"nothing says where flows go:\n{told}")

    # One connection dies: the other's flows go on, and its own destination gets a new one.
    victim = next(pid for pid, targets in found.items() if targets == [GOOD6])
    sh(f"kill -{signal.SIGKILL} {victim}")
    check(other.wait(60) != 0, "its flow ends")
    echoes = world.text("one.out").count("echo")
    hold(world, "anew", GOOD6)
    until(lambda: world.text("one.out").count("echo") > echoes, "the other's flow goes on")
    found = carriers(world)
    check(sorted(found.values()) == [[GOOD6], [GOOD, GOOD]] and victim not in found, found)
    check(program.process.poll() is None, program.err())


def test_isolate_where_the_server_grants_one_connection(world):
    """An account that is let in once: flows are refused with a reason, and the server is not asked again for each."""
    sh(f"""cat > {world.path('once')} <<'END'
#!/bin/sh
mkdir {world.path('lock')} 2>/dev/null && echo $PPID > {world.path('lock')}/first
[ "$(cat {world.path('lock')}/first)" = $PPID ] && cat {world.path('user_key.pub')}
END
    chmod 755 {world.path('once')}; install -m 755 {world.path('once')} /run/once""")
    world.kill_sshd()
    world.sshd_lines = ["AuthorizedKeysCommand /run/once", "AuthorizedKeysCommandUser root"]
    world.authorized = False
    world.start_sshd()
    program = world.socks_tunnel(PORT, "--udp", "none", "--isolate", "destination")
    outcomes = [client(world, "outcome", PORT, 1, GOOD, ECHO) for _ in range(5)]
    check(outcomes == ["4", "2", "2", "2", "2"], f"one waits in vain, others are not allowed: {outcomes}")
    logins = world.text("sshd.err").count("Connection from ")
    check(logins == 2, f"{logins} connections")
    check(program.err().count("grants no connection of its own (--isolate)") == 1, program.err())


def test_isolate_needs(world):
    for arguments, hint in ((["--socks5", "10.77.1.1:1080", "--isolate", "destination"], "it needs --ssh"),
                            ([*world.ssh_arguments(), "--isolate", "user"], "add --socks-user NAME:FILE")):
        program = world.tunproxy(*arguments, "--no-tun", "--socks", f"127.0.0.1:{PORT}")
        check(program.wait() == 2 and hint in program.err(), program.err())
