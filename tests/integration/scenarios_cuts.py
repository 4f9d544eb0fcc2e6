"""Networks that go and come back, servers that freeze and restart: what is left, and how soon all is well again.

In each a client makes fresh connections all the time ("steady") and flows are in progress. Recovery is the time from
the moment when the network or the server is back to the first answer to a fresh connection.
"""

import functools
import os
import signal
import sys
import time

from basics import children_of
from scenarios_udp import serve_udp
from world import CLIENT, FORMER, GOOD, HERE, SERVER, TARGET, check, scale, sh, until

CUTS = os.path.join(HERE, "cuts_traffic.py")
MIB = 1 << 20
LONG = 8 << 30  # a transfer that does not end by itself
RECONNECTS = 50
LOST = "the SSH connection is lost"  # all of it: what the connection for datagrams goes through says less
SOAK_MINUTES = float(os.environ.get("TUNPROXY_SOAK_MINUTES", "1"))
SOAK_PAUSE = "0.25"  # seconds between its transfers, so that it may run beside other things
# What is freed goes back to the system, where its size is seen.
TIDY_HEAP = "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=32768:glibc.malloc.trim_threshold=32768"


# -- what the scenarios share

def cut(scenario):
    """A scenario whose applications end before the tunnel does: after it they would go round it."""
    @functools.wraps(scenario)
    def run(world):
        before = len(world.processes)
        try:
            scenario(world)
        finally:
            for process in world.processes[before:]:
                if process is not world.sshd:
                    process.kill()
                    process.wait()
    return run


def start(world, *arguments):
    program = world.machine_tunnel("--log-level", "debug", *arguments)
    steady(world)
    return program


def steady(world):
    world.spawn(CLIENT, "steady", [sys.executable, CUTS, "steady", GOOD, world.path("steady.log")])
    until(lambda: answers(world), "the first answer")


def flow(world, name, *arguments):
    """A transfer in the background that has begun, so that a cut meets it."""
    port = {"up": 7002}.get(arguments[0], 7003)
    process = world.traffic_in_background(name, *arguments)
    until(lambda: sh(f"ip netns exec {TARGET} ss -Htn state established sport = :{port}"), f"{name} has begun")
    return process


def answers(world, log="steady.log"):
    """The times of what worked."""
    return [float(line.split()[0]) for line in world.text(log).splitlines() if not line.endswith(("cut", "short"))]


def recovered(world, back, what, log="steady.log"):
    """Waits for an answer after `back`, and prints how long it took."""
    first = until(lambda: next((at for at in answers(world, log) if at > back), None), f"recovery after {what}", 60)
    print(f"     recovery after {what}: {first - back:.2f} s", flush=True)


def told(program, word, count=1):
    until(lambda: program.err().count(word) >= count, f"the program says: {word}", 60)


def descriptors(program):
    return len(os.listdir(f"/proc/{program.process.pid}/fd"))


def memory(program):
    """Kilobytes that are its own."""
    with open(f"/proc/{program.process.pid}/status", encoding="ascii") as status:
        return int(next(line.split()[1] for line in status if line.startswith("RssAnon")))


def grown(samples):
    """Kilobytes: the least of the last third, compared with the least of the third before; the first is for warming up."""
    third = len(samples) // 3
    return min(samples[-third:]) - min(samples[third:-third])


def drop(world, on):
    """The network says nothing: from one moment to the next no packet of SSH arrives, at either end."""
    for namespace, port in ((CLIENT, "sport"), (SERVER, "dport")):
        if on:
            sh(f"""ip netns exec {namespace} nft -f - <<'END'
            table inet cut {{
              chain in {{ type filter hook input priority 0; tcp {port} 22 drop; }}
            }}
END""")
        else:
            sh(f"ip netns exec {namespace} nft delete table inet cut")


def routes_back():
    sh(f"""
    ip -n {CLIENT} -6 addr replace fd77:1::2/64 dev c0 nodad
    ip -n {CLIENT} route replace default via 10.77.1.1
    ip -n {CLIENT} -6 route replace default via fd77:1::1
    """)


def connections(world):
    """The processes of the sshd's connections."""
    listeners = children_of(world.sshd.pid) if "sshd" not in _name(world.sshd.pid) else [world.sshd.pid]
    return [child for listener in listeners for child in children_of(listener)]


