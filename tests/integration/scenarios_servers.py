"""Other SSH servers than a stock sshd, and sshd with settings that get in the way."""

import os
import signal
import sys

from basics import children_of
from scenarios_cli import expect
from scenarios_udp import expect_names, udp, udp_tunnel
from world import CLIENT, GOOD, SERVER, UDP_TRAFFIC, check, scale, sh, until

MIB = 1 << 20
PORT = 2222  # of the other servers
OTHER_PORT = {"ours": f"tcp port {PORT}"}
PYTHON = "/usr/bin/python3"  # of the distribution, whose packages it has


# -- what the scenarios share


def know(world, key=None):
    """The other server has the host key of the sshd, or this one."""
    with open(world.path("known_hosts"), "a", encoding="ascii") as file:
        file.write(f"[10.77.1.1]:{PORT} {' '.join((key or world.text('host_key.pub')).split()[:2])}\n")


def listens():
    return sh(f"ip netns exec {SERVER} ss -Hltn 'sport = {PORT}'")


def way_to(world):
    return [*world.ssh_arguments(), "--port", str(PORT)]


def expect_tcp(world, size=8 * MIB):
    """Both ways, checked byte by byte, and many at once; a refusal is told from the rest."""
    world.traffic("down", GOOD, scale(size, 2 * MIB))
    world.traffic("up", GOOD, scale(size, 2 * MIB))
    world.traffic("many", GOOD, 30)
    check(world.traffic("outcome", GOOD, 9, 20) == "ECONNREFUSED", "a refused target")
    world.traffic("half_close", GOOD)


def expect_names_by_udp(world):
    until(lambda: world.run(["dig", "+short", "+tries=3", "web.test"])[1].strip() == GOOD, "names resolve")


def expect_everything(world, *arguments, way=None, size=8 * MIB):
    """TCP, UDP by the relay helper and names."""
    program = udp_tunnel(world, *arguments, way=way)
    expect_tcp(world, size)
    udp(world, "echo", GOOD, 0, 1200, 9000)
    expect_names(world)
    check(program.stop() == 0, program.err())
    return program


# -- other servers


def start_dropbear(world, *options):
    """Its own format of the host key; the same key."""
    sh(f"""
    cd {world.directory}
    dropbearconvert openssh dropbear host_key dropbear_key 2>/dev/null
    mkdir -p home/.ssh; cp authorized_keys home/.ssh/authorized_keys; chmod 700 home home/.ssh; chmod 600 home/.ssh/*
    """)
    mounted = (f"mount --bind /mnt/server-etc /etc && mount --bind {world.path('home')} ~root && exec dropbear -F -E -m -s "
               f"-r {world.path('dropbear_key')} -p 10.77.1.1:{PORT} -P /dev/null {' '.join(options)}")
    world.spawn(SERVER, "dropbear", ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted])
    know(world)
    until(listens, "dropbear listens")


def test_server_dropbear(world):
    """Windows of 24 KB, and all channels on one thread."""
    start_dropbear(world)
    expect_everything(world, way=way_to(world))


test_server_dropbear.world = OTHER_PORT


def test_server_dropbear_without_forwarding(world):
    start_dropbear(world, "-j")
    program = udp_tunnel(world, way=way_to(world))
    check(world.traffic("outcome", GOOD, 80, 20) != "connected", "nothing goes round the tunnel")
    expect_told(program, "warning: the SSH server", "Dropbear's -j")


test_server_dropbear_without_forwarding.world = OTHER_PORT


def start_asyncssh(world, *limits):
    server = __file__.replace("scenarios_servers", "asyncssh_server")
    mounted = (f"mount --bind /mnt/server-etc /etc && exec {PYTHON} {server} {PORT} {world.path('host_key')} "
               f"{world.path('authorized_keys')} {' '.join(map(str, limits))}")
    world.spawn(SERVER, "asyncssh", ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted])
    know(world)
    until(lambda: "ready" in world.text("asyncssh.out"), "asyncssh listens")


def test_server_asyncssh(world):
    start_asyncssh(world)
    expect_everything(world, way=way_to(world))


test_server_asyncssh.world = OTHER_PORT


def test_server_small_windows(world):
    """The server grants 4000 bytes at a time, in packets of 999: each of ours is cut, and waits."""
    start_asyncssh(world, 4000, 999)
    expect_everything(world, way=way_to(world), size=2 * MIB)


test_server_small_windows.world = OTHER_PORT


