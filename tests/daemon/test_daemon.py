#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The daemon's HTTP side, linked with a fake of the library (fakehw.c): contracts.md section 1."""
import json
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from daemon_support import (OUT, SAN, SANITIZER, TOP, WAIT, Daemon, Scratch, from_many, run_tests,
                            until)

FAKE = os.path.join(OUT, "tests/fake-inferenced")
JSON = {"Content-Type": "application/json"}
scratch = Scratch()


def build():
    cc = os.environ.get("CC", "gcc")
    flags = "-std=gnu11 -O2 -g -D_GNU_SOURCE -pthread".split()
    flags += ["-DHW_VERSION=\"0.0.0\"", "-I" + TOP + "/include", "-I" + TOP + "/hwlayer"]
    flags += SANITIZER.split()
    flags += shlex.split(os.environ.get("FAKE_CFLAGS", ""))
    sources = [TOP + "/tests/daemon/fakehw.c"]
    for folder in ("daemon", "daemon/api", "hwlayer/manifest", "hwlayer/util"):
        full = os.path.join(TOP, folder)
        sources += sorted(os.path.join(full, f) for f in os.listdir(full) if f.endswith(".c"))
    libs = subprocess.check_output(["pkg-config", "--libs", "libmicrohttpd", "libcjson",
                                    "libcrypto"], text=True).split()
    os.makedirs(os.path.dirname(FAKE), exist_ok=True)
    subprocess.run(shlex.split(cc) + flags + ["-o", FAKE] + sources + libs + ["-lm"], check=True)


def manifest(name="fake \"one\"", motifs=12, head=True, prototypes=False, **extra):
    m = {"format": "hailo-inference-model/1", "name": name, "version": "7.1",
         "training_data": "none",
         "inputs": [{"name": "imu_window", "shape": [1, 100, 9], "type": "float32"}],
         "outputs": [{"name": "latent_embeddings", "shape": [1, 64]}],
         "normalization": {"method": "z_score_per_channel", "mean": [0] * 9, "std": [1] * 9}}
    if head:
        m["outputs"].append({"name": "motif_scores", "shape": [1, motifs]})
    if head or prototypes:
        m["motifs"] = {"names": ["m%d" % i for i in range(motifs)]}
    if prototypes:
        m["motifs"]["prototypes"] = [[float(i == j) for j in range(64)] for i in range(motifs)]
        m["motifs"]["temperature"] = 0.5
    m.update(extra)
    return m


count = 0


def model(hef="FAKE head 12", **kw):
    """A new model of its own; the path of its HEF."""
    global count
    count += 1
    scratch.file("m%d.json" % count, manifest(**kw))
    return scratch.file("m%d.hef" % count, hef)


def start(hef_path=None, **env):
    env.setdefault("HAILO_DEVICE_ID", "mock")
    return Daemon(FAKE, HEF_PATH=hef_path or model(), **env)


def f32(v):
    return struct.unpack("f", struct.pack("f", v))[0]


def window_of(n):
    """A window that belongs to n alone, within all ranges."""
    return [[((n * 131 + t * 17 + c * 7) % 2003) / 101.0 - 9.9 for c in range(9)]
            for t in range(100)]


def expect_of(w):
    flat = [f32(v) for row in w for v in row]
    latent = [min(10.0, max(-10.0, flat[(13 * j + 5) % 900])) for j in range(64)]
    scores = [min(1.0, max(0.0, f32(flat[9 * m] / 100.0))) for m in range(12)]
    return latent, scores


def check_answer(reply, w):
    assert reply.status == 200, (reply.status, reply.body)
    latent, scores = expect_of(w)
    got = reply.json()
    assert [f32(v) for v in got["latent"]] == latent, (got["latent"], latent)
    assert all(abs(a - b) < 1e-7 for a, b in zip(got["motif_scores"], scores))
    assert len(got["motif_scores"]) == 12


def refused(program_env, *words):
    """The daemon must not start, in one line on stderr with all the words, with status 2."""
    env = {"SIDECAR_PORT": "0", "HAILO_DEVICE_ID": "mock", "PATH": os.environ["PATH"]}
    env.update({k: str(v) for k, v in program_env.items()})
    env = {k: v for k, v in env.items() if v != "unset"}
    p = subprocess.run([FAKE, "--check-config"], env=env, capture_output=True, text=True,
                       timeout=WAIT)
    assert p.returncode == 2, (p.returncode, p.stdout, p.stderr)
    assert p.stderr.count("\n") == 1 and p.stdout == "", p.stderr
    for word in words:
        assert word in p.stderr, (word, p.stderr)


