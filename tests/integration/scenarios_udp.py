"""UDP through a stock sshd: what is carried and how, and what happens where nothing can carry it."""

import os
import shutil
import signal
import sys

from basics import processes_of
from world import ACCOUNT_UID, FORMER, GOOD, GOOD6, SERVER, TARGET, UDP_TRAFFIC, check, scale, sh, until

OTHER, OTHER6 = "10.77.2.2", "fd77:2::2"  # of the target as well
SIZES = (0, 1, 1200, 1472, 1473, 9000, 65507)
CARRIED = "UDP: carried by the relay helper"
BY_UDPGW = "UDP: carried by the udpgw at 127.0.0.1:7300; NAT: symmetric"
NOT_CARRIED = "UDP: not carried, programs get port unreachable"


# -- what the scenarios share

def serve_udp(world):
    world.spawn(TARGET, "udp_served", [sys.executable, UDP_TRAFFIC, "serve"])
    until(lambda: "ready" in world.text("udp_served.out"), "the UDP targets serve")


def udp(world, *arguments, limit=120):
    """Runs a verb of udp_traffic.py in the client's namespace; returns what it printed. It must succeed."""
    code, output = world.run([sys.executable, UDP_TRAFFIC, *map(str, arguments)], limit=limit)
    check(code == 0, f"udp_traffic {' '.join(map(str, arguments))}: {output}")
    return output.strip()


def udp_tunnel(world, *arguments, way=None, carried=True):
    """A tunnel for the whole client namespace, and UDP targets behind it; what becomes of UDP is told. A busy server
    may need more than one try until it is carried."""
    if not world.text("udp_served.out"):
        serve_udp(world)
    program = world.machine_tunnel("--log-level", "debug", *arguments, way=way)
    if "none" not in arguments and "--socks5" not in program.command:
        told = (CARRIED, BY_UDPGW) if carried else (NOT_CARRIED,)
        until(lambda: any(each in program.err() for each in told), f"one of {told}: {program.err()}")
    return program


KEYS_SCRIPT = "/run/keys.sh"  # sshd wants it where only root can write
ASKS_THE_SCRIPT = {"sshd": [f"AuthorizedKeysCommand {KEYS_SCRIPT}", "AuthorizedKeysCommandUser root"], "authorized": False}


def keys_script(world, text):
    """Who may log in is up to this script from now on; returns the folder by which it can be told something."""
    lock = "/run/keys.lock"
    shutil.rmtree(lock, ignore_errors=True)  # of a scenario before
    with open(KEYS_SCRIPT, "w", encoding="ascii") as file:
        file.write(text.format(lock=lock, keys=world.path("user_key.pub")))
    os.chmod(KEYS_SCRIPT, 0o755)
    return lock


def helpers():
    """The relay helpers of the account at the server: {pid: name}."""
    return {pid: name for pid, name in processes_of(ACCOUNT_UID).items() if name in ("python3", "tunproxy-relay")}


def installed_helper():
    near = os.path.dirname(FORMER["program"])
    built = [os.environ.get("TUNPROXY_RELAY", ""), f"{near}/tunproxy-relay", f"{near}/tools/relay/tunproxy-relay"]
    built = [path for path in built if os.access(path, os.X_OK)]
    check(built, "no tunproxy-relay: build it, or name it in TUNPROXY_RELAY")
    return built[0]


def expect_no_carrier(world, program, why):
    """Refused at once, the reason is told, names go on."""
    check(udp(world, "outcome", GOOD) == "ECONNREFUSED", "QUIC falls back at once")
    check(udp(world, "outcome", GOOD6) == "ECONNREFUSED", "over IPv6 as well")
    expect_names(world)
    if why is not None:
        line = next((each for each in program.err().splitlines() if NOT_CARRIED in each), "")
        check(any(each in line for each in why), f"none of {why} is told in: {line}\n{program.err()}")


def expect_names(world):
    """A server that keeps silent about its resolver is given up only after a while."""
    until(lambda: world.run(["dig", "+short", "+tries=3", "web.test"])[1].strip() == GOOD, "names resolve")
    until(lambda: world.run(["dig", "+tcp", "+short", "web.test"])[1].strip() == GOOD, "names resolve over TCP")


def expect_shell_works(world, shell, files=None):
    program = udp_tunnel(world, way=world.account(shell, files))
    udp(world, "echo", GOOD, 0, 1200, 9000)
    expect_names(world)
    check(program.stop() == 0, program.err())
    until(lambda: not helpers(), f"the helper of {shell} ends with the tunnel")


