#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The daemon's memory stays where it is: after 100,000 requests as after 1,000."""
import json
import os
import random
import selectors
import socket
import sys
import time

from daemon_support import OUT, SAN, WAIT, Daemon, run_tests

DAEMON = os.path.join(OUT, "hailo-inferenced")
CONNECTIONS = 8  # all of them wait for the chip at once, and still none finds the queue full
FIRST = 1000
# Sanitizers keep freed memory back on purpose, so there only the answers are looked at.
ALL = 5000 if SAN else 100000
ALLOWED_KIB = 2048


def requests(n):
    """Whole requests with windows of several sizes in text, so that buffers have reason to grow."""
    rng = random.Random(3)
    out = []
    for i in range(n):
        digits = 1 + i % 8
        body = json.dumps({"x": [[round(rng.uniform(-9, 9), digits) for _ in range(9)]
                                 for _ in range(100)]}).encode()
        out.append(b"POST /infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return out


class Client:
    """One keep-alive connection, one request at a time."""

    def __init__(self, port, work):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.work = work
        self.got = b""

    def send(self):
        """False when there is nothing left to do."""
        body = next(self.work, None)
        if body:
            self.sock.sendall(body)
        return body is not None

    def receive(self):
        """True when an answer is complete; anything but a 200 is an error."""
        piece = self.sock.recv(65536)
        assert piece, "the daemon closed a connection"
        self.got += piece
        head, sep, rest = self.got.partition(b"\r\n\r\n")
        if not sep:
            return False
        assert head.startswith(b"HTTP/1.1 200 "), self.got[:500]
        length = next(int(l.split(b":")[1]) for l in head.split(b"\r\n")
                      if l.lower().startswith(b"content-length:"))
        if len(rest) < length:
            return False
        assert len(rest) == length and rest.startswith(b'{"latent":['), rest[:200]
        self.got = b""
        return True


def send_all(clients, texts, count):
    """Each client takes the next text when it has its answer; all `count` are answered."""
    work = (texts[i % len(texts)] for i in range(count))
    answered = 0
    with selectors.DefaultSelector() as sel:
        for c in clients:
            c.work = work
            if c.send():
                sel.register(c.sock, selectors.EVENT_READ, c)
        while sel.get_map():
            ready = sel.select(WAIT)
            assert ready, "no answer for %d s" % WAIT
            for key, _ in ready:
                if not key.data.receive():
                    continue
                answered += 1
                if not key.data.send():
                    sel.unregister(key.fileobj)
    assert answered == count, answered


def rss_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmRSS:"))


def memory_does_not_grow_with_requests():
    with Daemon(DAEMON, HAILO_DEVICE_ID="mock", BACKEND_TIMEOUT_MS="120000",
                LOG_LEVEL="warning") as d:
        d.ready()
        texts = requests(64)
        clients = [Client(d.port, None) for _ in range(CONNECTIONS)]
        start = time.monotonic()
        send_all(clients, texts, FIRST)
        before = rss_kib(d.process.pid)
        send_all(clients, texts, ALL - FIRST)
        after = rss_kib(d.process.pid)
        for c in clients:
            c.sock.close()
        print("# RSS %d KiB after %d requests, %d KiB after %d; %.0f requests/s" %
              (before, FIRST, after, ALL, ALL / (time.monotonic() - start)))
        assert SAN or after <= before + ALLOWED_KIB, (before, after)


if __name__ == "__main__":
    sys.exit(run_tests([memory_does_not_grow_with_requests]))
