#!/usr/bin/env python3
"""Feeds the Python relay with mutated messages: it takes them, or says that they are malformed."""

import importlib.util
import random
import struct
import sys
import time

SECONDS = 5


def load(path):
    spec = importlib.util.spec_from_file_location("tunproxy_relay", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def message(kind, connection, body=b""):
    return struct.pack("!IBHI", len(body) + 7, kind, 0, connection) + body


def rule(flags, prefix, address):
    return struct.pack("!BBHH", flags, prefix, 1, 65535) + address


def seeds():
    nonce = bytes(range(16))
    query = b"\1\2\1\0\0\1\0\0\0\0\0\0\1a\4test\0\0\1\0\1"
    return [
        message(220, 0, struct.pack("!H16sII", 1, nonce, 0, 0)),
        message(201, 1), message(201, 2, b"\1\0\0\0\0\0\0"), message(204, 2, b"\0bye"),
        message(203, 1, b"\0\0\0\1\x7f\0\0\1\0\x09data"),
        message(203, 1, b"\0\0\0\4" + bytes(15) + b"\1\0\x09data"),
        message(203, 1, b"\0\0\0\3\x09localhost\0\x09data"),
        message(203, 1, b"\0\0\0\3\x09127.0.0.1\0\x09data"),
        message(221, 0, b"\0\0\0\1"), message(223, 3, query), message(14, 4, bytes(8)),
        message(227, 0, b"\1" + rule(1, 24, b"\xc0\0\2\0") + rule(0, 32, b"\x7f\0\0\1")),
        message(227, 0, b"\0" + rule(3, 64, bytes(range(16)))),
        message(77, 0, b"unknown"), b"#tunproxy-relay 00030\n12345678",
    ]


def mutate(pick, data):
    data = bytearray(data)
    for _ in range(pick.choice((0, 1, 1, 2, 5))):
        at = pick.randrange(len(data)) if data else 0
        action = pick.randrange(4)
        if action == 0 and data:
            data[at] = pick.randrange(256)
        elif action == 1:
            data[at:at] = bytes(pick.randrange(256) for _ in range(pick.randrange(1, 5)))
        elif action == 2:
            del data[at:at + pick.randrange(1, 5)]
        elif data:
            data[at] ^= 1 << pick.randrange(8)
    return bytes(data)


class Quiet:
    """Stands for what would reach the network: the parser is what is tested."""

    def __init__(self, module):
        class Association(module.Association):
            def socket(self, family):
                class Bound:
                    sendto = staticmethod(lambda data, peer: None)
                    getsockname = staticmethod(lambda: ("0.0.0.0", 1))
                    fileno = staticmethod(lambda: -1)
                    close = staticmethod(lambda: None)
                return self.sockets.setdefault(family, Bound())

        class Question:
            def __init__(self, relay, number, message):
                assert len(message) >= 12

        class Names:
            def __init__(self, relay):
                pass

            def send(self, association, name, port, data):
                assert isinstance(name, str) and name

        module.Association, module.Question, module.Names = Association, Question, Names


def run(module, pick, stream):
    relay = module.Relay(module.Options([]))
    try:
        at = 0
        while at < len(stream):
            size = pick.choice((1, 3, 50, 70000))
            relay.feed(stream[at:at + size])
            at += size
        return True
    except module.Malformed:
        return False
    finally:
        relay.selector.close()


def main():
    module = load(sys.argv[1])
    Quiet(module)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    pick = random.Random(seed)
    known = seeds()
    taken = rounds = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        stream = [known[-1]] if pick.randrange(4) == 0 else []
        stream += known[:1] + [pick.choice(known[1:-1]) for _ in range(pick.randrange(12))]
        where = pick.randrange(len(stream))
        stream[where] = mutate(pick, stream[where])
        taken += run(module, pick, b"".join(stream))
        rounds += 1
    print(rounds, "streams,", taken, "of them taken")
    # Both outcomes must be common, or the mutations test nothing.
    assert rounds > 500 and rounds / 20 < taken < rounds * 19 / 20


main()