def start_tinysshd(world):
    """Started for each connection, by a small server of our own in place of inetd."""
    raw = world.path("tinysshd_keys")
    sh(f"""
    cd {world.directory}; mkdir -p home/.ssh; cp authorized_keys home/.ssh/; chmod 700 home home/.ssh; chmod 600 home/.ssh/*
    tinysshd-makekey -q {raw}
    """)
    mounted = (f"mount --bind /mnt/server-etc /etc && mount --bind {world.path('home')} ~root && "
               f"exec ncat -l -k 10.77.1.1 {PORT} --exec '/usr/sbin/tinysshd -L -v {raw}'")
    world.spawn(SERVER, "tinysshd", ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted])
    know(world, sh(f"tinysshd-printkey {raw}"))
    until(listens, "tinysshd listens")


def test_server_tinysshd(world):
    """It runs commands and forwards nothing: UDP and names are carried, and why TCP is not is told."""
    start_tinysshd(world)
    program = udp_tunnel(world, way=way_to(world))
    check(world.traffic("outcome", GOOD, 80, 20) != "connected", "there is no TCP")
    expect_told(program, "warning: the SSH server forbids")
    udp(world, "echo", GOOD, 0, 1200, 9000)
    expect_names_by_udp(world)
    check(program.stop() == 0, program.err())


test_server_tinysshd.world = OTHER_PORT


# -- sshd with settings


def settings(*lines):
    return {"sshd": lines}


def expect_told(program, *words):
    until(lambda: all(word in program.err() for word in words), f"{words} are told: {program.err()}")


def test_server_one_session(world):
    """One session channel for each connection: the helper gets it."""
    expect_everything(world)


test_server_one_session.world = settings("MaxSessions 1")


def test_server_no_sessions(world):
    """Not a command at all: UDP is not carried, names go over TCP to the usual resolvers."""
    program = udp_tunnel(world, carried=False)
    expect_tcp(world)
    expect_names(world)
    check(program.stop() == 0, program.err())


test_server_no_sessions.world = settings("MaxSessions 0")


def test_server_without_forwarding(world):
    """What to change at the server is said, once."""
    program = udp_tunnel(world)
    for _ in range(3):
        check(world.traffic("outcome", GOOD, 80, 20) != "connected", "nothing goes round the tunnel")
    expect_told(program, "AllowTcpForwarding")
    told = program.err().count("warning: the SSH server forbids the connection")
    check(1 <= told <= 4, f"once for each connection: {program.err()}")
    udp(world, "echo", GOOD, 1200)
    expect_names_by_udp(world)


test_server_without_forwarding.world = settings("AllowTcpForwarding no")


def test_server_permits_some_targets(world):
    program = udp_tunnel(world)
    world.traffic("down", GOOD, MIB)
    check(world.traffic("outcome", GOOD, 80, 20) != "connected", "not permitted")
    world.traffic("up", GOOD, MIB)
    expect_told(program, "PermitOpen")


test_server_permits_some_targets.world = settings(f"PermitOpen {GOOD}:7002 {GOOD}:7003")


def test_server_forces_a_command(world):
    """The helper never begins: TCP goes on, and names over TCP."""
    program = udp_tunnel(world, carried=False)
    expect_tcp(world)
    expect_names(world)
    check(program.stop() == 0, program.err())


test_server_forces_a_command.world = settings("ForceCommand echo this account is for forwarding")


def hold_a_startup(world):
    """A connection that never logs in."""
    code = "import socket, time; s = socket.create_connection(('10.77.1.1', 22)); print(s.recv(99), flush=True); time.sleep(600)"
    held = world.spawn(CLIENT, "held", [sys.executable, "-c", code])
    until(lambda: "SSH-2.0" in world.text("held.out"), "sshd waits for a login")
    return held


def test_server_few_startups(world):
    """One login at a time: while somebody else's is not over, ours are refused, told and tried again, for both connections."""
    program = udp_tunnel(world)
    sessions = children_of(world.sshd.pid)
    held = hold_a_startup(world)
    for session in sessions:
        for pid in (session, *children_of(session)):
            os.kill(pid, signal.SIGKILL)
    expect_told(program, "reconnect failed", "MaxStartups")
    until(lambda: world.text("sshd.err").count("past MaxStartups") >= 2, "sshd refuses both")
    held.kill()
    until(lambda: world.traffic("outcome", GOOD, 80, 20) == "connected", "TCP is back", 60)
    until(lambda: world.run([sys.executable, UDP_TRAFFIC, "outcome", GOOD])[1].strip() == "echoed", "UDP is back", 60)
    check(program.stop() == 0, program.err())


