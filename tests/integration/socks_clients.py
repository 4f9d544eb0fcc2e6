"""Peers for the SOCKS scenarios: clients that mean harm or speak BIND, and servers for real clients.

Needs nothing but Python's library, but for `pysocks` (python3-socks) and `ftp_server` (python3-pyftpdlib).
A verb prints its result and exits 0, or says what was wrong.
"""

import ftplib
import hashlib
import http.server
import os
import resource
import socket
import ssl
import struct
import sys
import threading
import time

LIMIT = 60


def receive(sock, count):
    got = b""
    while len(got) < count:
        part = sock.recv(count - len(got))
        if not part:
            raise ValueError(f"the connection ended after {got.hex()}")
        got += part
    return got


def greeted(port, methods=b"\x00"):
    sock = socket.create_connection(("127.0.0.1", int(port)), timeout=LIMIT)
    sock.sendall(bytes([5, len(methods)]) + methods)
    if receive(sock, 2) != b"\x05\x00":
        raise ValueError("no authentication is not accepted")
    return sock


def wire_address(host, port):
    if host.replace(".", "").isdigit():
        return b"\x01" + socket.inet_aton(host) + struct.pack("!H", int(port))
    if ":" in host:
        return b"\x04" + socket.inet_pton(socket.AF_INET6, host) + struct.pack("!H", int(port))
    return b"\x03" + bytes([len(host)]) + host.encode() + struct.pack("!H", int(port))


def reply(sock):
    """(code, host, port) of a reply."""
    version, code, _, kind = receive(sock, 4)
    if version != 5:
        raise ValueError(f"version {version}")
    if kind == 1:
        host = socket.inet_ntop(socket.AF_INET, receive(sock, 4))
    elif kind == 4:
        host = socket.inet_ntop(socket.AF_INET6, receive(sock, 16))
    else:
        host = receive(sock, receive(sock, 1)[0]).decode()
    return code, host, struct.unpack("!H", receive(sock, 2))[0]


def request(sock, command, host, port):
    sock.sendall(bytes([5, command, 0]) + wire_address(host, port))
    return reply(sock)


# -- harm

def verb_half_open(port, count, ready):
    """Opens `count` connections of which none makes a request, and keeps those that it may until killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, int(count) + 100), hard))
    beginnings = (b"", b"\x05", b"\x05\x01\x00", b"\x04\x01\x00\x50", b"CONNECT a:1 HTTP/1.1\r\nA: ")
    held = []
    for n in range(int(count)):
        sock = socket.create_connection(("127.0.0.1", int(port)), timeout=LIMIT)
        sock.settimeout(0)
        try:
            sock.send(beginnings[n % len(beginnings)])
        except OSError:
            pass  # closed already, in favour of later ones
        held.append(sock)
    open(ready, "w", encoding="ascii").close()
    time.sleep(LIMIT)


def verb_drip(port):
    """A byte a second: how long until the server has enough."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(port)), timeout=1) as sock:
        sock.sendall(b"CONNECT web.test:80 HTTP/1.1\r\nA: ")
        while time.monotonic() - began < LIMIT:
            try:
                sock.sendall(b"x")
                if sock.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    print(int(time.monotonic() - began))


def verb_outcome(port, command, host, to):
    """The reply code of a request."""
    with greeted(port) as sock:
        print(request(sock, int(command), host, to)[0])


