#!/usr/bin/env python3
"""Measures tunproxy against `ssh -D` and prints a table.

    tools/bench/bench.py [--quick] [--rounds N] [--rows PATTERN]... [--skip PART]...

Needs root, OpenSSH and a release build. Everything happens in network namespaces of its own, which are
removed at the end: one for the servers, one for each subject (a client with what it connects), joined by
veth pairs, and one that is far away (a user-space wire with 50 ms round-trip time). All subjects start
once; then the rounds take them in turn, so that the machine's moods meet everyone alike. Figures are
medians; CPU time is that of the subject's own process. UDP: see bench_udp.py and bench_link.py; several sessions, and
cuts of the network: see bench_sessions.py.

      subject's namespace            servers' namespace "s"
      client ── subject ══ veth ══ sshd, SOCKS5 server ── target (10.78.0.1, on lo)
"""

import argparse
import atexit
import contextlib
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import bench_link
import bench_memory
import bench_sessions
import bench_udp

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = "10.78.0.1"
TARGET_PORT = 5001
SOCKS_PORT = 1080  # of the subjects that have one, and of the plain SOCKS5 server
SSHD_PORT = 22
ROUND_TRIP_MS = 50
GCM = "aes256-gcm@openssh.com"


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done


class Lab:
    """Namespaces, keys and processes, and the end of all of them."""

    def __init__(self, build, verbose):
        self.build = build
        self.verbose = verbose
        self.prefix = f"tpb{os.getpid()}"
        self.processes = []
        self.namespaces = []
        self.links = 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tunproxy-bench-"))
        atexit.register(self.close)

    def close(self):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in self.namespaces:
            run("ip", "netns", "delete", name, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.processes, self.namespaces = [], []

    def program(self, name):
        return str(self.build / "tools" / "bench" / name)

    def namespace(self, name):
        full = f"{self.prefix}{name}"
        run("ip", "netns", "add", full)
        self.namespaces.append(full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        self.pin_cubic(full)
        return full

    def pin_cubic(self, space):
        """By route: the default of a namespace may only be what the machine allows to everybody."""
        for table in ("local", "main"):
            for route in run("ip", "-n", space, "route", "show", "table", table).stdout.splitlines():
                if not route.startswith("broadcast") and "congctl" not in route:
                    words = route.replace("linkdown", "").split()
                    run("ip", "-n", space, "route", "replace", *words, "table", table,
                        "congctl", "cubic")

    def join(self, near, far):
        """A veth pair; returns the far end's address."""
        self.links += 1
        ours, theirs = f"10.77.{self.links}.1", f"10.77.{self.links}.2"
        near_end, far_end = f"{self.prefix}a{self.links}", f"{self.prefix}b{self.links}"
        run("ip", "link", "add", near_end, "netns", near, "type", "veth",
            "peer", "name", far_end, "netns", far)
        for space, end, address in ((near, near_end, ours), (far, far_end, theirs)):
            run("ip", "-n", space, "address", "add", f"{address}/24", "dev", end)
            run("ip", "-n", space, "link", "set", end, "up")
            self.pin_cubic(space)
        return theirs

    def join_slowly(self, near, far, round_trip_ms=ROUND_TRIP_MS, *line):
        """The same over a wire with a delay. `line`: its rate (Mb/s) and its queue (KB), as for delay_link."""
        self.links += 1
        ours, theirs = f"10.77.{self.links}.1", f"10.77.{self.links}.2"
        device = f"{self.prefix}d{self.links}"
        self.start(None, self.program("delay_link"), near, far, device, str(round_trip_ms / 2),
                   *map(str, line), wait_for="ready")
        for space, address in ((near, ours), (far, theirs)):
            run("ip", "-n", space, "address", "add", f"{address}/24", "dev", device)
            # The queue is delay_link's: bursts of a large window must not be lost before it.
            run("ip", "-n", space, "link", "set", device, "up", "txqueuelen", "20000")
            self.pin_cubic(space)
        return theirs

    def inside(self, space, *command, check=True):
        return run("ip", "netns", "exec", space, *command, check=check)

    def start(self, space, *command, wait_for=None, stdin=None):
        prefix = ("ip", "netns", "exec", space) if space else ()
        log = open(self.folder / f"log{len(self.processes)}", "w")
        process = subprocess.Popen(
            prefix + command, stdin=stdin or subprocess.DEVNULL, stderr=log, text=True,
            stdout=subprocess.PIPE if wait_for else log)
        process.log = log.name
        self.processes.append(process)
        process.first_line = process.stdout.readline() if wait_for else ""
        if wait_for and wait_for not in process.first_line:
            raise RuntimeError(f"{command[0]} did not start: {pathlib.Path(log.name).read_text()}")
        return process

    def stop(self, process):
        process.terminate()
        process.wait(timeout=10)
        self.processes.remove(process)

    def await_(self, what, condition, process=None, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition():
            if process and process.poll() is not None or time.monotonic() > deadline:
                log = pathlib.Path(process.log).read_text() if process else ""
                raise RuntimeError(f"{what}: not ready. {log[-2000:]}")
            time.sleep(0.05)


class Servers:
    """sshd, a plain SOCKS5 server and the target, in namespace "s"."""

    def __init__(self, lab):
        self.space, self.target, self.port = lab.namespace("s"), TARGET, TARGET_PORT
        run("ip", "-n", self.space, "address", "add", f"{TARGET}/32", "dev", "lo")
        lab.pin_cubic(self.space)
        self.key, self.known_hosts = lab.folder / "key", lab.folder / "known_hosts"
        host_key = lab.folder / "host_key"
        for key in (self.key, host_key):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        public = pathlib.Path(f"{host_key}.pub").read_text().split()
        self.known_hosts.write_text(f"* {public[0]} {public[1]}\n")
        os.makedirs("/run/sshd", exist_ok=True)
        self.host_key = host_key
        self.start_sshd(lab, SSHD_PORT)
        lab.start(self.space, lab.program("socks_server"), f"0.0.0.0:{SOCKS_PORT}")
        lab.start(self.space, lab.program("load"), "serve", "--to", f"{TARGET}:{TARGET_PORT}")

    def start_sshd(self, lab, port, more="", keys=None):
        config = lab.folder / f"sshd_config_{port}"
        config.write_text(
            f"Port {port}\nHostKey {self.host_key}\nAuthorizedKeysFile {keys or f'{self.key}.pub'}\n"
            "PermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nUseDNS no\n"
            f"PidFile none\nMaxStartups 100\nLogLevel ERROR\n{more}")
        lab.start(self.space, "/usr/sbin/sshd", "-D", "-e", "-f", str(config))


class Subject:
    """A client in a namespace of its own. `command(server_address)` starts it. `far`: what join_slowly takes, if
    it is not near."""

    def __init__(self, lab, servers, name, short, command, socks, far=None):
        self.lab, self.name, self.socks = lab, name, socks
        self.space = lab.namespace(short)
        server = (lab.join(self.space, servers.space) if far is None else
                  lab.join_slowly(self.space, servers.space, *far))
        if short == "pd":  # the only one that reaches the target by itself
            run("ip", "-n", self.space, "route", "add", TARGET, "via", server, "congctl", "cubic")
        # tunproxy puts its resolver into /etc/resolv.conf: into one of its own, not the machine's.
        etc = lab.folder / f"etc-{short}"
        with contextlib.suppress(shutil.Error):  # what went away meanwhile
            shutil.copytree("/etc", etc, symlinks=True)
        self.process = lab.start(self.space, "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(etc),
                                 *command(server))
        ready = self.listens if socks else self.has_route
        lab.await_(name, lambda: ready() and self.try_once(), self.process)

    def listens(self):
        return f":{SOCKS_PORT} " in self.lab.inside(self.space, "ss", "-ltn").stdout

    def has_route(self):
        return self.lab.inside(self.space, "ip", "route", "get", TARGET, check=False).returncode == 0

    def try_once(self):
        return self.load("open", streams=1, check=False).returncode == 0

    def load_command(self, mode, **options):
        command = [self.lab.program("load"), mode, "--to", f"{TARGET}:{TARGET_PORT}"]
        if self.socks:
            command += ["--socks", f"127.0.0.1:{SOCKS_PORT}"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        return command

    def load(self, mode, check=True, **options):
        return self.lab.inside(self.space, "timeout", "120", *self.load_command(mode, **options),
                               check=check)

    def line_bytes(self):
        """Seconds, and the bytes that came in and went out by the way to the server."""
        far = next(name for name in self.lab.inside(self.space, "ls", "/sys/class/net").stdout.split()
                   if name.startswith("tpb"))
        counts = self.lab.inside(self.space, "cat", *(f"/sys/class/net/{far}/statistics/{way}_bytes"
                                                      for way in ("rx", "tx"))).stdout.split()
        return [time.monotonic(), *map(int, counts)]

    def cpu_seconds(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def wake_ups(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(),
                                 re.M).group(1)) for task in tasks.iterdir())

    def rss_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s*(\d+)", status, re.M).group(1)) / 1024

    def transfer(self, direction, streams, size):
        """(MB/s, CPU seconds per GB)"""
        before = self.cpu_seconds()
        moved, seconds = self.load("run", direction=direction, streams=streams,
                                   bytes=size).stdout.split()
        used = self.cpu_seconds() - before
        return int(moved) / float(seconds) / 1e6, used / (int(moved) / 1e9)

    def open_many(self, count):
        return float(self.load("open", streams=count).stdout.split()[1]) * 1000

    def hold(self, count):
        """Resident memory (MB) with that many idle connections."""
        holder = self.lab.start(self.space, *self.load_command("hold", streams=count),
                                wait_for=" ", stdin=subprocess.PIPE)
        time.sleep(1)
        memory = self.rss_mb()
        holder.stdin.close()
        holder.wait(timeout=20)
        self.lab.processes.remove(holder)
        return memory


def subjects_of(lab, servers, far):
    """Name, short name, command, has a SOCKS port."""
    tunproxy = str(lab.build / "tunproxy")
    ssh = ["ssh", "-N", "-F", "none", "-i", str(servers.key), "-p", str(SSHD_PORT),
           "-o", f"UserKnownHostsFile={servers.known_hosts}", "-o", "BatchMode=yes",
           "-o", "ExitOnForwardFailure=yes", "-D", f"127.0.0.1:{SOCKS_PORT}"]
    ours = ["--port", str(SSHD_PORT), "--identity", str(servers.key), "--host-key-policy", "strict",
            "--known-hosts", str(servers.known_hosts)]
    listener = ["--no-tun", "--socks", f"127.0.0.1:{SOCKS_PORT}"]
    direct = [lab.program("socks_server"), f"127.0.0.1:{SOCKS_PORT}"]
    with_gcm = lambda server: ssh + ["-c", GCM, f"root@{server}"]
    over_ssh = lambda *more: lambda server: [tunproxy, "--ssh", f"root@{server}", *ours, *more]
    rows = [
        ("TUN -> SOCKS5", "ts", lambda server: [tunproxy, "--socks5", f"{server}:{SOCKS_PORT}"], False),
        ("plain SOCKS5 server", "pd", lambda server: direct, True),
        ("TUN -> SSH", "th", over_ssh(), False),
        ("SOCKS -> SSH", "sh", over_ssh(*listener), True),
        ("ssh -D, aes256-gcm", "gd", with_gcm, True),
        ("ssh -D, default", "dd", lambda server: ssh + [f"root@{server}"], True),
    ]
    if far:
        rows = [row for row in rows if row[1] not in ("dd", "pd")]
        return [(name, f"f{short}", command, socks) for name, short, command, socks in rows]
    return rows


def print_table(title, heads, rows):
    widths = [max(len(str(row[i])) for row in [heads] + rows) for i in range(len(heads))]
    print(f"\n{title}\n")
    for i, row in enumerate([heads, ["-" * width for width in widths]] + rows):
        cells = [f"{cell!s:<{width}}" if j == 0 else f"{cell!s:>{width}}"
                 for j, (cell, width) in enumerate(zip(row, widths))]
        print("| " + " | ".join(cells) + " |")
    sys.stdout.flush()


class Bench:
    def __init__(self, lab, arguments):
        self.lab, self.arguments = lab, arguments
        self.servers = Servers(lab)

    def wanted(self, name):
        return not self.arguments.rows or any(p.lower() in name.lower() for p in self.arguments.rows)

    def start_subjects(self, far):
        subjects = []
        for name, short, command, socks in subjects_of(self.lab, self.servers, far):
            if not self.wanted(name):
                continue
            try:
                subjects.append(Subject(self.lab, self.servers, name, short, command, socks, () if far else None))
            except (RuntimeError, OSError) as error:
                print(f"{name}: left out: {error}", file=sys.stderr)
        return subjects

    def throughput(self, subjects):
        cases = [(direction, streams) for streams in (1, 10, 100) for direction in ("up", "down")]
        figures = {}
        for number in range(self.arguments.rounds):
            for case in cases:
                for subject in subjects:
                    if case[1] == 100 and not subject.socks:
                        continue
                    size = self.arguments.size << (20 if "SSH" in subject.name or "ssh" in subject.name
                                                   else 22)
                    try:
                        figure = subject.transfer(*case, size)
                    except RuntimeError as error:
                        print(f"{subject.name} {case}: {error}", file=sys.stderr)
                        continue
                    figures.setdefault((subject.name, case), []).append(figure)
                    if self.arguments.verbose:
                        print(number, subject.name, *case, "%.0f MB/s %.2f CPU-s/GB" % figure,
                              file=sys.stderr)
        self.print_throughput(subjects, cases, figures)

    def print_throughput(self, subjects, cases, figures):
        median = {key: [statistics.median(column) for column in zip(*values)]
                  for key, values in figures.items()}
        for direction, streams in cases:
            case = (direction, streams)
            reference = median.get(("ssh -D, aes256-gcm", case))
            rows = []
            for subject in subjects:
                if (subject.name, case) not in median:
                    continue
                speed, cpu = median[subject.name, case]
                ratio = f"{speed / reference[0]:.2f}" if reference else "-"
                rows.append([subject.name, f"{speed:.0f}", f"{speed * 8 / 1000:.2f}", f"{cpu:.2f}", ratio])
            print_table(f"{streams} stream(s), {direction}",
                        ["", "MB/s", "Gb/s", "CPU-s/GB", "x ssh -D gcm"], rows)

    def idle(self, subjects):
        seconds = 20 if self.arguments.quick else 60
        time.sleep(2)
        before = {subject.name: subject.wake_ups() for subject in subjects}
        memory = {subject.name: subject.rss_mb() for subject in subjects}
        time.sleep(seconds)
        rows = []
        for subject in subjects:
            wake_ups = (subject.wake_ups() - before[subject.name]) * 60 / seconds
            try:
                held = f"{subject.hold(self.arguments.idle):.1f}"
            except (RuntimeError, OSError) as error:
                held = "-"
                print(f"{subject.name}: {error}", file=sys.stderr)
            rows.append([subject.name, f"{wake_ups:.0f}", f"{memory[subject.name]:.1f}", held])
        print_table("Idle", ["", "wake-ups/min", "RSS MB before",
                             f"RSS MB with {self.arguments.idle} connections"], rows)

    def memory(self):
        """Of the library on a phone, over what the process had before."""
        try:
            online, most = bench_memory.measure(self.lab, self.servers, 1000, 100, {"profile": "mobile"})
        except (RuntimeError, subprocess.TimeoutExpired) as failure:
            print(f"Library, profile mobile: {failure}")
            return
        print_table("Library, profile mobile", ["", "RSS MB more, online", "at most, 1000 TCP flows and 100 associations busy"],
                    [["fd mode", f"{online:.1f}", f"{most:.1f}"]])

    def opens(self, subjects):
        figures = {subject.name: [] for subject in subjects}
        for _ in range(self.arguments.rounds):
            for subject in subjects:
                try:
                    figures[subject.name].append(subject.open_many(100))
                except RuntimeError as error:
                    print(f"{subject.name}: {error}", file=sys.stderr)
        median = {name: statistics.median(values) for name, values in figures.items() if values}
        reference = median.get("ssh -D, aes256-gcm")
        rows = [[name, f"{value:.0f}", f"{value / reference:.2f}" if reference else "-"]
                for name, value in median.items()]
        print_table(f"100 opens at once, {ROUND_TRIP_MS} ms round-trip time",
                    ["", "ms", "x ssh -D gcm"], rows)

    def rules(self):
        """What a decision costs among 10 000 rules."""
        what, rows = "", []
        for line in run(self.lab.program("rules_bench")).stdout.splitlines():
            if found := re.match(r"(.*?) +(\d+) ns a flow", line):
                rows.append([what, *found.groups()])
            else:
                what = line
        print_table("A decision of the rules", ["", "known of the flow", "ns"], rows)


def raise_descriptor_limit():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--rounds", type=int, help="default 5, quick 2")
    parser.add_argument("--size", type=int, help="MiB a transfer (four times that for SOCKS5); default 1024, "
                        "quick 256")
    parser.add_argument("--idle", type=int, default=1000, help="idle connections to hold")
    parser.add_argument("--rows", action="append", metavar="TEXT", help="only subjects with TEXT in their name")
    parser.add_argument("--skip", action="append", default=[],
                        choices=["throughput", "idle", "opens", "udp", "line", "far", "many", "cuts", "rules", "memory"])
    parser.add_argument("--rtt", type=float, default=100, metavar="MS", help="round-trip time of the rows that are far")
    parser.add_argument("--many", type=int, default=1000, metavar="N", help="downloads at once")
    for program in ("tun2socks", "udpgw"):
        parser.add_argument(f"--badvpn-{program}", metavar="PROGRAM", help=f"badvpn's {program}, for the UDP rows")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="every figure as it comes")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.quick else 5)
    arguments.size = arguments.size or (256 if arguments.quick else 1024)
    return arguments


def main():
    arguments = parse_arguments()
    if os.geteuid() != 0:
        sys.exit("bench.py makes network namespaces: run it as root")
    if not (arguments.build / "tools" / "bench" / "load").exists():
        sys.exit(f"no build in {arguments.build}: cmake --preset release && cmake --build --preset release")
    raise_descriptor_limit()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    bench = Bench(Lab(arguments.build, arguments.verbose), arguments)
    print(f"{os.cpu_count()} CPUs, Linux {os.uname().release}, {arguments.rounds} rounds, cubic; everything "
          "on this machine")
    if {"throughput", "idle"} - set(arguments.skip):
        subjects = bench.start_subjects(far=False)
        if "idle" not in arguments.skip:  # first: later the heap has seen more
            bench.idle(subjects)
        if "throughput" not in arguments.skip:
            bench.throughput(subjects)
        for subject in subjects:
            bench.lab.stop(subject.process)
    if "rules" not in arguments.skip:
        bench.rules()
    if "udp" not in arguments.skip:
        bench_udp.measure_all(bench, lambda *words: Subject(bench.lab, bench.servers, *words, socks=False),
                              print_table, TARGET)
    if "line" not in arguments.skip:
        bench_link.measure_all(bench, lambda *words: Subject(bench.lab, bench.servers, *words[:3], False, words[3]),
                               print_table, TARGET)
    bench_sessions.measure_all(bench, lambda *words: Subject(bench.lab, bench.servers, *words[:3], True, words[3]),
                               print_table, SSHD_PORT, subjects_of)
    if "memory" not in arguments.skip:
        bench.memory()
    if "opens" not in arguments.skip:
        bench.opens(bench.start_subjects(far=True))


if __name__ == "__main__":
    main()
