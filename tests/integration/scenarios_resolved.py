"""A machine whose names are systemd-resolved's: a real one, with a D-Bus of its own, in the client's namespace."""

import contextlib
import os
import shutil

from world import CLIENT, GOOD, GOOD6, HERE, check, sh, until

EXTRACTED = os.path.abspath(os.path.join(HERE, "../../build/third_party/systemd-resolved"))  # by tools/setup.sh
PROGRAMS = ("lib/systemd/systemd-resolved", "usr/lib/systemd/systemd-resolved")
BUS = """<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="*"/><allow send_destination="*"/>
<allow receive_type="*"/></policy></busconfig>
"""


@contextlib.contextmanager
def resolved(world, resolv_conf="stub", multicast="no"):
    """It runs, and knows one name server, by the link c0; it is what resolv.conf leads to, unless that is "own".
    `multicast`: LLMNR and mDNS are on."""
    found = [(root, os.path.join(root, name)) for root in ("/", EXTRACTED) for name in PROGRAMS]
    root, program = next(((root, path) for root, path in found if os.access(path, os.X_OK)), (None, None))
    check(root, "no systemd-resolved: tools/setup.sh --tests fetches it")
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{path}:{root}/usr/bin"
    with open(world.path("bus.conf"), "w", encoding="ascii") as file:
        file.write(BUS)
    sh(f"""
    grep -q ^systemd-resolve: /etc/passwd || echo systemd-resolve:x:991:991::/:/usr/sbin/nologin >> /etc/passwd
    grep -q ^systemd-resolve: /etc/group || echo systemd-resolve:x:991: >> /etc/group
    mkdir -p /run/dbus /run/systemd/resolve; chown systemd-resolve:systemd-resolve /run/systemd/resolve
    mkdir -p /etc/systemd; printf '[Resolve]\\nLLMNR={multicast}\\nMulticastDNS={multicast}\\n' > /etc/systemd/resolved.conf
    """)
    if resolv_conf == "stub":
        sh("rm -f /etc/resolv.conf; ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
    try:
        world.spawn(CLIENT, "bus", ["dbus-daemon", f"--config-file={world.path('bus.conf')}", "--nofork", "--nopidfile"])
        until(lambda: os.path.exists("/run/dbus/system_bus_socket"), "D-Bus listens")
        world.spawn(CLIENT, "resolved", [program])
        until(lambda: world.run(["resolvectl", "status"])[0] == 0, "systemd-resolved answers")
        for command in (["dns", "c0", "10.77.1.1"], ["domain", "c0", "example.lan"], ["llmnr", "c0", multicast],
                        ["mdns", "c0", multicast]):
            code, output = world.run(["resolvectl", *command])
            check(code == 0, f"resolvectl {command}: {output}")
        world.before = world.machine_state()
        yield
        until(lambda: world.machine_state() == world.before, f"{world.machine_state()}\ninstead of\n{world.before}")
    finally:
        os.environ["PATH"] = path
        for process in world.processes[-2:]:
            process.kill()
            process.wait()
        shutil.rmtree("/run/systemd", ignore_errors=True)
        shutil.rmtree("/run/dbus", ignore_errors=True)
        world.before = world.machine_state()


def tunnel(world):
    """It is up, and systemd-resolved knows."""
    program = world.tunproxy(*world.ssh_arguments(), "--tun", "tunproxy7")
    world.wait_up_by_route(program, "tunproxy7")
    until(lambda: "tunnelling through" in program.err(), f"the tunnel is up\n{program.err()}")
    return program


def links(world):
    return {verb: world.run(["resolvectl", verb, "c0"])[1] for verb in ("dns", "domain", "default-route", "llmnr", "mdns")}


def expect_names(world):
    for question, answer in ((["web.test"], GOOD), (["AAAA", "web6.test"], GOOD6)):
        # What systemd-resolved was asked just before it was told of the tunnel may be a "no" for a moment.
        dig = ["dig", "+short", "+tries=3", "@127.0.0.53", *question]
        until(lambda dig=dig, answer=answer: world.run(dig)[1].strip() == answer, f"{question} resolves")
    code, output = world.run(["resolvectl", "query", "--cache=no", "web.test"])
    check(code == 0 and GOOD in output, f"resolvectl query: {output}")
    code, output = world.run(["curl", "-sS", "--max-time", "60", "http://web.test/"])
    check(code == 0, f"curl: {output}")


def test_names_systemd_resolved(world):
    """Its route for all names is the TUN's resolver, also for the domains of other links; then all is as before."""
    with resolved(world):
        former = links(world)
        for _ in range(2):
            program = tunnel(world)
            expect_names(world)
            check(os.readlink("/etc/resolv.conf").endswith("stub-resolv.conf"), "resolv.conf stays")
            for _ in range(2):  # each leaks, if it goes to c0's server
                code, output = world.run(["resolvectl", "query", "--cache=no", "printer.example.lan"])
                check(code == 1 and "REFUSED" in output, f"a name of c0's domain, by the far end's resolver: {output}")
                world.run(["dig", "+short", "+tries=1", "+timeout=2", "@10.77.1.1", "web.test"])
            check(program.stop() == 0, program.err())
            until(lambda: "tunproxy7" not in world.run(["resolvectl", "dns"])[1], "the link is forgotten")
            check(links(world) == former, f"{links(world)} instead of {former}")


def test_names_systemd_resolved_beside(world):
    """It runs, but resolv.conf leads elsewhere: both are told."""
    with resolved(world, resolv_conf="own"):
        program = world.machine_tunnel("--tun", "tunproxy7")
        expect_names(world)
        check(world.run(["dig", "+short", "+tries=3", "web.test"])[1].strip() == GOOD, "by resolv.conf")
        check(program.stop() == 0, program.err())


def test_names_systemd_resolved_killed(world):
    """After a crash of ours its link is gone; --restore gives the other links back what is theirs."""
    with resolved(world, multicast="yes"):
        former = links(world)
        program = tunnel(world)
        expect_names(world)
        program.process.kill()
        program.wait()
        until(lambda: "tunproxy7" not in world.run(["resolvectl", "dns"])[1], "the link is forgotten")
        dead = links(world)
        check("example.lan" not in dead["domain"] and "yes" not in dead["llmnr"] + dead["mdns"], f"taken away: {dead}")
        again = world.tunproxy("--restore")
        check(again.wait() == 0, again.err())
        check(links(world) == former, f"{links(world)} instead of {former}")
        shutil.rmtree("/run/tunproxy", ignore_errors=True)  # with the control socket of the killed one


def ask_the_neighbours(world):
    """Names that a machine asks all others in its network for; what of them was seen there."""
    world.spawn(CLIENT, "neighbours", ["tcpdump", "-Z", "root", "-n", "-A", "-l", "--immediate-mode", "-i", "c0", MULTICAST])
    until(lambda: "listening on" in world.text("neighbours.err"), "tcpdump listens")
    open(world.path("neighbours.err"), "w", encoding="ascii").close()
    for name in ("singlehost", "printer.local"):
        world.run(["timeout", "3", "resolvectl", "query", "--cache=no", "--search=no", name])
    process = world.processes.pop()
    process.terminate()
    process.wait()
    return {name for name in ("singlehost", "printer.local") if name in world.text("neighbours.out")}


def test_names_systemd_resolved_multicast(world):
    """Nobody in the machine's network is asked by LLMNR or mDNS while the tunnel is up; before and after as always."""
    with resolved(world, multicast="yes"):
        former = links(world)
        seen = ask_the_neighbours(world)
        check(seen == {"singlehost", "printer.local"}, f"without a tunnel they are asked: {seen}")
        program = tunnel(world)
        expect_names(world)
        seen = ask_the_neighbours(world)
        check(not seen, f"asked outside the tunnel: {seen}")
        check(program.stop() == 0, program.err())
        check(links(world) == former, f"{links(world)} instead of {former}")


def test_names_systemd_resolved_new_link(world):
    """A link that comes while the tunnel is up, and learns its domain some time later, is asked nothing either."""
    with resolved(world, multicast="yes"):
        program = tunnel(world)
        expect_names(world)
        sh(f"ip -n {CLIENT} link add d0 type veth peer name d1; ip -n {CLIENT} link set d1 up; ip -n {CLIENT} addr add 10.77.9.1/24 dev d0; ip -n {CLIENT} link set d0 up")
        until(lambda: "no" in world.run(["resolvectl", "llmnr", "d0"])[1], "LLMNR is off there")
        for command in (["dns", "d0", "10.77.1.1"], ["domain", "d0", "late.lan"]):
            code, output = world.run(["resolvectl", *command])
            check(code == 0, f"resolvectl {command}: {output}")
        until(lambda: "late.lan" not in world.run(["resolvectl", "domain", "d0"])[1], "its domain is taken away")
        check(program.stop() == 0, program.err())
        check("late.lan" in world.run(["resolvectl", "domain", "d0"])[1], "and given back")
        sh(f"ip -n {CLIENT} link del d0")


# It joins groups, and says its own name and goodbye.
MULTICAST = "udp port 5353 or udp port 5355 or tcp port 5355"
for scenario in (test_names_systemd_resolved_multicast, test_names_systemd_resolved_new_link, test_names_systemd_resolved_killed):
    scenario.world = {"ours": f"igmp or {MULTICAST}"}
