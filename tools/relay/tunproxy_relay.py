#!/usr/bin/env python3
"""tunproxy's helper at the far end of an SSH connection, where nothing is installed.

Speaks the relay protocol (core/udp/relay_wire.h) on stdin and stdout: UDP sockets for the client,
and its questions to this machine's resolver. Ends with stdin. Python 3.6 and the standard library.
"""

# The build makes this smaller (core/udp/relay_bootstrap.cmake), and needs: comments on lines of their
# own, docstrings without quotes, no names of one capital letter; and in a text that matters neither
# ", ", nor an operator with blanks around it, nor a name that it shortens.

import collections
import errno
import ipaddress
import os
import queue
import resource
import selectors
import socket
import struct
import sys
import threading
import time

VERSION = 2
MAX_MESSAGE = 66000
MAX_QUEUED = 1 << 20
MAX_AGE = 0.1
MAX_QUESTIONS = 128
MAX_NAMES = 256
MAX_PER_NAME = 16
MAX_WAITING = 1 << 20
LOOKERS = 4
NAME_LIFE = 60
MAX_RULES = 16384
TELL_AT_MOST_EACH = 1
TRY_TIME = 1.5
TRIES = 4

HEAD = struct.Struct("!IBHI")
PORT = struct.Struct("!H")
(CLOSE, ASSOCIATE, OPENED, PACKET, CLOSED, HELLO, PING, PONG, RESOLVE, RESOLVED) = (
    15, 201, 202, 203, 204, 220, 221, 222, 223, 224)
OPEN = 14
RULES = 227
STATS = 228
DROPS = "denied failed unresolved unclaimed too_old too_many".split()


class Malformed(Exception):
    """The client broke the protocol."""
    pass


def take_address(body, at):
    """SOCKS form at an offset: (host, port, end); the host is 4 or 16 bytes, or a text."""
    kind = body[at] if at < len(body) else 0
    start = at + 1
    if kind == 1:
        end = start + 4
    elif kind == 4:
        end = start + 16
    elif kind == 3 and start < len(body):
        end = start + 1 + body[start]
        start += 1
    else:
        raise Malformed("an address of an unknown type")
    if end + 2 > len(body):
        raise Malformed("a relay message is cut off")
    host = bytes(body[start:end])
    if kind == 3:
        if not host or min(host) <= 32 or 127 in host:
            raise Malformed("a name that is none")
        host = host.decode("latin-1")
        try:
            host = ipaddress.ip_address(host).packed
        except ValueError:
            pass
    return host, PORT.unpack_from(body, end)[0], end + 2


def put_address(name):
    """The SOCKS form of a socket's address."""
    if ":" in name[0]:
        host = b"\4" + socket.inet_pton(socket.AF_INET6, name[0].partition("%")[0])
    else:
        host = b"\1" + socket.inet_aton(name[0])
    return host + PORT.pack(name[1])


class Output:
    """What stdout has not taken yet. Datagrams may be dropped, the oldest first; others overtake."""

    def __init__(self, relay):
        self.relay = relay
        self.control = collections.deque()
        self.datagrams = collections.deque()
        self.rest = b""
        self.queued = 0
        self.said = 0
        self.waiting = False

    def say(self, kind, connection, body=b""):
        self.control.append(HEAD.pack(len(body) + 7, kind, 0, connection) + body)
        self.said += len(body) + 11
        if self.said > MAX_QUEUED:
            raise Malformed("the client does not read")

    def datagram(self, connection, source, data):
        body = b"\0\0\0" + source + data
        frame = HEAD.pack(len(body) + 7, PACKET, 0, connection) + body
        self.datagrams.append((self.relay.now, frame))
        self.queued += len(frame)
        while self.queued > MAX_QUEUED:
            self.drop("too_many")

    def drop(self, why):
        self.queued -= len(self.datagrams.popleft()[1])
        self.relay.count[why] += 1

    def flush(self):
        while self.rest or self.control or self.datagrams:
            if not self.rest:
                while self.datagrams and self.relay.now - self.datagrams[0][0] > MAX_AGE:
                    self.drop("too_old")
                frames = list(self.control)
                self.control.clear()
                self.said = size = 0
                while self.datagrams and size < 65536:
                    frames.append(self.datagrams.popleft()[1])
                    size += len(frames[-1])
                self.queued -= size
                self.rest = memoryview(b"".join(frames))
            try:
                self.rest = self.rest[os.write(1, self.rest):]
            except BlockingIOError:
                return self.wait(True)
        self.wait(False)

    def wait(self, wanted):
        if wanted != self.waiting:
            self.waiting = wanted
            if wanted:
                self.relay.watch(1, selectors.EVENT_WRITE, self.flush)
            else:
                self.relay.unwatch(1)


