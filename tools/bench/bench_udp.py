"""The UDP rows of bench.py: echo times, idle and under a bulk download; datagrams a second, with loss.

"Highest rate" is the most that arrived a second with less than 1 % lost, over a search in RATES with two
attempts at each; "flat out" is what arrives while the sender sends as fast as it can. CPU time is the
client process's, for a datagram that arrived at the highest rate.
"""

import contextlib
import os
import pathlib
import statistics
import sys

PORT = 5002
RELAY_SSHD_PORT = 23
PINGS, INTERVAL_MS = 500, 10
RATES = [1000 * rate for rate in (2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 140, 160,
                                  180, 200, 250, 300, 400)]
FLAT_OUT = 10_000_000
MOST_LOSS = 0.01
CASES = [(size, direction) for size in (64, 1200) for direction in ("up", "down")]


def subjects_of(lab, servers):
    """Name, short name, command, the helper that must be running at the server."""
    tunproxy = str(lab.build / "tunproxy")

    def over_ssh(port):
        return lambda server: [
            tunproxy, "--ssh", f"root@{server}", "--port", str(port), "--udp", "relay",
            "--identity", str(servers.key), "--host-key-policy", "strict",
            "--known-hosts", str(servers.known_hosts)]

    return [
        ("TUN -> SSH, C++ relay", "uc", over_ssh(RELAY_SSHD_PORT), "tunproxy-relay"),
        ("TUN -> SSH, Python relay", "up", over_ssh(22), "python3"),
    ]


def helpers_of(lab, space):
    """Names of the programs in the namespace."""
    names = set()
    for number in lab.inside(space, "ip", "netns", "pids", space).stdout.split():
        with contextlib.suppress(OSError):
            names.add(os.path.basename(os.readlink(f"/proc/{number}/exe")))
    return names


class UdpBench:
    def __init__(self, lab, servers, target, arguments):
        self.lab, self.servers, self.target = lab, servers, target
        self.rounds, self.seconds = arguments.rounds, 1 if arguments.quick else 3
        lab.start(servers.space, lab.program("udp_load"), "serve", target, str(PORT))
        folder = lab.folder / "bin"
        folder.mkdir()
        (folder / "tunproxy-relay").symlink_to(lab.build / "tools" / "relay" / "tunproxy-relay")
        servers.start_sshd(lab, RELAY_SSHD_PORT, f"SetEnv PATH={folder}:/usr/bin:/bin\n")

    def ask(self, subject, mode, *words):
        """The figures that udp_load printed; None without an answer."""
        done = self.lab.inside(subject.space, "timeout", "60", self.lab.program("udp_load"), mode,
                               self.target, str(PORT), *map(str, words), check=False)
        return [float(word) for word in done.stdout.split()] if done.returncode == 0 else None

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

    def measure(self, subject):
        """Rows of the two tables."""
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
        return echoes, rates


def measure_all(bench, make_subject, print_table, target):
    """`make_subject(name, short, command)` starts a subject; the tables are printed."""
    lab = bench.lab
    udp = UdpBench(lab, bench.servers, target, bench.arguments)
    echoes, rates = [], []
    for name, short, command, helper in subjects_of(lab, bench.servers):
        if not bench.wanted(name):
            continue
        try:
            subject = make_subject(name, short, command)
            udp.prepare(subject, helper)
            rows = udp.measure(subject)
            echoes += rows[0]
            rates += rows[1]
            lab.stop(subject.process)
        except (RuntimeError, OSError) as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
    if echoes:
        print_table("UDP echo, µs", ["", "p50", "p95", "p99", "lost"], echoes)
        print_table("Datagrams a second", ["", "highest rate", "loss", "CPU µs each", "flat out", "loss"],
                    rates)
