"""The UDP rows of bench.py: echo times, idle and under a bulk download; datagrams a second, with loss; memory.

Subjects: the TUN over SSH with either helper, the TUN over a SOCKS5 server that has UDP (danted), and badvpn's
tun2socks with its udpgw over `ssh -D`, where the user names these two.

"Highest rate" is the most that arrived a second with less than 1 % lost, over a search in RATES with two
attempts at each; "flat out" is what arrives while the sender sends as fast as it can. CPU time is the
client process's, for a datagram that arrived at the highest rate. "Both" is up and down at once, each at the
same rate, and what arrived of the two together.
"""

import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

from lab import TARGET, Subject, print_table

PORT, OTHER_PORT = 5002, 5004
RELAY_SSHD_PORT = 23
SOCKS_WITH_UDP = "10.78.0.2", 1081
UDPGW_PORT = 7300
ASSOCIATIONS = 100
PINGS, INTERVAL_MS = 500, 10
RATES = [1000 * rate for rate in (2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 140, 160,
                                  180, 200, 250, 300, 400)]
FLAT_OUT = 10_000_000
MOST_LOSS = 0.01
CASES = [(size, direction) for size in (64, 1200) for direction in ("up", "down", "both")]

DANTED = """logoutput: stderr
internal: {0} port = {1}
external: lo
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: root
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""

# Local ports that each have had an echo; they stay until stdin ends.
HOLD = """
import socket, sys, time
ports = []
for _ in range(int(sys.argv[3])):
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port.settimeout(1)
    port.connect((sys.argv[1], int(sys.argv[2])))
    for _ in range(10):
        port.send(bytes(32))
        try:
            port.recv(100)
            break
        except TimeoutError:
            continue
        except ConnectionRefusedError:  # all associations were in use a moment ago
            time.sleep(1)
    ports.append(port)
print("held", flush=True)
sys.stdin.read()
"""

BADVPN = """ip tuntap add mode tun t0 && ip address add 10.79.0.1/24 dev t0 && ip link set t0 up
{ssh} -D 127.0.0.1:1080 &
for _ in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn 'sport = 1080' | grep -q . && break; sleep 0.5; done
ip route replace {target} via 10.79.0.2
exec {tun2socks} --loglevel error --tundev t0 --netif-ipaddr 10.79.0.2 --netif-netmask 255.255.255.0 \\
  --socks-server-addr 127.0.0.1:1080 --udpgw-remote-server-addr 127.0.0.1:{port} \\
  --udpgw-max-connections 256 --udpgw-connection-buffer-size 64