# ------------------------------------------------------------------- answers


def infer_answers_with_latents_and_scores():
    with start() as d:
        d.ready()
        for path in ("/infer", "/infer/infer"):
            r = d.infer(window_of(3), path=path)
            check_answer(r, window_of(3))
            assert r.headers["Content-Type"] == "application/json"
            assert r.headers["X-Hailo-Backend"] == "mock"
            assert r.json()["motif_source"] == "head" and r.json()["model"] == 'fake "one"'
            assert set(r.json()) == {"latent", "motif_scores", "motif_source", "model"}


def latents_are_clipped():
    w = [[100.0] * 3 + [30.0] * 3 + [-1000.0] * 3 for _ in range(100)]
    with start() as d:
        d.ready()
        got = d.infer(w).json()
        assert set(got["latent"]) == {10.0, -10.0}
        assert all(0.0 <= s <= 1.0 for s in got["motif_scores"])


def scores_come_from_prototypes():
    with start(model("FAKE plain", head=False, prototypes=True)) as d:
        d.ready()
        w = [[0.0] * 9 for _ in range(100)]
        w[0][5] = 1.0  # latent 0: prototype 0 exactly
        got = d.infer(w).json()
        assert got["motif_source"] == "prototypes" and got["latent"][0] == 1.0
        # distances: 0 to prototype 0, 2 to each other one; softmax of -d / 0.5
        other = 2.718281828459045 ** -4.0
        want = 1.0 / (1.0 + 11.0 * other)
        assert abs(got["motif_scores"][0] - want) < 1e-5
        assert abs(sum(got["motif_scores"]) - 1.0) < 1e-5


def no_motifs_means_zeros_and_says_so():
    with start(model("FAKE plain", head=False), ALLOW_NO_MOTIFS=1) as d:
        d.ready()
        got = d.infer(window_of(1)).json()
        assert got["motif_scores"] == [0] * 12 and got["motif_source"] == "none"
        h = d.request("GET", "/healthz").json()
        assert h["degraded"] is True and h["motif_source"] == "none"
        assert d.metric('hailo_config_ok{expected="12",actual="0"}') == 0


def healthz_tells_what_runs():
    hef = model()
    with start(hef) as d:
        d.ready()
        h = d.request("GET", "/healthz").json()
        assert h["latency_ms"] == 0 and h["ok"] is True and h["model"] == 'fake "one"'
        assert h["device"] == "hailo8" and h["backend"] == "mock" and h["software_chip"] is True
        assert h["version"] == "0.0.0" and h["model_version"] == "7.1" and h["degraded"] is False
        assert h["training_data"] == "none" and isinstance(h["uptime_s"], int)
        sha = subprocess.check_output(["sha256sum", hef], text=True)[:16]
        assert h["hef_sha256"] == sha
        assert re.fullmatch("[0-9a-f]{12}", h["config_version"])
        d.infer(window_of(1))
        assert d.request("GET", "/healthz").json()["latency_ms"] > 0
        root = d.request("GET", "/").json()
        assert root["model_ready"] is True and root["endpoints"]["inference"] == "/infer"
        assert root["config"] == {"hef_path": hef, "num_motifs": 12, "log_level": "debug"}
        for path in root["endpoints"].values():
            assert d.request("GET", path).status in (200, 405), path


def head_works_where_get_does():
    with start() as d:
        d.ready()
        for path in ("/", "/healthz", "/metrics"):
            conn = d.connect()
            r = d.request("HEAD", path, conn=conn)
            assert r.status == 200 and r.body == b"" and int(r.headers["Content-Length"]) > 0
            assert d.request("GET", path, conn=conn).body != b""
            conn.close()
        r = d.request("HEAD", "/infer")
        assert r.status == 405 and r.headers["Allow"] == "POST"


