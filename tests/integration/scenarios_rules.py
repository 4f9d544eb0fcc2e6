"""Rules, split tunnelling and the account: the TUN and SOCKS alike, reloaded while running, and told to whom asks."""

import json
import os
import signal
import stat
import sys

import world as worlds
from world import CLIENT, GOOD, GOOD6, SERVER, UDP_TRAFFIC, check, sh, until

PORT = 1090
PROXY = f"127.0.0.1:{PORT}"
METRICS = "127.0.0.1:9190"
DIRECT = "10.77.9.1"  # of the server, and reached outside the tunnel by the default route
DIRECT_PORT = 8088
WEB, REFUSING, ECHO_UDP = 80, 9, 7010

RULES = f"""
deny web6.test                  # a name: for the TUN by what DNS said of it
deny tcp {GOOD}:{REFUSING}
deny udp {GOOD}:{ECHO_UDP}
deny 203.0.113.200 user nobody
default allow
"""


def write(world, name, text):
    with open(world.path(name), "w", encoding="ascii") as file:
        file.write(text)
    return world.path(name)


def curl(world, *arguments):
    return world.run(["curl", "-sS", "--max-time", "60", *arguments])


def by_socks(world, url, way="--socks5-hostname"):
    return curl(world, way, PROXY, url)


# A flow by SOCKS5 to an echo, which says so and then stays until it is ended.
HOLD = f"""
import socket
sock = socket.create_connection(("127.0.0.1", {PORT}))
sock.sendall(bytes([5, 1, 0]) + bytes([5, 1, 0, 1]) + socket.inet_aton("{GOOD}") + (7001).to_bytes(2, "big") + b"x")
data = b""
while len(data) < 13:
    data += sock.recv(100)
print(data[-1:].decode(), flush=True)
sock.recv(1)
print("ended", flush=True)
"""


def hold(world):
    process = world.spawn(CLIENT, "held", [sys.executable, "-c", HOLD])
    until(lambda: world.text("held.out") or process.poll() is not None, "a flow is open")
    check(world.text("held.out") == "x\n", world.text("held.err"))
    return process


def refused_by_rules(outcome):
    code, output = outcome
    return code == 97 and "(2)" in output


def status(world, *arguments):
    code, output = world.run([worlds.FORMER["program"], "status", *arguments])
    check(code == 0, f"status: {output}")
    return output


def status_json(world, *arguments):
    return json.loads(status(world, "--json", *arguments))


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


def test_rules_direct(world):
    """What rules send outside the tunnel comes from this machine: from the TUN and from SOCKS."""
    # Not http.server's own server: that looks up its name, for which nobody answers here.
    serve = (f"import http.server as h, socketserver as s; "
             f"s.ThreadingTCPServer(('{DIRECT}', {DIRECT_PORT}), h.SimpleHTTPRequestHandler).serve_forever()")
    sh(f"ip -n {SERVER} addr add {DIRECT}/32 dev lo")
    world.spawn(SERVER, "direct", [sys.executable, "-u", "-c", serve])
    until(lambda: sh(f"ip netns exec {SERVER} ss -Hltn 'sport = {DIRECT_PORT}'"), "the direct server listens")
    rules = write(world, "rules", f"direct {DIRECT}:{DIRECT_PORT}\n")
    program = world.machine_tunnel("--rules", rules, "--socks", PROXY)
    url = f"http://{DIRECT}:{DIRECT_PORT}/?"
    for way, arguments in (("tun", ()), ("socks", ("--socks5", PROXY))):
        code, output = curl(world, *arguments, url + way)
        check(code == 0, output)
    log = world.text("direct.err").splitlines()
    check(len(log) == 2 and all(line.startswith("10.77.1.2 ") for line in log), f"from the client itself: {log}")
    write(world, "rules", "")
    program.send(signal.SIGHUP)
    until(lambda: "rules are read again" in program.err(), "the reload")
    code, output = curl(world, url + "tunnel")
    last = world.text("direct.err").splitlines()[-1]
    check(code == 0 and last.startswith(f"{DIRECT} "), f"through the tunnel now, so from the server itself: {last}")


