"""TLS end to end: real clients at the listener, a real SOCKS5 server behind TLS, and what each says of certificates that are wrong."""

import os
import signal

from certificates import Authority
from scenarios_socks import serve
from world import CLIENT, GOOD, SERVER, TARGET, check, sh, until

PORT, PLAIN, UPSTREAM = 1443, 1444, 1445
PROXY = f"127.0.0.1:{PORT}"
HELLO = "hello from the other side"
PAGE, BY_ADDRESS = "http://web.test/", f"http://{GOOD}/"
OURS = {"ours": f"tcp port {UPSTREAM}"}
OLD = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]


def authority(world, name="ca"):
    made = Authority(world.directory, name)
    made.make("server", "DNS:proxy.test,IP:127.0.0.1,IP:10.77.1.1")
    return made


def tls_options(ca, name="server"):
    return ["--socks-tls", f"{ca.path(name)}.pem:{ca.path(name)}.key"]


def stunnel(world, namespace, name, port, lines):
    with open(world.path(name + ".conf"), "w", encoding="ascii") as file:
        file.write("\n".join(["foreground = yes", "pid =", "syslog = no", "debug = info", "[it]", *lines]) + "\n")
    process = world.spawn(namespace, name, ["stunnel4", world.path(name + ".conf")])
    until(lambda: process.poll() is not None or sh(f"ip netns exec {namespace} ss -Hltn 'sport = {port}'"), f"{name} listens")
    check(process.poll() is None, world.text(name + ".err"))
    return process


def curl(world, *arguments):
    return world.run(["curl", "-sS", "--max-time", "60", *arguments])


def curl_over_tls(world, ca, *arguments):
    return curl(world, "-p", "-x", f"https://{PROXY}", "--proxy-cacert", ca.pem, *arguments, PAGE)


def openssl_client(world, ca, *arguments):
    """What s_client has to say when it asks for what is refused, and is answered."""
    command = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect {PROXY} -CAfile {ca.pem} -ign_eof "
    return world.run(["sh", "-c", command + " ".join(arguments)])[1]


def shown(ca, name):
    pem, key = ca.path(name + ".pem"), ca.path(name + ".key")
    return ["--proxy-cert", pem, "--proxy-key", key]


def says(program, text):
    until(lambda: text in program.err(), f"'{text}' in the log:\n{program.err()}")


# -- the listener