def client_errors_have_the_contracts_form():
    with start() as d:
        d.ready()
        cases = [
            ("GET", "/nowhere", None, {}, 404, "Not Found"),
            ("POST", "/infer/", "{}", JSON, 404, "Not Found"),
            ("GET", "/infer", None, {}, 405, "Method Not Allowed"),
            ("POST", "/healthz", "{}", JSON, 405, "Method Not Allowed"),
            ("DELETE", "/", None, {}, 405, "Method Not Allowed"),
            ("POST", "/infer", "{}", {"Content-Type": "text/plain"}, 415, "Unsupported"),
            ("POST", "/infer", "{}", {"Content-Type": "application/jsonp"}, 415, "Unsupported"),
            ("POST", "/infer", "{}", {"Content-Type": "application/octet-stream"}, 415, ""),
            ("POST", "/infer", "{}", dict(JSON, **{"Content-Encoding": "gzip"}), 415, ""),
            ("GET", "/", None, {"X-Long": "a" * 20000}, 431, "Request Header Fields Too Large"),
        ]
        conn = d.connect()
        for method, path, body, headers, status, text in cases:
            r = d.request(method, path, body, headers, conn)
            assert r.status == status, (method, path, r.status, r.body)
            assert set(r.json()) == {"detail"} and text in r.json()["detail"], r.body
            assert r.headers["X-Hailo-Backend"] == "mock"
            assert r.headers["Content-Type"] == "application/json"
        for kind in ("application/json; charset=utf-8", "application/vnd.x+json",
                     "APPLICATION/JSON"):
            r = d.request("POST", "/infer", "{}", {"Content-Type": kind}, conn)
            assert r.status == 422, kind
        r = d.raw(b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                  b"Connection: close\r\n\r\n{}")
        assert b" 422 " in r.split(b"\r\n")[0]  # no type at all is taken as JSON
        conn.close()


def validation_errors_are_fastapi_s():
    with start() as d:
        d.ready()
        def detail(body):
            r = d.infer(body)
            assert r.status == 422 and r.headers["X-Hailo-Backend"] == "mock"
            assert len(r.json()["detail"]) == 1
            return r.json()["detail"][0]
        assert detail("{}") == {"type": "missing", "loc": ["body", "x"], "msg": "Field required",
                                "input": {}}
        two = detail([[0] * 9] * 2)
        assert (two["type"], two["loc"]) == ("value_error", ["body", "x"])
        assert two["msg"] == "Expected 100 timesteps, got 2" and two["input"] == [[0] * 9] * 2
        w = window_of(1)
        w[17] = w[17][:8]
        assert detail(w)["msg"] == "Timestep 17 has 8 channels, expected 9"
        w = window_of(1)
        w[40][2] = float("nan")
        assert detail(w)["msg"] == "Non-finite value at timestep 40, channel 2: nan"
        w[40][2] = 1500.0
        assert detail(w) == {"type": "value_error", "loc": ["body", "x", 40, 2],
                             "msg": "Accelerometer value out of range: 1500.0", "input": 1500.0}
        cut = json.dumps({"x": window_of(1)})[:-10]
        assert detail(cut)["type"] == "json_invalid"
        assert detail(b'{"\xff": 1}')["type"] == "json_invalid"
        assert detail('{"x": [], "x": []}')["type"] == "json_invalid"
        assert detail('{"x": ' + "[" * 10 + "]" * 10 + "}")["type"] == "json_invalid"
        assert d.metric('hailo_errors_total{error_type="validation"') == 9
        assert d.metric('hailo_inference_requests_total{status="invalid"') == 9


