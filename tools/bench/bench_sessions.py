"""The rows of bench.py about several SSH sessions, and about networks that go and come back.

Far: one and ten streams over a wire with a round-trip time, both ways, with one and with four sessions. Many: downloads
by the thousand, from a near server. Cuts: a firewall drops the connection's packets without a word for some seconds;
the time from their return to the first answer to a fresh connection.
"""

import pathlib
import random
import statistics
import sys
import time

from lab import SSHD_PORT, Subject, print_table

SESSIONS = (1, 4)
FAR_STREAMS = (1, 10)
CUTS = (1, 3, 8, 20, 45)  # seconds: less and more than what three keepalives take
CUT_ROUND_TRIPS = (0, 50)  # ms
REFERENCE = "ssh -D, aes256-gcm"
RULES = """table inet cut {{
  chain out {{ type filter hook output priority 0; tcp dport {port} drop; }}
  chain in {{ type filter hook input priority 0; tcp sport {port} drop; }}
}}
"""
GROWING = 30  # seconds in which the sessions must be there


class Sessions:
    def __init__(self, bench, subjects_of):
        self.bench, self.lab = bench, bench.lab
        self.commands = {row[0]: row[2] for row in subjects_of(self.lab, bench.servers, far=False)}
        self.size = bench.arguments.size << 20

    def ours(self, sessions):
        """Without a connection for datagrams, which would be one more."""
        command = self.commands["SOCKS -> SSH"]
        return lambda server: command(server) + ["--sessions", str(sessions), "--udp", "none"]

    def subjects(self, letter, far):
        rows = [(f"{count} session{'s' if count > 1 else ''}", f"{letter}{count}", self.ours(count)) for count in SESSIONS]
        rows.append((REFERENCE, f"{letter}r", self.commands[REFERENCE]))
        return [self.start(*row, far) for row in rows if self.bench.wanted(row[0])]

    def start(self, name, short, command, far):
        return Subject(self.lab, self.bench.servers, name, short, command, True, far)

    def stop(self, subjects):
        for subject in subjects:
            self.lab.stop(subject.process)

    def connections(self, subject):
        return subject.lab.inside(subject.space, "ss", "-Htn", "state", "established",
                                  f"dport = :{SSHD_PORT}").stdout.count("\n")

    def warm(self, subject, streams):
        """Flows that come until the pool, which grows with them, has all of its sessions."""
        wanted = int(subject.name[0]) if subject.name[0].isdigit() else 1
        deadline = time.monotonic() + GROWING
        while self.connections(subject) < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{subject.name}: {self.connections(subject)} connections")
            subject.transfer("down", streams, 16 << 20)

    def far(self):
        round_trip = self.bench.arguments.rtt
        subjects = self.subjects("w", (round_trip,))
        for subject in subjects:
            self.warm(subject, max(FAR_STREAMS))
        figures = {}
        for _ in range(self.bench.arguments.rounds):
            for streams in FAR_STREAMS:
                for direction in ("down", "up"):
                    for subject in subjects:
                        speed, _ = subject.transfer(direction, streams, self.size // 8 * (1 if streams == 1 else 2))
                        figures.setdefault((streams, direction), {}).setdefault(subject.name, []).append(speed * 8)
        for (streams, direction), by_name in figures.items():
            self.show(f"{streams} stream(s), {direction}, {round_trip:g} ms round-trip time", "Mb/s", by_name, REFERENCE)
        self.stop(subjects)

    def many(self):
        count = self.bench.arguments.many
        figures = {}
        subjects = self.subjects("m", None)
        for subject in subjects:
            self.warm(subject, 20)
        for _ in range(self.bench.arguments.rounds):
            for subject in subjects:
                speed, _ = subject.transfer("down", count, self.size // 4)
                figures.setdefault(subject.name, []).append(speed)
        self.show(f"{count} downloads at once", "MB/s", figures, "1 session")
        self.stop(subjects)

    def cuts(self):
        rows = []
        for round_trip in CUT_ROUND_TRIPS:
            subject = self.start("cut", f"c{round_trip}", self.ours(4), (round_trip,) if round_trip else None)
            for seconds in CUTS:
                times = [self.recovery(subject, seconds) for _ in range(self.bench.arguments.rounds)]
                rows.append([f"{seconds} s, {round_trip} ms round-trip time", f"{statistics.median(times):.2f}",
                             f"{max(times):.2f}"])
                if self.bench.arguments.verbose:
                    print(rows[-1], times, file=sys.stderr, flush=True)
            self.stop([subject])
        print_table("A cut, and the time from its end to the first answer, s", ["", "median", "longest"], rows)

    def recovery(self, subject, seconds):
        rules = pathlib.Path(self.lab.folder / "cut.nft")
        rules.write_text(RULES.format(port=SSHD_PORT))
        self.lab.await_("answers before a cut", subject.try_once)
        self.lab.inside(subject.space, "nft", "-f", str(rules))
        time.sleep(seconds + random.random())
        self.lab.inside(subject.space, "nft", "delete", "table", "inet", "cut")
        back = time.monotonic()
        while not subject.try_once():
            pass
        return time.monotonic() - back

    def show(self, title, unit, by_name, compared_with):
        base = statistics.median(by_name[compared_with]) if compared_with in by_name else None
        rows = [[name, f"{statistics.median(values):.0f}", f"{statistics.median(values) / base:.2f}" if base else "-"]
                for name, values in by_name.items()]
        print_table(title, ["", unit, f"x {compared_with}"], rows)


def measure_all(bench, subjects_of):
    sessions = Sessions(bench, subjects_of)
    for name in ("far", "many", "cuts"):
        if name not in bench.arguments.skip:
            getattr(sessions, name)()
