#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The real daemon on the chip in software: the way of a window through the whole stack."""
import glob
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import zlib

from daemon_support import OUT, SAN, TOP, WAIT, Daemon, Scratch, from_many, run_tests, shared, until

DAEMON = os.path.join(OUT, "hailo-inferenced")
HWCTL = os.path.join(OUT, "hwctl")
PATIENT = {"HAILO_DEVICE_ID": "mock", "BACKEND_TIMEOUT_MS": "120000"}
CLIENTS = 64
DISTINCT = 200
REQUESTS = 1000 if SAN else 10000
scratch = Scratch()


def start(**env):
    assert os.access(DAEMON, os.X_OK), DAEMON + " is missing"
    full = dict(PATIENT, LOG_LEVEL="info")
    full.update(env)
    return Daemon(DAEMON, **full)


def windows(n):
    """Windows that differ much from each other, and are the same in each run."""
    rng = random.Random(20)
    out = []
    for _ in range(n):
        walk = [rng.uniform(-4, 4), rng.uniform(-4, 4), rng.uniform(5, 12)] + \
               [rng.uniform(-1, 1) for _ in range(3)] + [rng.uniform(-50, 50) for _ in range(3)]
        hz = rng.uniform(0.5, 8.0)
        gain = [rng.uniform(0, 6), rng.uniform(0, 3), rng.uniform(0, 20)]
        out.append([[walk[c] + gain[c // 3] * math.sin(0.0628 * hz * t + c) + rng.gauss(0, 0.05)
                     for c in range(9)] for t in range(100)])
    return out


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b))


def the_default_model_answers():
    with start() as d:
        d.ready()
        h = d.request("GET", "/healthz").json()
        assert h["ok"] is True and h["backend"] == "mock" and h["software_chip"] is True, h
        assert h["device"] == "hailo8" and h["training_data"] == "synthetic", h
        w = windows(1)[0]
        r = d.infer(w)
        assert r.status == 200 and r.headers["X-Hailo-Backend"] == "mock", r.body
        a = r.json()
        assert len(a["latent"]) == 64 and len(a["motif_scores"]) == 12
        assert all(-10 <= v <= 10 for v in a["latent"]) and len(set(a["latent"])) > 8
        assert all(0 <= v <= 1 for v in a["motif_scores"]), a["motif_scores"]
        assert a["motif_source"] in ("head", "prototypes")
        assert d.infer(w, path="/infer/infer").json() == a
        until("a temperature", lambda: "celsius{" in d.request("GET", "/metrics").body.decode())


def the_8l_serves_the_same_model():
    w = windows(1)[0]
    with start() as d:
        d.ready()
        want = d.infer(w).json()
    with start(HAILO_DEVICE_ID="mock:8l") as d:
        d.ready()
        assert d.request("GET", "/healthz").json()["device"] == "hailo8l"
        assert d.infer(w).json() == want


def every_answer_belongs_to_its_own_window():
    some = windows(DISTINCT)
    with start() as d:
        d.ready()
        conn = d.connect()
        bodies = [json.dumps({"x": w}) for w in some]
        want = []
        for b in bodies:
            r = d.infer(b, conn)
            assert r.status == 200, r.body
            want.append(r.body)
        conn.close()
        # the comparison below means something only if answers tell windows apart
        assert len(set(want)) == DISTINCT

        def check(i):
            def compare(reply):
                assert reply.status == 200, (reply.status, reply.body)
                assert reply.body == want[i], "window %d got another answer" % i
            return compare

        rng = random.Random(21)
        order = [rng.randrange(DISTINCT) for _ in range(REQUESTS)]
        done = from_many(d, [(bodies[i], check(i)) for i in order], CLIENTS)
        assert done == REQUESTS
        assert d.metric('hailo_inference_requests_total{status="success"') == REQUESTS + DISTINCT
        assert d.metric("hailo_device_recoveries_total") == 0


