"""Ways to an SSH server that cannot simply be dialled: jump hosts, proxies, ProxyCommand."""

import os

from basics import other_processes, process_table
from scenarios_cli import expect
from scenarios_udp import udp
from scenarios_udp import serve_udp
from world import ACCOUNT_UID, GOOD, SERVER, TARGET, check, sh, until

MIB = 1 << 20
INNER = "10.77.2.2"  # the SSH server in the target's namespace: only the server's namespace reaches it
SECOND = 2222  # a second jump host beside the first


# -- what the scenarios share


def start_another_sshd(world, namespace, name, address, port, key, *lines):
    """With the same account and no other difference than its host key."""
    config = [*lines, f"Port {port}", f"ListenAddress {address}", "PidFile none", "UsePAM no", f"HostKey {world.path(key)}",
              f"AuthorizedKeysFile {world.path('authorized_keys')}", "StrictModes no", "PermitRootLogin yes",
              "PasswordAuthentication no", "KbdInteractiveAuthentication no", "UseDNS no"]
    with open(world.path(f"{name}_config"), "w", encoding="ascii") as file:
        file.write("\n".join(config) + "\n")
    mounted = ("mount --bind /mnt/server-etc /etc && mount -t tmpfs none ~root && exec /usr/sbin/sshd -D -e -f "
               + world.path(f"{name}_config"))
    world.spawn(namespace, name, ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounted])
    until(lambda: "Server listening" in world.text(f"{name}.err"), f"{name} listens")


def know(world, where, key):
    with open(world.path("known_hosts"), "a", encoding="ascii") as file:
        file.write(f"{where} {' '.join(world.text(key + '.pub').split()[:2])}\n")


def inner_server(world, known=True):
    start_another_sshd(world, TARGET, "inner", INNER, 22, "other_host_key")
    if known:
        know(world, INNER, "other_host_key")
    return world.ssh_arguments(host=INNER)


def second_jump(world, known=True):
    start_another_sshd(world, SERVER, "second", "10.77.2.1", SECOND, "stranger_key")
    if known:
        know(world, f"[10.77.2.1]:{SECOND}", "stranger_key")
    return f"root@10.77.2.1:{SECOND}"


def expect_tunnel(world, way, limit_udp=True):
    """TCP both ways, UDP and names for the whole machine, and a clean end."""
    serve_udp(world)
    program = world.machine_tunnel("--log-level", "debug", way=way)
    world.traffic("down", GOOD, 4 * MIB)
    world.traffic("up", GOOD, 4 * MIB)
    until(lambda: "UDP: carried" in program.err() or "UDP: not" in program.err(), "a word about UDP")
    udp(world, "echo", GOOD, 0, 1200)
    until(lambda: world.run(["dig", "+short", "+tries=3", "web.test"])[1].strip() == GOOD, "names resolve")
    return program


# -- jump hosts


def test_way_jump(world):
    """Two of them, in two namespaces, to a third; each has its own host key."""
    way = [*inner_server(world), "--jump", f"root@10.77.1.1,{second_jump(world)}"]
    program = expect_tunnel(world, way)
    check(program.stop() == 0, program.err())


def test_way_jump_reconnects(world):
    """The first jump host dies with everything that went through it, and comes back."""
    way = [*inner_server(world), "--jump", "root@10.77.1.1"]
    program = world.machine_tunnel(way=way)
    world.traffic("down", GOOD, MIB)
    world.kill_sshd()
    check(world.traffic("outcome", GOOD, 80, 3) != "connected", "there is no way round")
    world.start_sshd()
    until(lambda: world.traffic("outcome", GOOD, 80, 5) == "connected", "the tunnel comes back", 60)
    world.traffic("up", GOOD, MIB)
    check(program.stop() == 0, program.err())


def test_way_jump_unknown_host_key(world):
    """At any hop; the message names the hop, and the server behind it is not asked."""
    second = second_jump(world, known=False)
    expect(world.tunproxy(*inner_server(world), "--jump", f"root@10.77.1.1,{second}", "--", "true"), 3, second)
    check("Connection from" not in world.text("inner.err"), world.text("inner.err"))


