"""The account: what `tunproxy status`, Prometheus and the access log tell of what flows, and what they do not."""

import json
import os
import signal
import stat
import sys

import world as worlds
from scenarios_udp import serve_udp
from world import CLIENT, GOOD, UDP_TRAFFIC, check, sh, until

PORT = 1090
PROXY = f"127.0.0.1:{PORT}"
METRICS = "127.0.0.1:9190"


def write(world, name, text):
    with open(world.path(name), "w", encoding="ascii") as file:
        file.write(text)
    return world.path(name)


def curl(world, *arguments):
    return world.run(["curl", "-sS", "--max-time", "60", *arguments])


def by_socks(world, url, way="--socks5-hostname"):
    return curl(world, way, PROXY, url)


def refused_by_rules(outcome):
    code, output = outcome
    return code == 97 and "(2)" in output


# A flow by SOCKS5 to an echo, which says so and then stays until it is ended.
HOLD = f"""
import socket, sys
sock = socket.create_connection(("127.0.0.1", {PORT}))
sock.sendall(bytes([5, 1, 0]) + bytes([5, 1, 0, 1]) + socket.inet_aton("{GOOD}") + (7001).to_bytes(2, "big") + b"x")
data = b""
while len(data) < 13:
    data += sock.recv(100) or sys.exit("it ended")
print(data[-1:].decode(), flush=True)
sock.recv(1)
print("ended", flush=True)
"""


def hold(world):
    process = world.spawn(CLIENT, "held", [sys.executable, "-c", HOLD])
    until(lambda: world.text("held.out") or process.poll() is not None, "a flow is open")
    check(world.text("held.out") == "x\n", world.text("held.err"))
    return process


def status(world, *arguments):
    code, output = world.run([worlds.FORMER["program"], "status", *arguments])
    check(code == 0, f"status: {output}")
    return output


def status_json(world, *arguments):
    return json.loads(status(world, "--json", *arguments))


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

    until(lambda: world.text("access.log").count("\n") == 2, "the access log")
    lines = sorted(map(json.loads, world.text("access.log").splitlines()), key=lambda line: line["id"])
    check(lines[0]["down"] > 0 and lines[1]["end"] == "not allowed", str(lines))
    check("test" not in lines[0]["host"] and lines[0]["host"] != lines[1]["host"], "hashes, not hosts")
    os.rename(log, log + ".1")
    program.send(signal.SIGHUP)
    until(lambda: os.path.exists(log), "the access log is begun anew")
    check("hello" in by_socks(world, "http://web.test/")[1], "one more flow")
    until(lambda: os.path.getsize(log), "it is in the new file")
    program.stop()
    check(not os.path.exists(folder), "nothing is left")


