#!/usr/bin/env python3
"""Measures what several SSH sessions give, and how soon a cut is over.

    tools/bench/bench_sessions.py [--build DIRECTORY] [--rtt MS] [--rounds N] [--many N] [--skip far|many|cut]...

Far: one and ten streams over a wire with a round-trip time, both ways, with one and with four sessions, against
`ssh -D`. Many: as many downloads at once as --many says, by a near server. The pool grows with its flows, so each
subject is warmed until it has its sessions. Cut: a firewall drops the connection's packets without a word for some
seconds; the time from their return to the first answer to a fresh connection. Namespaces and servers are bench.py's.
"""

import argparse
import os
import pathlib
import resource
import signal
import statistics
import sys
import time

import bench

SESSIONS = (1, 4)
CUTS = (2, 6, 20)  # seconds
GROWING = 20  # seconds in which the sessions must be there


def ours(lab, servers, sessions):
    command = next(row[2] for row in bench.subjects_of(lab, servers, far=False) if row[0] == "SOCKS -> SSH")
    return lambda server: command(server) + ["--sessions", str(sessions)]


def reference(lab, servers):
    return next(row[2] for row in bench.subjects_of(lab, servers, far=False) if row[0] == "ssh -D, aes256-gcm")


def make_subjects(lab, servers, letter, wire):
    rows = [(f"{count} session{'s' if count > 1 else ''}", f"{letter}{count}", ours(lab, servers, count))
            for count in SESSIONS] + [("ssh -D, aes256-gcm", f"{letter}r", reference(lab, servers))]
    return [bench.Subject(lab, servers, name, short, command, True, far=wire) for name, short, command in rows]


def connections(subject):
    return subject.lab.inside(subject.space, "ss", "-Htn", "state", "established",
                              f"dport = :{bench.SSHD_PORT}").stdout.count("\n")


def warm(subject, wanted, streams):
    """Flows that come until the pool has grown. One connection more may be the one for datagrams."""
    deadline = time.monotonic() + GROWING
    while connections(subject) < wanted and time.monotonic() < deadline:
        subject.transfer("down", streams, 16 << 20)
    return connections(subject)


def far_rows(lab, servers, arguments):
    subjects = make_subjects(lab, servers, "f", [arguments.rtt])
    figures = {}
    for subject in subjects:
        warm(subject, int(subject.name[0]) if subject.name[0].isdigit() else 1, 10)
    for _ in range(arguments.rounds):
        for streams, size in ((1, 64 << 20), (10, 192 << 20)):
            for direction in ("down", "up"):
                for subject in subjects:
                    speed, _ = subject.transfer(direction, streams, size)
                    figures.setdefault((streams, direction), {}).setdefault(subject.name, []).append(speed * 8)
    for (streams, direction), by_name in figures.items():
        show(f"{streams} stream(s), {direction}, {arguments.rtt:g} ms round-trip time", "Mb/s", by_name, "ssh -D, aes256-gcm")


def many_rows(lab, servers, arguments):
    figures = {}
    for subject in make_subjects(lab, servers, "n", None):
        warm(subject, int(subject.name[0]) if subject.name[0].isdigit() else 1, 20)
        for _ in range(arguments.rounds):
            speed, _ = subject.transfer("down", arguments.many, 256 << 20)
            figures.setdefault(subject.name, []).append(speed)
    show(f"{arguments.many} downloads at once", "MB/s", figures, "1 session")


def cut_rows(lab, servers, _):
    subject = bench.Subject(lab, servers, "cut", "c4", ours(lab, servers, 4), True)
    rows = []
    for seconds in CUTS:
        rules = f"table inet cut {{ chain out {{ type filter hook output priority 0; tcp dport {bench.SSHD_PORT} drop; }}\n" \
                f"chain in {{ type filter hook input priority 0; tcp sport {bench.SSHD_PORT} drop; }} }}\n"
        path = lab.folder / "cut.nft"
        path.write_text(rules)
        lab.inside(subject.space, "nft", "-f", str(path))
        time.sleep(seconds)
        back = time.monotonic()
        lab.inside(subject.space, "nft", "delete", "table", "inet", "cut")
        while not subject.try_once():
            pass
        rows.append([f"{seconds} s", f"{time.monotonic() - back:.2f} s"])
    bench.print_table("A cut, and the time from its end to the first answer", ["cut", "recovery"], rows)


def show(title, unit, by_name, compared_with):
    base = statistics.median(by_name[compared_with])
    rows = [[name, f"{statistics.median(values):.0f}", f"{statistics.median(values) / base:.2f}"]
            for name, values in by_name.items()]
    bench.print_table(title, ["", unit, f"x {compared_with}"], rows)


def main():
    parts = {"far": far_rows, "many": many_rows, "cut": cut_rows}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=bench.ROOT / "build" / "release")
    parser.add_argument("--rtt", type=float, default=100, metavar="MS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--skip", action="append", choices=parts, default=[])
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench_sessions.py makes network namespaces: run it as root")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    lab = bench.Lab(arguments.build, verbose=False)
    servers = bench.Servers(lab)
    for name, rows in parts.items():
        if name not in arguments.skip:
            rows(lab, servers, arguments)


if __name__ == "__main__":
    main()