# -- what is carried


def test_udp_first_datagram(world):
    """Sent at once, before anything is known of a helper: it waits instead of being refused."""
    serve_udp(world)
    for _ in range(3):
        program = world.tunproxy(*world.ssh_arguments(), "--", sys.executable, UDP_TRAFFIC, "outcome", GOOD)
        check(program.wait() == 0 and program.output() == "echoed\n", program.output() + program.err())


def test_udp_echo(world):
    """By Python: every size, both families, the true source; nothing on disk, nothing that stays."""
    program = udp_tunnel(world, way=world.account("/bin/bash"))
    until(lambda: list(helpers().values()) == ["python3"], f"the Python helper runs: {processes_of(ACCOUNT_UID)}")
    udp(world, "echo", GOOD, *SIZES)
    udp(world, "echo", GOOD6, *SIZES)
    written = sh(f"find {world.path('home')} -mindepth 1; find /tmp /var/tmp /dev/shm /run -xdev -uid {ACCOUNT_UID} "
                 "! -path '/tmp/tunproxy-*' 2>/dev/null || true")  # those are homes
    check(written == "", f"written at the server: {written}")
    check(program.stop() == 0, program.err())
    until(lambda: not processes_of(ACCOUNT_UID), "nothing of the account runs")


def test_udp_by_installed_helper(world):
    """tunproxy-relay, where the account's PATH has it, is used in place of Python."""
    way = world.account("/bin/sh")
    os.makedirs(world.path("home/bin"))
    shutil.copy(installed_helper(), world.path("home/bin/tunproxy-relay"))
    program = udp_tunnel(world, way=way)
    until(lambda: list(helpers().values()) == ["tunproxy-relay"], f"the installed helper runs: {processes_of(ACCOUNT_UID)}")
    udp(world, "echo", GOOD, *SIZES)
    udp(world, "echo", GOOD6, *SIZES)
    check(udp(world, "nat", GOOD, OTHER) == "full cone", "NAT")
    check(udp(world, "ports", GOOD, 200, 200) == "200 of 200", "200 local ports")
    expect_names(world)
    check(program.stop() == 0, program.err())
    until(lambda: not processes_of(ACCOUNT_UID), "nothing of the account runs")


def test_udp_nat_is_full_cone(world):
    udp_tunnel(world)
    check(udp(world, "nat", GOOD, OTHER) == "full cone", "IPv4")
    check(udp(world, "nat", GOOD6, OTHER6) == "full cone", "IPv6")


def test_udp_pool(world):
    """More local ports than associations; two ports and one peer; one port and many peers."""
    udp_tunnel(world)
    check(udp(world, "ports", GOOD, 2, 1) == "2 of 2", "two local ports to one peer")
    check(udp(world, "peers", GOOD, 200) == "200 peers", "one local port to many peers")
    check(udp(world, "ports", GOOD, 200, 200) == "200 of 200", "200 local ports at once, with a pool of 100")
    check(udp(world, "ports", GOOD6, 200, 200) == "200 of 200", "and at once 200 more")


def test_udp_pool_is_full(world):
    """Nobody shares where two local ports talk to one destination: the others' turn comes when the first are quiet."""
    udp_tunnel(world, "--udp-associations", 10)
    check(udp(world, "ports", GOOD, 30, 1) == "30 of 30", "30 local ports to one peer, with a pool of 10")


def test_udp_idle_ends(world):
    program = udp_tunnel(world, "--udp-idle", 10)

    def sockets():
        return int(sh(f"ip netns exec {SERVER} ss -Hlunp | grep -c python3 || true"))
    check(sockets() == 0, "nothing is open before the first datagram")
    for _ in range(2):
        udp(world, "ports", GOOD, 20, 20)
        seen = sockets()  # on a busy machine some have been idle for long enough by now
        check(0 < seen <= 20, f"a socket for each local port: {seen}")
        until(lambda: sockets() == 0, f"what is idle is closed: {sockets()}\n{program.err()}", 60)


def test_udp_in_command(world):
    serve_udp(world)
    sizes = [str(size) for size in SIZES]
    for host in (GOOD, GOOD6):
        program = world.tunproxy(*world.ssh_arguments(), "--", sys.executable, UDP_TRAFFIC, "echo", host, *sizes)
        check(program.wait() == 0 and program.output() == "echoed\n", program.err())


