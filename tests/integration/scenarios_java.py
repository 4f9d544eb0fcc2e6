"""The Java binding: tests/jni on a desktop's JVM, over a real TUN, against a real sshd.

Whatever is not marked goes into the TUN, also to the SSH server: a socket that the listener was not asked to protect
would reach nothing.
"""

import contextlib
import os
import sys

from scenarios_udp import serve_udp
from world import CLIENT, FORMER, GOOD, SERVER, TRAFFIC, UDP_TRAFFIC, check, scale, sh, until

TUN, MARK, TABLE = "jtun0", "0x77", 77
BESIDE = "10.77.9.1"  # of the server, and reached beside the tunnel
BAD = ("WARNING", "FATAL ERROR", "AddressSanitizer", "runtime error:", "SIGSEGV", "Exception in thread")


@contextlib.contextmanager
def routed(world):
    """A TUN that all traffic goes to unless it is marked."""
    families = (("-4", "10.99.0.1/30"), ("-6", "fd99::1/126"))
    sh(f"ip -n {CLIENT} tuntap add dev {TUN} mode tun; ip -n {CLIENT} link set {TUN} addrgenmode none up mtu 1500")
    for family, address in families:
        sh(f"""
        ip -n {CLIENT} {family} addr add {address} dev {TUN} {"nodad" if family == "-6" else ""}
        ip -n {CLIENT} {family} route add default dev {TUN} table {TABLE}
        ip -n {CLIENT} {family} rule add not fwmark {MARK} lookup {TABLE} priority 100
        """)
    try:
        yield
    finally:
        for family, _ in families:
            sh(f"ip -n {CLIENT} {family} rule del priority 100")
        sh(f"ip -n {CLIENT} link del {TUN}")


def libraries():
    """Of the compiler, which the machine has to load before a sanitized library."""
    if not FORMER["sanitized"]:
        return ""
    return ":".join(sh(f"gcc -print-file-name={name}").strip() for name in ("libasan.so", "libubsan.so"))


def command_line(*arguments, properties=(), classpath=("tunproxy.jar", "tunproxy_jni_tests.jar")):
    """A JVM whose heap is all there from the start, so that growth is the library's."""
    built = os.path.dirname(FORMER["program"])
    return ["java", "-Xcheck:jni", "-Xms48m", "-Xmx48m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "--add-opens=java.base/java.io=ALL-UNNAMED",
            f"-Djava.library.path={built}",
            *(f"-D{key}={value}" for key, value in properties),
            "-cp", ":".join(os.path.join(built, jar) for jar in classpath), *arguments]


def environment(command):
    return ["env", f"LD_PRELOAD={libraries()}", "MALLOC_ARENA_MAX=2",
            "ASAN_OPTIONS=detect_leaks=0:handle_segv=0:allow_user_segv_handler=1:quarantine_size_mb=8:exitcode=99",
            "UBSAN_OPTIONS=print_stacktrace=1", *command]


def properties(world, rounds=0):
    sh(f"""
    cp {world.path("user_key")} {world.path("locked_key")}
    sed 's/^[^ ]*/server.test/' {world.path("known_hosts")} > {world.path("known_hosts_by_name")}
    ssh-keygen -q -p -P '' -N 'correct horse' -f {world.path("locked_key")}""")
    return [("place." + key, value) for key, value in (
        ("known_hosts_to_fill", world.path("new_known_hosts")), ("known_hosts", world.path("known_hosts")),
        ("known_hosts_by_name", world.path("known_hosts_by_name")), ("locked_key", world.path("locked_key")),
        ("key", world.path("user_key")), ("traffic", TRAFFIC),
        ("udp_traffic", UDP_TRAFFIC), ("sshd", world.sshd.pid), ("rounds", rounds),
        ("most_growth", scale(4 << 10, 24 << 10)))]  # KiB; sanitizers keep what is freed for a while