def large_bodies_are_refused_before_and_while_reading():
    with start(MAX_BODY_BYTES=20000) as d:
        d.ready()
        # by Content-Length alone: not one byte of the body was sent
        r = d.raw(b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 20001\r\n\r\n")
        assert r.startswith(b"HTTP/1.1 413 ") and b"X-Hailo-Backend: mock" in r, r
        assert json.loads(r.split(b"\r\n\r\n", 1)[1]) == {"detail": "Request body too large"}
        def chunked(n, end=b"0\r\n\r\n"):
            return (b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" +
                    (b"3e8\r\n" + b" " * 1000 + b"\r\n") * n + end)
        r = d.raw(chunked(21))
        assert r.startswith(b"HTTP/1.1 413 ") and b"X-Hailo-Backend: mock" in r, r
        r = d.raw(chunked(20))
        assert r.startswith(b"HTTP/1.1 422 "), r
        # chunks without an end: answered although the request never ends
        r = d.raw(chunked(62, b""))
        assert r == b"" or r.startswith(b"HTTP/1.1 413 "), r
        check_answer(d.infer(window_of(2)), window_of(2))


def expect_100_gets_its_refusal_instead():
    with start() as d:
        d.ready()
        head = (b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 2\r\n"
                b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        assert d.raw(head % (b"/nowhere", b"application/json")).startswith(b"HTTP/1.1 404 ")
        assert d.raw(head % (b"/infer", b"text/plain")).startswith(b"HTTP/1.1 415 ")
        with socket.create_connection(("127.0.0.1", d.port), timeout=WAIT) as s:
            s.sendall(head % (b"/infer", b"application/json"))
            assert s.recv(100).startswith(b"HTTP/1.1 100 ")
            s.sendall(b"{}")
            assert s.recv(100).startswith(b"HTTP/1.1 422 ")


def slow_requests_get_408():
    with start(REQUEST_TIMEOUT_MS=300) as d:
        d.ready()
        for begin in (b"GET /healthz HTTP/1.1\r\nHost:",
                      b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      b"Content-Length: 100\r\n\r\n{\"x\":"):
            r = d.raw(begin)
            assert r.startswith(b"HTTP/1.1 408 "), r
            assert b"X-Hailo-Backend: mock" in r
            assert json.loads(r.split(b"\r\n\r\n", 1)[1]) == {"detail": "Request Timeout"}
        line = b'hailo_http_requests_total{method="POST",endpoint="/infer",status_code="408"} 1\n'
        until("both are counted", lambda: line in d.request("GET", "/metrics").body)
        # a frame of 400 ms is the chip's time, not the client's
        assert d.infer(special(403)).status == 200


def pipelined_requests_are_answered_in_order():
    def post(w, last):
        body = json.dumps({"x": w}).encode()
        return (b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
                (b"Connection: close\r\n" if last else b"") +
                b"Content-Length: %d\r\n\r\n" % len(body) + body)
    with start() as d:
        d.ready()
        got = d.raw(b"".join(post(window_of(i), i == 4) for i in range(5)))
        bodies = re.findall(rb'\{"latent":[^}]*\}', got)
        assert len(bodies) == 5
        for i, b in enumerate(bodies):
            assert [f32(v) for v in json.loads(b)["latent"]] == expect_of(window_of(i))[0]


# ------------------------------------------------------------- many and busy


def sixty_four_clients_get_their_own_answers():
    n = 1000 if SAN else 3000
    with start(FAKE_DELAY_US=100, BACKEND_TIMEOUT_MS=60000) as d:
        d.ready()
        jobs = []
        for i in range(n):
            w = window_of(i % 500)
            jobs.append((w, lambda r, w=w: check_answer(r, w)))
        assert from_many(d, jobs, 64) == n
        assert d.metric('hailo_inference_requests_total{status="success"') == n
        assert d.metric("hailo_inference_duration_seconds_count") == n


def special(code):
    """A window that fakehw.c treats in its own way."""
    w = window_of(1)
    w[0][0] = float(code)
    return w


class Background:
    """Requests on threads of their own."""

    def __init__(self, daemon, windows):
        self.replies = []
        def one(w):
            self.replies.append((w, daemon.infer(w)))
        self.threads = [threading.Thread(target=one, args=(w,)) for w in windows]
        for t in self.threads:
            t.start()

    def finish(self):
        for t in self.threads:
            t.join()
        assert len(self.replies) == len(self.threads)
        return self.replies


def on_chip(d, n):
    until("%d frames in flight" % n, lambda: d.metric("hailo_frames_in_flight") == n)


def a_full_queue_answers_503_and_stopping_ends_it():
    with start(QUEUE_SIZE=2, BACKEND_TIMEOUT_MS=60000) as d:
        d.ready()
        stuck = Background(d, [special(402)] * 10)
        until("a full queue", lambda: d.metric("hailo_queue_depth") == 2)
        on_chip(d, 8)
        for _ in range(2):
            r = d.infer(window_of(1))
            assert r.status == 503 and r.headers["Retry-After"] == "1"
            assert r.json() == {"detail": "Queue full: 2 requests are waiting"}
        assert d.metric('hailo_errors_total{error_type="queue_full"') == 2
        d.stop()  # what neither ends nor times out is ended
        for _, r in stuck.finish():
            assert r.status == 503 and "Shutting down" in r.json()["detail"], r.body


def a_passed_deadline_is_504():
    with start(BACKEND_TIMEOUT_MS=100) as d:
        d.ready()
        slow = Background(d, [special(406)])
        on_chip(d, 1)
        behind = Background(d, [window_of(i) for i in range(12)])
        replies = [r for _, r in slow.finish() + behind.finish()]
        assert [r.status for r in replies] == [504] * 13
        details = {r.json()["detail"] for r in replies}
        assert details == {"Deadline of 100 ms passed", "Deadline of 100 ms passed in the queue"}
        # late, but alive: nothing was reset
        until("an answer", lambda: d.infer(window_of(2)).status == 200)
        assert d.metric("hailo_device_recoveries_total") == 0
        assert d.metric('hailo_errors_total{error_type="timeout"') >= 13


def clients_that_go_away_are_forgotten():
    with start(BACKEND_TIMEOUT_MS=60000) as d:
        d.ready()
        body = json.dumps({"x": special(403)}).encode()
        head = (b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body))
        for cut in (len(body), len(body) // 2, 0):
            for _ in range(3):
                s = socket.create_connection(("127.0.0.1", d.port))
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.sendall(head + body[:cut])
                time.sleep(0.02)
                s.close()  # reset
        check_answer(d.infer(window_of(5)), window_of(5))


def a_value_that_is_no_number_is_500():
    with start() as d:
        d.ready()
        r = d.infer(special(404))
        assert r.status == 500 and "not finite" in r.json()["detail"], r.body


# --------------------------------------------------------- devices that fail


def without_a_card_it_serves_503_and_says_why():
    with start(HAILO_DEVICE_ID="auto") as d:
        until("the reason", lambda: "no Hailo card" in
              d.request("GET", "/healthz").json()["detail"])
        for r in (d.request("GET", "/healthz"), d.infer(window_of(1))):
            assert r.status == 503 and r.headers["X-Hailo-Backend"] == "none"
            assert r.json() == {"detail": "no Hailo card found on the PCI bus"}
            assert r.headers["Retry-After"] == "1"
        assert d.infer("{}").status == 422  # the client's mistake comes first
        assert d.metric('hailo_health_checks_total{status="unhealthy"}') >= 1
        assert d.metric("hailo_model_loaded{") == 0
        assert d.metric('hailo_backend_info{backend="none",software_chip="false",'
                        'function="none"}') == 1
        assert d.request("GET", "/").json()["model_ready"] is False


def use_real_model_false_is_the_mock():
    with start(HAILO_DEVICE_ID="auto", USE_REAL_MODEL="false") as d:
        d.ready()
        r = d.infer(window_of(1))
        assert r.status == 200 and r.headers["X-Hailo-Backend"] == "mock"
        assert d.metric('hailo_backend_info{backend="mock",software_chip="true",'
                        'function="core"}') == 1


def what_is_no_inference_says_so_everywhere():
    for function, header, degraded in (("pattern", "mock; pattern", True),
                                       ('onnx:/a/"b".onnx', "mock; onnx", False),
                                       ("core", "mock", False)):
        with start(FAKE_FUNCTION=function) as d:
            d.ready()
            r = d.infer(window_of(1))
            assert r.status == 200 and r.headers["X-Hailo-Backend"] == header, r.headers
            h = d.request("GET", "/healthz")
            assert h.headers["X-Hailo-Backend"] == header
            assert h.json()["function"] == function and h.json()["degraded"] is degraded
            assert h.json()["backend"] == "mock"
            assert d.metric('hailo_backend_info{backend="mock",software_chip="true",function="%s"}'
                            % function.replace('"', '\\"')) == 1


def a_card_that_comes_later_is_taken():
    with start(FAKE_OPEN_FAILS=1) as d:
        d.ready()
        check_answer(d.infer(window_of(1)), window_of(1))


def a_dead_network_recovers(code=401, status=503):
    with start() as d:
        d.ready()
        r = d.infer(special(code))
        assert r.status == status, (r.status, r.body)
        until("a recovery", lambda: d.metric("hailo_device_recoveries_total") == 1)
        d.ready()
        check_answer(d.infer(window_of(2)), window_of(2))


def a_lost_device_recovers():
    a_dead_network_recovers(405)


def a_silent_chip_is_504_and_recovers():
    a_dead_network_recovers(402, 504)


def recovering_is_said_while_it_lasts():
    with start(FAKE_LOAD_FAILS=2) as d:
        d.ready()
        assert d.infer(special(401)).status == 503
        r = until("recovering", lambda: (lambda r: r if r.status == 503 else None)(
            d.request("GET", "/healthz")))
        assert r.json()["detail"].startswith("Recovering: "), r.body
        r = d.infer(window_of(1))
        assert r.status == 503 and r.json()["detail"].startswith("Recovering: ")
        d.ready()
        check_answer(d.infer(window_of(2)), window_of(2))


def frames_behind_a_dead_one_are_answered():
    with start() as d:
        d.ready()
        replies = Background(d, [special(403)] + [special(401)] * 30).finish()
        assert {r.status for _, r in replies} <= {200, 503}, replies
        d.ready()
        check_answer(d.infer(window_of(2)), window_of(2))


# ------------------------------------------------------------------ settings


def wrong_settings_stop_the_start():
    m = model()
    refused({"HEF_PATH": m, "SIDECAR_PORT": "70000"}, "SIDECAR_PORT=70000", "65535")
    refused({"HEF_PATH": m, "SIDECAR_PORT": "9000x"}, "SIDECAR_PORT")
    refused({"HEF_PATH": m, "SIDECAR_PORT": "-1"}, "SIDECAR_PORT")
    refused({"HEF_PATH": m, "NUM_MOTIFS": "0"}, "NUM_MOTIFS")
    refused({"HEF_PATH": m, "WORKERS": "0"}, "WORKERS")
    refused({"HEF_PATH": m, "LOG_LEVEL": "loud"}, "LOG_LEVEL=loud")
    refused({"HEF_PATH": m, "ALLOW_NO_MOTIFS": "maybe"}, "ALLOW_NO_MOTIFS")
    refused({"HEF_PATH": m, "HAILO_DEVICE_ID": "first"}, "HAILO_DEVICE_ID=first", "mock:8l")
    refused({"HEF_PATH": m, "HAILO_DEVICE_ID": "mock", "USE_REAL_MODEL": "true"}, "contradicts")
    refused({"HEF_PATH": m, "HAILO_DEVICE_ID": "auto", "MOCK_ONNX": m}, "MOCK_ONNX")
    refused({"HEF_PATH": m, "HAILO_DEVICE_ID": "0000:01:00.0", "MOCK_ONNX": m}, "MOCK_ONNX")
    refused({"HEF_PATH": m, "HAILO_DEVICE_ID": "mock", "MOCK_ONNX": "/nowhere.onnx"},
            "/nowhere.onnx")
    refused({"HEF_PATH": m, "HAILO_DEVICE_ID": "0000:01:00.0", "USE_REAL_MODEL": "false"},
            "contradicts")
    refused({"HEF_PATH": scratch.path + "/none.hef"}, "HEF_PATH", "No such file")


def unfit_models_stop_the_start():
    refused({"HEF_PATH": scratch.file("alone.hef", "FAKE plain")}, "manifest", "alone.json")
    refused({"HEF_PATH": model(), "NUM_MOTIFS": 11}, "NUM_MOTIFS=11", "12 motifs")
    refused({"HEF_PATH": model("FAKE plain", head=False)}, "ALLOW_NO_MOTIFS", "neither")
    refused({"HEF_PATH": model(hef_sha256="0" * 64)}, "sha256", "does not belong")
    refused({"HEF_PATH": model(inputs=[{"name": "imu_window", "shape": [1, 50, 9]}])}, "50 x 9")
    # what only the device can find out: the daemon serves nothing and ends with one error line
    with Daemon(FAKE, HEF_PATH=model("text"), HAILO_DEVICE_ID="mock", LOG_LEVEL="error") as d:
        assert d.process.wait(WAIT) == 1
        assert "this is not a HEF: it is a dummy text" in d.log()
    with Daemon(FAKE, HEF_PATH=model("FAKE head 9"), HAILO_DEVICE_ID="mock") as d:
        assert d.process.wait(WAIT) == 1
        assert "NUM_MOTIFS=12 contradicts output fake/motif_scores, which has 9 values" in d.log()


def a_link_finds_the_manifest_of_its_target():
    hef = model()
    link = os.path.join(scratch.path, "current_model.hef")
    os.symlink(hef, link)
    with start(link) as d:
        d.ready()
        assert d.request("GET", "/healthz").json()["model"] == 'fake "one"'


def the_configuration_has_a_version():
    hef = model()
    def check(**env):
        full = {"HEF_PATH": hef, "HAILO_DEVICE_ID": "mock", "PATH": os.environ["PATH"]}
        full.update(env)
        return subprocess.run([FAKE, "--check-config"], env=full, capture_output=True, text=True,
                              check=True).stdout
    text = check()
    assert "SIDECAR_PORT=9000\n" in text and "WORKERS=2\n" in text, text
    settings, version = text.split("config_version=")
    import hashlib
    assert version.strip() == hashlib.sha256(settings.encode()).hexdigest()[:12]
    assert check(QUEUE_SIZE="10") != text and check(HAILO_DEVICE_ID="") .count("=auto") == 1
    assert "HAILO_DEVICE_ID=0000:03:00.0\n" in check(HAILO_DEVICE_ID="03:00.0")


def options_are_few():
    def run(*args):
        return subprocess.run([FAKE, *args], capture_output=True, text=True, timeout=WAIT)
    assert run("--version").stdout == "hailo-inferenced 0.0.0\n"
    help_ = run("--help")
    assert help_.returncode == 0 and "BACKEND_TIMEOUT_MS" in help_.stdout
    assert run("--bogus").returncode == 2


def a_used_port_is_an_error():
    with start() as d:
        p = subprocess.run([FAKE], env={"HEF_PATH": model(), "HAILO_DEVICE_ID": "mock",
                                        "SIDECAR_HOST": "127.0.0.1", "SIDECAR_PORT": str(d.port)},
                           capture_output=True, text=True, timeout=WAIT)
        assert p.returncode == 1 and "port %d" % d.port in p.stderr, p.stderr


# ------------------------------------------------------------------- metrics


def parse_exposition(text):
    """Strict reading of the text format 0.0.4; samples as (name, labels) -> value."""
    types, helped, samples, last = {}, set(), {}, None
    sample = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
    label = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)')
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped, "HELP twice: " + name
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and name in helped, "TYPE: " + line
            types[name], last = kind, name
        else:
            m = sample.match(line)
            assert m, "not a sample: " + line
            name, labels, value = m.groups()
            family = name
            if types[last] == "histogram":
                family = re.sub("_(bucket|sum|count)$", "", name)
            assert family == last, "%s among the samples of %s" % (name, last)
            pairs = label.findall(labels or "")
            assert "".join('%s="%s",' % p for p in pairs) == (labels + "," if labels else "")
            key = (name, tuple(sorted(pairs)))
            assert key not in samples, "twice: " + line
            samples[key] = float(value)
    return types, samples


def metrics_are_prometheus_text():
    with start(model(name='odd \\ "name"')) as d:
        d.ready()
        for i in range(5):
            check_answer(d.infer(window_of(i)), window_of(i))
        d.infer("{}")
        d.request("GET", "/nowhere")
        until("a temperature", lambda: "celsius{" in d.request("GET", "/metrics").body.decode())
        r = d.request("GET", "/metrics")
        assert r.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        types, samples = parse_exposition(r.body.decode())
        name = ("model", 'odd \\\\ \\"name\\"')
        def value(metric, *labels):
            return samples[(metric, tuple(sorted(labels)))]
        assert value("hailo_inference_requests_total", ("status", "success"), name) == 5
        assert value("hailo_inference_requests_total", ("status", "invalid"), name) == 1
        assert value("hailo_errors_total", ("error_type", "validation"), name) == 1
        assert value("hailo_model_loaded", name, ("version", "7.1")) == 1
        assert value("hailo_device_temperature_celsius", ("device_id", "mock")) == 42.25
        assert 0 <= value("hailo_device_utilization_percent", ("device_id", "mock")) <= 100
        assert abs(value("hailo_sidecar_start_time_seconds") - time.time()) < 300
        assert value("hailo_config_ok", ("expected", "12"), ("actual", "12")) == 1
        assert value("hailo_http_requests_total", ("method", "POST"), ("endpoint", "/infer"),
                     ("status_code", "200")) == 5
        assert value("hailo_http_requests_total", ("method", "GET"), ("endpoint", "other"),
                     ("status_code", "404")) == 1
        buckets = [(dict(l)["le"], v) for (n, l), v in samples.items()
                   if n == "hailo_inference_duration_seconds_bucket"]
        assert [b for b, _ in buckets] == ["0.001", "0.005", "0.01", "0.025", "0.05", "0.1",
                                           "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
        counts = [v for _, v in buckets]
        assert counts == sorted(counts) and counts[-1] == 5
        assert value("hailo_inference_duration_seconds_count", name) == 5
        assert value("hailo_inference_duration_seconds_sum", name) > 0
        assert types["hailo_inference_duration_seconds"] == "histogram"
        assert {"hailo_model_info", "hailo_build_info", "hailo_health_checks_total",
                "hailo_http_request_duration_seconds"} <= set(types)


# ---------------------------------------------------------------------- stop


def sigterm_lets_running_requests_finish():
    with start(BACKEND_TIMEOUT_MS=60000) as d:
        d.ready()
        slow = Background(d, [special(406)])
        on_chip(d, 1)
        behind = Background(d, [window_of(i) for i in range(3)])
        on_chip(d, 4)
        d.stop()
        for w, r in slow.finish() + behind.finish():
            check_answer(r, w)
            assert r.headers["Connection"] == "close"


def lost(d, window):
    """Send a window to a daemon that will end first."""
    try:
        d.infer(window)
    except OSError:
        pass


def while_it_stops_new_connections_are_refused():
    def turned_away():
        try:
            socket.create_connection(("127.0.0.1", d.port)).close()
        except ConnectionRefusedError:
            return True
        return False
    for workers in (1, 4):
        with start(BACKEND_TIMEOUT_MS=60000, WORKERS=workers) as d:
            d.ready()
            t = threading.Thread(target=lost, args=(d, special(402)))
            t.start()
            on_chip(d, 1)
            d.process.send_signal(signal.SIGTERM)
            until("a refused connection", turned_away)
            d.stop(signal.SIGTERM, 1)  # which only a daemon that still waits can answer
            t.join()


def sigint_stops_with_idle_connections():
    with start() as d:
        d.ready()
        conns = [d.connect() for _ in range(5)]
        for c in conns:
            assert d.request("GET", "/healthz", conn=c).status == 200
        half = socket.create_connection(("127.0.0.1", d.port))
        d.stop(signal.SIGINT)
        half.close()
        for c in conns:
            c.close()


def a_second_signal_ends_it_at_once():
    with start(BACKEND_TIMEOUT_MS=60000, LOG_LEVEL="info") as d:
        d.ready()
        t = threading.Thread(target=lost, args=(d, special(402)))
        t.start()
        on_chip(d, 1)
        d.process.send_signal(signal.SIGTERM)
        until("stopping", lambda: "stopping" in d.log())
        time.sleep(0.1)
        d.stop(signal.SIGTERM, 1)
        t.join()


def the_journal_gets_priorities():
    with start(JOURNAL_STREAM="1:2", LOG_LEVEL="info") as d:
        d.ready()
        d.stop()
        lines = d.log().splitlines()
        assert lines and all(re.match(r"<[3467]>\S", l) for l in lines), lines


TESTS = [
    infer_answers_with_latents_and_scores, latents_are_clipped, scores_come_from_prototypes,
    no_motifs_means_zeros_and_says_so, healthz_tells_what_runs, head_works_where_get_does,
    client_errors_have_the_contracts_form, validation_errors_are_fastapi_s,
    large_bodies_are_refused_before_and_while_reading, expect_100_gets_its_refusal_instead,
    slow_requests_get_408, pipelined_requests_are_answered_in_order,
    sixty_four_clients_get_their_own_answers, a_full_queue_answers_503_and_stopping_ends_it,
    a_passed_deadline_is_504,
    clients_that_go_away_are_forgotten, a_value_that_is_no_number_is_500,
    without_a_card_it_serves_503_and_says_why, use_real_model_false_is_the_mock,
    what_is_no_inference_says_so_everywhere,
    a_card_that_comes_later_is_taken, a_dead_network_recovers, a_lost_device_recovers,
    a_silent_chip_is_504_and_recovers, recovering_is_said_while_it_lasts,
    frames_behind_a_dead_one_are_answered, wrong_settings_stop_the_start,
    unfit_models_stop_the_start, a_link_finds_the_manifest_of_its_target,
    the_configuration_has_a_version, options_are_few, a_used_port_is_an_error,
    metrics_are_prometheus_text, sigterm_lets_running_requests_finish,
    while_it_stops_new_connections_are_refused, sigint_stops_with_idle_connections,
    a_second_signal_ends_it_at_once, the_journal_gets_priorities,
]

if __name__ == "__main__":
    build()
    with scratch:
        sys.exit(run_tests(TESTS))
