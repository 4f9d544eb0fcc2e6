"""A client that sends the SOCKS listener what nobody should, each time on a connection of its own, and datagrams likewise.

It says how the listener answers, as pairs of what was sent and what must come back, and fails at the first that does not.
"""

import socket
import struct
import sys

from socks_clients import LIMIT, greeted, request

ECHO = ("203.0.113.1", 7010)
CLOSED = b""
NO_METHOD = b"\x05\xff"
HELLO, HELLO_BACK = b"\x05\x01\x00", b"\x05\x00"
NAMED = HELLO + b"\x05\x01\x00\x03"


def refused(code):
    """A reply of SOCKS5 that names no address."""
    return HELLO_BACK + bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0])


# What is sent, and how the answer begins; CLOSED: there is none.
TALK = {
    "a greeting with no methods": (b"\x05\x00", NO_METHOD),
    "a greeting with 255 methods that are all unknown": (b"\x05\xff" + b"\x80" * 255, NO_METHOD),
    "a greeting with 255 methods, the last of which will do": (b"\x05\xff" + b"\x80" * 254 + b"\x00", HELLO_BACK),
    "an unknown version": (b"\x06\x01\x00", CLOSED),
    "a ClientHello of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", CLOSED),
    "zeros": (b"\x00" * 4096, CLOSED),
    "a request of another version": (HELLO + b"\x04\x01\x00\x01\x7f\x00\x00\x01\x00\x50", HELLO_BACK + b"\x05\x01"),
    "an unknown command": (HELLO + b"\x05\x09\x00\x01\xcb\x00\x71\x01\x1b\x59", refused(7)),
    "an unknown kind of address": (HELLO + b"\x05\x01\x00\x02\xcb\x00\x71\x01\x1b\x59", refused(8)),
    "a name without a letter": (NAMED + b"\x00\x1b\x59", HELLO_BACK + b"\x05\x01"),
    "a name of NULs": (NAMED + b"\x03\x00\x00\x00\x1b\x59", HELLO_BACK + b"\x05\x01"),
    "a name of 255 letters": (NAMED + b"\xff" + b"a" * 255 + b"\x1b\x59", HELLO_BACK + b"\x05\x04"),
    "SOCKS4 with a user without an end": (b"\x04\x01\x00\x50\xcb\x00\x71\x01" + b"u" * 20000, b"\x00\x5b"),
    "SOCKS4a with a name without an end": (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00" + b"n" * 20000, b"\x00\x5b"),
    "SOCKS4 with an unknown command": (b"\x04\x03\x00\x50\xcb\x00\x71\x01\x00", b"\x00\x5b"),
    "a head of HTTP without an end": (b"CONNECT web.test:80 HTTP/1.1\r\nA: " + b"x" * 20000, b"HTTP/1.1 431"),
    "a port of HTTP that is none": (b"CONNECT web.test:99999 HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
    "a name of HTTP that is too long": (b"CONNECT " + b"a" * 300 + b":80 HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
    "two requests of HTTP in one line": (b"CONNECT a:1 HTTP/1.1 CONNECT b:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
}


def talk(port):
    for what, (sent, expected) in TALK.items():
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as sock:
            got = b""
            try:
                sock.sendall(sent)
                while len(got) < len(expected) or not expected:
                    part = sock.recv(4096)
                    if not part:
                        break
                    got += part
            except ConnectionError:
                pass  # it is closed before all was said
            if not got.startswith(expected) or (not expected and got):
                raise ValueError(f"{what}: {got.hex()} and not {expected.hex()}")


ADDRESS = b"\x01" + socket.inet_aton(ECHO[0]) + struct.pack("!H", ECHO[1])
HEADER = b"\0\0\0" + ADDRESS
LONG = b"x" * 65000
BAD = [b"", b"\0", b"\0\0\0", b"\0\0\0\x01\xcb", b"\0\0\0\x02" + ADDRESS[1:] + b"no such kind", b"\0\0\0\x03\xff" + b"a" * 100,
       b"\0\0\0\x03\0\x1b\x62no name", b"\xff" * 1400, b"\0\0\0" + ADDRESS[:-2] + b"\0\0port 0"]
BAD += [b"\0\0" + bytes([fragment]) + ADDRESS + b"a fragment" for fragment in (1, 2, 3, 0x7F, 0x80, 0x83, 0xFF)]


class Association:
    """Our socket, to whose datagrams alone there are answers: of those in `sent`."""

    def __init__(self, relay):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(relay)
        self.sent = set()

    def answer(self, wait):
        """The payload of the next one; None if none comes for `wait` seconds."""
        self.sock.settimeout(wait)
        try:
            datagram = self.sock.recv(70000)
        except TimeoutError:
            return None
        if not datagram.startswith(HEADER) or datagram[len(HEADER):] not in self.sent:
            raise ValueError(f"this came back: {datagram[:60]!r}")
        return datagram[len(HEADER):]

    def expect(self, text):
        """UDP may lose it: asks again."""
        self.sent.add(text)
        for _ in range(LIMIT):
            self.sock.send(HEADER + text)
            while (answer := self.answer(1)) is not None:
                if answer == text:
                    return
        raise ValueError(f"nothing comes back for {text!r}")


def datagrams(port):
    """Fragments, datagrams that are cut off, strangers; and between them what must be carried."""
    with greeted(port) as control:
        code, *relay = request(control, 3, "0.0.0.0", 0)
        if code != 0:
            raise ValueError(f"no association: {code}")
        strangers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        strangers[0].bind(("127.0.0.2", 0))  # another host; the other one has only another port
        strangers[0].sendto(HEADER + b"before the client", tuple(relay))
        client = Association(tuple(relay))
        client.expect(b"first")
        client.sent.add(LONG)
        for _ in range(50):
            for datagram in BAD:
                client.sock.send(datagram)
            for stranger in strangers:
                stranger.sendto(HEADER + b"a stranger's", tuple(relay))
            client.sock.send(HEADER + LONG)
        while client.answer(2) is not None:
            pass
        for stranger in strangers:
            stranger.setblocking(False)
            try:
                raise ValueError(f"a stranger is answered: {stranger.recv(1000)!r}")
            except BlockingIOError:
                pass
        client.expect(b"last")


def main():
    port = int(sys.argv[1])
    try:
        talk(port)
        datagrams(port)
    except (OSError, ValueError) as error:
        sys.exit(f"hostile: {error}")
    print(len(TALK))


if __name__ == "__main__":
    main()
