"""Other SSH servers than a stock sshd, and sshd with settings that get in the way."""

from scenarios_cli import expect
from scenarios_udp import CARRIED, NOT_CARRIED, expect_names, udp, udp_tunnel
from world import GOOD, SERVER, check, scale, sh, until

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
    until(lambda: world.run(["dig", "+short", "+tries=3", "web.test"])[1].strip() == GOOD, "names resolve", 20)


def expect_everything(world, *arguments, way=None, size=8 * MIB):
    """TCP, UDP by the relay helper and names."""
    program = udp_tunnel(world, *arguments, way=way)
    check(CARRIED in program.err(), f"UDP by the relay: {program.err()}")
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
    expect_told(program, "warning: the SSH server")


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
    check(CARRIED in program.err(), f"UDP by the relay: {program.err()}")
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
    until(lambda: all(word in program.err() for word in words), f"{words} are told: {program.err()}", 20)


def test_server_one_session(world):
    """One session channel for each connection: the helper gets it."""
    expect_everything(world)


test_server_one_session.world = settings("MaxSessions 1")


def test_server_no_sessions(world):
    """Not a command at all: UDP is not carried, names go over TCP to the usual resolvers."""
    program = udp_tunnel(world)
    check(NOT_CARRIED in program.err(), program.err())
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
    check(CARRIED in program.err(), f"UDP needs no forwarding: {program.err()}")
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
    program = udp_tunnel(world)
    check(NOT_CARRIED in program.err(), program.err())
    expect_tcp(world)
    expect_names(world)
    check(program.stop() == 0, program.err())


test_server_forces_a_command.world = settings("ForceCommand echo this account is for forwarding")


def test_server_few_startups(world):
    """One login at a time: the second connection waits for its turn instead of failing."""
    expect_everything(world)


test_server_few_startups.world = settings("MaxStartups 1")


def test_server_rekeys_often(world):
    expect_everything(world, size=2 * MIB)


test_server_rekeys_often.world = settings("RekeyLimit 128K")


def test_server_chacha20_only(world):
    expect_everything(world)


test_server_chacha20_only.world = settings("Ciphers chacha20-poly1305@openssh.com")


def test_server_ctr_only(world):
    """No authenticated cipher, and a MAC over the plain text."""
    expect_everything(world)


test_server_ctr_only.world = settings("Ciphers aes128-ctr", "MACs hmac-sha2-256", "KexAlgorithms ecdh-sha2-nistp256")


def test_server_without_compression(world):
    expect_everything(world, size=2 * MIB)


test_server_without_compression.world = settings("Compression no")


def test_server_with_a_banner(world):
    """Of the server before the login, and of the account's shell behind it."""
    with open(world.path("banner"), "w", encoding="ascii") as file:
        file.write("".join(f"Line {n} of a banner. \x1b[31m\n" for n in range(200)))
    world.kill_sshd()
    world.sshd_lines.append(f"Banner {world.path('banner')}")
    world.start_sshd()
    expect_everything(world, way=world.account("/bin/bash", {".bashrc": "echo Welcome to this server.\n"}), size=2 * MIB)


def test_server_punishes(world):
    """OpenSSH 9.8 and later shut out an address whose logins fail: that is told, and a tunnel that is up lives."""
    if "persourcepenalties" not in sh(f"sshd -T -f {world.path('sshd_config')}"):
        return
    world.kill_sshd()
    world.sshd_lines.append("PerSourcePenalties authfail:60 min:1")
    world.start_sshd()
    world.socks_tunnel(1090)
    expect(world.tunproxy(*world.ssh_arguments(identity="stranger_key"), "--", "true"), 4)
    expect(world.tunproxy(*world.ssh_arguments(), "--", "true"), 5)
    code, output = world.run(["curl", "-sS", "--max-time", "20", "--socks5", "127.0.0.1:1090", f"http://{GOOD}/"])
    check(code == 0, output)