def verb_many(port, host, to, count):
    """`count` connections that are open at once, each with an echo of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, int(count) + 100), hard))
    socks = []
    for _ in range(int(count)):
        sock = socket.create_connection(("127.0.0.1", int(port)), timeout=LIMIT)
        sock.sendall(b"\x05\x01\x00\x05\x01\x00" + wire_address(host, to) + b"ahead")
        socks.append(sock)
    for n, sock in enumerate(socks):
        receive(sock, 2)
        if reply(sock)[0] != 0:
            raise ValueError(f"connection {n} was refused")
        sock.sendall(str(n).encode())
    for n, sock in enumerate(socks):
        expected = b"ahead" + str(n).encode()
        if receive(sock, len(expected)) != expected:
            raise ValueError(f"the echo of connection {n} is wrong")
    print(len(socks))


# -- BIND

def come_back(port, host, connect_back, listening, *sources):
    """Tells the peer to connect to `listening` from each of the sources, one after the other; gives the connection to it."""
    control = greeted(port)
    if request(control, 1, host, connect_back)[0] != 0:
        raise ValueError("no connection to the peer")
    control.sendall(" ".join(map(str, (*listening, *sources))).encode() + b"\n")
    return control


def echo_of(sock):
    """How many of 100 000 bytes come back."""
    sock.sendall(b"x" * 100000)
    sock.shutdown(socket.SHUT_WR)
    total = 0
    while part := sock.recv(65536):
        total += len(part)
    return total


def verb_bind_echo(port, expected, host, connect_back, *sources):
    """A BIND for `expected`; `host` is then told (by a connection to its port `connect_back`) to come."""
    with greeted(port) as sock:
        code, *listening = request(sock, 2, expected, 0)
        if code != 0:
            raise ValueError(f"first reply {code}")
        with come_back(port, host, connect_back, listening, *sources):
            code, peer, _ = reply(sock)
            if code != 0:
                raise ValueError(f"second reply {code}")
            print(peer, echo_of(sock))


def reply4(sock):
    """Where SOCKS4 says that somebody listens, or who came."""
    zero, code, port, address = struct.unpack("!BBH4s", receive(sock, 8))
    if (zero, code) != (0, 90):
        raise ValueError(f"SOCKS4 says {code}")
    return socket.inet_ntoa(address), port


def verb_bind_echo4(port, host, connect_back, name=""):
    """The same by SOCKS4, or where there is a name by SOCKS4a."""
    with socket.create_connection(("127.0.0.1", int(port)), timeout=LIMIT) as sock:
        address = socket.inet_aton("0.0.0.1" if name else host)
        sock.sendall(b"\x04\x02\0\x15" + address + b"me\0" + (name.encode() + b"\0" if name else b""))
        with come_back(port, host, connect_back, reply4(sock), host):
            print(reply4(sock)[0], echo_of(sock))


class ActiveFtp(ftplib.FTP):
    """Active mode through a SOCKS5 server: the data connections come by BIND."""

    def __init__(self, port):
        super().__init__()
        self.socks_port = port
        self.set_pasv(False)

    def reach(self, host, port):
        self.sock = greeted(self.socks_port)
        if request(self.sock, 1, host, port)[0] != 0:
            raise ValueError("no connection to the FTP server")
        self.host, self.af = host, socket.AF_INET
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def ntransfercmd(self, cmd, rest=None):
        data = greeted(self.socks_port)
        code, host, port = request(data, 2, self.host, 0)
        if code != 0:
            raise ValueError(f"BIND: {code}")
        self.sendport(host, port)
        answer = self.sendcmd(cmd)
        if answer[0] != "1":
            raise ftplib.error_reply(answer)
        code, peer, _ = reply(data)
        if code != 0 or peer != self.host:
            raise ValueError(f"second reply: {code} {peer}")
        return data, None


def verb_ftp(port, host, ftp_port, upload):
    """Lists, downloads and uploads in active mode."""
    client = ActiveFtp(int(port))
    client.reach(host, int(ftp_port))
    client.login()
    names = client.nlst()
    got = bytearray()
    client.retrbinary("RETR big", got.extend)
    with open(upload, "rb") as file:
        client.storbinary("STOR sent", file)
    client.quit()
    print(sorted(names), hashlib.sha256(got).hexdigest())


# -- servers

def verb_ftp_server(directory, port):
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(directory, perm="elrwa")
    FTPHandler.authorizer = authorizer
    FTPHandler.permit_foreign_addresses = True  # the data connection leads to the SOCKS server
    FTPServer(("0.0.0.0", int(port)), FTPHandler).serve_forever()


def verb_come_back(port):
    """Whoever says "HOST PORT SOURCE…" here is connected to there from each source, and gets back what it sends."""
    listener = socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        control, _ = listener.accept()
        host, at, *sources = control.makefile("r").readline().split()
        for source in sources or [""]:
            with socket.create_connection((host, int(at)), timeout=LIMIT, source_address=(source, 0) if source else None) as sock:
                try:
                    while part := sock.recv(65536):
                        sock.sendall(part)
                except ConnectionError:
                    pass  # turned away
        control.close()


PAGE = """<!doctype html><title>page</title><p id=p>loading<script>
let done = 0; const say = t => document.getElementById('p').textContent = t;
for (let n = 0; n < 50; ++n)
  fetch('/part/' + n).then(r => r.text()).then(t => { if (t === 'part ' + n && ++done === 50) say('all ' + done + ' parts'); });
</script>"""


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = PAGE if self.path == "/" else "part " + self.path.rpartition("/")[2]
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def verb_pages(port, certificate=None, key=None):
    server = http.server.ThreadingHTTPServer(("", int(port)), Pages)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


# -- PySocks

def verb_pysocks(kind, port, host, to, user="", password=""):
    """What a page says, by PySocks: SOCKS5, SOCKS4 or HTTP."""
    import socks
    sock = socks.socksocket()
    sock.settimeout(LIMIT)
    sock.set_proxy(getattr(socks, kind), "127.0.0.1", int(port), rdns=True, username=user or None, password=password or None)
    try:
        sock.connect((host, int(to)))
    except socks.ProxyError as error:
        return print(type(error).__name__, error)
    sock.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    answer = b""
    while part := sock.recv(4096):
        answer += part
    print(answer.decode().rpartition("\r\n")[2].strip())


def verb_hold(port, host, to, user="", password=""):
    """A connection that echoes now and then, until killed; a line for each echo."""
    import socks
    sock = socks.socksocket()
    sock.settimeout(LIMIT)
    sock.set_proxy(socks.SOCKS5, "127.0.0.1", int(port), rdns=True, username=user or None, password=password or None)
    sock.connect((host, int(to)))
    while True:
        sock.sendall(b"still here")
        if sock.recv(100) != b"still here":
            sys.exit("hold: another echo")
        print("echo", flush=True)
        time.sleep(0.2)


def main():
    try:
        globals()["verb_" + sys.argv[1]](*sys.argv[2:])
    except (OSError, ValueError, ftplib.Error) as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    threading.excepthook = lambda _: None
    main()