def test_way_jump_wrong_key(world):
    way = [*world.ssh_arguments(host=INNER, identity="stranger_key"), "--jump", "root@10.77.1.1"]
    expect(world.tunproxy(*way, "--", "true"), 4, "jump host root@10.77.1.1:22")


def test_way_jump_wrong_password(world):
    """From a file, for nobody is there to ask: it is the server's, and a jump host never gets it."""
    with open(world.path("password"), "w", encoding="ascii") as file:
        file.write("not the password\n")
    os.chmod(world.path("password"), 0o600)
    start_another_sshd(world, TARGET, "inner", INNER, 22, "other_host_key", "PasswordAuthentication yes",
                       "PubkeyAuthentication no", "LogLevel VERBOSE")
    know(world, INNER, "other_host_key")
    way = [*world.ssh_arguments(host=INNER), "--jump", "root@10.77.1.1", "--ssh-password-file", world.path("password")]
    expect(world.tunproxy(*way, "--", "true"), 4)
    check("Failed password" in world.text("inner.err"), world.text("inner.err"))
    check("Failed password" not in world.text("sshd.err"), world.text("sshd.err"))


def test_way_jump_without_forwarding(world):
    """What to change, and where, is said."""
    way = [*inner_server(world), "--jump", "root@10.77.1.1"]
    program = world.tunproxy(*way, "--log-level", "error", "--", "true")
    expect(program, 5, "through the jump host root@10.77.1.1:22", "AllowTcpForwarding")


test_way_jump_without_forwarding.world = {"sshd": ["AllowTcpForwarding no"]}


def test_way_jump_server_unreachable(world):
    way = [*world.ssh_arguments(host=INNER), "--jump", "root@10.77.1.1"]
    expect(world.tunproxy(*way, "--port", "23", "--", "true"), 5, "through the jump host root@10.77.1.1:22", "refused")


# -- proxies

HTTP_PORT = 3128
BY_HTTP = {"ours": f"tcp port {HTTP_PORT}"}


def start_http_proxy(world, *lines):
    config = [f"Port {HTTP_PORT}", "Listen 10.77.1.1", "Timeout 600", "MaxClients 50", "LogLevel Connect",
              f"LogFile \"{world.path('tinyproxy.log')}\"", *lines]
    with open(world.path("tinyproxy.conf"), "w", encoding="ascii") as file:
        file.write("\n".join(config) + "\n")
    world.spawn(SERVER, "tinyproxy", ["tinyproxy", "-d", "-c", world.path("tinyproxy.conf")])
    until(lambda: sh(f"ip netns exec {SERVER} ss -Hltn 'sport = {HTTP_PORT}'"), "tinyproxy listens")


def password_file(world, text):
    with open(world.path("proxy_password"), "w", encoding="ascii") as file:
        file.write(text + "\n")
    os.chmod(world.path("proxy_password"), 0o600)
    return world.path("proxy_password")


def test_way_http(world):
    """The SSH server cannot be reached but by the proxy."""
    start_http_proxy(world)
    program = expect_tunnel(world, [*inner_server(world), "--via", f"http://10.77.1.1:{HTTP_PORT}"])
    check(f"CONNECT {INNER}:22" in world.text("tinyproxy.log"), world.text("tinyproxy.log"))
    check(program.stop() == 0, program.err())


test_way_http.world = BY_HTTP


def test_way_http_and_jump(world):
    """The proxy stands before the first hop."""
    start_http_proxy(world, "ConnectPort 22")
    program = expect_tunnel(world, [*inner_server(world), "--jump", "root@10.77.1.1",
                                    "--via", f"http://10.77.1.1:{HTTP_PORT}"])
    check("CONNECT 10.77.1.1:22" in world.text("tinyproxy.log"), world.text("tinyproxy.log"))
    check(program.stop() == 0, program.err())


test_way_http_and_jump.world = BY_HTTP


def test_way_http_password(world):
    start_http_proxy(world, "BasicAuth joe open-sesame")
    way = [*inner_server(world), "--via", f"http://joe@10.77.1.1:{HTTP_PORT}", "--via-password-file"]
    right = world.tunproxy(*way, password_file(world, "open-sesame"), "--", "curl", "-sS", f"http://{GOOD}/")
    check(right.wait() == 0 and right.output().startswith("hello"), right.err())
    expect(world.tunproxy(*way, password_file(world, "open sesame"), "--", "true"), 4, "refuses the user and password")
    nobody = [*world.ssh_arguments(host=INNER), "--via", f"http://10.77.1.1:{HTTP_PORT}"]
    expect(world.tunproxy(*nobody, "--", "true"), 4, "--via-password-file")


