"""Rules and split tunnelling: the TUN and SOCKS alike, and reloaded while running."""

import json
import os
import signal
import sys

from scenarios_socks import user_options
from scenarios_status import by_socks, curl, hold, refused_by_rules, status_json, write
from scenarios_udp import serve_udp
from world import CLIENT, GOOD, GOOD6, HERE, NO_HOST, SERVER, UDP_TRAFFIC, check, sh, until

PORT = 1090
PROXY = f"127.0.0.1:{PORT}"
DIRECT = "10.77.9.1"  # of the server, and reached outside the tunnel by the default route
DIRECT_PORT = 8088
WEB, REFUSING, ECHO_UDP = 80, 9, 7010
SOCKS_CLIENTS = os.path.join(HERE, "socks_clients.py")

RULES = f"""
deny web6.test                  # a name: for the TUN by what DNS said of it
deny tcp {GOOD}:{REFUSING}
deny udp {GOOD}:{ECHO_UDP}
deny 203.0.113.200 user nobody
default allow
"""


def udp_outcome(world, host, port):
    code, output = world.run([sys.executable, UDP_TRAFFIC, "outcome", host, str(port)])
    check(code == 0, output)
    return output.strip()


def test_rules_of_both_ways_in(world):
    """What is denied: reply 2 by SOCKS, ICMP prohibited in the TUN; the rest goes its way."""
    world.machine_tunnel("--rules", write(world, "rules", RULES), "--socks", PROXY)
    for code, output in (curl(world, "http://web.test/"), by_socks(world, "http://web.test/"),
                         by_socks(world, f"http://{GOOD}/")):
        check(code == 0 and "hello" in output, output)
    check(world.traffic("outcome", GOOD, REFUSING, 20) == "EHOSTUNREACH", "denied in the TUN, by address")
    code, output = curl(world, "-6", "http://web6.test/")
    check(code == 7, f"denied in the TUN, by the name that DNS told: {code} {output}")
    check(refused_by_rules(by_socks(world, "http://web6.test/")), "denied by SOCKS, by name")
    check(refused_by_rules(by_socks(world, f"http://{GOOD}:{REFUSING}/")), "denied by SOCKS, by address")
    check(udp_outcome(world, GOOD, ECHO_UDP) == "EHOSTUNREACH", "a datagram denied in the TUN")
    totals = status_json(world)["totals"]
    check(totals["refused"].get("not allowed", 0) >= 4, f"denied flows are counted: {totals}")
    check(totals["rules"].get("line 2", 0) >= 2 and totals["rules"].get("line 3", 0) >= 2, f"by rule: {totals}")
    check(totals["drops"].get("denied", 0) == 0, "a datagram that is told is not dropped silently")


def test_rules_tell_by_icmp(world):
    """Programs behind the TUN hear "administratively prohibited": code 13 of IPv4, 1 of IPv6. A host that cannot be reached has others."""
    world.machine_tunnel("--rules", write(world, "rules", f"deny {GOOD}\ndeny {GOOD6}\n"))
    for protocol in ("tcp", "udp"):
        check(world.traffic("icmp", protocol, GOOD, REFUSING) == "3 13 EHOSTUNREACH", f"IPv4, {protocol}")
        check(world.traffic("icmp", protocol, GOOD6, REFUSING) == "1 1 EACCES", f"IPv6, {protocol}")
    check(world.traffic("icmp", "tcp", NO_HOST, REFUSING) == "3 1 EHOSTUNREACH", "no host, no rule")