# -- every kind of account

def test_udp_login_shells(world):
    for shell in ("/bin/dash", "/bin/zsh", "/usr/bin/fish"):
        expect_shell_works(world, shell)


def test_udp_csh(world):
    for shell in ("/bin/csh", "/bin/tcsh"):
        expect_shell_works(world, shell, {".cshrc": "echo 'welcome; to \"the\" server'\n"})


def test_udp_noisy_account(world):
    noise = "echo Welcome; echo tunproxy-relay 00; printf '\\000\\001\\377junk without an end'; echo warning >&2\n"
    expect_shell_works(world, "/bin/bash", {".bashrc": noise, ".profile": noise})


# -- where nothing can be run

def test_udp_nologin(world):
    program = udp_tunnel(world, way=world.account("/usr/sbin/nologin"), carried=False)
    expect_no_carrier(world, program, ["This account is currently not available"])


def test_udp_no_sessions(world):
    program = udp_tunnel(world, carried=False)
    expect_no_carrier(world, program, ["open failed"])


test_udp_no_sessions.world = {"sshd": ["MaxSessions 0"]}


def test_udp_babbling_command(world):
    """A ForceCommand that prints junk for ever is no helper."""
    program = udp_tunnel(world, carried=False)
    expect_no_carrier(world, program, ["says too much before the relay starts", "the far end says: junk"])


test_udp_babbling_command.world = {"sshd": ["ForceCommand while :; do echo junk $RANDOM; done"]}


def test_udp_silent_command(world):
    program = udp_tunnel(world, carried=False)
    expect_no_carrier(world, program, ["did not start in time"])


test_udp_silent_command.world = {"sshd": ["ForceCommand sleep 1000"]}


def test_udp_sftp_only(world):
    program = udp_tunnel(world, carried=False)
    expect_no_carrier(world, program, ["This service allows sftp connections only"])


test_udp_sftp_only.world = {"sshd": ["Subsystem sftp internal-sftp", "ForceCommand internal-sftp"]}


def test_udp_switched_off(world):
    program = udp_tunnel(world, "--udp", "none", way=world.account("/bin/bash"))
    expect_no_carrier(world, program, None)
    check(not helpers(), f"nothing is run at the server: {helpers()}")


# -- what goes on at the same time

def test_udp_beside_bulk(world):
    """Datagrams, whole and in fragments, and names, while downloads and uploads fill the shared connection."""
    udp_tunnel(world)
    bulk = [world.traffic_in_background(verb, verb, GOOD, scale(512, 32) << 20) for verb in ("down", "up")]
    for _ in range(5):
        udp(world, "echo", GOOD, *SIZES)
        check(udp(world, "ports", GOOD, 50, 50) == "50 of 50", "many ports")
        expect_names(world)
    for verb, process in zip(("down", "up"), bulk):
        check(process.wait(110) == 0, world.text(verb + ".err"))


# -- what goes wrong in the middle

def start_talk(world):
    return world.spawn("client", "talk", [sys.executable, UDP_TRAFFIC, "talk", GOOD])


def expect_talk_goes_on(world, what):
    had = world.text("talk.out").count("\n")
    until(lambda: world.text("talk.out").count("\n") >= had + 10, f"{what}:\n{world.text('talk.err')}", 60)


def test_udp_helper_killed(world):
    """The same local port talks on when a new helper runs."""
    udp_tunnel(world, way=world.account("/bin/bash"))
    talk = start_talk(world)
    expect_talk_goes_on(world, "UDP works")
    for _ in range(2):
        victims = helpers()
        check(victims, "a helper runs")
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        until(lambda: helpers() and not set(helpers()) & set(victims), "a new helper")
        expect_talk_goes_on(world, "UDP works again")
    talk.kill()
    talk.wait()  # before the tunnel goes
    expect_names(world)


def test_udp_after_reconnect(world):
    udp_tunnel(world, way=world.account("/bin/bash"))
    talk = start_talk(world)
    expect_talk_goes_on(world, "UDP works")
    world.kill_sshd()
    until(lambda: not helpers(), "the helper ends with its connection")
    world.start_sshd()
    until(helpers, "a new helper", 60)
    expect_talk_goes_on(world, "UDP works again")
    talk.kill()
    talk.wait()
    expect_names(world)