test_way_http_password.world = BY_HTTP


def test_way_http_refusals(world):
    """What the proxy says becomes one clear line."""
    start_http_proxy(world, "ConnectPort 443", "ConnectPort 23")
    via = ["--via", f"http://10.77.1.1:{HTTP_PORT}"]
    expect(world.tunproxy(*world.ssh_arguments(), *via, "--", "true"), 5, "403", "port 443")
    expect(world.tunproxy(*world.ssh_arguments(), "--port", "23", *via, "--", "true"), 5, "cannot reach the SSH server")
    expect(world.tunproxy(*world.ssh_arguments(), "--via", "http://10.77.1.1:3129", "--", "true"), 5, "HTTP proxy", "refused")
    expect(world.tunproxy(*world.ssh_arguments(), "--via", "http://10.77.1.1:22", "--", "true"), 5, "is none")


test_way_http_refusals.world = {"ours": f"tcp port {HTTP_PORT} or tcp port 3129"}


HTTPS_PORT = 3443


def start_tls_in_front(world, name):
    """Before the HTTP proxy, with a certificate for `name` by an authority that the machine trusts from now on."""
    sh(f"""
    cd {world.directory}
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout proxy.key -out proxy.csr -subj /CN={name}
    printf 'subjectAltName=IP:{name}' > proxy.ext
    openssl x509 -req -in proxy.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile proxy.ext -out proxy.pem
    cat proxy.pem proxy.key > proxy.both; mkdir -p /etc/ssl/certs
    cp ca.pem /etc/ssl/certs/$(openssl x509 -in ca.pem -noout -hash).0
    """)
    world.spawn(SERVER, "socat", ["socat", f"OPENSSL-LISTEN:{HTTPS_PORT},bind=10.77.1.1,fork,reuseaddr,verify=0,"
                                  f"cert={world.path('proxy.both')}", f"TCP:10.77.1.1:{HTTP_PORT}"])
    until(lambda: sh(f"ip netns exec {SERVER} ss -Hltn 'sport = {HTTPS_PORT}'"), "socat listens")


def test_way_https(world):
    start_http_proxy(world)
    start_tls_in_front(world, "10.77.1.1")
    way = [*inner_server(world), "--via", f"https://10.77.1.1:{HTTPS_PORT}"]
    curl = world.tunproxy(*way, "--", "curl", "-sS", "--max-time", "60", f"http://{GOOD}/")
    check(curl.wait() == 0 and curl.output().startswith("hello"), curl.err())


test_way_https.world = {"ours": f"tcp port {HTTPS_PORT}"}


def test_way_https_of_another_name(world):
    start_http_proxy(world)
    start_tls_in_front(world, "10.77.1.9")
    way = [*inner_server(world), "--via", f"https://10.77.1.1:{HTTPS_PORT}"]
    expect(world.tunproxy(*way, "--", "true"), 5, "HTTP proxy", "10.77.1.1")
    check("CONNECT" not in world.text("tinyproxy.log"), world.text("tinyproxy.log"))


test_way_https_of_another_name.world = {"ours": f"tcp port {HTTPS_PORT}"}


def test_way_socks5(world):
    world.start_socks_server()
    program = expect_tunnel(world, [*inner_server(world), "--via", "socks5://10.77.1.1:1080"])
    check(program.stop() == 0, program.err())


def test_way_socks5_refused(world):
    world.start_socks_server()
    way = [*world.ssh_arguments(host=INNER), "--via", "socks5://10.77.1.1:1080"]
    expect(world.tunproxy(*way, "--port", "23", "--", "true"), 5, "refused")