test_server_few_startups.world = settings("MaxStartups 1")


def test_server_rekeys_often(world):
    expect_everything(world, size=2 * MIB)


test_server_rekeys_often.world = settings("RekeyLimit 128K")


def test_server_chacha20_only(world):
    """And nothing is compressed."""
    expect_everything(world)


test_server_chacha20_only.world = settings("Ciphers chacha20-poly1305@openssh.com", "Compression no")


def test_server_ctr_only(world):
    """No authenticated cipher, and a MAC over the plain text."""
    expect_everything(world)


test_server_ctr_only.world = settings("Ciphers aes128-ctr", "MACs hmac-sha2-256", "KexAlgorithms ecdh-sha2-nistp256")


def test_server_algorithms(world):
    """Those that are asked for, by whatever way, are the ones that are offered; both lists are told where nothing fits."""
    def run(*arguments):
        return world.tunproxy(*world.ssh_arguments(), *arguments, "--log-level", "error", "--", "true")

    right = run("--ciphers", "aes192-ctr", "--macs", "hmac-sha1,hmac-sha2-512", "--kex", "ecdh-sha2-nistp384",
                "--host-key-algorithms", "ssh-ed25519", "--public-key-algorithms", "ssh-ed25519")
    check(right.wait() == 0, right.err())
    for key, ours, theirs in (("macs", "hmac-sha2-256,hmac-sha1", "hmac-sha2-512"), ("kex", "curve25519-sha256", "ecdh-sha2-nistp384"),
                              ("ciphers", "aes256-ctr", "aes192-ctr"), ("host-key-algorithms", "rsa-sha2-512", "ssh-ed25519")):
        expect(run(f"--{key}", ours), 1, f"{key}: ", f"it has {theirs}", f"we offer {ours}")
    expect(run("--macs", "umac-64@openssh.com"), 2, "macs: ", "umac-64@openssh.com", "hmac-sha2-512")
    expect(run("--public-key-algorithms", "rsa-sha2-512"), 4, "not among those allowed")
    with open(world.path("ssh_config"), "w", encoding="ascii") as file:
        file.write("Host *\n  MACs hmac-sha2-256\n")
    expect(run("--ssh-config", world.path("ssh_config")), 1, "macs: ", "we offer hmac-sha2-256")


test_server_algorithms.world = settings("Ciphers aes192-ctr", "MACs hmac-sha2-512", "KexAlgorithms ecdh-sha2-nistp384",
                                        "HostKeyAlgorithms ssh-ed25519")


def test_server_with_a_banner(world):
    """Of the server before the login, and of the account's shell behind it."""
    with open(world.path("banner"), "w", encoding="ascii") as file:
        file.write("".join(f"Line {n} of a banner. \x1b[31m\n" for n in range(200)))
    world.kill_sshd()
    world.sshd_lines.append(f"Banner {world.path('banner')}")
    world.start_sshd()
    expect_everything(world, way=world.account("/bin/bash", {".bashrc": "echo Welcome to this server.\n"}), size=2 * MIB)


def start_turnstile(world):
    script = __file__.replace("scenarios_servers", "turnstile")
    world.spawn(SERVER, "turnstile", [sys.executable, script, "10.77.1.1", str(PORT), "10.77.1.1", "22", world.path("words")])
    know(world)
    until(lambda: "ready" in world.text("turnstile.out"), "the turnstile stands")


def test_server_turns_away(world):
    """What OpenSSH 9.8 and later say to those whom they do not want now, at the start and to a tunnel that was up."""
    start_turnstile(world)

    def turn_away():
        with open(world.path("words.new"), "w", encoding="ascii") as file:
            file.write("Not allowed at this time\r\n")
        os.rename(world.path("words.new"), world.path("words"))

    turn_away()
    expect(world.tunproxy(*way_to(world), "--", "true"), 5, "MaxStartups", "PerSourcePenalties")
    os.unlink(world.path("words"))
    program = world.machine_tunnel("--udp", "none", way=way_to(world))
    world.traffic("down", GOOD, MIB)
    turn_away()
    expect_told(program, "reconnect failed", "MaxStartups", "PerSourcePenalties")
    check(world.traffic("outcome", GOOD, 80, 2) != "connected", "nothing goes round the tunnel")
    os.unlink(world.path("words"))
    until(lambda: world.traffic("outcome", GOOD, 80, 20) == "connected", "the tunnel comes back", 60)
    check(program.stop() == 0, program.err())


test_server_turns_away.world = OTHER_PORT
