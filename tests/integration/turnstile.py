"""A server that lets connections through to another, or turns them away with a line as OpenSSH 9.8 and later do.

turnstile.py ADDRESS PORT TO_ADDRESS TO_PORT WORDS: while the file WORDS exists, its text is all that a connection gets, and
those that were let through are cut.
"""

import os
import socket
import sys
import threading
import time


def words(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for each in (source, sink):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def cut_when_closed(path, connections):
    while True:
        time.sleep(0.02)
        if os.path.exists(path):
            while connections:
                try:
                    connections.pop().shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def main():
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
    target, path, connections = (sys.argv[3], int(sys.argv[4])), sys.argv[5], []
    threading.Thread(target=cut_when_closed, args=(path, connections), daemon=True).start()
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        text = words(path)
        print("turned away" if text is not None else "let through", flush=True)
        if text is not None:
            client.sendall(text)
            client.close()
            continue
        server = socket.create_connection(target)
        connections += [client, server]
        for ends in ((client, server), (server, client)):
            threading.Thread(target=pump, args=ends, daemon=True).start()


if __name__ == "__main__":
    main()