def _name(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as file:
        return file.read()


def signal_all(pids, number):
    for pid in pids:
        signal_all(children_of(pid), number)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


# -- the network

@cut
def test_link_down_and_up(world):
    """A short one: what was in progress goes on."""
    program = start(world)
    time.sleep(1)  # many times what the kernel takes to tell
    check("the network changed" not in program.err(), "its own interface is no change: " + program.err())
    download = flow(world, "down", "down", GOOD, scale(256 * MIB, 32 * MIB), "0.002")
    sh(f"ip -n {CLIENT} link set c0 down")
    check(world.traffic("outcome", GOOD, 80, 1) != "connected", "there is no way round")
    back = time.monotonic()
    sh(f"ip -n {CLIENT} link set c0 up")
    routes_back()
    recovered(world, back, "a link that was down")
    check(download.wait(110) == 0, "the download goes on: " + world.text("down.err"))


@cut
def test_address_change(world):
    """The old connection's address is gone for good: its flows end, new ones go on."""
    program = start(world)
    broken = flow(world, "break", "break", GOOD, LONG)
    sh(f"""
    ip -n {CLIENT} addr del 10.77.1.2/24 dev c0
    ip -n {CLIENT} addr add 10.77.1.3/24 dev c0
    """)
    routes_back()
    back = time.monotonic()
    recovered(world, back, "a change of address")
    check(broken.wait(60) == 0 and "broke off" in world.text("break.out"), "the flow of the old address ends")
    told(program, "takes over")
    sh(f"""
    ip -n {CLIENT} addr del 10.77.1.3/24 dev c0
    ip -n {CLIENT} addr add 10.77.1.2/24 dev c0
    """)
    routes_back()


@cut
def test_silent_drop(world):
    """Packets vanish without a word for longer than the tunnel waits; no event tells that they pass again."""
    program = start(world)
    broken = flow(world, "break", "break", GOOD, LONG)
    drop(world, True)
    began = time.monotonic()
    told(program, LOST)
    print(f"     noticed after {time.monotonic() - began:.1f} s", flush=True)
    check(broken.wait(60) == 0 and "broke off" in world.text("break.out"), "its flows end")
    check(world.traffic("outcome", GOOD, 80, 1) != "connected", "there is no way round")
    back = time.monotonic()
    drop(world, False)
    recovered(world, back, "a silent drop")


@cut
def test_short_silent_drop(world):
    """Packets vanish for a while: nothing that was in progress is lost."""
    start(world)
    download = flow(world, "down", "down", GOOD, scale(256 * MIB, 32 * MIB), "0.002")
    upload = flow(world, "up", "up", GOOD, scale(128 * MIB, 16 * MIB))
    drop(world, True)
    check(world.traffic("outcome", GOOD, 80, 3) == "pending", "it waits")
    back = time.monotonic()
    drop(world, False)
    recovered(world, back, "a short silent drop")
    check(download.wait(110) == 0 and upload.wait(110) == 0, world.text("down.err") + world.text("up.err"))


@cut
def test_silent_drop_without_keepalive(world):
    """Never given up: neither by us, nor by the kernel, whose usual tries would be over after 15 seconds."""
    program = start(world, "--keepalive", "0")
    download = flow(world, "down", "down", GOOD, 8 * MIB, "0.02")
    drop(world, True)
    time.sleep(17)
    drop(world, False)
    check(download.wait(110) == 0, "the download goes on: " + world.text("down.err"))
    check(LOST not in program.err(), "the connection is the same")


# -- the server

@cut
def test_sshd_restarted(world):
    program = start(world)
    broken = flow(world, "break", "break", GOOD, LONG)
    world.kill_sshd()
    told(program, LOST)
    back = time.monotonic()
    world.start_sshd()
    recovered(world, back, "a restart of the server")
    check(broken.wait(60) == 0, "its flows end")


@cut
def test_frozen_server(world):
    """All of it stands still (SIGSTOP): connections are taken and never answered."""
    program = start(world)
    broken = flow(world, "break", "break", GOOD, LONG)
    signal_all([world.sshd.pid], signal.SIGSTOP)
    began = time.monotonic()
    told(program, LOST)
    print(f"     noticed after {time.monotonic() - began:.1f} s", flush=True)
    back = time.monotonic()
    signal_all([world.sshd.pid], signal.SIGCONT)
    recovered(world, back, "a server that stood still")
    check(broken.wait(60) == 0, "its flows end")


@cut
def test_frozen_connection(world):
    """Only the process of the connection stands still: new flows get another, the old ones wait and go on."""
    program = start(world, "--keepalive", "15")  # so that a busy machine does not give the frozen one up
    download = flow(world, "down", "down", GOOD, 64 * MIB, "0.05")
    frozen = connections(world)
    back = time.monotonic()
    signal_all(frozen, signal.SIGSTOP)
    told(program, "takes over")
    recovered(world, back, "a connection that stands still")
    signal_all(frozen, signal.SIGCONT)
    check(download.wait(110) == 0, "the download goes on: " + world.text("down.err"))


@cut
def test_no_network_at_the_start(world):
    """--keep-trying, as a service at boot: it waits for the network, and hears when it comes."""
    sh(f"ip -n {CLIENT} link set c0 down")
    program = world.tunproxy(*world.ssh_arguments(), "--keep-trying", "--log-level", "debug")
    told(program, "Network is unreachable")
    sh(f"ip -n {CLIENT} link set c0 up")
    routes_back()
    told(program, "the network changed")
    world.wait_up(program)
    world.traffic("down", GOOD, MIB)


# -- again and again

@cut
def test_many_reconnects(world):
    """The server's processes are killed over and over: no descriptor, no memory stays behind."""
    program = start(world)
    until(lambda: len(connections(world)) == 2, "both connections are there")
    before = descriptors(program)
    samples = []
    for number in range(scale(RECONNECTS, 15)):
        signal_all(connections(world), signal.SIGKILL)
        cut = time.monotonic()
        until(lambda: any(at > cut for at in answers(world)), f"reconnect {number + 1}", 60)
        samples.append(memory(program))
    # A connection that was killed while it logged in is left alone for a while: there may be one less. Flows that
    # waited may have brought three further sessions, which stay for a while.
    until(lambda: descriptors(program) <= before + 3, f"as many descriptors as before: {before}")
    print(f"     {len(samples)} reconnects: {grown(samples)} KB more", flush=True)
    check(FORMER["sanitized"] or grown(samples) <= 256, f"KB after each reconnect: {samples}")


@cut
def test_udp_socket_outlives_the_connection(world):
    """The application's socket goes on, through the same local port, after the connection is made anew."""
    serve_udp(world)
    program = start(world)
    world.spawn(CLIENT, "udp", [sys.executable, CUTS, "udp", GOOD, world.path("udp.log")])
    until(lambda: answers(world, "udp.log"), "the first echo")
    until(lambda: len(connections(world)) >= 2, "both connections are there")
    signal_all(connections(world), signal.SIGKILL)
    back = time.monotonic()
    recovered(world, back, "a killed connection, by UDP", "udp.log")
    ports = {line.split()[1] for line in world.text("udp.log").splitlines()}
    check(len(ports) == 1, f"one socket: {ports}")
    check(program.process.poll() is None, "it runs")


@cut
def test_soak(world):
    """Transfers, clients that abort, rekeys every megabyte, and now and then a cut. When all are gone nothing stays
    behind but the sessions, which do for a while: the first fifth of the time is for what is kept for good."""
    world.environment["GLIBC_TUNABLES"] = TIDY_HEAP
    program = start(world)
    until(lambda: len(connections(world)) == 2, "both connections are there")
    before = descriptors(program)
    if SOAK_MINUTES < 5:
        _load(world, scale(60, 20) * SOAK_MINUTES)
        return until(lambda: descriptors(program) <= before + 3, f"as many descriptors as before: {before}", 60)
    after = []
    for part in (0.2, 0.8):
        _load(world, 60 * SOAK_MINUTES * part)
        applications = [process for process in world.processes if process.args[-1] == world.path("steady.log")]
        applications[-1].kill()
        until(lambda: descriptors(program) <= before + 3, f"as many descriptors as before: {before}", 200)
        after.append(memory(program))
        steady(world)
    print(f"     memory after each part: {after} KB", flush=True)
    check(after[1] - after[0] <= 1024, f"KB when all were gone: {after}")


def _load(world, seconds):
    logs = [f"churn{number}.log" for number in range(2)]
    clients = [world.spawn(CLIENT, log, [sys.executable, CUTS, "churn", GOOD, world.path(log), SOAK_PAUSE]) for log in logs]
    clients += [world.spawn(CLIENT, f"abort-{log}", [sys.executable, CUTS, "aborting", GOOD, SOAK_PAUSE]) for log in logs]
    cuts = [lambda: signal_all(connections(world), signal.SIGKILL), lambda: _flicker(world)]
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done = world.text(logs[0]).count("ok")
        until(lambda: world.text(logs[0]).count("ok") >= done + 3, "transfers go on", 120)
        cuts[count % len(cuts)]()
        count += 1
        cut = time.monotonic()
        until(lambda: any(at > cut for at in answers(world)), "it goes on after a cut", 60)
    for client in clients:
        client.kill()
    text = "".join(map(world.text, logs))
    print(f"     {text.count('ok')} transfers, {text.count('cut')} broken off by {count} cuts", flush=True)
    check("wrong" not in text and "short" not in text, text[-2000:])


def _flicker(world):
    drop(world, True)
    check(world.traffic("outcome", GOOD, 80, 1) in ("pending", "EHOSTUNREACH"), "cut")
    drop(world, False)


test_soak.world = {"sshd": ["RekeyLimit 1M"]}
