#!/usr/bin/env python3
"""What the library needs on a phone: resident memory, with flows and associations that are all busy.

    tools/bench/bench_memory.py [--build FOLDER] [--most MB] [--flows N] [--associations N] [KEY=VALUE]...

c_api_memory runs an instance over a TUN, with the profile `mobile` unless keys say otherwise. Half of the flows move bytes up
and half down, as fast as they can, and each is verified; the associations ask and are answered meanwhile. What counts is the
highest that the process ever had, over what it had before there was an instance. With --most, more than that is a failure.
"""

import argparse
import os
import pathlib
import select
import socket
import subprocess
import sys
import time

from lab import ROOT, Lab, Servers, raise_descriptor_limit, status_kb

DATAGRAM_PORT, INTERVAL = 5002, 0.1
EACH = 512 * 1024  # bytes of a flow
TUN = "mem0"


# -- datagrams, each in a process of its own

def serve_datagrams(address):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    server.bind((address, DATAGRAM_PORT))
    print("ready", flush=True)
    while True:
        data, peer = server.recvfrom(65536)
        server.sendto(data, peer)


def ask_by_datagrams(address, count):
    """Until standard input ends; prints how many were answered again and again."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    answers = dict.fromkeys(sockets, 0)
    for each in sockets:
        each.connect((address, DATAGRAM_PORT))
    ready = False
    while not select.select([sys.stdin], [], [], 0)[0]:
        for each in sockets:
            each.send(b"x" * 1000)
        until = time.monotonic() + INTERVAL
        while (left := until - time.monotonic()) > 0:
            for each in select.select(sockets, [], [], left)[0]:
                each.recv(2000)
                answers[each] += 1
        if not ready and all(answers.values()):
            ready = True
            print("answered", flush=True)
    print(sum(1 for number in answers.values() if number > 1), flush=True)


# -- the measurement

def start_instance(lab, servers, space, keys):
    """The library in `space`, with a route to the target; returns it and what it had before there was an instance."""
    server = lab.join(space, servers.space)
    for words in (["tuntap", "add", "dev", TUN, "mode", "tun"], ["link", "set", TUN, "up"],
                  ["address", "add", "10.79.0.1/24", "dev", TUN], ["route", "add", servers.target, "dev", TUN]):
        subprocess.run(["ip", "-n", space, *words], check=True)
    keys = {"identity": servers.key, "known-hosts": servers.known_hosts, "host-key-policy": "strict", **keys}
    process = lab.start(space, str(lab.build / "tests" / "c_api" / "c_api_memory"), TUN, f"root@{server}",
                        *(f"{key}={value}" for key, value in keys.items()), wait_for="KB", stdin=subprocess.PIPE)
    before, online = process.first_line, process.stdout.readline()
    if online.strip() != "online":
        raise RuntimeError(f"c_api_memory: {online} {pathlib.Path(process.log).read_text(encoding='utf-8')}")
    return process, int(before.split()[0])


def finish(process, what):
    output, _ = process.communicate(timeout=600)
    if process.returncode != 0:
        raise RuntimeError(f"{what}: {output} {pathlib.Path(process.log).read_text(encoding='utf-8')[-2000:]}")
    return (output or "").strip()  # it may be in the log


def keep_busy(lab, servers, space, flows, associations):
    """Until each flow has moved its bytes, and each association was answered again and again."""
    asking = lab.start(space, sys.executable, __file__, "ask", servers.target, str(associations), wait_for="answered",
                       stdin=subprocess.PIPE)
    transfers = [lab.start(space, lab.program("load"), "run", "--to", f"{servers.target}:{servers.port}", "--direction",
                           direction, "--streams", str(flows // 2), "--bytes", str(flows // 2 * EACH), "--verify")
                 for direction in ("up", "down")]
    for process in transfers:
        finish(process, "load")
    answered = finish(asking, "datagrams")
    if int(answered) != associations:
        raise RuntimeError(f"{answered} of {associations} associations were answered")


def measure(lab, servers, flows, associations, keys):
    """MB over what it had before there was an instance: when it is online, and at most."""
    space = lab.namespace("m")
    lab.start(servers.space, sys.executable, __file__, "serve", servers.target, wait_for="ready")
    process, before = start_instance(lab, servers, space, keys)
    online = status_kb(process, "VmRSS")
    keep_busy(lab, servers, space, flows, associations)
    most = status_kb(process, "VmHWM")
    finish(process, "c_api_memory")
    return (online - before) / 1024, (most - before) / 1024


def main():
    if sys.argv[1:2] == ["serve"]:
        return serve_datagrams(sys.argv[2])
    if sys.argv[1:2] == ["ask"]:
        return ask_by_datagrams(sys.argv[2], int(sys.argv[3]))
    if os.geteuid() != 0:
        sys.exit("bench_memory.py makes network namespaces: run it as root")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--most", type=float, metavar="MB")
    parser.add_argument("--flows", type=int, default=1000)
    parser.add_argument("--associations", type=int, default=100)
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    lab = Lab(arguments.build, False)
    keys = {"profile": "mobile", **dict(key.split("=", 1) for key in arguments.keys)}
    online, most = measure(lab, Servers(lab), arguments.flows, arguments.associations, keys)
    print(f"{online:.1f} MB online, {most:.1f} MB with {arguments.flows} TCP flows and {arguments.associations} UDP "
          "associations, all busy")
    return 1 if arguments.most is not None and most > arguments.most else 0


if __name__ == "__main__":
    sys.exit(main())
