"""Traffic for the integration tests: the targets, and the applications that talk to them.

Data is a known sequence, so that both ends can check it byte by byte: block N of 1 MiB is the number N in
8 bytes and then the same pseudo-random bytes. A verb prints its result and exits 0, or says what was wrong.
"""

import errno
import json
import os
import random
import selectors
import socket
import statistics
import struct
import sys
import threading
import time

ECHO, SINK, SOURCE, RESET, WATCH, TALK_FIRST, WEB = 7001, 7002, 7003, 7004, 7005, 7006, 80
BLOCK = 1 << 20
BASE = random.Random(20).randbytes(BLOCK - 8)
LIMIT = 100


def block(number):
    return struct.pack("!Q", number) + BASE


def send_sequence(sock, total):
    """Holds no block of its own: there may be hundreds of these at a time."""
    for number in range((total + BLOCK - 1) // BLOCK):
        size = min(BLOCK, total - number * BLOCK)
        sock.sendall(struct.pack("!Q", number)[:size])
        sock.sendall(memoryview(BASE)[: max(0, size - 8)])


def receive_sequence(sock, pause=0.0):
    """Reads to the end and checks; returns the number of bytes, or raises ValueError at the first wrong one."""
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    total = 0
    while True:
        filled = 0
        while filled < BLOCK:
            n = sock.recv_into(view[filled:])
            if n == 0:
                break
            filled += n
            if pause:
                time.sleep(pause)
        if view[:filled] != memoryview(block(total // BLOCK))[:filled]:
            raise ValueError(f"wrong bytes in the block at {total}")
        total += filled
        if filled < BLOCK:
            return total


def connect(host, port, timeout=LIMIT):
    return socket.create_connection((host, int(port)), timeout=timeout)


def receive_exactly(sock, count):
    got = b""
    while len(got) < count:
        part = sock.recv(count - len(got))
        if not part:
            raise ValueError(f"the connection ended after {got!r}")
        got += part
    return got


def ask_socks(sock, host, port):
    """CONNECT to an IPv4 address: the code of the reply."""
    sock.sendall(bytes([5, 1, 0]) + bytes([5, 1, 0, 1]) + socket.inet_aton(host) + struct.pack("!H", int(port)))
    return receive_exactly(sock, 12)[3]


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# -- the targets

class Targets:
    def __init__(self, log):
        self.log_file = open(log, "a", encoding="ascii", buffering=1)

    def log(self, *words):
        self.log_file.write(" ".join(map(str, words)) + "\n")

    def serve(self):
        for port, handle in ((SINK, self.sink), (SOURCE, self.source), (RESET, self.reset_on_request),
                             (WATCH, self.watch), (TALK_FIRST, self.talk_first), (WEB, self.web)):
            threading.Thread(target=self.accept, args=(self.listen(port), handle), daemon=True).start()
        echo = self.listen(ECHO)
        self.log("ready")
        self.echo_all(echo)

    def listen(self, port):
        sock = socket.socket(socket.AF_INET6)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", port))
        sock.listen(4096)
        return sock

    def accept(self, listener, handle):
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=self.guarded, args=(handle, sock), daemon=True).start()

    def guarded(self, handle, sock):
        try:
            with sock:
                handle(sock)
        except (OSError, ValueError) as error:
            self.log(handle.__name__, "error", errno.errorcode.get(getattr(error, "errno", 0) or 0, error))

    def sink(self, sock):
        """Checks a sequence to its end; only then answers with its length."""
        total = receive_sequence(sock)
        self.log("sink", total)
        sock.sendall(f"{total}\n".encode())

    def source(self, sock):
        """Sends as many bytes of the sequence as the first line says."""
        send_sequence(sock, int(sock.makefile("rb").readline()))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)

    def reset_on_request(self, sock):
        sock.sendall(sock.recv(100))
        reset(sock)

    def watch(self, sock):
        """Logs how the connection ended: "eof", or the name of the error."""
        sock.sendall(b"w")
        try:
            while sock.recv(65536):
                pass
            self.log("watch eof")
        except OSError as error:
            self.log("watch", errno.errorcode[error.errno])

    def talk_first(self, sock):
        """Sends, half-closes, and then reads to the end."""
        send_sequence(sock, 3 * BLOCK + 5)
        sock.shutdown(socket.SHUT_WR)
        self.log("talk_first", receive_sequence(sock))

    def web(self, sock):
        request = b""
        while b"\r\n\r\n" not in request:
            part = sock.recv(4096)
            if not part:
                return
            request += part
        body = b"hello from the other side\n"
        sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def echo_all(self, listener):
        """One thread for all, so that thousands of connections cost nothing."""
        selector = selectors.DefaultSelector()
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    sock, _ = listener.accept()
                    selector.register(sock, selectors.EVENT_READ)
                    continue
                self.echo_one(selector, key.fileobj)

    def echo_one(self, selector, sock):
        try:
            data = sock.recv(65536)
            if data:
                return sock.sendall(data)
        except OSError:
            pass
        selector.unregister(sock)
        sock.close()


# -- the applications

def verb_serve(log):
    Targets(log).serve()


def verb_down(host, total, pause="0"):
    with connect(host, SOURCE) as sock:
        sock.sendall(f"{total}\n".encode())
        began = time.monotonic()
        got = receive_sequence(sock, float(pause))
    if got != int(total):
        raise ValueError(f"{got} bytes instead of {total}")
    print(f"{got} bytes, {got / 1e6 / max(time.monotonic() - began, 1e-6):.0f} MB/s")


def verb_up(host, total):
    with connect(host, SINK) as sock:
        began = time.monotonic()
        send_sequence(sock, int(total))
        sock.shutdown(socket.SHUT_WR)
        answer = sock.makefile("rb").readline().strip()
    if answer != total.encode():
        raise ValueError(f"the target got {answer!r} instead of {total}")
    print(f"{total} bytes, {int(total) / 1e6 / (time.monotonic() - began):.0f} MB/s")


def verb_outcome(host, port, timeout):
    """How a connect ends: "connected", "pending", or the name of the error."""
    try:
        connect(host, port, float(timeout)).close()
        print("connected")
    except TimeoutError as error:
        print("pending" if error.errno is None else errno.errorcode[error.errno])
    except OSError as error:
        print(errno.errorcode[error.errno])


def verb_icmp(protocol, host, port):
    """What a refused flow to `host` is told: type and code of the ICMP message, and the error that it becomes."""
    v6 = ":" in host
    heard = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW,
                          socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
    heard.settimeout(LIMIT)
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET,
                         socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    sock.settimeout(LIMIT)
    error = 0
    try:
        sock.connect((host, int(port)))
        sock.send(b"x")
        sock.recv(1)
    except OSError as failure:
        error = failure.errno
    while True:
        message = heard.recv(2000)
        message = message if v6 else message[4 * (message[0] & 15):]  # with the header of IPv4
        inner = message[8:]
        ports = inner[40:] if v6 else inner[4 * (inner[0] & 15):]
        if message[0] in (1, 3) and struct.unpack("!H", ports[2:4])[0] == int(port):
            return print(message[0], message[1], errno.errorcode.get(error, error))


def verb_round_trips(host, count):
    """Echoes of a few bytes by one connection, one after the other: prints the median of the times (ms)."""
    times = []
    with connect(host, ECHO) as sock:
        for number in range(int(count)):
            message = b"%08d" % number
            began = time.monotonic()
            sock.sendall(message)
            if sock.recv(8, socket.MSG_WAITALL) != message:
                raise ValueError("a wrong echo")
            times.append((time.monotonic() - began) * 1000)
    print(round(statistics.median(times)))


def verb_half_close(host):
    """We finish first: the target answers only after our end. Then the other way round."""
    verb_up(host, str(2 * BLOCK + 3))
    with connect(host, TALK_FIRST) as sock:
        if receive_sequence(sock) != 3 * BLOCK + 5:
            raise ValueError("too short")
        send_sequence(sock, BLOCK + 7)
        sock.shutdown(socket.SHUT_WR)


def verb_reset_by_target(host):
    """Prints how a target's reset shows: when reading, or only to the next writes."""
    with connect(host, RESET) as sock:
        sock.sendall(b"now")
        got = b""
        try:
            while data := sock.recv(100):
                got += data
        except ConnectionResetError:
            return print("ECONNRESET after", got.decode())
        try:
            deadline = time.monotonic() + LIMIT
            while time.monotonic() < deadline:
                sock.sendall(b"anybody?")
                time.sleep(0.05)
        except (ConnectionResetError, BrokenPipeError):
            return print("end, then a reset, after", got.decode())
    raise ValueError("writing goes on without an error")


def verb_reset_by_us(host):
    sock = connect(host, WATCH)
    sock.recv(1)  # it is through to the target
    reset(sock)


def verb_break(host, total):
    """A download that is expected to break off by a reset: prints how. Wrong bytes, or an end in good order, are
    failures."""
    with connect(host, SOURCE) as sock:
        try:
            sock.sendall(f"{total}\n".encode())
            got = receive_sequence(sock)
        except OSError as error:
            return print("broke off:", error)
    raise ValueError(f"it ended in good order after {got} bytes of {total}")


def verb_stall(host, ready):
    """Asks for much and reads nothing, until killed."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((host, SOURCE))
    sock.sendall(b"%d\n" % (1 << 30))
    open(ready, "w", encoding="ascii").close()
    time.sleep(LIMIT)


def stalled(host, socks_port):
    """A download of which nothing is read; through a SOCKS listener if there is a port of one."""
    sock = socket.socket()
    sock.settimeout(LIMIT)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", socks_port) if socks_port else (host, SOURCE))
    if socks_port and ask_socks(sock, host, SOURCE) != 0:
        return None
    sock.sendall(b"%d\n" % (1 << 30))
    return sock


def verb_stall_many(host, count, socks_port, ready):
    """Many of these, until killed; tells how many were let."""
    socks = []
    for _ in range(int(count)):
        try:
            sock = stalled(host, int(socks_port))
        except OSError:
            sock = None
        if sock is not None:
            socks.append(sock)
    with open(ready + ".new", "w", encoding="ascii") as file:
        file.write(str(len(socks)))
    os.rename(ready + ".new", ready)
    time.sleep(LIMIT)


def verb_echoes(host, socks_port, count, port=ECHO):
    """`count` connections, one after the other and all kept open; then an echo on each. Prints how each connect ended: "ok" or
    the name of the error, or a SOCKS reply; how many of each."""
    outcomes = {}
    socks = []
    for _ in range(int(count)):
        outcome = "ok"
        try:
            if int(socks_port):
                sock = connect("127.0.0.1", socks_port)
                code = ask_socks(sock, host, port)
                outcome = "ok" if code == 0 else f"reply {code}"
            else:
                sock = connect(host, port)
        except OSError as error:
            outcome = errno.errorcode.get(error.errno or 0, str(error))
        if outcome == "ok":
            socks.append(sock)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    for number, sock in enumerate(socks):
        message = b"%08d" % number
        sock.sendall(message)
        if receive_exactly(sock, 8) != message:
            raise ValueError(f"connection {number}: a wrong echo")
    print(json.dumps(outcomes))


def start_connects(selector, host, ports):
    for number, port in enumerate(ports):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setblocking(False)
        sock.connect_ex((host, port))
        selector.register(sock, selectors.EVENT_WRITE, number)


def verb_many(host, count):
    """`count` connections open at once, each with an echo of its own."""
    count = int(count)
    selector = selectors.DefaultSelector()
    start_connects(selector, host, [ECHO] * count)
    messages = [random.Random(n).randbytes(1000) for n in range(count)]
    answers = [b""] * count
    open_sockets = []
    while len(open_sockets) < count:
        ready = selector.select(LIMIT)
        if not ready:
            raise ValueError(f"only {len(open_sockets)} of {count} answered")
        for key, events in ready:
            sock, number = key.fileobj, key.data
            if events & selectors.EVENT_WRITE:
                failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failed:
                    raise ValueError(f"connection {number}: {errno.errorcode[failed]}")
                sock.send(messages[number])
                selector.modify(sock, selectors.EVENT_READ, number)
                continue
            part = sock.recv(4096)
            if not part:
                raise ValueError(f"connection {number} ended after {len(answers[number])} bytes")
            answers[number] += part
            if len(answers[number]) >= 1000:
                selector.unregister(sock)
                open_sockets.append(sock)
    if answers != messages:
        raise ValueError("an echo came back wrong")
    print(f"{count} connections at once")


def verb_scan(host, first, count):
    """SYNs to `count` closed ports at once; counts how they ended."""
    selector = selectors.DefaultSelector()
    count = int(count)
    start_connects(selector, host, range(int(first), int(first) + count))
    outcomes = {}
    deadline = time.monotonic() + LIMIT
    while selector.get_map() and time.monotonic() < deadline:
        for key, _ in selector.select(1):
            failed = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            name = errno.errorcode.get(failed, "connected")
            outcomes[name] = outcomes.get(name, 0) + 1
            selector.unregister(key.fileobj)
            key.fileobj.close()
    outcomes["pending"] = count - sum(outcomes.values())
    print(json.dumps(outcomes))


def main():
    verb = globals()["verb_" + sys.argv[1]]
    try:
        verb(*sys.argv[2:])
    except (OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    sys.stdout.flush()
    os._exit(0)  # not one by one: thousands of sockets


if __name__ == "__main__":
    main()
