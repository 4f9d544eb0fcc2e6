"""UDP for the integration tests: targets that echo, and applications that talk to them.

Echo targets return what they get. An observer target answers with the sender that it saw, from the address
and port that the question asks for (the tests of RFC 5780 section 4). A verb prints its result and exits 0,
or says what was wrong. UDP may lose datagrams, so applications ask again; a wrong answer is never forgiven.
"""

import errno
import ipaddress
import json
import random
import selectors
import socket
import statistics
import struct
import sys
import time

GOOD, GOOD6 = "203.0.113.1", "2001:db8:77::1"
OTHER, OTHER6 = "10.77.2.2", "fd77:2::2"
ECHO, OBSERVER, OTHER_OBSERVER, SINK, PEERS, PEER_COUNT = 7010, 7011, 7012, 7013, 7100, 200
AGAIN, LIMIT = 0.5, 40
UNANSWERED = 6  # seconds in which a filtered answer would have come many times


def udp_socket(host):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, buffer, 1 << 20)
    sock.setblocking(False)
    return sock


# -- the targets

class Targets:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.observers = {}
        for host in (GOOD, GOOD6):
            for port in (ECHO, *range(PEERS, PEERS + PEER_COUNT)):
                self.bind(host, port, self.echo)
            self.bind(host, SINK, lambda *_: None)
        for host in (GOOD, GOOD6, OTHER, OTHER6):
            for port in (OBSERVER, OTHER_OBSERVER):
                self.observers[host, port] = self.bind(host, port, self.observe)

    def bind(self, host, port, handle):
        sock = udp_socket(host)
        sock.bind((host, port))
        self.selector.register(sock, selectors.EVENT_READ, handle)
        return sock

    def serve(self):
        print("ready", flush=True)
        while True:
            for key, _ in self.selector.select():
                try:
                    data, sender = key.fileobj.recvfrom(65536)
                    key.data(key.fileobj, data, sender)
                except OSError:
                    pass  # a full buffer is a lost datagram

    def echo(self, sock, data, sender):
        sock.sendto(data, sender)

    def observe(self, _, data, sender):
        """{"from": [host, port], "id": N}: says who asked, from there."""
        question = json.loads(data)
        answer = {"id": question["id"], "saw": sender[:2]}
        self.observers[tuple(question["from"])].sendto(json.dumps(answer).encode(), sender)


# -- the applications

class Conversation:
    """A local port that asks until it gets its own answer, from the right sender."""

    def __init__(self, host, port, message, answer_from=None):
        self.to = (host, port)
        self.message = message
        self.answer_from = answer_from or self.to
        self.sock = udp_socket(host)
        self.sock.bind(("", 0))
        self.answer = None

    def ask(self):
        self.sock.sendto(self.message, self.to)

    def receive(self, is_answer):
        try:
            data, sender = self.sock.recvfrom(65536)
        except BlockingIOError:
            return
        if ipaddress.ip_address(sender[0]) != ipaddress.ip_address(self.answer_from[0]) or sender[1] != self.answer_from[1]:
            raise ValueError(f"an answer from {sender[:2]} instead of {self.answer_from}")
        if not is_answer(data):
            raise ValueError(f"{len(data)} bytes are not the answer to {len(self.message)}: {data[:40]!r}")
        self.answer = data


def converse(conversations, is_answer, limit=LIMIT):
    """Until all have their answers, or `limit` seconds have passed."""
    selector = selectors.DefaultSelector()
    for each in conversations:
        selector.register(each.sock, selectors.EVENT_READ, each)
    deadline = time.monotonic() + limit
    asked = 0.0
    while any(each.answer is None for each in conversations) and time.monotonic() < deadline:
        if time.monotonic() - asked > AGAIN:
            asked = time.monotonic()
            for each in conversations:
                if each.answer is None:
                    each.ask()
        for key, _ in selector.select(AGAIN / 5):
            key.data.receive(lambda data, each=key.data: is_answer(each, data))


