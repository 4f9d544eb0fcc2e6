"""The SOCKS listener with real clients of all four languages, with BIND, and with clients that mean harm."""

import os
import shutil

from scenarios_udp import CARRIED, serve_udp
from world import CLIENT, GOOD, GOOD6, HERE, NO_HOST, NO_NET, TARGET, check, scale, sh, until

PORT = 1090
PROXY = f"127.0.0.1:{PORT}"
HELLO = "hello from the other side"
CLIENTS = os.path.join(HERE, "socks_clients.py")
PYTHON = "/usr/bin/python3"  # for which python3-socks and python3-pyftpdlib are installed
MIB = 1 << 20


def client(world, verb, *arguments):
    code, output = world.run([PYTHON, CLIENTS, verb, *map(str, arguments)])
    check(code == 0, f"{verb}: {output}")
    return output.strip()


def serve(world, namespace, name, port, *arguments):
    world.spawn(namespace, name, [PYTHON, CLIENTS, *map(str, arguments)])
    until(lambda: sh(f"ip netns exec {namespace} ss -Hltn 'sport = {port}'") or world.processes[-1].poll() is not None,
          f"{name} listens")
    check(world.processes[-1].poll() is None, world.text(name + ".err"))


def curl(world, *arguments):
    return world.run(["curl", "-sS", "--max-time", "60", *arguments])


def user_options(world):
    """Two users: one hashed by a tool, one in a file of the owner alone."""
    sh(f"""cd {world.directory}
    mkpasswd -m yescrypt secret > anna; chmod 644 anna
    echo 'bobs password' > bob; chmod 600 bob""")
    return "--socks-user", f"anna:{world.path('anna')}", "--socks-user", f"bob:{world.path('bob')}"


# -- real clients

def test_socks_curl(world):
    world.socks_tunnel(PORT)
    by_name, by_address = "http://web.test/", f"http://{GOOD}/"
    for way in (["--socks5-hostname", PROXY, by_name], ["--socks4a", PROXY, by_name], ["--socks5", PROXY, by_address],
                ["--socks4", PROXY, by_address], ["-p", "-x", f"http://{PROXY}", by_name],
                ["--socks5-hostname", PROXY, f"http://[{GOOD6}]/"], ["-p", "-x", f"http://{PROXY}", f"http://[{GOOD6}]/"]):
        code, output = curl(world, *way)
        check(code == 0 and HELLO in output, f"{way}: {code} {output}")
    code, output = curl(world, "-x", f"http://{PROXY}", by_name)
    check(code == 0 and "CONNECT alone" in output, f"plain HTTP is refused readably: {code} {output}")


def test_socks_curl_outcomes(world):
    world.socks_tunnel(PORT)
    for target, reply, status in ((f"{GOOD}:9", 5, 502), (f"{NO_HOST}:80", 4, 502), (f"{NO_NET}:80", 3, 502),
                                  ("nothing.test:80", 4, 502)):
        code, output = curl(world, "--socks5-hostname", PROXY, f"http://{target}/")
        check(code == 97 and f"({reply})" in output, f"{target} by SOCKS5: {code} {output}")
        code, output = curl(world, "--socks4a", PROXY, f"http://{target}/")
        check(code == 97 and "(91)" in output, f"{target} by SOCKS4a: {code} {output}")
        code, output = curl(world, "-p", "-x", f"http://{PROXY}", f"http://{target}/")
        check(code == 56 and str(status) in output, f"{target} by HTTP: {code} {output}")


def test_socks_users(world):
    world.socks_tunnel(PORT, *user_options(world))
    for user in ("anna:secret", "bob:bobs password"):
        for way in (["--socks5-hostname", PROXY], ["-p", "-x", f"http://{PROXY}"]):
            code, output = curl(world, *way, "-U", user, "http://web.test/")
            check(code == 0 and HELLO in output, f"{way} {user}: {code} {output}")
    for user in ("anna:Secret", "bob:secret", "eve:secret"):
        code, output = curl(world, "--socks5-hostname", PROXY, "-U", user, "http://web.test/")
        check(code == 97, f"{user} by SOCKS5: {code} {output}")
        code, output = curl(world, "-p", "-x", f"http://{PROXY}", "-U", user, "http://web.test/")
        check(code == 56 and "407" in output, f"{user} by HTTP: {code} {output}")
    check(curl(world, "--socks5-hostname", PROXY, "http://web.test/")[0] == 97, "nobody")
    check(curl(world, "--socks4a", f"anna@{PROXY}", "http://web.test/")[0] == 97, "SOCKS4 has no password")
    check(client(world, "pysocks", "SOCKS5", PORT, "web.test", 80, "anna", "secret") == HELLO, "PySocks, right")
    shown = client(world, "pysocks", "SOCKS5", PORT, "web.test", 80, "anna", "x")
    check("authentication failed" in shown, f"PySocks, wrong: {shown}")


