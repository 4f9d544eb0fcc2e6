"""A udpgw server for the integration tests, of our own and apart from the client's code: what badvpn-udpgw speaks.

    python3 udpgw_server.py RESOLVER        listens on 127.0.0.1:7300

Frame: length (16 bits, little-endian, without itself), flags, connection id (little-endian), address, datagram.
A connection id stands for one destination and has a socket of its own; DNS queries go to the resolver.
"""

import ipaddress
import selectors
import socket
import struct
import sys

KEEPALIVE, REBIND, DNS, IPV6 = 1, 2, 4, 8
LONGEST = 32768


class Client:
    def __init__(self, server, sock):
        self.server = server
        self.sock = sock
        self.input = b""
        self.flows = {}  # connection id: (socket, flags, address as it came)

    def receive(self, _):
        data = self.sock.recv(65536)
        if not data:
            return self.close()
        self.input += data
        while len(self.input) >= 2:
            length, = struct.unpack_from("<H", self.input)
            if len(self.input) < 2 + length:
                break
            self.frame(self.input[2:2 + length])
            self.input = self.input[2 + length:]

    def frame(self, frame):
        flags, number = struct.unpack_from("<BH", frame)
        if flags & KEEPALIVE:
            return
        size = 18 if flags & IPV6 else 6
        address, datagram = frame[3:3 + size], frame[3 + size:]
        known = self.flows.get(number)
        if known is None or flags & REBIND or known[2] != address:
            self.rebind(number, flags, address)
        self.flows[number][0].send(datagram)

    def rebind(self, number, flags, address):
        if number in self.flows:
            self.forget(number)
        host, port = str(ipaddress.ip_address(address[:-2])), struct.unpack("!H", address[-2:])[0]
        if flags & DNS:
            host, port = self.server.resolver, 53
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((host, port))
        self.flows[number] = (sock, flags & (DNS | IPV6), address)
        self.server.selector.register(sock, selectors.EVENT_READ, lambda sock: self.answer(number, sock))

    def answer(self, number, sock):
        datagram = sock.recv(65536)
        _, flags, address = self.flows[number]
        body = struct.pack("<BH", flags, number) + address + datagram
        if len(body) <= LONGEST:
            self.sock.sendall(struct.pack("<H", len(body)) + body)

    def forget(self, number):
        sock = self.flows.pop(number)[0]
        self.server.selector.unregister(sock)
        sock.close()

    def close(self):
        for number in list(self.flows):
            self.forget(number)
        self.server.selector.unregister(self.sock)
        self.sock.close()


class Server:
    def __init__(self, resolver):
        self.resolver = resolver
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 7300))
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)

    def accept(self, listener):
        sock, _ = listener.accept()
        self.selector.register(sock, selectors.EVENT_READ, Client(self, sock).receive)

    def serve(self):
        print("ready", flush=True)
        while True:
            for key, _ in self.selector.select():
                if self.selector.get_map().get(key.fileobj) is not key:
                    continue  # closed by what came before it
                try:
                    key.data(key.fileobj)
                except ConnectionError:
                    if key.fileobj.type == socket.SOCK_STREAM:
                        key.data.__self__.close()


if __name__ == "__main__":
    Server(sys.argv[1]).serve()