def echoes(conversations, limit=LIMIT):
    converse(conversations, lambda each, data: data == each.message, limit)
    return [each for each in conversations if each.answer is not None]


def payload(size, seed=1):
    return random.Random(size * 1000 + seed).randbytes(size)


def verb_serve():
    Targets().serve()


def verb_echo(host, *sizes):
    for size in map(int, sizes or ("1200",)):
        if not echoes([Conversation(host, ECHO, payload(size))]):
            raise ValueError(f"no echo of {size} bytes from {host}")
    print("echoed")


def verb_outcome(host, port=ECHO):
    """What becomes of a datagram: "echoed", "silence", or the name of the error that the system tells at once."""
    sock = udp_socket(host)
    sock.connect((host, int(port)))
    sock.settimeout(20)
    try:
        sock.send(b"x")
        print("echoed" if sock.recv(10) == b"x" else "wrong")
    except TimeoutError:
        print("silence")
    except OSError as error:
        print(errno.errorcode[error.errno])


def verb_ports(host, count, peers):
    """`count` local ports at once, each with a message of its own, to `peers` ports of the target."""
    count, peers = int(count), int(peers)
    conversations = [Conversation(host, PEERS + n % peers, payload(300, n)) for n in range(count)]
    print(f"{len(echoes(conversations))} of {count}")


def verb_peers(host, count):
    """One local port to `count` peers: each answer comes from the one that was asked."""
    sock = udp_socket(host)
    missing = {PEERS + n: payload(200, n) for n in range(int(count))}
    expected = dict(missing)
    deadline = time.monotonic() + LIMIT
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ)
    while missing and time.monotonic() < deadline:
        for port, message in list(missing.items()):
            sock.sendto(message, (host, port))
        until = time.monotonic() + AGAIN
        while missing and time.monotonic() < until:
            for _ in selector.select(AGAIN / 5):
                data, sender = sock.recvfrom(65536)
                if expected.get(sender[1]) != data or ipaddress.ip_address(sender[0]) != ipaddress.ip_address(host):
                    raise ValueError(f"a wrong answer from {sender[:2]}")
                missing.pop(sender[1], None)
    if missing:
        raise ValueError(f"{len(missing)} of {count} did not answer")
    print(f"{count} peers")


class NoAnswer(ValueError):
    pass


def observe(sock, to, answer_from, number):
    """Asks the observer `to` to answer from elsewhere; returns how that saw us, or None."""
    question = json.dumps({"id": number, "from": answer_from}).encode()
    deadline = time.monotonic() + (LIMIT if to == answer_from else UNANSWERED)
    sock.settimeout(AGAIN)
    while time.monotonic() < deadline:
        sock.sendto(question, tuple(to))
        try:
            data, sender = sock.recvfrom(65536)
        except TimeoutError:
            continue
        answer = json.loads(data)
        if answer["id"] != number:
            continue  # of an earlier question that was asked twice
        if list(sender[:2]) != answer_from:
            raise ValueError(f"asked for an answer from {answer_from}, it came from {sender[:2]}")
        return answer["saw"]
    raise NoAnswer(f"no answer of {to} from {answer_from}")


def verb_nat(host, other):
    """RFC 5780, sections 4.3 and 4.4: how mapping and filtering depend on the destination."""
    sock = udp_socket(host)
    here, port, elsewhere = [host, OBSERVER], [host, OTHER_OBSERVER], [other, OTHER_OBSERVER]
    seen = [observe(sock, here, here, 1)]
    # Filtering before mapping: nothing has been sent to those two yet.
    filters = False
    try:
        seen += [observe(sock, here, port, 2), observe(sock, here, elsewhere, 3)]
    except NoAnswer:
        filters = True
    seen += [observe(sock, port, port, 4), observe(sock, elsewhere, elsewhere, 5)]
    if any(each[1] != seen[0][1] for each in seen):
        return print("symmetric")
    print("one mapping, filtered" if filters else "full cone")