def test_rules_of_users(world):
    """Who a client is decides, in every language; the account tells who it was."""
    log = world.path("access.log")
    world.socks_tunnel(PORT, *user_options(world), "--rule", "deny * user bob", "--access-log", log, "--access-log-hosts")
    for way in ("socks5h", "http"):
        code, output = curl(world, "-p", "-x", f"{way}://anna:secret@{PROXY}", "http://web.test/")
        check(code == 0 and "hello" in output, f"anna by {way}: {output}")
        refused = curl(world, "-p", "-x", f"{way}://bob:bobs%20password@{PROXY}", "http://web.test/")
        check(refused_by_rules(refused) or "403" in refused[1], f"bob by {way}: {refused}")
    until(lambda: world.text("access.log").count("\n") == 4, "the access log")
    lines = [json.loads(line) for line in world.text("access.log").splitlines()]
    told = sorted((line["user"], line["host"], line["end"] == "not allowed") for line in lines)
    check(told == [("anna", "web.test", False)] * 2 + [("bob", "web.test", True)] * 2, str(told))


def test_rules_of_datagrams_by_socks(world):
    """A denied datagram gets no answer and is counted; the association goes on."""
    serve_udp(world)
    world.socks_tunnel(PORT, "--rule", "deny udp web.test", "--rule", f"deny udp {GOOD}:{ECHO_UDP}")
    code, output = world.run([sys.executable, UDP_TRAFFIC, "denied", str(PORT), f"{GOOD}:{ECHO_UDP}", f"web.test:{ECHO_UDP}",
                              f"{GOOD6}:{ECHO_UDP}"])
    check(code == 0 and output.strip() == GOOD6, output)
    totals = status_json(world)["totals"]
    check(totals["drops"].get("denied", 0) >= 2, str(totals))
    check(totals["rules"].get("rule 1", 0) >= 1 and totals["rules"].get("rule 2", 0) >= 1, str(totals["rules"]))


def test_rules_of_names_have_no_way_round(world):
    """Names that a resolver at the far end would take for a denied one get reply 8."""
    world.socks_tunnel(PORT, "--rule", "deny web.test")
    for name in ("web\u3002test", "\uff57eb.test", "w\\101b.test", "web\\.test"):
        code, output = world.run([sys.executable, SOCKS_CLIENTS, "outcome", str(PORT), "1", name, str(WEB)])
        check(code == 0 and output == "8\n", f"{name}: {output}")
    check(refused_by_rules(by_socks(world, "http://WEB.test./")), "in other letters, with a dot")
    check("hello" in by_socks(world, f"http://{GOOD}/")[1], "others go through")


def test_rules_resolve_names_through_the_tunnel(world):
    """A name cannot go round a rule about addresses, and goes to an address that was judged."""
    world.socks_tunnel(PORT, "--rule", "deny 2001:db8::/32", "--rule", "deny 10.9.0.0/16")
    check(refused_by_rules(by_socks(world, "http://web6.test/")), "all its addresses are denied")
    check(refused_by_rules(by_socks(world, "http://many.test/")), "all of many")
    code, output = by_socks(world, "http://web.test/")
    check(code == 0 and "hello" in output, output)
    code, output = by_socks(world, "http://nothing.test/")
    check(code == 97 and "(4)" in output, f"a name without an address: {output}")


def test_rules_simple_form(world):
    world.socks_tunnel(PORT, "--allowed-hosts", "web.test", "--allowed-hosts", GOOD, "--allowed-ports", str(WEB))
    for url in ("http://web.test/", f"http://{GOOD}/"):
        check("hello" in by_socks(world, url)[1], url)
    for url in ("http://web6.test/", f"http://{GOOD}:{REFUSING}/", f"http://[{GOOD6}]/"):
        check(refused_by_rules(by_socks(world, url)), url)


