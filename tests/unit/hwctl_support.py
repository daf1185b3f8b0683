# SPDX-License-Identifier: MIT
"""What tests of hwctl share: running it, JSON against docs/hwctl.md, a TAP loop."""
import json
import os
import re
import subprocess
import sys
import traceback

TOP = os.environ.get("TOP", os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))
OUT = os.environ.get("OUT", os.path.join(TOP, "out"))
SHARED = os.environ.get("HAILO_SHARED", os.path.join(TOP, "../shared"))
HWCTL = os.path.join(OUT, "hwctl")
MODEL = os.path.join(OUT, "models/imu-motion.hef")
ONNX = os.path.join(TOP, "deploy/models/imu-motion.onnx")
WAIT = 120


class Skip(Exception):
    pass


def shared(rel):
    path = os.path.join(SHARED, rel)
    if not os.path.exists(path):
        raise Skip(path + " is not here (set HAILO_SHARED)")
    return path


def hwctl(*args, status=0, env=None):
    """Run it; (stdout, stderr) as text.  The exit status must be the one that is wanted."""
    full = dict(os.environ)
    full.pop("HAILO_FIRMWARE", None)
    full.update(env or {})
    p = subprocess.run([HWCTL, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=WAIT, env=full)
    if p.returncode != status:
        raise AssertionError("hwctl %s: status %d instead of %d\n%s%s"
                             % (" ".join(map(str, args)), p.returncode, status, p.stdout, p.stderr))
    return p.stdout, p.stderr


def hwctl_json(*args, status=0):
    """One JSON value on stdout, and nothing else."""
    return json.loads(hwctl(*args, "--json", status=status)[0])


def equal(got, want):
    if got != want:
        raise AssertionError("got %r, want %r" % (got, want))


def contains(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError("%r is not in:\n%s" % (part, text))


# ------------------------------------------------------------------ JSON against its documentation

def documented():
    """{command: [example, ...]} from the headings and code blocks of docs/hwctl.md"""
    with open(os.path.join(TOP, "docs/hwctl.md")) as f:
        parts = re.split(r"^### (.*)$", f.read(), flags=re.M)
    return {name.strip(): [json.loads(b) for b in re.findall(r"```json\n(.*?)```", body, re.S)]
            for name, body in zip(parts[1::2], parts[2::2])}


def kind(v):
    if isinstance(v, bool):
        return "boolean"
    return {dict: "object", list: "array", str: "text", type(None): "null"}.get(type(v), "number")


def check_schema(where, got, doc):
    """Every member of @got is documented, with its type; null goes with everything."""
    if got is None or doc is None:
        return
    if kind(got) != kind(doc):
        raise AssertionError("%s is %s, documented as %s" % (where, kind(got), kind(doc)))
    if isinstance(got, dict):
        for key, value in got.items():
            if key not in doc:
                raise AssertionError("%s.%s is not documented in docs/hwctl.md" % (where, key))
            check_schema(where + "." + key, value, doc[key])
    elif isinstance(got, list) and got and isinstance(got[0], (dict, str)):
        for item in got:
            check_schema(where + "[]", item, doc[0])


def as_documented(command, got, *also):
    doc = {}
    for name in (command, *also):
        for example in documented()[name]:
            doc.update(example)
    check_schema(command, got, doc)


def run_all(tests):
    """Run them as TAP; the exit status."""
    print("1..%d" % len(tests))
    failed = 0
    for i, test in enumerate(tests, 1):
        try:
            test()
            print("ok %d - %s" % (i, test.__name__))
        except Skip as e:
            print("ok %d - %s # SKIP %s" % (i, test.__name__, e))
        except Exception:
            failed += 1
            print("not ok %d - %s" % (i, test.__name__))
            for line in traceback.format_exc().splitlines():
                print("# " + line)
        sys.stdout.flush()
    return min(failed, 99)
