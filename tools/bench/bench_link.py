"""The rows of bench.py over a slow line: UDP echo times while TCP downloads, uploads or both fill it.

The line has 20 Mb/s each way, 40 ms round-trip time, and in front of it a queue in which everything waits
its turn (QUEUES: how long a full one takes). "Own connection" is the usual case; in "shared" the server
refuses our second login, so datagrams travel on the connection of the bulk transfer. "No tunnel" is the
line itself, with a bulk transfer by plain TCP.
"""

import pathlib
import shutil
import statistics
import sys
import tempfile

from lab import TARGET, Subject, print_table

RATE_MBIT, ROUND_TRIP_MS = 20, 40
QUEUES = {"40 ms": 100, "200 ms": 500}  # KB
PORT = 5002
SSHD_PORTS = {"own connection": 24, "shared": 25}
PINGS, INTERVAL_MS = 200, 20
LOADS = [("idle", ()), ("down", ("down",)), ("up", ("up",)), ("down and up", ("down", "up"))]

# Serves the connection that comes first, and no other. sshd asks it several times in a login.
FIRST_ONLY = """#!/bin/sh
mkdir "{lock}" 2>/dev/null && echo $PPID > "{lock}/first"
[ "$(cat "{lock}/first")" = $PPID ] && cat "{key}.pub"
"""


class SlowLine:
    def __init__(self, bench):
        self.bench, self.lab = bench, bench.lab
        self.made = 0
        folder = self.lab.folder / "slow-bin"
        folder.mkdir()
        (folder / "tunproxy-relay").symlink_to(self.lab.build / "tools" / "relay" / "tunproxy-relay")
        self.usual = f"SetEnv PATH={folder}:/usr/bin:/bin\n"
        self.lab.start(bench.servers.space, self.lab.program("udp_load"), "serve", TARGET, str(PORT))
        self.private = pathlib.Path(tempfile.mkdtemp(prefix="tunproxy-bench-", dir="/run"))  # as sshd wants it
        self.private.chmod(0o755)

    def close(self):
        shutil.rmtree(self.private, ignore_errors=True)

    def command(self, port):
        servers = self.bench.servers
        return lambda server: [
            str(self.lab.build / "tunproxy"), "--ssh", f"root@{server}", "--port", str(port), "--udp", "relay",
            "--identity", str(servers.key), "--host-key-policy", "strict",
            "--known-hosts", str(servers.known_hosts)]

    def serve_first_only(self, port):
        script = self.private / f"keys{port}"
        script.write_text(FIRST_ONLY.format(lock=self.private / f"lock{port}", key=self.bench.servers.key))
        script.chmod(0o755)
        self.bench.servers.start_sshd(self.lab, port, self.usual +
                                      f"AuthorizedKeysCommand {script}\nAuthorizedKeysCommandUser root\n", keys="none")

    def subject(self, way, queue):
        """A client at the end of a line of its own, and a server for it."""
        self.made += 1
        far = ROUND_TRIP_MS, RATE_MBIT, queue
        if way == "no tunnel":
            return self.start(way, f"n{self.made}", lambda server: [
                "sh", "-c", f"ip route add {TARGET} via {server} congctl cubic && exec sleep infinity"], far)
        port = 30 + self.made
        if way == "shared":
            self.serve_first_only(port)
        else:
            self.bench.servers.start_sshd(self.lab, port, self.usual)
        subject = self.start(way, f"l{self.made}", self.command(port), far)
        self.lab.await_(f"{way}: UDP", lambda: self.ping(subject, 1, 0), subject.process)
        log = pathlib.Path(subject.process.log).read_text()
        if ("share the SSH connection" in log) != (way == "shared"):
            raise RuntimeError(f"{way}: {log}")
        return subject

    def start(self, name, short, command, far):
        return Subject(self.lab, self.bench.servers, name, short, command, False, far)

    def ping(self, subject, count, interval):
        done = self.lab.inside(subject.space, "timeout", "120", self.lab.program("udp_load"), "ping", TARGET,
                               str(PORT), str(count), str(interval), check=False)
        return [float(word) for word in done.stdout.split()] if done.returncode == 0 else None

    def under(self, subject, directions):
        """Milliseconds: p50, p95, p99, the share that was lost; and the bulk's Mb/s each way."""
        bulk = [self.lab.start(subject.space, *subject.load_command(
            "run", direction=direction, streams=1, bytes=1 << 40)) for direction in directions]
        if bulk:
            self.ping(subject, 60, 50)  # until the queue is full
        before = subject.line_bytes()
        figures = self.ping(subject, PINGS, INTERVAL_MS)
        after = subject.line_bytes()
        for process in bulk:
            if process.poll() is not None:
                raise RuntimeError(f"a bulk transfer ended: {pathlib.Path(process.log).read_text()}")
            self.lab.stop(process)
        if not figures:
            raise RuntimeError(f"no echo under {directions or 'nothing'}")
        answered, *times = figures
        rates = [(late - early) * 8 / 1e6 / (after[0] - before[0]) for early, late in zip(before[1:], after[1:])]
        return [each / 1000 for each in times] + [1 - answered / PINGS] + rates

    def measure(self, way, name, queue):
        """Table rows."""
        subject = self.subject(way, queue)
        rows, idle = [], None
        for what, directions in LOADS:
            rounds = [self.under(subject, directions) for _ in range(self.bench.arguments.rounds)]
            figures = [statistics.median(column) for column in zip(*rounds)]
            idle = idle or figures
            rows.append([f"{way}, queue {name}, {what}", *(f"{value:.0f}" for value in figures[:3]),
                         f"{figures[0] - idle[0]:+.0f}", f"{figures[2] - idle[2]:+.0f}", f"{figures[3]:.1%}",
                         f"{figures[4]:.1f}", f"{figures[5]:.1f}"])
            if self.bench.arguments.verbose:
                print(*rows[-1], file=sys.stderr, flush=True)
        self.lab.stop(subject.process)
        return rows


def measure_all(bench):
    line = SlowLine(bench)
    rows = []
    try:
        for name, queue in QUEUES.items():
            for way in ("no tunnel", "own connection", "shared"):
                if not bench.wanted(f"{way}, queue {name}"):
                    continue
                try:
                    rows += line.measure(way, name, queue)
                except (RuntimeError, OSError) as error:
                    print(f"{way}, queue {name}: left out: {error}", file=sys.stderr)
    finally:
        line.close()
    if rows:
        print_table(f"UDP echo over {RATE_MBIT} Mb/s, {ROUND_TRIP_MS} ms round-trip time, ms",
                    ["", "p50", "p95", "p99", "added p50", "added p99", "lost", "Mb/s down", "up"], rows)
