"""What every scenario needs: expectations, bounded waits, programs, processes."""

import os
import signal
import subprocess
import time

LIMIT = 120  # seconds, for anything; nothing waits that long unless it hangs


class Failure(Exception):
    """A scenario's expectation that did not hold."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def until(condition, what, limit=LIMIT):
    """Polls until `condition()` is true and returns that value."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise Failure(f"waited {limit} s in vain: {what}")


def sh(script, **options):
    done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, **options)
    check(done.returncode == 0, f"{script.strip()}: {done.stdout}{done.stderr}")
    return done.stdout


class Program:
    """A running tunproxy. Its stderr is in a file."""

    def __init__(self, directory, name, command, environment):
        self.command = command
        self.log = os.path.join(directory, name + ".err")
        self.out = os.path.join(directory, name + ".out")
        with open(self.log, "wb") as err, open(self.out, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            env=environment, start_new_session=True)

    def err(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def output(self):
        with open(self.out, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait(self, limit=LIMIT):
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failure(f"still runs after {limit} s: {' '.join(self.command)}\n{self.err()}") from None

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.send(number)
        return self.wait()


def process_table():
    """(pid, parent, state, name) of every process in the PID namespace."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                head, _, tail = file.read().rpartition(")")
        except OSError:
            continue
        state, parent = tail.split()[:2]
        yield int(pid), int(parent), state, head.partition("(")[2]


def processes_of(uid):
    """{pid: name} of the living processes of a user."""
    found = {}
    for pid, _, state, name in process_table():
        try:
            if state not in "ZX" and os.stat(f"/proc/{pid}").st_uid == uid:
                found[pid] = name
        except OSError:
            continue
    return found


def children_of(parent):
    return [pid for pid, its_parent, _, _ in process_table() if its_parent == parent]


def other_processes():
    return [f"{pid} {name}" for pid, _, state, name in process_table() if state not in "ZX" and pid != os.getpid()]