def serve_direct(world):
    """A web server on DIRECT, and an echo of datagrams there: of the server, and reached by the default route."""
    # Not http.server's own server: that looks up its name, for which nobody answers here.
    web = (f"import http.server as h, socketserver as s; "
           f"s.ThreadingTCPServer(('{DIRECT}', {DIRECT_PORT}), h.SimpleHTTPRequestHandler).serve_forever()")
    echo = (f"import socket as s; k = s.socket(s.AF_INET, s.SOCK_DGRAM); k.bind(('{DIRECT}', {ECHO_UDP}))\n"
            "while True: k.sendto(*k.recvfrom(66000))")
    sh(f"ip -n {SERVER} addr add {DIRECT}/32 dev lo")
    world.spawn(SERVER, "direct", [sys.executable, "-u", "-c", web])
    world.spawn(SERVER, "direct_echo", [sys.executable, "-c", echo])
    until(lambda: sh(f"ip netns exec {SERVER} ss -Hltn 'sport = {DIRECT_PORT}'"), "the direct server listens")
    until(lambda: sh(f"ip netns exec {SERVER} ss -Hlun 'sport = {ECHO_UDP} and src {DIRECT}'"), "the direct echo listens")


def expect_direct(world, *requests):
    """Each request reaches the direct server from this machine itself."""
    before = len(world.text("direct.err").splitlines())
    for arguments in requests:
        code, output = curl(world, *arguments)
        check(code == 0, f"{arguments}: {output}")
    log = world.text("direct.err").splitlines()[before:]
    check(len(log) == len(requests) and all(line.startswith("10.77.1.2 ") for line in log), f"from the client itself: {log}")


def test_rules_direct(world):
    """What rules send outside the tunnel comes from this machine: from the TUN and from SOCKS."""
    serve_direct(world)
    rules = write(world, "rules", f"direct {DIRECT}:{DIRECT_PORT}\n")
    program = world.machine_tunnel("--rules", rules, "--socks", PROXY)
    url = f"http://{DIRECT}:{DIRECT_PORT}/?"
    expect_direct(world, [url + "tun"], ["--socks5", PROXY, url + "socks"])
    write(world, "rules", "")
    program.send(signal.SIGHUP)
    until(lambda: "rules are read again" in program.err(), "the reload")
    code, output = curl(world, url + "tunnel")
    last = world.text("direct.err").splitlines()[-1]
    check(code == 0 and last.startswith(f"{DIRECT} "), f"through the tunnel now, so from the server itself: {last}")


def test_rules_direct_by_name(world):
    """A name that is to go outside does, by what DNS told of it in the TUN, and as the name that SOCKS has."""
    serve_direct(world)
    world.machine_tunnel("--rule", "direct *.lan", "--rule", f"deny {DIRECT}", "--socks", PROXY)
    url = f"http://printer.lan:{DIRECT_PORT}/?"
    expect_direct(world, [url + "tun"], ["--socks5-hostname", PROXY, url + "socks"])
    check(world.traffic("outcome", GOOD, WEB, 20) == "connected", "the rest goes through the tunnel")
    flows = status_json(world, "--show-hosts")["ended"]
    check({flow["way"] for flow in flows if flow["port"] == DIRECT_PORT} == {"direct"}, str(flows))


def test_rules_direct_datagrams_from_now_on(world):
    """Without a carrier, rules that are read later lead datagrams outside, of users that there were before, too."""
    serve_direct(world)
    rules = write(world, "rules", "")
    program = world.machine_tunnel("--udp", "none", "--rules", rules, "--socks", PROXY)

    def by_tun():
        return udp_outcome(world, DIRECT, ECHO_UDP)

    def by_socks_associate():
        return world.run([sys.executable, UDP_TRAFFIC, "denied", str(PORT), f"{DIRECT}:{ECHO_UDP}"])
    check(by_tun() == "ECONNREFUSED", "not carried")
    code, output = by_socks_associate()
    check(code == 1 and "reply 7" in output, output)
    write(world, "rules", f"direct udp {DIRECT}\n")
    program.send(signal.SIGHUP)
    until(lambda: by_tun() == "echoed", "the TUN's datagrams go outside")
    code, output = by_socks_associate()
    check(code == 0 and output.strip() == DIRECT, f"SOCKS': {output}")
    check(status_json(world)["totals"]["carriers"]["direct"]["datagrams_down"] >= 2, "they are counted")


