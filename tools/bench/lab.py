"""The ground that benchmarks stand on: namespaces, links, servers, and the subjects that are measured."""

import atexit
import contextlib
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

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


def status_kb(process, name):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(re.search(rf"^{name}:\s*(\d+)", text, re.M).group(1))


def raise_descriptor_limit():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def print_table(title, heads, rows):
    widths = [max(len(str(row[i])) for row in [heads] + rows) for i in range(len(heads))]
    print(f"\n{title}\n")
    for i, row in enumerate([heads, ["-" * width for width in widths]] + rows):
        cells = [f"{cell!s:<{width}}" if j == 0 else f"{cell!s:>{width}}"
                 for j, (cell, width) in enumerate(zip(row, widths))]
        print("| " + " | ".join(cells) + " |")
    sys.stdout.flush()


class Lab:
    """Namespaces, keys and processes, and the end of all of them."""

    def __init__(self, build, verbose):
        self.build = build.resolve()
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
        return status_kb(self.process, "VmRSS") / 1024

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