class Association:
    """One socket for each family, bound once: any peer may answer."""

    def __init__(self, relay, number):
        self.relay = relay
        self.number = number
        self.sockets = {}
        self.sources = {}
        self.used = relay.now

    def socket(self, family):
        if family not in self.sockets:
            new = socket.socket(family, socket.SOCK_DGRAM)
            try:
                new.setblocking(False)
                for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    new.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
                if family == socket.AF_INET6:
                    new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                new.bind(("", 0))
            except OSError:
                new.close()
                raise
            self.sockets[family] = new
            self.relay.watch(new, selectors.EVENT_READ, lambda: self.receive(new))
        return self.sockets[family]

    def send(self, host, port, data):
        relay = self.relay
        self.used = relay.now
        try:
            peer, rules = relay.peers[host]
        except KeyError:
            peer, rules = relay.find_rules(host)
        for first, last, deny in rules:
            if first <= port <= last:
                if deny:
                    relay.count["denied"] += 1
                    return
                break
        family = socket.AF_INET if len(host) == 4 else socket.AF_INET6
        try:
            (self.sockets.get(family) or self.socket(family)).sendto(data, (peer, port))
            relay.count["sent"] += 1
        except OSError:
            relay.count["failed"] += 1

    def receive(self, sock):
        relay = self.relay
        out = relay.out
        self.used = relay.now
        for _ in range(64):
            try:
                data, name = sock.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:
                continue
            source = self.sources.get(name)
            if source is None:
                if len(self.sources) > 256:
                    self.sources.clear()
                source = self.sources[name] = put_address(name)
            relay.count["received"] += 1
            out.datagram(self.number, source, data)

    def close(self):
        for each in self.sockets.values():
            self.relay.unwatch(each)
            each.close()


def question(message):
    """The bytes of a DNS message's question, in lower case."""
    at = 12
    while at < len(message) and message[at]:
        at += 1 + message[at]
    return bytes(message[12:at + 5]).lower()


