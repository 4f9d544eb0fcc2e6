"""Applications that go on through cuts, and write down what worked when.

    steady HOST LOG     fresh TCP connections one after the other; a line with the time of each that was answered
    udp HOST LOG        one UDP socket that asks again and again; a line with the time of each answer
    aborting HOST PAUSE clients that leave in the middle of everything, until killed; a pause between them (seconds)
    churn HOST LOG PAUSE  checked transfers both ways, until killed; a line for each, "cut" where a reset broke it off,
                        "wrong" where bytes differ, "short" where some are missing and nothing said so
"""

import random
import socket
import sys
import time

from traffic import ECHO, SINK, SOURCE, receive_sequence, reset, send_sequence

UDP_ECHO = 7010
TRY, AGAIN = 0.5, 0.05  # seconds


def written(log, word):
    log.write(f"{time.monotonic():.3f} {word}\n")
    log.flush()


def answered(host, message):
    with socket.create_connection((host, ECHO), timeout=TRY) as sock:
        sock.sendall(message)
        return sock.recv(100) == message


def verb_steady(host, log):
    with open(log, "w", encoding="ascii") as file:
        while True:
            try:
                if answered(host, b"steady"):
                    written(file, "ok")
            except OSError:
                pass
            time.sleep(AGAIN)


def verb_udp(host, log):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 0))
    sock.settimeout(AGAIN)
    with open(log, "w", encoding="ascii") as file:
        number = 0
        while True:
            number += 1
            try:
                sock.sendto(b"%d" % number, (host, UDP_ECHO))
                while sock.recv(100) != b"%d" % number:
                    pass  # late ones
                written(file, sock.getsockname()[1])
            except OSError:
                pass
            time.sleep(AGAIN)


def verb_aborting(host, pause):
    choose = random.Random(7)
    while True:
        try:
            sock = socket.create_connection((host, choose.choice((ECHO, SINK, SOURCE))), timeout=TRY)
            sock.sendall(choose.choice((b"1000000\n", b"x" * 50000)))
            time.sleep(choose.random() * AGAIN)
            reset(sock)
            time.sleep(float(pause))
        except OSError:
            time.sleep(AGAIN)


def verb_churn(host, log, pause):
    choose = random.Random(8)
    with open(log, "w", encoding="ascii") as file:
        while True:
            total = choose.randrange(1, 4 << 20)
            try:
                with socket.create_connection((host, SOURCE), timeout=5) as sock:
                    sock.sendall(b"%d\n" % total)
                    whole = receive_sequence(sock) == total
                with socket.create_connection((host, SINK), timeout=5) as sock:
                    send_sequence(sock, total)
                    sock.shutdown(socket.SHUT_WR)
                    whole &= int(sock.makefile("rb").readline() or 0) == total
                written(file, "ok" if whole else "short")
            except OSError:
                written(file, "cut")
            except ValueError as error:
                written(file, f"wrong {error}")
            time.sleep(float(pause))


if __name__ == "__main__":
    globals()["verb_" + sys.argv[1]](*sys.argv[2:])