test_rules_direct.world = {"ours": f"tcp port {DIRECT_PORT}"}


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


def test_rules_that_are_wrong_at_the_start(world):
    rules = write(world, "rules", "allow *\ndeny 10.0.0.1/8\n")
    program = world.tunproxy(*world.ssh_arguments(), "--no-tun", "--socks", PROXY, "--rules", rules)
    check(program.wait() == 2 and f"{rules}, line 2" in program.err(), program.err())


def test_account(world):
    """The control socket, the metrics and the access log tell of one flow, and of its host only who asks for it."""
    log = world.path("access.log")
    program = world.socks_tunnel(PORT, "--metrics", METRICS, "--access-log", log, "--rule", "deny bad.test")
    check("hello" in by_socks(world, "http://web.test/")[1], "a flow")
    check(refused_by_rules(by_socks(world, "http://bad.test/")), "a denied one")
    hold(world)

    folder, name = "/run/tunproxy", f"control-{program.process.pid}.sock"
    sockets = os.listdir(folder)
    check(sockets == [name], f"one control socket: {sockets}")
    check(stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode) == 0o600, "its mode")
    hidden = status_json(world)
    check(hidden["tunnel"]["state"] == "online" and "10.77.1.1" in hidden["tunnel"]["server"], str(hidden["tunnel"]))
    flows = [flow for flow in hidden["flows"] if flow["state"] == "open"]
    check(len(flows) == 1 and flows[0]["source"] == "socks" and flows[0]["down"] > 0, str(hidden["flows"]))
    check(GOOD not in json.dumps(hidden["flows"]) and "host" not in flows[0], "hosts are hidden")
    check(hidden["totals"]["complete"] + hidden["totals"]["closed"] >= 1, str(hidden["totals"]))
    check(hidden["throughput"].keys() == {"up", "down"}, "throughput")
    check([flow.get("host") for flow in status_json(world, "--show-hosts")["flows"]] == [GOOD], "hosts on request")
    text = status(world)
    check(text.startswith("online: SSH ") and "\nnow:" in text, text)
    code, output = world.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", worlds.FORMER["program"],
                              "status", "--control", os.path.join(folder, name)])
    check(code == 6 and len(output.strip().splitlines()) == 1, f"another user may not ask: {code} {output}")

    code, metrics = curl(world, f"http://{METRICS}/metrics")
    check(code == 0 and "\ntunproxy_up 1\n" in metrics, metrics)
    check('tunproxy_flows_refused_total{reason="not allowed"} 1' in metrics, metrics)
    check(GOOD not in metrics and "web.test" not in metrics, "metrics tell no host")

    lines = until(lambda: [json.loads(line) for line in open(log, encoding="utf-8")] if os.path.getsize(log) else None,
                  "the access log")
    check(len(lines) == 2 and lines[0]["down"] > 0 and lines[1]["end"] == "not allowed", str(lines))
    check("test" not in lines[0]["host"] and lines[0]["host"] != lines[1]["host"], "hashes, not hosts")
    os.rename(log, log + ".1")
    program.send(signal.SIGHUP)
    until(lambda: os.path.exists(log), "the access log is begun anew")
    check("hello" in by_socks(world, "http://web.test/")[1], "one more flow")
    until(lambda: os.path.getsize(log), "it is in the new file")
    program.stop()
    check(not os.path.exists(folder), "nothing is left")


def test_status_without_a_tunnel(world):
    sh("mkdir -p /run/tunproxy; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind("
       "'/run/tunproxy/control-1.sock')\"")
    code, output = world.run([worlds.FORMER["program"], "status"])
    check(code == 1 and "no tunproxy of this user runs" in output, output)
    check(os.listdir("/run/tunproxy") == [], "what a crash left behind is removed")
    sh("rmdir /run/tunproxy")