"""


def subjects_of(lab, servers, arguments):
    """Name, short name, command, the program that must be running at the server."""
    tunproxy = str(lab.build / "tunproxy")

    def over_ssh(port):
        return lambda server: [
            tunproxy, "--ssh", f"root@{server}", "--port", str(port), "--udp", "relay",
            "--identity", str(servers.key), "--host-key-policy", "strict",
            "--known-hosts", str(servers.known_hosts)]

    def over_socks5(server):
        address, port = SOCKS_WITH_UDP
        return ["sh", "-c", f"ip route add {address} via {server} && exec {tunproxy} --socks5 {address}:{port}"]

    def badvpn(server):
        ssh = (f"ssh -N -F none -i {servers.key} -o UserKnownHostsFile={servers.known_hosts} -o BatchMode=yes "
               f"-c aes256-gcm@openssh.com root@{server}")
        return ["sh", "-c", BADVPN.format(target=servers.target, ssh=ssh, tun2socks=arguments.badvpn_tun2socks,
                                          port=UDPGW_PORT)]

    rows = [
        ("TUN -> SSH, C++ relay", "uc", over_ssh(RELAY_SSHD_PORT), "tunproxy-relay"),
        ("TUN -> SSH, Python relay", "up", over_ssh(22), "python3"),
        ("TUN -> SOCKS5, danted", "ud", over_socks5, "danted"),
    ]
    if arguments.badvpn_tun2socks and arguments.badvpn_udpgw:
        rows.append(("badvpn-tun2socks + udpgw, ssh -D", "ub", badvpn, os.path.basename(arguments.badvpn_udpgw)))
    else:
        print("badvpn-tun2socks + udpgw: left out: name both by --badvpn-tun2socks and --badvpn-udpgw", file=sys.stderr)
    return rows


def helpers_of(lab, space):
    """Names of the programs in the namespace."""
    names = set()
    for number in lab.inside(space, "ip", "netns", "pids", space).stdout.split():
        with contextlib.suppress(OSError):
            names.add(os.path.basename(os.readlink(f"/proc/{number}/exe")))
    return names


class UdpBench:
    def __init__(self, lab, servers, arguments):
        self.lab, self.servers = lab, servers
        self.rounds, self.seconds = arguments.rounds, 1 if arguments.quick else 3
        for port in (PORT, OTHER_PORT):
            lab.start(servers.space, lab.program("udp_load"), "serve", TARGET, str(port))
        folder = lab.folder / "bin"
        folder.mkdir()
        (folder / "tunproxy-relay").symlink_to(lab.build / "tools" / "relay" / "tunproxy-relay")
        servers.start_sshd(lab, RELAY_SSHD_PORT, f"SetEnv PATH={folder}:/usr/bin:/bin\n")
        self.start_others(arguments)

    def start_others(self, arguments):
        """danted, and badvpn's udpgw."""
        lab, space = self.lab, self.servers.space
        if shutil.which("danted"):
            lab.inside(space, "ip", "address", "add", f"{SOCKS_WITH_UDP[0]}/32", "dev", "lo")
            config = lab.folder / "danted.conf"
            config.write_text(DANTED.format(*SOCKS_WITH_UDP))
            lab.start(space, "danted", "-f", str(config))
        if arguments.badvpn_udpgw:
            lab.start(space, arguments.badvpn_udpgw, "--loglevel", "error", "--listen-addr",
                      f"127.0.0.1:{UDPGW_PORT}", "--max-connections-for-client", "256")

    def command(self, mode, port, *words):
        return ["timeout", "60", self.lab.program("udp_load"), mode, TARGET, str(port), *map(str, words)]

    def ask(self, subject, mode, *words):
        """The figures that udp_load printed; None without an answer."""
        done = self.lab.inside(subject.space, *self.command(mode, PORT, *words), check=False)
        return [float(word) for word in done.stdout.split()] if done.returncode == 0 else None

    def ask_both(self, subject, *words):
        """Up and down at once: the sums."""
        down = subprocess.Popen(["ip", "netns", "exec", subject.space, *self.command("down", OTHER_PORT, *words)],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        up = self.ask(subject, "up", *words)
        figures = [float(word) for word in down.communicate()[0].split()]
        return [sum(pair) for pair in zip(up, figures)] if up and figures else None

    def prepare(self, subject, helper):
        self.lab.await_(f"{subject.name}: UDP", lambda: self.ask(subject, "ping", 1, 0), subject.process)
        running = helpers_of(self.lab, self.servers.space)
        if not any(name.startswith(helper) for name in running):
            raise RuntimeError(f"{helper} is not among {running}")

    def echo(self, subject):
        return self.ask(subject, "ping", PINGS, INTERVAL_MS)

    def echo_under_bulk(self, subject):
        bulk = self.lab.start(subject.space, *subject.load_command(
            "run", direction="down", streams=1, bytes=1 << 40))
        self.ask(subject, "ping", 20, INTERVAL_MS)  # until it is under way
        figures = self.echo(subject)
        if bulk.poll() is not None:
            raise RuntimeError(f"the bulk download ended: {pathlib.Path(bulk.log).read_text()}")
        self.lab.stop(bulk)
        return figures

    def attempt(self, subject, size, direction, rate):
        """(datagrams/s that arrived, loss, CPU µs for each)"""
        before = subject.cpu_seconds()
        if direction == "both":
            figures = self.ask_both(subject, size, self.seconds, rate)
        else:
            figures = self.ask(subject, direction, size, self.seconds, rate)
        if not figures or not figures[0] or not figures[1]:
            return 0, 1, 0
        sent, received, a_second = figures
        return a_second, 1 - received / sent, (subject.cpu_seconds() - before) / received * 1e6

    def holds(self, subject, size, direction, rate):
        """The first of two attempts with little loss."""
        for _ in range(2):
            figures = self.attempt(subject, size, direction, rate)
            if figures[1] < MOST_LOSS:
                return figures
        return None

    def highest(self, subject, size, direction):
        """The best figures with little loss, and those of a sender without a pace."""
        low, high, good = 0, len(RATES), []
        while low < high:
            middle = (low + high) // 2
            figures = self.holds(subject, size, direction, RATES[middle])
            if figures:
                low = middle + 1
                good.append(figures)
            else:
                high = middle
        flat_out = self.attempt(subject, size, direction, FLAT_OUT)
        if flat_out[1] < MOST_LOSS:
            good.append(flat_out)
        return max(good, default=(0, 1, 0)), flat_out

    def memory(self, subject):
        """KB of resident memory for an association, when there are ASSOCIATIONS."""
        before = subject.rss_mb()
        holder = self.lab.start(subject.space, sys.executable, "-c", HOLD, TARGET, str(PORT), str(ASSOCIATIONS),
                                wait_for="held", stdin=subprocess.PIPE)
        grown = subject.rss_mb() - before
        holder.stdin.close()
        holder.wait(timeout=20)
        self.lab.processes.remove(holder)
        return grown * 1024 / ASSOCIATIONS

    def measure(self, subject):
        """Rows of the three tables."""
        memory = self.memory(subject)  # first: later the heap has seen more
        echoes = []
        for what, measure in (("idle", self.echo), ("bulk TCP down", self.echo_under_bulk)):
            rounds = [figures for figures in (measure(subject) for _ in range(self.rounds)) if figures]
            if not rounds:
                raise RuntimeError(f"no echo, {what}")
            median = [statistics.median(column) for column in zip(*rounds)]
            echoes.append([f"{subject.name}, {what}", *(f"{value:.0f}" for value in median[1:]),
                           f"{1 - median[0] / PINGS:.1%}"])
        rates = []
        for size, direction in CASES:
            best, flat_out = self.highest(subject, size, direction)
            rates.append([f"{subject.name}, {size} bytes {direction}", f"{best[0] / 1000:.1f} k",
                          f"{best[1]:.2%}", f"{best[2]:.1f}", f"{flat_out[0] / 1000:.1f} k",
                          f"{flat_out[1]:.0%}"])
        return echoes, rates, [[subject.name, f"{memory:.1f}"]]


def measure_all(bench):
    lab = bench.lab
    udp = UdpBench(lab, bench.servers, bench.arguments)
    tables = [], [], []
    for name, short, command, helper in subjects_of(lab, bench.servers, bench.arguments):
        if not bench.wanted(name):
            continue
        try:
            subject = Subject(lab, bench.servers, name, short, command, socks=False)
            udp.prepare(subject, helper)
            for table, rows in zip(tables, udp.measure(subject)):
                table += rows
            lab.stop(subject.process)
        except (RuntimeError, OSError) as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
    if tables[0]:
        echoes, rates, memory = tables
        print_table("UDP echo, µs", ["", "p50", "p95", "p99", "lost"], echoes)
        print_table("Datagrams a second", ["", "highest rate", "loss", "CPU µs each", "flat out", "loss"],
                    rates)
        print_table(f"Memory with {ASSOCIATIONS} associations", ["", "KB each"], memory)