def verb_pings(host, count):
    """One echo after the other: prints how many were lost, and the median of the times (ms)."""
    sock = udp_socket(host)
    sock.settimeout(2)
    times = []
    for number in range(int(count)):
        message = b"ping %d" % number
        began = time.monotonic()
        sock.sendto(message, (host, ECHO))
        try:
            while sock.recv(100) != message:
                pass  # a late one
            times.append((time.monotonic() - began) * 1000)
        except TimeoutError:
            continue
    if not times:
        raise ValueError("no echo")
    print(int(count) - len(times), round(statistics.median(times)))


def verb_overload(host, megabits, seconds):
    """Sends that much to a target that never answers, and meanwhile pings by another port: as verb_pings."""
    flood, sock = udp_socket(host), udp_socket(host)
    message = payload(1200)
    pause = len(message) * 8 / (float(megabits) * 1e6)
    began = time.monotonic()
    due, ping_due = began, began + 1  # once the queues are full
    sent, times = {}, []
    while (now := time.monotonic()) < began + float(seconds):
        due = max(due, now - 0.05)  # a moment that was missed is not made good for
        while due <= now:
            flood.sendto(message, (host, SINK))
            due += pause
        if ping_due <= now:
            sent[b"%d" % len(sent)] = now
            sock.sendto(b"%d" % (len(sent) - 1), (host, ECHO))
            ping_due = now + 0.05
        try:
            while True:
                times.append((time.monotonic() - sent[sock.recv(100)]) * 1000)
        except BlockingIOError:
            time.sleep(0.001)
    if not times:
        raise ValueError("no echo")
    print(len(sent) - len(times), round(statistics.median(times)))


def verb_queries(resolver, count):
    """`count` DNS queries of one local port at once, with ids in no order: each id gets its answer, once."""
    sock = udp_socket(resolver)
    names = ("web", GOOD), ("other", None)
    rest = {number: names[number % 2] for number in random.Random(4).sample(range(65536), int(count))}
    deadline = time.monotonic() + LIMIT
    sock.settimeout(AGAIN)
    while rest and time.monotonic() < deadline:
        for number, (name, _) in list(rest.items())[:50]:
            question = bytes([len(name)]) + name.encode() + b"\4test\0\0\1\0\1"
            sock.sendto(struct.pack("!6H", number, 0x100, 1, 0, 0, 0) + question, (resolver, 53))
        try:
            while rest:
                check_answer(sock.recv(4096), rest)
        except TimeoutError:
            pass
    print(f"{int(count) - len(rest)} answers")


def check_answer(answer, rest):
    number, flags = struct.unpack_from("!2H", answer)
    if number not in rest:
        return  # of a question that was asked twice
    _, address = rest.pop(number)
    if flags & 15 != (0 if address else 3) or (address and not answer.endswith(socket.inet_aton(address))):
        raise ValueError(f"a wrong answer to query {number}: {answer!r}")


def verb_voice(host, port, count):
    """RTP of a telephone (RFC 3550 section 5.1): 20 ms of G.711 a packet; each must come back."""
    sock = udp_socket(host)
    sock.settimeout(AGAIN)
    for number in range(int(count)):
        packet = struct.pack("!BBHII", 0x80, 0, number, number * 160, 7) + payload(160, number)
        deadline = time.monotonic() + LIMIT
        answer = None
        while answer != packet and time.monotonic() < deadline:
            sock.sendto(packet, (host, int(port)))
            try:
                answer = sock.recv(2000)
            except TimeoutError:
                continue
        if answer != packet:
            raise ValueError(f"packet {number} did not come back")
    print(f"{count} packets")


