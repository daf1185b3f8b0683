# SPDX-License-Identifier: MIT
"""What the daemon's test scripts share: TAP, a daemon to start and stop, requests."""
import http.client
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TOP = os.environ.get("TOP", os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))
OUT = os.environ.get("OUT", os.path.join(TOP, "out"))
SHARED = os.environ.get("HAILO_SHARED", os.path.join(TOP, "../shared"))
SANITIZER = {"0": "", "1": "-fsanitize=address,undefined -fno-sanitize-recover=all",
             "thread": "-fsanitize=thread"}[os.environ.get("SAN", "0")]
SAN = bool(SANITIZER)
WAIT = 60  # seconds until a test gives up on something that should happen soon


class Skip(Exception):
    pass


def run_tests(tests):
    """Run functions, print TAP, return the exit status."""
    print("1..%d" % len(tests))
    failed = 0
    for i, test in enumerate(tests, 1):
        name = test.__name__
        start = time.monotonic()
        try:
            test()
            print("ok %d - %s" % (i, name))
        except Skip as e:
            print("ok %d - %s # SKIP %s" % (i, name, e))
        except Exception:
            failed += 1
            print("not ok %d - %s" % (i, name))
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        if os.environ.get("V") == "1":
            print("# %.1f s" % (time.monotonic() - start))
        sys.stdout.flush()
    return min(failed, 99)


def shared(rel):
    """A file of ../shared; the test is skipped when it is not there (a failure when CI=true)."""
    path = os.path.join(SHARED, rel)
    if not os.path.exists(path):
        if os.environ.get("CI") == "true":
            raise AssertionError(path + " is missing, and this is CI")
        raise Skip(path + " is not here (set HAILO_SHARED)")
    return path


def until(what, condition, seconds=WAIT):
    """Poll until condition() is true; it may raise OSError meanwhile."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except OSError:
            value = None
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %d s for: %s" % (seconds, what))
        time.sleep(0.01)


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class Daemon:
    """A running hailo-inferenced; the environment is given whole."""

    def __init__(self, program, *args, **env):
        self.err = tempfile.TemporaryFile()
        full = {"PATH": os.environ.get("PATH", "/usr/bin"), "SIDECAR_PORT": "0",
                "SIDECAR_HOST": "127.0.0.1", "LOG_LEVEL": "debug"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                full[name] = os.environ[name]
        full.update({k: str(v) for k, v in env.items()})
        self.process = subprocess.Popen([program, *args], env=full, stdout=subprocess.PIPE,
                                        stderr=self.err, stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline().decode()
        if " port " not in line:
            self.process.wait()
            raise AssertionError("it did not start: " + self.log())
        self.port = int(line.split()[-1])

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            sys.stderr.write(self.log()[-4000:])
        if self.process.poll() is None:
            if kind:
                self.process.kill()
                self.process.wait()
            else:
                self.stop()
        self.process.stdout.close()
        self.err.close()

    def log(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def stop(self, sig=signal.SIGTERM, status=0):
        """Also the place where a sanitizer's finding fails the test: it changes the exit status."""
        self.process.send_signal(sig)
        got = self.process.wait(WAIT)
        assert got == status, "exit status %d: %s" % (got, self.log()[-3000:])

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)

    def request(self, method, path, body=None, headers=None, conn=None):
        own = conn or self.connect()
        try:
            own.request(method, path, body, headers or {})
            r = own.getresponse()
            return Reply(r.status, r.headers, r.read())
        finally:
            if not conn:
                own.close()

    def infer(self, window, conn=None, path="/infer"):
        body = window if isinstance(window, (str, bytes)) else json.dumps({"x": window})
        return self.request("POST", path, body, {"Content-Type": "application/json"}, conn)

    def ready(self):
        def asked():
            if self.process.poll() is not None:
                raise AssertionError("it ended with status %d" % self.process.returncode)
            return self.request("GET", "/healthz").status == 200
        return until("/healthz is 200", asked)

    def raw(self, data, seconds=WAIT):
        """Send bytes, give back all that comes until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as s:
            s.sendall(data)
            got = b""
            try:
                while True:
                    piece = s.recv(65536)
                    if not piece:
                        return got
                    got += piece
            except ConnectionResetError:
                return got

    def metric(self, line_start):
        """Value of the one sample whose line starts like this."""
        text = self.request("GET", "/metrics").body.decode()
        hits = [l for l in text.splitlines() if l.startswith(line_start)]
        assert len(hits) == 1, "%s: %r" % (line_start, hits)
        return float(hits[0].rsplit(" ", 1)[1])


class Scratch:
    """A directory that goes away."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="hailo-daemon-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name, content):
        path = os.path.join(self.path, name)
        with open(path, "w") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))
        return path


def from_many(daemon, jobs, clients):
    """Call check(reply, job) for each job, sent over `clients` connections; returns how many."""
    todo = queue.SimpleQueue()
    for job in jobs:
        todo.put(job)
    errors, done = [], []

    def client():
        conn = daemon.connect()
        try:
            while not errors:
                try:
                    body, check = todo.get_nowait()
                except queue.Empty:
                    return
                check(daemon.infer(body, conn))
                done.append(1)
        except Exception as e:
            errors.append(e)
        finally:
            conn.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return len(done)