def test_tls_listener(world):
    """curl and stunnel in front of the listener, with a password; sessions are resumed."""
    ca = authority(world)
    with open(os.open(world.path("anna"), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write("secret\n")
    world.socks_tunnel(PORT, *tls_options(ca), "--socks-user", f"anna:{world.path('anna')}")
    code, output = curl_over_tls(world, ca, "-U", "anna:secret")
    check(code == 0 and HELLO in output, f"HTTP CONNECT over TLS: {code} {output}")
    code, output = curl_over_tls(world, ca, "-U", "anna:guess")
    check(code == 56 and "407" in output, f"with a wrong password: {code} {output}")
    stunnel(world, CLIENT, "stunnel", PLAIN, ["client = yes", f"accept = 127.0.0.1:{PLAIN}", f"connect = {PROXY}",
                                              f"CAfile = {ca.pem}", "verifyChain = yes", "checkHost = proxy.test"])
    for _ in range(2):
        code, output = curl(world, "--socks5-hostname", f"127.0.0.1:{PLAIN}", "-U", "anna:secret", PAGE)
        check(code == 0 and HELLO in output, f"SOCKS5 through stunnel: {code} {output}")
    until(lambda: "TLS connected: previous session reused" in world.text("stunnel.err"), "stunnel resumes its session")
    for version in ("-tls1_2", "-tls1_3"):
        output = openssl_client(world, ca, version, "-sess_out", world.path("session"))
        check("New, TLSv1." in output and "CONNECT alone" in output, f"{version}: {output}")
        output = openssl_client(world, ca, version, "-sess_in", world.path("session"))
        check("Reused, TLSv1." in output and "CONNECT alone" in output, f"{version} again: {output}")


def test_tls_listener_mutual(world):
    """Certificates of clients: who comes in without any password, and what is said of the others."""
    ca, stranger = authority(world), Authority(world.directory, "stranger")
    for made, name, valid in ((ca, "good", "now"), (ca, "late", "no more"), (ca, "early", "not yet"), (stranger, "bad", "now")):
        made.make(name, valid=valid)
    program = world.tunproxy(*world.ssh_arguments(), "--no-tun", "--socks", f"0.0.0.0:{PORT}", *tls_options(ca),
                             "--socks-client-ca", ca.pem)
    until(lambda: program.process.poll() is not None or "listener on" in program.err(), "it listens for all")
    check(program.process.poll() is None, program.err())
    code, output = curl_over_tls(world, ca, *shown(ca, "good"))
    check(code == 0 and HELLO in output, f"the right certificate: {code} {output}")
    stunnel(world, CLIENT, "stunnel", PLAIN, ["client = yes", f"accept = 127.0.0.1:{PLAIN}", f"connect = {PROXY}",
                                              f"cert = {ca.path('good.pem')}", f"key = {ca.path('good.key')}"])
    code, output = curl(world, "--socks5-hostname", f"127.0.0.1:{PLAIN}", PAGE)
    check(code == 0 and HELLO in output, f"the right certificate by stunnel: {code} {output}")
    refused = "a client at 127.0.0.1 is refused: TLS: "
    for certificate, alert, reason in (
            ([], "certificate required", "the client showed no certificate, and one is wanted here"),
            (shown(stranger, "bad"), "unknown ca", "the client's certificate is by an authority that is not trusted here: /CN=Authority stranger"),
            (shown(ca, "late"), "certificate expired", "the client's certificate has expired (valid until Jan  1 00:00:00 2021"),
            (shown(ca, "early"), "bad certificate", "the client's certificate is not valid yet (from Jan  1 00:00:00 2098")):
        code, output = curl_over_tls(world, ca, *certificate)
        check(code in (35, 56) and alert in output, f"the client hears of {alert}: {code} {output}")
        says(program, refused + reason)
    openssl_client(world, ca, *OLD)
    says(program, refused + "the peer speaks only versions of TLS that are too old")


def test_tls_listener_peers(world):
    """Clients that do not trust it, that speak no TLS, or one that is too old for it."""
    ca, stranger = authority(world), authority(world, "stranger")
    program = world.socks_tunnel(PORT, *tls_options(ca), "--socks-tls-minimum", "1.3")
    code, output = curl_over_tls(world, stranger)
    check(code == 60, f"an authority that curl does not know: {code} {output}")
    says(program, "is refused: TLS: the peer does not trust the authority of our certificate")
    check(curl(world, "--socks5-hostname", PROXY, PAGE)[0] != 0, "SOCKS5 without TLS")
    says(program, "is refused: TLS: this is a SOCKS client without TLS at a port for TLS")
    check(curl(world, "-p", "-x", f"http://{PROXY}", PAGE)[0] != 0, "HTTP without TLS")
    says(program, "is refused: TLS: this is an HTTP client without TLS at a port for TLS")
    check("alert protocol version" in openssl_client(world, ca, "-tls1_2"), "TLS 1.2 is told why")
    says(program, "is refused: TLS: the peer speaks only versions of TLS that are too old")
    code, output = curl_over_tls(world, ca)
    check(code == 0 and HELLO in output, f"others are served: {code} {output}")


def test_tls_reload(world):
    """HUP: a bad certificate changes nothing and is named, beside whatever else is bad; a new one is for new clients."""
    ca = authority(world)
    rules = world.path("rules")
    sh(f"echo 'allow *' > {rules}")
    program = world.socks_tunnel(PORT, *tls_options(ca), "--rules", rules)
    issuer = f"openssl s_client -connect {PROXY} < /dev/null 2>&1 | grep '^issuer='"
    check("Authority ca" in world.run(["sh", "-c", issuer])[1], "the first")
    good = ca.path("server.pem")
    os.rename(good, good + ".old")
    with open(good, "w", encoding="ascii") as file:
        file.write("no certificate\n")
    sh(f"echo 'alow *' > {rules}")
    program.process.send_signal(signal.SIGHUP)
    says(program, f"; the listener's users and certificates stay as they were: TLS: {good}")
    says(program, f"the rules stay as they were: {rules}")
    sh(f"echo 'allow *' > {rules}")
    check("Authority ca" in world.run(["sh", "-c", issuer])[1], "the old one stays")
    new = authority(world, "new")
    sh(f"cp {new.path('server.key')} {ca.path('server.key')}; cp {new.path('server.pem')} {good}")
    program.process.send_signal(signal.SIGHUP)
    says(program, "the listener's users and certificates are read again")
    check("Authority new" in world.run(["sh", "-c", issuer])[1], "the new one")
    code, output = curl_over_tls(world, new)
    check(code == 0 and HELLO in output, f"it serves: {code} {output}")


def test_tls_browser(world):
    """Chromium loads a page and its fifty parts, and speaks TLS to its proxy as well as to the server behind it."""
    ca = authority(world)
    page = ca.make("page", "DNS:web.test")
    serve(world, TARGET, "pages", 8443, "pages", 8443, *page)
    world.socks_tunnel(PORT, *tls_options(ca))
    hashes = ",".join(sh(f"openssl x509 -in {ca.path(name)}.pem -noout -pubkey | openssl pkey -pubin -outform der | "
                         "openssl dgst -sha256 -binary | base64").strip() for name in ("server", "page"))
    code, output = world.run([
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        f"--user-data-dir={world.path('chromium')}", f"--ignore-certificate-errors-spki-list={hashes}",
        f"--proxy-server=https://{PROXY}", "--virtual-time-budget=60000", "--dump-dom", "https://web.test:8443/"])
    check(code == 0 and ">all 50 parts<" in output, f"{code} {output[-2000:]}")


# -- the way out

def upstream(world, ca, *lines):
    """danted, and stunnel in front of it."""
    world.start_socks_server()
    return stunnel(world, SERVER, "front", UPSTREAM, [f"accept = 10.77.1.1:{UPSTREAM}", "connect = 10.77.1.1:1080",
                                                      f"cert = {ca.path('server.pem')}", f"key = {ca.path('server.key')}", *lines])


def through(world, *arguments):
    program = world.tunproxy("--socks5", f"tls://10.77.1.1:{UPSTREAM}", "--no-tun", "--socks", f"127.0.0.1:{PLAIN}", *arguments)
    until(lambda: program.process.poll() is not None or sh(f"ip netns exec {CLIENT} ss -Hltn 'sport = {PLAIN}'"), "the listener")
    return program


def served(world):
    code, output = curl(world, "--socks5-hostname", f"127.0.0.1:{PLAIN}", BY_ADDRESS)
    check(code == 0 and HELLO in output, f"{code} {output}")


def test_tls_upstream(world):
    """A SOCKS5 server behind TLS that wants a certificate; both ends of it are read again on HUP."""
    ca, new = authority(world), authority(world, "new")
    for each in (ca, new):
        each.make("client")
    front = upstream(world, ca, f"CAfile = {ca.pem}", "verifyChain = yes")
    trusted, mine, key = (world.path(name) for name in ("trusted", "mine.pem", "mine.key"))
    sh(f"cp {ca.pem} {trusted}; cp {ca.path('client.pem')} {mine}; cp {ca.path('client.key')} {key}; chmod 600 {key}")
    program = through(world, "--socks5-ca", trusted, "--socks5-cert", mine, "--socks5-key", key)
    check(program.process.poll() is None, program.err())
    served(world)
    front.terminate()
    front.wait()
    stunnel(world, SERVER, "front2", UPSTREAM, [f"accept = 10.77.1.1:{UPSTREAM}", "connect = 10.77.1.1:1080",
                                                f"cert = {new.path('server.pem')}", f"key = {new.path('server.key')}",
                                                f"CAfile = {new.pem}", "verifyChain = yes"])
    check(curl(world, "--socks5-hostname", f"127.0.0.1:{PLAIN}", BY_ADDRESS)[0] == 97, "the new authority is not trusted yet")
    sh(f"echo nonsense > {mine}")
    program.process.send_signal(signal.SIGHUP)
    says(program, f"the certificates for the SOCKS5 server stay as they were: TLS: {mine}")
    sh(f"cp {new.pem} {trusted}; cp {new.path('client.pem')} {mine}; cp {new.path('client.key')} {key}")
    program.process.send_signal(signal.SIGHUP)
    until(lambda: curl(world, "--socks5-hostname", f"127.0.0.1:{PLAIN}", BY_ADDRESS)[0] == 0, "it is trusted, and trusts us")


test_tls_upstream.world = OURS


def test_tls_upstream_refused(world):
    """What is said of a server that is not the right one."""
    ca, stranger = authority(world), authority(world, "stranger")
    ca.make("late", "IP:10.77.1.1", "no more")
    ca.make("early", "IP:10.77.1.1", "not yet")
    for server, options, reason in (
            ("server", ["--socks5-ca", stranger.pem], "is by an authority that is not trusted here: /CN=Authority ca"),
            ("server", [], "is by an authority that is not trusted here: /CN=Authority ca"),
            ("server", ["--socks5-ca", ca.pem, "--socks5-name", "elsewhere.test"],
             "the certificate of elsewhere.test is for another name: proxy.test"),
            ("late", ["--socks5-ca", ca.pem], "has expired (valid until Jan  1 00:00:00 2021"),
            ("early", ["--socks5-ca", ca.pem], "is not valid yet (from Jan  1 00:00:00 2098"),
            ("server -Verify 1 -verify_return_error -CAfile " + ca.pem, ["--socks5-ca", ca.pem],
             "TLS: the server wants a client certificate, and we have none for it"),
            ("server " + " ".join(OLD), ["--socks5-ca", ca.pem], "TLS: the peer speaks none of the versions that are allowed here")):
        name, _, extra = server.partition(" ")
        front = world.spawn(SERVER, "front", ["openssl", "s_server", "-accept", f"10.77.1.1:{UPSTREAM}", "-cert",
                                              ca.path(name + ".pem"), "-key", ca.path(name + ".key"), "-rev", *extra.split()])
        until(lambda: "ACCEPT" in world.text("front.out"), f"s_server listens: {world.text('front.err')}")
        program = through(world, *options)
        check(program.wait() in (4, 5) and reason in program.err(), f"{reason}: {program.process.poll()}\n{program.err()}")
        front.terminate()
        front.wait()


test_tls_upstream_refused.world = OURS