def socks_address(host, port):
    """RFC 1928 section 5."""
    try:
        address = ipaddress.ip_address(host)
        form = (b"\1" if address.version == 4 else b"\4") + address.packed
    except ValueError:
        form = b"\3" + bytes([len(host)]) + host.encode()
    return form + struct.pack("!H", port)


def associate(control):
    """Asks for an association of a SOCKS5 server on this host: where its relay is."""
    control.sendall(b"\5\1\0")
    if control.recv(2) != b"\5\0":
        raise ValueError("no greeting")
    control.sendall(b"\5\3\0" + socks_address("0.0.0.0", 0))
    reply = control.recv(10)
    if reply[:4] != b"\5\0\0\1":
        raise ValueError(f"reply {reply[1]}")
    return socket.inet_ntoa(reply[4:8]), struct.unpack("!H", reply[8:])[0]


def verb_denied(port, *targets):
    """Datagrams to several targets of one association, again and again until the last one echoes; prints which of them did."""
    with socket.create_connection(("127.0.0.1", int(port)), timeout=LIMIT) as control:
        relay = associate(control)
        sock = udp_socket("127.0.0.1")
        sock.settimeout(AGAIN)
        echoed = set()
        last = targets[-1].rpartition(":")[0]
        deadline = time.monotonic() + LIMIT
        while last not in echoed:
            if time.monotonic() > deadline:
                raise ValueError(f"no echo of {last}")
            for target in targets:
                host, _, to = target.rpartition(":")
                sock.sendto(b"\0\0\0" + socks_address(host, int(to)) + b"hello", relay)
            try:
                while True:
                    data = sock.recv(66000)
                    host = data[4:20] if data[3] == 4 else data[4:8]
                    echoed.add(str(ipaddress.ip_address(host)))
            except TimeoutError:
                pass
    print(" ".join(sorted(echoed)))


def verb_associate(port, target, *sizes):
    """UDP ASSOCIATE (RFC 1928 section 7) of a SOCKS5 server on this host; it must end with its connection."""
    with socket.create_connection(("127.0.0.1", int(port)), timeout=LIMIT) as control:
        relay = associate(control)
        sock = udp_socket("127.0.0.1")
        sock.settimeout(AGAIN)
        sent = []
        for size in map(int, sizes):
            talk_by_socks(sock, relay, target, payload(size), sent)
    sock.connect(relay)
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        try:
            sock.send(b"anybody?")
            sock.recv(100)
        except TimeoutError:
            continue
        except ConnectionRefusedError:
            return print("echoed, and closed")
    raise ValueError("the association outlives its connection")


def answer_by_socks(sock, relay, sent):
    data, sender = sock.recvfrom(66000)
    source = socks_address(GOOD6 if data[3] == 4 else GOOD, ECHO)
    answer = data[3 + len(source):]
    if sender != relay or data[:3 + len(source)] != b"\0\0\0" + source or answer not in sent:
        raise ValueError(f"{len(data)} bytes from {sender}: {data[:30]!r}")
    return answer


def talk_by_socks(sock, relay, target, message, sent):
    """Adds the message to those sent before, of which late answers may come."""
    sent.append(message)
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        sock.sendto(b"\0\0\0" + socks_address(target, ECHO) + message, relay)
        try:
            while answer_by_socks(sock, relay, sent) != message:
                pass
            return
        except TimeoutError:
            continue
    raise ValueError(f"no answer to {len(message)} bytes from {target}")


def verb_talk(host):
    """Goes on asking with one local port; prints a line for each echo. Ends when killed."""
    sock = udp_socket(host)
    sock.settimeout(AGAIN)
    number = 0
    while True:
        number += 1
        message = b"number %d" % number
        try:
            sock.sendto(message, (host, ECHO))
            while sock.recv(100) != message:
                pass  # a late answer
            print(number, flush=True)
            time.sleep(0.02)
        except TimeoutError:
            pass


def main():
    try:
        globals()["verb_" + sys.argv[1]](*sys.argv[2:])
    except (OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