def test_status_tells_all(world):
    """Each flow with all that is known of it, also how it ended; and the counters by carrier, session, command, rule and reply."""
    serve_udp(world)
    world.machine_tunnel("--socks", PROXY, "--metrics", METRICS, "--rule", "deny bad.test", "--rule", "allow web.test")
    check("hello" in by_socks(world, "http://web.test/")[1], "SOCKS5")
    check("hello" in curl(world, "-p", "-x", f"http://{PROXY}", f"http://{GOOD}/")[1], "HTTP CONNECT")
    check(refused_by_rules(by_socks(world, "http://bad.test/")), "a denied one")
    code, output = world.run([sys.executable, UDP_TRAFFIC, "echo", GOOD, "100"])
    check(code == 0, output)
    hold(world)
    told = status_json(world, "--show-hosts")
    totals, listener, carrier = told["totals"], told["tunnel"]["listener"], told["totals"]["carriers"]["relay"]
    open_flow = next(flow for flow in told["flows"] if flow["source"] == "socks")
    check(open_flow.keys() >= {"id", "protocol", "started", "age_ms", "up", "down", "rule", "way"}, str(open_flow))
    check(open_flow["state"] == "open" and open_flow["host"] == GOOD and open_flow["port"] == 7001, str(open_flow))
    ended = {(flow["source"], flow["end"]) for flow in told["ended"]}
    check(("socks", "not allowed") in ended and ended & {("socks", "complete"), ("socks", "closed")}, str(told["ended"]))
    datagrams = [flow for flow in told["flows"] if flow["command"] == "associate"]
    check(datagrams and datagrams[0]["carrier"] == "relay" and datagrams[0]["protocol"] == "udp", str(told["flows"]))
    check(carrier["flows"] >= 1 and carrier["datagrams_up"] >= 1 <= carrier["datagrams_down"] and carrier["down"] >= 100, str(carrier))
    check(listener["languages"] == {"http": 1, "socks5": 3}, str(listener))
    check(listener["commands"] == {"connect": 4} and listener["connections"]["accepted"] == 4, str(listener))
    check(told["tunnel"]["replies"] == {"00": 3, "02": 1}, str(told["tunnel"]["replies"]))
    check(totals["started"]["socks"]["connect"] == 4 and totals["started"]["tun"]["associate"] >= 1, str(totals))
    check(totals["rules"]["rule 1"] == 1 and totals["rules"]["rule 2"] == 1, str(totals["rules"]))
    names = [session["name"] for session in told["tunnel"]["sessions"]]
    check("datagrams" in names and "streams 1" in names and len(set(names)) == len(names), str(names))
    text = status(world, "--show-hosts")
    for part in ("replies:", "languages:", "relay:", "rules:", "refused:", "memory:", "not allowed", "bad.test"):
        check(part in text, f"{part} is missing in\n{text}")
    check("bad.test" not in status(world), "hosts are hidden, those of ended flows too")
    metrics = curl(world, f"http://{METRICS}/metrics")[1]
    for part in ('tunproxy_carrier_flows_total{carrier="relay"} ', 'tunproxy_listener_languages_total{kind="socks5"} 3',
                 'tunproxy_socks_replies_total{code="02"} 1', 'tunproxy_session_bytes_total{session="streams 1"'):
        check(part in metrics, f"{part} is missing in\n{metrics}")


def test_status_watch(world):
    """Again and again, until tunproxy ends."""
    program = world.socks_tunnel(PORT)
    watch = world.spawn(CLIENT, "watch", [worlds.FORMER["program"], "status", "--watch", "--json"])
    until(lambda: len(world.text("watch.out").splitlines()) >= 2, "two samples")
    check("hello" in by_socks(world, "http://web.test/")[1], "a flow")

    def samples():
        return [json.loads(line) for line in world.text("watch.out").splitlines() if line.endswith("}")]
    until(lambda: samples()[-1]["totals"]["ways"]["tunnel"]["down"] > 0, "it shows in a later one")
    check(any(sample["throughput"]["down"] > 0 for sample in samples()), "and so does its throughput")
    check(watch.poll() is None, "it goes on")
    program.stop()
    check(watch.wait(60) == 1 and "tunproxy has ended" in world.text("watch.err"), world.text("watch.err"))


def test_isolated_destinations_are_hidden(world):
    """With --isolate destination there is a session for each destination: status tells that, and not which."""
    world.socks_tunnel(PORT, "--isolate", "destination", "--metrics", METRICS)
    check("hello" in by_socks(world, "http://web.test/")[1], "a flow")
    hold(world)
    names = [session["name"] for session in status_json(world)["tunnel"]["sessions"]]
    check("isolated 1" in names and "isolated 2" in names, str(names))
    check(GOOD not in status(world) and "web.test" not in curl(world, f"http://{METRICS}/metrics")[1], "hosts are hidden")


def test_status_without_a_tunnel(world):
    sh("mkdir -p /run/tunproxy; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind("
       "'/run/tunproxy/control-1.sock')\"")
    code, output = world.run([worlds.FORMER["program"], "status"])
    check(code == 1 and "no tunproxy of this user runs" in output, output)
    check(os.listdir("/run/tunproxy") == [], "what a crash left behind is removed")
    sh("rmdir /run/tunproxy")
