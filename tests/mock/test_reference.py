#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""hwctl against the reference vectors: ONNX on the CPU within 1e-4, the 8-bit HEF by cosine (TAP)."""

import glob
import json
import math
import os
import subprocess
import sys
import tempfile

TOP = os.environ.get("TOP", ".")
OUT = os.environ.get("OUT", os.path.join(TOP, "out"))
SHARED = os.environ.get("HAILO_SHARED", os.path.join(TOP, "../shared"))
DATA = os.path.join(SHARED, "data")
ONNX = os.path.join(DATA, "tcn_encoder_for_edgeinfer.onnx")
MANIFEST = os.path.join(DATA, "tcn_model_config.json")
CASES = ("zeros", "realistic", "random", "static", "walking")


def hwctl(*args):
    run = subprocess.run([os.path.join(OUT, "hwctl"), *args], capture_output=True, text=True,
                         timeout=300)
    if run.returncode:
        raise AssertionError(f"hwctl {' '.join(args)}: {run.returncode}: {run.stderr}")
    return run.stdout


def latents(answer):
    """The one output whose name ends in latent_embeddings."""
    found = [v for k, v in answer["outputs"][0].items() if k.split("/")[-1] == "latent_embeddings"]
    assert len(found) == 1 and len(found[0]) == 64, answer["outputs"][0].keys()
    return found[0]


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def main():
    if not os.path.exists(ONNX):
        print(f"1..1\nok 1 - reference vectors # SKIP skipped: {ONNX} is not here")
        return 0
    with open(os.path.join(DATA, "tcn_reference_vectors.json"), encoding="utf-8") as f:
        cases = json.load(f)["cases"]
    bad = 0
    print(f"1..{2 * len(CASES)}")
    with tempfile.TemporaryDirectory() as tmp:
        hef = os.path.join(tmp, "tcn.hef")
        hwctl("hef", "build", ONNX, "-o", hef, "--manifest", MANIFEST,
              "--calibrate", *sorted(glob.glob(os.path.join(DATA, "imu", "*.json"))))
        for i, name in enumerate(CASES):
            window = os.path.join(tmp, name + ".json")
            with open(window, "w", encoding="utf-8") as f:
                json.dump({"x": cases[name]["x"]}, f)
            want = cases[name]["latent"]
            cpu = latents(json.loads(hwctl("run", "--cpu", ONNX, "--manifest", MANIFEST, "--input",
                                           window, "--json")))
            far = max(abs(a - b) for a, b in zip(cpu, want))
            ok = far <= 1e-4
            print(f"{'ok' if ok else 'not ok'} {2 * i + 1} - {name} on the CPU: off by {far:.2e}")
            bad += not ok
            chip = latents(json.loads(hwctl("run", hef, "--device", "mock", "--input", window,
                                            "--json")))
            c = cosine(chip, want)
            ok = c >= 0.99
            print(f"{'ok' if ok else 'not ok'} {2 * i + 2} - {name} in 8 bits: cosine {c:.5f}")
            bad += not ok
    return bad


if __name__ == "__main__":
    sys.exit(main())