def test_socks_pysocks(world):
    world.socks_tunnel(PORT)
    for kind in ("SOCKS5", "SOCKS4", "HTTP"):
        check(client(world, "pysocks", kind, PORT, "web.test", 80) == HELLO, f"PySocks by {kind}")
    check("refused" in client(world, "pysocks", "SOCKS5", PORT, GOOD, 9).lower(), "refused by SOCKS5")
    check("0x5b" in client(world, "pysocks", "SOCKS4", PORT, GOOD, 9).lower(), "refused by SOCKS4")
    check("502" in client(world, "pysocks", "HTTP", PORT, GOOD, 9), "refused by HTTP")


def test_socks_proxychains(world):
    world.socks_tunnel(PORT)
    for kind in ("socks5", "socks4", "http"):
        with open(world.path("proxychains.conf"), "w", encoding="ascii") as file:
            file.write(f"strict_chain\nproxy_dns\n[ProxyList]\n{kind} 127.0.0.1 {PORT}\n")
        code, output = world.run(["proxychains4", "-q", "-f", world.path("proxychains.conf"), "curl", "-sS",
                                  "--max-time", "60", "http://web.test/"])
        check(code == 0 and HELLO in output, f"proxychains by {kind}: {code} {output}")


def test_socks_ssh_and_ncat(world):
    """OpenSSH through both netcats, to an account behind the listener; and ncat by itself."""
    world.socks_tunnel(PORT)
    nc = shutil.which("nc.openbsd") or "nc"
    ways = [f"{nc} -X {kind} -x {PROXY} %h %p" for kind in ("5", "4", "connect")]
    ways += [f"ncat --proxy {PROXY} --proxy-type {kind} %h %p" for kind in ("socks5", "socks4", "http")]
    for way in ways:
        code, output = world.run(["ssh", "-F", "none", "-o", f"ProxyCommand={way}", "-o", "BatchMode=yes",
                                  "-o", f"UserKnownHostsFile={world.path('known_hosts')}", "-i", world.path("user_key"),
                                  "root@10.77.1.1", "echo through"])
        check(code == 0 and output.strip().endswith("through"), f"{way}: {code} {output}")


def test_socks_browser(world):
    """A headless Chromium loads a page and its fifty parts; nothing of it leaks."""
    serve(world, TARGET, "pages", 8080, "pages", 8080)
    world.socks_tunnel(PORT)
    code, output = world.run([
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        f"--user-data-dir={world.path('chromium')}", f"--proxy-server=socks5://{PROXY}",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        "--virtual-time-budget=60000", "--dump-dom", "http://web.test:8080/"])
    check(code == 0 and ">all 50 parts<" in output, f"{code} {output[-2000:]}")


def test_socks_thousand(world):
    """A thousand connections at once through the listener, by a client of SOCKS5."""
    program = world.socks_tunnel(PORT)
    outcomes = client(world, "many", PORT, GOOD, 7001, scale(1000, 200))
    check(outcomes == str(scale(1000, 200)), outcomes)
    check(program.process.poll() is None, "it runs on")


# -- BIND

REMOTE_PORTS = {"sshd": ["GatewayPorts clientspecified"]}


def reachable_server(world):
    """The target can reach the address that clients are told: the one at which the SSH server was reached."""
    sh(f"ip -n {TARGET} route add 10.77.1.1 via 10.77.2.1")


def test_socks_bind(world):
    reachable_server(world)
    serve(world, TARGET, "come_back", 7100, "come_back", 7100)
    world.socks_tunnel(PORT, "--log-level", "debug")
    shown = client(world, "bind_echo", PORT, "10.77.2.2", "10.77.2.2", 7100)
    check(shown == "10.77.2.2 100000", f"who came, and what came back: {shown}")


