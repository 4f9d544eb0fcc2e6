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
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

import bench_link
import bench_memory
import bench_sessions
import bench_udp
from lab import (GCM, ROOT, ROUND_TRIP_MS, SOCKS_PORT, SSHD_PORT, Lab, Servers, Subject, print_table,
                 raise_descriptor_limit, run)


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
        bench_udp.measure_all(bench)
    if "line" not in arguments.skip:
        bench_link.measure_all(bench)
    bench_sessions.measure_all(bench, subjects_of)
    if "memory" not in arguments.skip:
        bench.memory()
    if "opens" not in arguments.skip:
        bench.opens(bench.start_subjects(far=True))


if __name__ == "__main__":
    main()