def test_way_socks5_password(world):
    sh(f"""
    sed -i /^joe:/d /mnt/server-etc/passwd /mnt/server-etc/shadow
    echo joe:x:{ACCOUNT_UID}:{ACCOUNT_UID}::/nonexistent:/bin/false >> /mnt/server-etc/passwd
    echo "joe:$(openssl passwd -6 open-sesame):19000:0:99999:7:::" >> /mnt/server-etc/shadow
    """)
    world.start_socks_server(method="username")
    way = [*inner_server(world), "--via", "socks5://joe@10.77.1.1:1080", "--via-password-file"]
    right = world.tunproxy(*way, password_file(world, "open-sesame"), "--", "curl", "-sS", f"http://{GOOD}/")
    check(right.wait() == 0 and right.output().startswith("hello"), right.err() + world.text("danted.err"))
    expect(world.tunproxy(*way, password_file(world, "open sesame"), "--", "true"), 4, "refuses the user and password")
    nobody = [*world.ssh_arguments(host=INNER), "--via", "socks5://10.77.1.1:1080"]
    expect(world.tunproxy(*nobody, "--", "true"), 4, "asks for a user and password")


# -- ProxyCommand


def ssh_hop(world):
    """`ssh -W` through the sshd of the server's namespace, without the machine's own configuration."""
    return (f"ssh -F none -o UserKnownHostsFile={world.path('known_hosts')} -o IdentitiesOnly=yes "
            f"-i {world.path('user_key')} -W [%h]:%p root@10.77.1.1")


def command_runs(program, name):
    """The processes of that name that the program started."""
    return [pid for pid, parent, _, its_name in process_table() if parent == program.process.pid and its_name == name]


def test_way_command_for_one_command(world):
    """Without root: no cgroup is asked for."""
    way = [*inner_server(world), "--proxy-command", ssh_hop(world)]
    curl = world.tunproxy(*way, "--", "curl", "-sS", "--max-time", "60", f"http://{GOOD}/")
    check(curl.wait() == 0 and curl.output().startswith("hello"), curl.err())


def check_no_group(*programs):
    """Other runs have theirs in the same hierarchy."""
    names = " -o ".join(f"-name tunproxy-outside-{program.process.pid}" for program in programs)
    check(sh(f"find /sys/fs/cgroup {names}") == "", "no cgroup is left")


def test_way_command_for_the_machine(world):
    """Its own sockets pass the tunnel's routes, after a reconnect as well, and it ends with the tunnel."""
    program = expect_tunnel(world, [*world.ssh_arguments(), "--proxy-command", "nc %h %p"])
    check(command_runs(program, "nc"), "nc carries it")
    world.kill_sshd()
    world.start_sshd()
    until(lambda: world.traffic("outcome", GOOD, 80, 5) == "connected", "the tunnel comes back", 60)
    world.traffic("up", GOOD, MIB)
    check(program.stop() == 0, program.err())
    check(not [each for each in other_processes() if each.endswith(" nc")], "no command is left")
    check_no_group(program)


def test_way_command_ssh(world):
    program = expect_tunnel(world, [*inner_server(world), "--proxy-command", ssh_hop(world)])
    check(program.stop() == 0, program.err())


def test_way_command_crash(world):
    """Killed: the command goes too, the machine's traffic stays out of the open, the next run clears the rest away."""
    way = [*world.ssh_arguments(), "--proxy-command", "nc %h %p"]
    program = world.machine_tunnel(way=way)
    program.process.kill()
    program.wait()
    until(lambda: not [each for each in other_processes() if each.endswith(" nc")], "the command ends")
    check(world.traffic("outcome", GOOD, 80, 2) != "connected", "nothing goes out")
    again = world.tunproxy(*way)
    world.wait_up_by_route(again, "tunproxy0")  # not by traffic: while leftovers are put back it goes outside
    world.traffic("down", GOOD, MIB)
    check(again.stop() == 0, again.err())
    check_no_group(program, again)


def test_way_command_fails(world):
    """Why it ended is what is said."""
    way = world.ssh_arguments()
    expect(world.tunproxy(*way, "--proxy-command", "echo no way >&2", "--", "true"), 5, "ProxyCommand", "no way")
    expect(world.tunproxy(*way, "--proxy-command", "/no/such/program", "--", "true"), 5, "exit status 127")
    expect(world.tunproxy(*way, "--proxy-command", "nc %h %x", "--", "true"), 2, "%x")
    expect(world.tunproxy("--ssh", "root@a;b", "--proxy-command", "nc %h %p", "--", "true"), 2)