for scenario in (test_rules_direct, test_rules_direct_by_name, test_rules_direct_datagrams_from_now_on):
    scenario.world = {"ours": f"tcp port {DIRECT_PORT} or (udp port {ECHO_UDP} and host {DIRECT})"}


def test_rules_reload(world):
    """SIGHUP: new rules for new flows, flows stay; a bad file changes nothing and its line is named."""
    rules = write(world, "rules", "")
    program = world.socks_tunnel(PORT, "--rules", rules)
    held = hold(world)
    write(world, "rules", "deny web.test\n")
    program.send(signal.SIGHUP)
    until(lambda: refused_by_rules(by_socks(world, "http://web.test/")), "the new rules hold")
    write(world, "rules", "# fine\nallow *\nforbid *\n")
    program.send(signal.SIGHUP)
    until(lambda: f"{rules}, line 3: 'forbid'" in program.err(), "the bad line is named")
    check(refused_by_rules(by_socks(world, "http://web.test/")), "the old rules hold")
    check("hello" in by_socks(world, f"http://{GOOD}/")[1], "and let through what they did")
    check(held.poll() is None and program.process.poll() is None, "the open flow is as it was")


def test_reload_leaves_datagrams_alone(world):
    """Associations go on through good and bad rules; what new rules deny goes no further from then on."""
    serve_udp(world)
    rules = write(world, "rules", "")
    program = world.machine_tunnel("--rules", rules)
    talk = world.spawn(CLIENT, "talk", [sys.executable, UDP_TRAFFIC, "talk", GOOD])

    def echoes():
        return len(world.text("talk.out").splitlines())

    def goes_on(what):
        before = echoes()
        until(lambda: echoes() > before + 2, what)
    goes_on("it talks")
    write(world, "rules", "deny 198.51.100.0/24\n")
    program.send(signal.SIGHUP)
    until(lambda: program.err().count("rules are read again") == 1, "good rules")
    goes_on("with good rules")
    write(world, "rules", "deny *\nforbid *\n")
    program.send(signal.SIGHUP)
    until(lambda: f"{rules}, line 2: 'forbid'" in program.err(), "bad rules")
    goes_on("with bad rules")
    flows = [flow for flow in status_json(world)["flows"] if flow["command"] == "associate"]
    check(len(flows) == 1, f"one association: {flows}")
    write(world, "rules", f"deny udp {GOOD}\n")
    program.send(signal.SIGHUP)
    until(lambda: udp_outcome(world, GOOD, ECHO_UDP) == "EHOSTUNREACH", "denied now")
    talk.kill()  # or it would go on when the tunnel is gone
    talk.wait()


def test_reload_tells_all_that_is_wrong(world):
    """New passwords hold; a file that is of no use is named, all of them at once, and what was read before stays."""
    rules = write(world, "rules", "")
    password = write(world, "password", "first\n")
    os.chmod(password, 0o600)
    program = world.socks_tunnel(PORT, "--rules", rules, "--socks-user", f"anna:{password}")

    def may(word):
        return curl(world, "--socks5-hostname", PROXY, "-U", f"anna:{word}", "http://web.test/")[0] == 0
    check(may("first") and not may("second"), "the first password")
    write(world, "password", "second\n")
    program.send(signal.SIGHUP)
    until(lambda: may("second"), "the second")
    check(not may("first"), "and no other")
    write(world, "password", "")
    write(world, "rules", "forbid *\n")
    program.send(signal.SIGHUP)
    until(lambda: "the listener's users and certificates stay as they were" in program.err(), "the users")
    check(f"{rules}, line 1: 'forbid'" in program.err() and password in program.err(), program.err())
    check(may("second"), "it holds")


def test_rules_that_are_wrong_at_the_start(world):
    rules = write(world, "rules", "allow *\ndeny 10.0.0.1/8\n")
    program = world.tunproxy(*world.ssh_arguments(), "--no-tun", "--socks", PROXY, "--rules", rules)
    check(program.wait() == 2 and f"{rules}, line 2" in program.err(), program.err())