class Question:
    """A DNS message on its way to the resolvers of this machine: UDP, and TCP where that is cut off."""

    def __init__(self, relay, number, message):
        self.relay = relay
        self.number = number
        self.message = message
        self.servers = relay.resolvers()
        self.tries = 0
        self.sock = None
        self.last = b""
        self.ask()

    def ask(self, tcp=False):
        self.stop()
        if self.tries == TRIES:
            return self.finish(self.last)
        server = self.servers[self.tries % len(self.servers)]
        self.tries += not tcp
        self.due = self.relay.now + TRY_TIME * (1 + tcp)
        self.id = os.urandom(2)
        self.buffer = b""
        self.query = self.id + self.message[2:]
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        try:
            self.sock = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
            self.sock.setblocking(False)
            if tcp:
                self.query = PORT.pack(len(self.query)) + self.query
                self.server = server
                if self.sock.connect_ex(server) not in (0, errno.EINPROGRESS):
                    raise OSError
                self.relay.watch(self.sock, selectors.EVENT_WRITE, self.connected)
            else:
                self.server = server
                self.sock.connect(server)
                self.sock.send(self.query)
                self.relay.watch(self.sock, selectors.EVENT_READ, self.receive)
        except OSError:
            self.due = self.relay.now

    def connected(self):
        try:
            self.query = self.query[self.sock.send(self.query):]
        except OSError:
            return self.ask()
        if not self.query:
            self.relay.unwatch(self.sock)
            self.relay.watch(self.sock, selectors.EVENT_READ, self.receive_tcp)

    def receive(self):
        try:
            answer = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            return self.ask()
        if self.fits(answer):
            if answer[2] & 2:
                self.last = answer
                self.tries -= 1
                self.ask(True)
                self.tries += 1
            else:
                self.judge(answer)

    def receive_tcp(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.buffer += data
        if not data:
            return self.ask()
        if len(self.buffer) >= 2 and len(self.buffer) - 2 >= PORT.unpack_from(self.buffer)[0]:
            answer = self.buffer[2:2 + PORT.unpack_from(self.buffer)[0]]
            if self.fits(answer):
                self.judge(answer)
            else:
                self.ask()

    def fits(self, answer):
        return (len(answer) >= 12 and answer[:2] == self.id and answer[2] & 0x80
                and (question(answer) == question(self.message) or not any(answer[4:6])))

    def judge(self, answer):
        if answer[3] & 15 in (2, 4, 5):
            self.last = answer
            self.ask()
        else:
            self.finish(answer)

    def finish(self, answer):
        self.stop()
        self.relay.questions.pop(self, None)
        self.relay.out.say(RESOLVED, self.number, answer and self.message[:2] + answer[2:])

    def stop(self):
        if self.sock:
            self.relay.unwatch(self.sock)
            self.sock.close()
            self.sock = None


class Names:
    """Look-ups of names that datagrams go to, in a few threads of their own."""

    def __init__(self, relay):
        self.relay = relay
        self.known = {}
        self.waiting = {}
        self.bytes = 0
        self.asked = None

    def start(self):
        self.asked = queue.Queue()
        self.answers = collections.deque()
        self.wake = socket.socketpair()
        self.relay.watch(self.wake[0], selectors.EVENT_READ, self.collect)
        for _ in range(LOOKERS):
            threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            name = self.asked.get()
            host = None
            try:
                # As bytes: of a text Python would make another name (IDNA).
                found = socket.getaddrinfo(name.encode("latin-1"), None, 0, socket.SOCK_DGRAM, 0,
                                           socket.AI_ADDRCONFIG)
                host = socket.inet_pton(found[0][0], found[0][4][0].partition("%")[0])
            except (OSError, ValueError, IndexError):
                pass
            self.answers.append((name, host))
            self.wake[1].send(b"1")

    def send(self, association, name, port, data):
        host, until = self.known.get(name, (None, 0))
        if until > self.relay.now:
            if host:
                association.send(host, port, data)
            else:
                self.drop()
            return
        if self.asked is None:
            self.start()
        waiting = self.waiting.get(name)
        if waiting is None and len(self.waiting) < MAX_NAMES:
            waiting = self.waiting[name] = collections.deque()
            self.asked.put(name)
        if waiting is None or self.bytes + len(data) > MAX_WAITING:
            return self.drop()
        if len(waiting) == MAX_PER_NAME:
            self.bytes -= len(waiting.popleft()[2])
            self.drop()
        waiting.append((association.number, port, data))
        self.bytes += len(data)

    def drop(self):
        self.relay.count["unresolved"] += 1

    def collect(self):
        self.wake[0].recv(4096)
        while self.answers:
            name, host = self.answers.popleft()
            if len(self.known) >= MAX_NAMES:
                self.known.clear()
            self.known[name] = (host, self.relay.now + (NAME_LIFE if host else 1))
            for number, port, data in self.waiting.pop(name):
                self.bytes -= len(data)
                association = self.relay.associations.get(number)
                if association:
                    self.send(association, name, port, data)
                else:
                    self.relay.count["unclaimed"] += 1


class Relay:
    """The session with the client."""

    def __init__(self, options):
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.watched = {}
        self.now = time.monotonic()
        self.out = Output(self)
        self.names = Names(self)
        self.associations = {}
        self.questions = {}
        self.peers = {}
        self.rules = options.deny
        self.coming = []
        self.input = b""
        self.skip = None
        self.greeted = False
        self.ended = False
        self.swept = self.now
        self.count = dict.fromkeys(DROPS + ["received", "sent"], 0)
        self.told = [0] * len(DROPS)
        self.tell_at = 0

    def watch(self, file, events, function):
        self.selector.register(file, events, function)
        self.watched[file] = function

    def unwatch(self, file):
        if self.watched.pop(file, None):
            self.selector.unregister(file)

    def resolvers(self):
        """The name servers of this machine, asked in this order."""
        if self.options.resolver:
            return [self.options.resolver]
        servers = []
        try:
            with open("/etc/resolv.conf", errors="replace") as file:
                for words in map(str.split, file):
                    if len(words) > 1 and words[0] == "nameserver":
                        servers.append((words[1], 53))
        except OSError:
            pass
        return servers[:3] or [("127.0.0.1", 53)]

    def find_rules(self, host):
        """What a destination is called, and the rules about it: first port, last port, denied."""
        if len(self.peers) > 4096:
            self.peers.clear()
        address = ipaddress.ip_address(host)
        plain = getattr(address, "ipv4_mapped", None) or address
        if plain.is_unspecified:
            # The system takes it for this machine.
            plain = ipaddress.ip_address("127.0.0.1" if plain.version == 4 else "::1")
        number = int(plain)
        self.peers[host] = (str(address), [each[3:] for each in self.rules if
                                           each[0] == plain.version and number >> each[1] == each[2]])
        return self.peers[host]

    # What the client says.

    def feed(self, data):
        data = self.input + data if self.input else data
        at = self.skip_program(data)
        size = len(data)
        view = memoryview(data)
        while size - at >= 4:
            length, = struct.unpack_from("!I", data, at)
            if length < 7 or length > MAX_MESSAGE:
                raise Malformed("a relay message of an impossible length")
            end = at + 4 + length
            if end > size:
                break
            kind = data[at + 4]
            connection, = struct.unpack_from("!I", data, at + 7)
            at, body = end, view[at + 11:end]
            if kind == PACKET:
                self.on_packet(connection, body)
            else:
                self.on_message(kind, connection, body)
        self.input = data[at:]

    def skip_program(self, data):
        """A client may send this program although it was started otherwise."""
        if self.skip is None and data[:1] == b"#":
            line = data.partition(b"\n")
            if not line[1] and len(data) < 64:
                return 0
            words = line[0].split()
            if len(words) != 2 or not words[1].isdigit() or len(words[1]) > 6:
                raise Malformed("a program without its length")
            self.skip = int(words[1])
        skipped = min(self.skip or 0, len(data))
        if data:
            self.skip = (self.skip or 0) - skipped
        return skipped

    def on_packet(self, connection, body):
        if not self.greeted:
            raise Malformed("no hello")
        if len(body) < 4:
            raise Malformed("a relay message is cut off")
        if body[2]:
            raise Malformed("a fragment of a datagram")
        if body[3] == 1 and len(body) >= 10:
            host, port, at = bytes(body[4:8]), body[8] << 8 | body[9], 10
        else:
            host, port, at = take_address(body, 3)
        association = self.associations.get(connection)
        if not association:
            self.count["unclaimed"] += 1
        elif isinstance(host, str):
            association.used = self.now
            self.names.send(association, host, port, bytes(body[at:]))
        else:
            association.send(host, port, body[at:])

    def on_message(self, kind, connection, body):
        if not self.greeted:
            if kind != HELLO or len(body) < 26 or not any(body[:2]):
                raise Malformed("no hello")
            self.greeted = True
            nonce = bytes(body[2:18])
            self.out.control.append(b"\ntunproxy-relay " + nonce.hex().encode() + b"\n")
            self.out.say(HELLO, 0, struct.pack("!H16sII", VERSION, nonce, 0,
                                               self.options.max_associations))
        elif kind == ASSOCIATE:
            if len(body) and take_address(body, 0)[2] != len(body):
                raise Malformed("a relay message is too long")
            self.associate(connection)
        elif kind == CLOSED:
            if not len(body):
                raise Malformed("a relay message is cut off")
            if connection in self.associations:
                self.associations.pop(connection).close()
        elif kind == PING:
            if len(body) != 4:
                raise Malformed("a relay message of the wrong length")
            self.out.say(PONG, connection, bytes(body))
        elif kind == RESOLVE:
            self.resolve(connection, bytes(body))
        elif kind == RULES:
            self.take_rules(body)
        elif kind == OPEN:
            self.out.say(CLOSE, connection, b"\7no TCP here")

    def associate(self, connection):
        if connection in self.associations:
            raise Malformed("an association that is open")
        if len(self.associations) >= self.options.max_associations:
            return self.out.say(CLOSED, connection, b"\1too many associations")
        association = Association(self, connection)
        try:
            try:
                bound = association.socket(socket.AF_INET)
            except OSError:
                bound = association.socket(socket.AF_INET6)
        except OSError as error:
            return self.out.say(CLOSED, connection, b"\1" + str(error).encode())
        self.associations[connection] = association
        self.out.say(OPENED, connection, put_address(bound.getsockname()))

    def take_rules(self, body):
        if not len(body):
            raise Malformed("a relay message is cut off")
        at = 1
        while at < len(body):
            version = 6 if body[at] & 2 else 4
            end = at + (22 if version == 6 else 10)
            if end > len(body):
                raise Malformed("a relay message is cut off")
            flags, prefix, first, last = struct.unpack_from("!BBHH", body, at)
            if prefix > (end - at - 6) * 8 or first > last:
                raise Malformed("a rule that cannot be")
            number = int.from_bytes(body[at + 6:end], "big")
            self.coming.append(rule(version, number, prefix, first, last, flags & 1))
            at = end
        if len(self.coming) > MAX_RULES:
            raise Malformed("too many rules")
        if not body[0]:
            self.rules = self.options.deny + self.coming
            self.coming = []
            self.peers.clear()

    def resolve(self, connection, message):
        if len(message) < 12 or message[2] & 0x80 or len(self.questions) >= MAX_QUESTIONS:
            return self.out.say(RESOLVED, connection)
        self.questions[Question(self, connection, message)] = True

    # The loop.

    def read(self):
        try:
            data = os.read(0, 262144)
        except BlockingIOError:
            return
        self.ended = not data
        self.feed(data)

    def sweep(self):
        """Whatever time brings; returns how long nothing will come."""
        for each in [q for q in self.questions if q.due <= self.now]:
            each.ask()
        idle = self.options.idle_ms / 1000
        if self.now - self.swept >= idle / 4:
            self.swept = self.now
            for number, association in list(self.associations.items()):
                if self.now - association.used >= idle:
                    association.close()
                    del self.associations[number]
                    self.out.say(CLOSED, number, b"\6idle")
        due = [q.due for q in self.questions]
        if self.associations:
            due.append(self.swept + idle / 4)
        drops = [self.count[each] for each in DROPS]
        if drops != self.told and self.greeted:
            if self.now < self.tell_at:
                due.append(self.tell_at)
            else:
                self.told = drops
                self.tell_at = self.now + TELL_AT_MOST_EACH
                self.out.say(STATS, 0, struct.pack("!6Q", *drops))
        return max(min(due) - self.now, 0) if due else None

    def run(self):
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        self.watch(0, selectors.EVENT_READ, self.read)
        while not self.ended:
            self.out.waiting or self.out.flush()
            wait = self.sweep()
            events = self.selector.select(0 if self.out.control and not self.out.waiting else wait)
            self.now = time.monotonic()
            for key, _ in events:
                if self.watched.get(key.fileobj) is key.data:
                    key.data()

    def give_up(self, error):
        try:
            self.out.say(CLOSE, 0, b"\1" + str(error).encode())
            self.out.flush()
        except (OSError, Malformed):
            pass


def rule(version, number, prefix, first=0, last=65535, deny=True):
    shift = (32 if version == 4 else 128) - prefix
    return version, shift, number >> shift, first, last, deny


def blocks(text):
    found = [ipaddress.ip_network(each) for each in text.split(",")]
    return [rule(each.version, int(each.network_address), each.prefixlen) for each in found]


def endpoint(text):
    host, _, port = text.rpartition(":")
    return str(ipaddress.ip_address(host.strip("[]"))), int(port)


class Options:
    """The command line: the same as that of the C++ helper."""

    def __init__(self, arguments):
        self.deny = []
        self.idle_ms = 120000
        self.max_associations = 256
        self.resolver = None
        self.stats = False
        rest = iter(arguments)
        for each in rest:
            name, _, value = each.partition("=")
            if name == "--stats":
                self.stats = True
            elif name == "--deny":
                self.deny += blocks(value or next(rest))
            elif name == "--idle-ms":
                self.idle_ms = int(value or next(rest))
            elif name == "--max-associations":
                self.max_associations = int(value or next(rest))
            elif name == "--resolver":
                self.resolver = endpoint(value or next(rest))
            elif name != "--stdio":
                raise ValueError("unknown option " + name)


def main():
    try:
        relay = Relay(Options(sys.argv[1:]))
    except (ValueError, StopIteration) as error:
        sys.exit("tunproxy-relay: %s" % error)
    try:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):
        pass
    failure = None
    try:
        relay.run()
    except Malformed as error:
        failure = error
        relay.give_up(error)
    except (BrokenPipeError, ConnectionResetError):
        pass
    except OSError as error:
        failure = error
    if relay.options.stats:
        sys.stderr.write(" ".join("%s=%d" % each for each in sorted(relay.count.items())) + "\n")
    if failure:
        sys.stderr.write("tunproxy-relay: %s\n" % failure)
    sys.stderr.flush()
    # A look-up may still be under way in the thread.
    os._exit(1 if failure else 0)


if __name__ == "__main__":
    main()