def java(world, case, rounds=0):
    """One case of tests/jni, in a machine of its own that has to exit by itself, without a complaint."""
    return run_java(world, command_line("org.tunproxy.test.Main", case, properties=properties(world, rounds)))


def run_java(world, command):
    with routed(world):
        code, output = world.run(environment(command), limit=300)
    check(code == 0, f"exit code {code}: {output[-8000:]}")
    complaints = [line for line in output.splitlines() if any(bad in line for bad in BAD)]
    check(not complaints, f"{complaints[:5]}\n{output[-8000:]}")
    return output


def serve_beside(world):
    """A web server at the SSH server itself, which is reached without the tunnel."""
    sh(f"ip -n {SERVER} addr add {BESIDE}/32 dev lo")
    os.mkdir(world.path("page"))
    with open(world.path("page/index.html"), "w", encoding="ascii") as file:
        file.write("beside the tunnel")
    world.spawn(SERVER, "beside", [sys.executable, "-m", "http.server", "8088", "--bind", BESIDE,
                                   "--directory", world.path("page")])
    until(lambda: sh(f"ip netns exec {SERVER} ss -Hltn 'sport = 8088'"), "the server beside listens")


def test_java_life(world):
    serve_udp(world)
    serve_beside(world)
    check("passed" in java(world, "life"), "the case ran")


test_java_life.world = {"ours": f"host {BESIDE}"}


def test_java_cycles(world):
    rounds = scale(100, 30)
    check("passed" in java(world, "cycles", rounds), "the case ran")


def test_java_exceptions(world):
    check("passed" in java(world, "throwing"), "the case ran")


def test_java_packets(world):
    check("passed" in java(world, "packets"), "the case ran")


def test_java_leaves_a_tunnel(world):
    """The machine exits although nobody closed the tunnel, at the end of main() and by System.exit()."""
    check("passed" in java(world, "leave"), "the case ran")
    check("left behind" in java(world, "exit"), "the case ran")


def test_java_android_service(world):
    """The Android service over stubs of the platform's classes, with a real tunnel behind it."""
    jars = ("tunproxy.jar", "tunproxy_android_stubs.jar", "tunproxy_android_tests.jar")
    command = command_line("org.tunproxy.android.ServiceTest", properties=properties(world), classpath=jars)
    check("passed" in run_java(world, command), "the cases ran")


def test_java_example(world):
    """bindings/examples/Vpn.java: a command line, which ends by a signal, or because it has to."""
    jars = ("tunproxy.jar", "tunproxy_java_example.jar")
    server = ["root@10.77.1.1", f"identity={world.path('user_key')}", "host-key-policy=strict"]
    known = f"known-hosts={world.path('known_hosts')}"
    with routed(world):
        run = environment(command_line("Vpn", TUN, *server, known, classpath=jars))
        vpn = world.spawn(CLIENT, "vpn", run)
        until(lambda: "ONLINE" in world.text("vpn.err") or vpn.poll() is not None, "online: " + world.text("vpn.err"))
        world.traffic("down", GOOD, 1 << 20)
        check(world.run(["curl", "-sS", "--max-time", "60", "http://web.test/"])[0] == 0, "names resolve as well")
        vpn.terminate()
        check(vpn.wait(120) == 143, f"ended by the signal, as Java says it: {vpn.returncode}\n{world.text('vpn.err')}")
        stranger = f"known-hosts={world.path('other_known_hosts')}"
        code, output = world.run(environment(command_line("Vpn", TUN, *server, stranger, classpath=jars)))
        check(code == 1 and "FAILED" in output and "key" in output, output)
        code, output = world.run(environment(command_line("Vpn", TUN, *server, "no-such-key=1", classpath=jars)))
        check(code == 1 and "no-such-key" in output, output)
    said = world.text("vpn.out") + world.text("vpn.err") + output
    check(not any(bad in said for bad in BAD), said)