test_socks_bind.world = REMOTE_PORTS


def test_socks_bind_kinds(world):
    """For a name, of whose addresses one may come; for IPv6; by SOCKS4 and SOCKS4a. Strangers are turned away meanwhile."""
    reachable_server(world)
    sh(f"ip -n {TARGET} -6 route add fd77:1::1 via fd77:2::1")
    serve(world, TARGET, "come_back", 7100, "come_back", 7100)
    program = world.socks_tunnel(PORT, "--log-level", "debug")
    for host, sources in (("web.test", ("10.77.2.2", GOOD)), (GOOD, ("10.77.2.2", GOOD))):
        shown = client(world, "bind_echo", PORT, host, GOOD, 7100, *sources)
        check(shown == f"{GOOD} 100000", f"for {host}: {shown}")
    for arguments in ((GOOD, 7100), (GOOD, 7100, "web.test")):
        shown = client(world, "bind_echo4", PORT, *arguments)
        check(shown == f"{GOOD} 100000", f"by SOCKS4, {arguments}: {shown}")
    check(client(world, "outcome", PORT, 2, "nothing.test", 0) == "4", "a name that nobody has")
    program.stop()
    program = world.tunproxy(*world.ssh_arguments(host="fd77:1::1"), "--no-tun", "--socks", PROXY)
    until(lambda: program.process.poll() is not None or sh(f"ip netns exec {CLIENT} ss -Hltn 'sport = {PORT}'"), "the listener")
    shown = client(world, "bind_echo", PORT, GOOD6, GOOD6, 7100, "fd77:2::2", GOOD6)
    check(shown == f"{GOOD6} 100000", f"by IPv6: {shown}")


test_socks_bind_kinds.world = REMOTE_PORTS


def test_socks_bind_rules(world):
    """Where anybody may come, only those do whom the rules let in."""
    reachable_server(world)
    serve(world, TARGET, "come_back", 7100, "come_back", 7100)
    world.socks_tunnel(PORT, "--rule", f"allow {GOOD}", "--default-action", "deny")
    shown = client(world, "bind_echo", PORT, "0.0.0.0", GOOD, 7100, "10.77.2.2", GOOD)
    check(shown == f"{GOOD} 100000", shown)
    check(client(world, "outcome", PORT, 2, "10.77.2.2", 0) == "2", "one whom they do not")


test_socks_bind_rules.world = REMOTE_PORTS


def test_socks_ftp_active(world):
    """An FTP server opens the data connections: lists, down and up."""
    os.mkdir(world.path("ftp"))
    os.chmod(world.path("ftp"), 0o777)
    with open(world.path("ftp/big"), "wb") as file:
        file.write(os.urandom(3 * MIB))
    with open(world.path("upload"), "wb") as file:
        file.write(os.urandom(MIB))
    reachable_server(world)
    serve(world, TARGET, "ftpd", 21, "ftp_server", world.path("ftp"), 21)
    world.socks_tunnel(PORT)
    shown = client(world, "ftp", PORT, "10.77.2.2", 21, world.path("upload"))
    check(shown == f"['big'] {sh('sha256sum < ' + world.path('ftp/big')).split()[0]}", shown)
    sh(f"cmp {world.path('upload')} {world.path('ftp/sent')}")


test_socks_ftp_active.world = REMOTE_PORTS


def test_socks_ftp_socksify(world):
    """The same with lftp on dante's library, which turns bind() into BIND: a client of others."""
    os.mkdir(world.path("ftp"))
    os.chmod(world.path("ftp"), 0o777)
    for name in ("ftp/big", "upload"):
        with open(world.path(name), "wb") as file:
            file.write(os.urandom(3 * MIB))
    reachable_server(world)
    serve(world, TARGET, "ftpd", 21, "ftp_server", world.path("ftp"), 21)
    world.socks_tunnel(PORT)
    with open(world.path("socks.conf"), "w", encoding="ascii") as file:
        file.write(f"logoutput: stderr\nroute {{ from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = {PORT}\n"
                   "proxyprotocol: socks_v5 }\n")
    commands = ("set ftp:passive-mode off; set net:timeout 30; set net:max-retries 1; open 10.77.2.2; "
                f"get big -o {world.path('got')}; put {world.path('upload')} -o sent")
    code, output = world.run(["env", f"SOCKS_CONF={world.path('socks.conf')}", "socksify", "lftp", "-c", commands])
    check(code == 0 and output.count("Raccept(): accepted forwarded connection from 10.77.2.2") == 2, f"{code} {output}")
    sh(f"cmp {world.path('got')} {world.path('ftp/big')}; cmp {world.path('upload')} {world.path('ftp/sent')}")


