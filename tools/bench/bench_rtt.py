#!/usr/bin/env python3
"""Measures TCP through an SSH server that is far away, against `ssh -D` and without any tunnel.

    tools/bench/bench_rtt.py [--rtt MS] [--rate MBIT [--queue KB]] [--streams N]... [-- TUNPROXY_OPTION...]

Like bench.py, whose namespaces and servers it uses: every subject has a wire of its own (delay_link). Figures
are medians of interleaved rounds, and count from the first connection to the last byte. What stands behind
"--" is given to tunproxy, for instance --sessions 4.
"""

import argparse
import os
import pathlib
import resource
import signal
import statistics
import sys

import bench


def subjects_of(lab, servers, wire, more):
    wanted = {"SOCKS -> SSH": "fs", "ssh -D, aes256-gcm": "fg", "plain SOCKS5 server": "pd"}
    rows = {name: (command, socks) for name, _, command, socks in bench.subjects_of(lab, servers, far=False)}
    subjects = []
    for name, short in wanted.items():
        command, socks = rows[name]
        extended = (lambda server, command=command: command(server) + more) if "->" in name else command
        subjects.append(bench.Subject(lab, servers, name, short, extended, socks, far=wire))
    return subjects


def measure(subjects, arguments):
    cases = [(direction, streams) for streams in arguments.streams for direction in ("down", "up")]
    figures = {}
    for subject in subjects:  # what a connection learns at first is not what is asked for
        subject.transfer("down", 1, 1 << 20)
    for _ in range(arguments.rounds):
        for direction, streams in cases:
            for subject in subjects:
                size = arguments.size << 20 if streams == 1 else arguments.size << 21
                try:
                    speed, cpu = subject.transfer(direction, streams, size)
                except RuntimeError as error:
                    print(f"{subject.name} {direction} {streams}: {error}", file=sys.stderr)
                    continue
                figures.setdefault((direction, streams), {}).setdefault(subject.name, []).append((speed, cpu))
    return figures


def report(figures, subjects, arguments):
    line = f", {arguments.rate} Mb/s" if arguments.rate else ""
    for (direction, streams), by_name in figures.items():
        medians = {name: [statistics.median(column) for column in zip(*values)] for name, values in by_name.items()}
        reference = medians.get("ssh -D, aes256-gcm")
        rows = [[subject.name, f"{medians[subject.name][0] * 8:.0f}", f"{medians[subject.name][1]:.2f}",
                 f"{medians[subject.name][0] / reference[0]:.2f}" if reference else "-"]
                for subject in subjects if subject.name in medians]
        bench.print_table(f"{streams} stream(s), {direction}, {arguments.rtt:g} ms round-trip time{line}",
                          ["", "Mb/s", "CPU-s/GB", "x ssh -D gcm"], rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=bench.ROOT / "build" / "release")
    parser.add_argument("--rtt", type=float, default=100, metavar="MS")
    parser.add_argument("--rate", type=float, metavar="MBIT", help="of the wire, each way; default: unlimited")
    parser.add_argument("--queue", type=int, metavar="KB", help="before the wire, if it has a rate")
    parser.add_argument("--streams", type=int, action="append", metavar="N", help="default: 1 and 10")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128, help="MiB of a single stream; twice that for several")
    parser.add_argument("tunproxy", nargs="*", metavar="TUNPROXY_OPTION")
    arguments = parser.parse_args()
    arguments.streams = arguments.streams or [1, 10]
    return arguments


def main():
    arguments = parse_arguments()
    if os.geteuid() != 0:
        sys.exit("bench_rtt.py makes network namespaces: run it as root")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    wire = [arguments.rtt]
    if arguments.rate:
        wire += [arguments.rate] + ([arguments.queue] if arguments.queue else [])
    lab = bench.Lab(arguments.build, verbose=False)
    subjects = subjects_of(lab, bench.Servers(lab), wire, arguments.tunproxy)
    report(measure(subjects, arguments), subjects, arguments)


if __name__ == "__main__":
    main()