def the_reference_network_reaches_its_latents():
    hef = os.path.join(scratch.path, "tcn.hef")
    imu = sorted(glob.glob(os.path.join(shared("data/imu"), "*.json")))
    assert len(imu) == 4
    cmd = [HWCTL, "hef", "build", shared("data/tcn_encoder_for_edgeinfer.onnx"), "-o", hef,
           "--manifest", shared("data/tcn_model_config.json"), "--calibrate"] + imu
    p = subprocess.run(cmd, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    with open(shared("data/tcn_reference_vectors.json")) as f:
        cases = json.load(f)["cases"]
    assert len(cases) == 5
    p = subprocess.run([DAEMON], env={"HEF_PATH": hef, "HAILO_DEVICE_ID": "mock",
                                      "SIDECAR_PORT": "0"}, capture_output=True, text=True,
                       timeout=WAIT)
    assert p.returncode == 2 and "ALLOW_NO_MOTIFS" in p.stderr, p.stderr
    with start(HEF_PATH=hef, ALLOW_NO_MOTIFS="1") as d:
        d.ready()
        for name, case in cases.items():
            r = d.infer(case["x"])
            assert r.status == 200, r.body
            a = r.json()
            want = case["latent"]
            assert len(want) == 64
            got = cosine(a["latent"], want)
            print("# %s: cosine %.5f" % (name, got))
            assert got >= 0.99, "%s: cosine %f" % (name, got)
            assert a["motif_source"] == "none" and a["motif_scores"] == [0] * 12


def files_may_go_once_it_is_configured():
    hef = os.path.join(scratch.path, "copy.hef")
    for ext in ("hef", "json"):
        with open(os.path.join(OUT, "models/imu-motion." + ext), "rb") as f:
            data = f.read()
        with open(os.path.join(scratch.path, "copy." + ext), "wb") as f:
            f.write(data)
    some = windows(3)
    with start(HEF_PATH=hef) as d:
        d.ready()
        before = [d.infer(w).json() for w in some]
        for ext in ("hef", "json"):
            path = os.path.join(scratch.path, "copy." + ext)
            with open(path, "r+b") as f:
                f.write(b"\0" * os.path.getsize(path))
            os.unlink(path)
        assert [d.infer(w).json() for w in some] == before


def what_is_not_a_hef_is_named():
    with open(os.path.join(OUT, "models/imu-motion.json")) as f:
        manifest = json.load(f)
    manifest.pop("hef_sha256", None)
    cases = {"lfs": ("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 +
                     "\nsize 12345\n", "LFS"),
             "mock": ('{"mock_hef": true, "name": "x"}', "mock_hef|JSON"),
             "text": ("dummy hef\n", "text|not a HEF")}
    for name, (text, word) in cases.items():
        scratch.file(name + ".json", manifest)
        hef = scratch.file(name + ".hef", text)
        with start(HEF_PATH=hef, LOG_LEVEL="error") as d:
            assert d.process.wait(WAIT) == 1
            assert re.search(word, d.log()) and d.log().count("\n") == 1, (name, d.log())


def real_files_for_other_chips_are_named():
    with open(os.path.join(OUT, "models/imu-motion.json")) as f:
        manifest = json.load(f)
    manifest.pop("hef_sha256", None)
    for name, device, word in (("truncated", "mock:8", "cut short"),
                               ("scrfd_2.5g.hailo15h.v3", "mock:8", "HAILO15H.*Hailo-8 does not run"),
                               ("mnist_cnn.hailo8.v0", "mock:8l", "Hailo-8L does not run"),
                               ("mnist_cnn.hailo8.v0", "mock:8", "one input of 900")):
        scratch.file(name + ".json", manifest)
        hef = os.path.join(scratch.path, name + ".hef")
        if not os.path.lexists(hef):
            os.symlink(os.path.abspath(shared("data/hef/" + name + ".hef")), hef)
        with start(HEF_PATH=hef, HAILO_DEVICE_ID=device, LOG_LEVEL="error") as d:
            assert d.process.wait(WAIT) == 1
            assert re.search(word, d.log()) and d.log().count("\n") == 1, (name, d.log())


def without_a_card_nothing_is_invented():
    with start(HAILO_DEVICE_ID="auto") as d:
        r = until("503 with a reason", lambda: (lambda r: r if "Starting" not in r.json()["detail"]
                                                else None)(d.request("GET", "/healthz")))
        assert r.status == 503 and r.headers["X-Hailo-Backend"] == "none", r.body
        r = d.infer(windows(1)[0])
        assert r.status == 503 and r.headers["X-Hailo-Backend"] == "none", r.body


def as_microcode(data):
    """A version 2 HEF of ours whose config channels do not look like ours any more."""
    payload = struct.pack("<I", 0x4e534948)
    body = bytearray(data[44:])
    at, marks = body.find(payload), 0
    while at >= 0:
        if at >= 8 and body[at - 1] == 0xf0:  # the first record of a channel, its address before it
            body[at - 1] ^= 0x80
            body[at] ^= 1
            marks += 1
        at = body.find(payload, at + 1)
    assert marks == 2
    # Container version 1, whose digest Python can make.
    size, = struct.unpack(">I", data[8:12])
    ccws, = struct.unpack(">Q", data[20:28])
    return struct.pack(">IIIIQI", 0x01484546, 1, size, zlib.crc32(bytes(body)), ccws, 0) + body


def microcode_is_never_passed_off_as_inference():
    with open(os.path.join(OUT, "models/imu-motion.hef"), "rb") as f:
        data = as_microcode(f.read())
    with open(os.path.join(OUT, "models/imu-motion.json")) as f:
        manifest = json.load(f)
    manifest.pop("hef_sha256", None)
    scratch.file("vendor.json", manifest)
    hef = os.path.join(scratch.path, "vendor.hef")
    with open(hef, "wb") as f:
        f.write(data)
    w = windows(2)
    with start(HEF_PATH=hef) as d:
        d.ready()
        r = d.infer(w[0])
        assert r.status == 200 and r.headers["X-Hailo-Backend"] == "mock; pattern", r.body
        h = d.request("GET", "/healthz").json()
        assert h["function"] == "pattern" and h["degraded"] is True, h
        assert "test pattern, not inference" in d.log()
        assert d.metric('hailo_backend_info{backend="mock",software_chip="true",'
                        'function="pattern"}') == 1
    onnx = os.path.join(TOP, "deploy/models/imu-motion.onnx")
    with start(HEF_PATH=hef, MOCK_ONNX=onnx) as d:
        d.ready()
        a, b = d.infer(w[0]), d.infer(w[1])
        assert a.status == 200 and a.headers["X-Hailo-Backend"] == "mock; onnx", a.body
        assert a.json()["latent"] != b.json()["latent"] and a.json() == d.infer(w[0]).json()
        h = d.request("GET", "/healthz").json()
        assert h["function"] == "onnx:" + onnx and h["degraded"] is False, h


TESTS = [the_default_model_answers, microcode_is_never_passed_off_as_inference, the_8l_serves_the_same_model,
         every_answer_belongs_to_its_own_window, the_reference_network_reaches_its_latents,
         files_may_go_once_it_is_configured, what_is_not_a_hef_is_named,
         real_files_for_other_chips_are_named,
         without_a_card_nothing_is_invented]

if __name__ == "__main__":
    with scratch:
        sys.exit(run_tests(TESTS))