test_socks_ftp_socksify.world = REMOTE_PORTS


def test_socks_bind_forbidden(world):
    program = world.socks_tunnel(PORT, "--log-level", "debug")
    check(client(world, "outcome", PORT, 2, GOOD, 0) == "2", "reply 02")
    check("the SSH server forbids remote forwarding" in program.err(), "and the log says why")
    check(client(world, "outcome", PORT, 1, GOOD, 7001) == "0", "CONNECT works beside it")


test_socks_bind_forbidden.world = {"sshd": ["AllowTcpForwarding local"]}


def test_socks_bind_upstream(world):
    """Through the BIND of the SOCKS5 server that is the way out."""
    world.start_socks_server()
    serve(world, TARGET, "come_back", 7100, "come_back", 7100)
    program = world.tunproxy("--socks5", "10.77.1.1", "--no-tun", "--socks", PROXY)
    until(lambda: program.process.poll() is not None or sh(f"ip netns exec {CLIENT} ss -Hltn 'sport = {PORT}'"),
          "the listener")
    check(client(world, "bind_echo", PORT, "10.77.2.2", "10.77.2.2", 7100) == "10.77.2.2 100000", "who came, and what came back")


# -- harm

def test_socks_half_open(world):
    """Ten thousand handshakes that never end, and one of a byte a second; others are served meanwhile."""
    program = world.socks_tunnel(PORT)
    drip = world.spawn(CLIENT, "drip", [PYTHON, CLIENTS, "drip", str(PORT)])
    count = scale(10000, 3000)
    world.spawn(CLIENT, "half_open", [PYTHON, CLIENTS, "half_open", str(PORT), str(count), world.path("open")])
    for _ in range(3):
        code, output = curl(world, "--socks5-hostname", PROXY, "http://web.test/")
        check(code == 0 and HELLO in output, f"during it: {code} {output}")
    until(lambda: os.path.exists(world.path("open")), f"they are open: {world.text('half_open.err')}")
    code, output = curl(world, "-p", "-x", f"http://{PROXY}", "http://web.test/")
    check(code == 0 and HELLO in output, f"beside them: {code} {output}")

    def held():
        return len(os.listdir(f"/proc/{program.process.pid}/fd"))
    check(held() < 2000, f"{held()} descriptors for {count} of them")
    until(lambda: held() < 60, "none stays beyond its ten seconds", 40)
    check(drip.wait(60) == 0 and int(world.text("drip.out")) < 50, f"cut off: {world.text('drip.out')}")


def test_socks_hostile(world):
    """Lengths, commands and addresses that are none; fragments and strangers' datagrams. Others are served after it."""
    serve_udp(world)
    program = world.socks_tunnel(PORT, "--log-level", "debug")
    until(lambda: CARRIED in program.err(), "UDP is carried")
    code, output = world.run([PYTHON, os.path.join(HERE, "socks_hostile.py"), str(PORT)])
    check(code == 0, f"{output}\n{program.err()[-3000:]}")
    check(program.process.poll() is None, "it runs on")
    code, output = curl(world, "--socks5-hostname", PROXY, "http://web.test/")
    check(code == 0 and HELLO in output, f"after it: {code} {output}")


def test_socks_exposed(world):
    """A listener that others can reach asks for a password, or says how."""
    program = world.tunproxy(*world.ssh_arguments(), "--no-tun", "--socks", f"0.0.0.0:{PORT}")
    check(program.wait() == 2 and "--socks-user" in program.err(), f"{program.process.poll()} {program.err()}")
    world.socks_tunnel(PORT, *user_options(world))
    check(client(world, "pysocks", "SOCKS5", PORT, "web.test", 80, "anna", "secret") == HELLO, "with users")
