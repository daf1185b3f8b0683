#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What hwctl sends for random networks, byte for byte, against what the text of the spec asks for.

usage: test_spec_traffic.py [CASE [FROM [TO]]]     with OUT and HAILO_SHARED (default: all)

Compared are the network group's header and every action of every context, lists with their pages,
counts and descriptors, configuration with its hashes, channels, the ENABLEDs and each transfer.
What the spec refuses must be refused for one of its reasons, before anything is sent.
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import traceback
from collections import namedtuple

import spec_nets
from spec_actions import CONTEXT_INFO, CONTEXT_SWITCH_STATUS, NETWORK_GROUP_HEADER, control
from spec_hef import HAILO8L, IS_MULTI_CONTEXTS, read, write
from spec_traffic import HW_CONSTS, Host, HwConsts, LAST, PLAIN, Refused, Traffic, ceil

TOP = os.environ.get("TOP", os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))
OUT = os.environ.get("OUT", os.path.join(TOP, "out"))
SHARED = os.environ.get("HAILO_SHARED", os.path.join(TOP, "../shared"))
SANITIZED = os.environ.get("SAN", "0") != "0"
HWCTL = os.path.join(OUT, "hwctl")
FRAME_MS = 60000
RESET, ENABLED = 0, 1  # 1.7 of firmware-protocol.md, opcode 37
PLAIN_CONSTS = HwConsts(8, 65535, 65535, 0xa000, 0x10000, 1, 0x10000)
# name, device, cluster layout, value of --mock-layout
REAL = (("mnist_cnn.hailo8.v0", "mock:8", None, None),
        ("fsq_m13_imu.hailo8.v2", "mock:8", None, None),
        ("hand_landmark_lite.hailo8.v2", "mock:8", None, None),
        ("model_3x640x640.hailo8l.v1", "mock:8l", 0x33, None),
        ("model_3x640x640.hailo8l.v1", "mock:8l", 0xcc, "CC"),
        ("model_3x640x640.hailo8l.v1", "mock:8", None, None))

Case = namedtuple("Case", "nets paths device host latency layout")


class Skip(Exception):
    pass


# ------------------------------------------------------------------------------------------- cases

def draw_consts(rng):
    if rng.random() < .6:
        return PLAIN_CONSTS
    return HwConsts(rng.choice([8, 8, 8, 4, 2, 1, 16]),
                    rng.choice([65535, 4096, 255, 16, rng.randrange(65536)]),
                    rng.choice([65535, 65535, 16384, 2048, rng.randrange(8, 65536)]),
                    rng.choice([0xa000, 0x1000, 8, 0, rng.randrange(65536)]),
                    rng.choice([0x10000, 0x10000, 0x8000, 0x20000]), rng.choice([0, 1, 1, 1]),
                    rng.choice([0x10000, 0x10000, 0x2000, 0x20000]))


def draw_host(rng, nets, consts):
    """Batches whose frames are not more than 16 MB in all."""
    frame = sum(spec_nets.transfer_bytes(l) for n in nets for c in n.contexts for l in c.layers)
    batches = [b for b in (1, 2, 8, 16, 17, 32, 63) if b == 1 or b * frame <= 16 << 20]
    return Host(rng.choice([4096, 4096, 128, 256]), rng.choice(batches),
                rng.choice([8, 8, 32, 1, 100]), consts)


def write_files(nets, folder):
    paths = [os.path.join(folder, "%d.hef" % i) for i in range(len(nets))]
    for net, path in zip(nets, paths):
        with open(path, "wb") as f:
            f.write(write(net))
    return paths


def one_network(make, rng, _, folder):
    net = make(rng)
    device = "mock:8l" if net.arch == HAILO8L and rng.random() < .7 else "mock:8"
    return Case([net], write_files([net], folder), device, draw_host(rng, [net], draw_consts(rng)),
                rng.random() < .2, None)


def two_networks(rng, _, folder):
    """Which take turns on the chip"""
    nets = [spec_nets.Builder(rng, odd=False).net for _ in range(2)]
    for i, net in enumerate(nets):
        net.name = "net%d" % i
    return Case(nets, write_files(nets, folder), "mock:8", draw_host(rng, nets, PLAIN_CONSTS),
                False, None)


def real_file(rng, seed, _):
    name, device, layout, option = REAL[seed % len(REAL)]
    path = os.path.join(SHARED, "data/hef", name + ".hef")
    if not os.path.exists(path):
        raise Skip(path + " is not here (set HAILO_SHARED)")
    net = read(path, layout)
    return Case([net], [path], device, draw_host(rng, [net], draw_consts(rng)), rng.random() < .2,
                option)


def corner(name):
    return lambda *args: one_network(getattr(spec_nets, name), *args)


# name: how it is made, seeds in a plain build, in sanitizer builds
CASES = {"random_network": (corner("random_network"), 100, 40),
         "chip_nms": (corner("chip_nms"), 4, 2),
         "without_preliminary": (corner("without_preliminary"), 3, 1),
         "long_configuration": (corner("long_configuration"), 1, 1),
         "many_writes": (corner("many_writes"), 1, 1),
         "large_frame": (corner("large_frame"), 4, 1),
         "page_sized_fifo": (corner("page_sized_fifo"), 4, 2),
         "wide_rows": (corner("wide_rows"), 5, 2),
         "many_streams": (corner("many_streams"), 4, 2),
         "two_networks": (two_networks, 6, 3),
         "real_file": (real_file, len(REAL), len(REAL))}


# ------------------------------------------------------------------------------------------ running

def command(case, record):
    h = case.host
    args = [HWCTL, "run", *case.paths, "--device", case.device, "--frames", str(2 * h.batch),
            "--batch", str(h.batch), "--max-page", str(h.page), "--queue-depth", str(h.depth),
            "--mock-hw-consts", HW_CONSTS.pack(*h.consts).hex(), "--timeout", str(FRAME_MS),
            "--raw", "--record", record]
    return (args + ["--measure-latency"] * case.latency
            + (["--mock-layout", case.layout] if case.layout else []))


def differences(case, folder):
    """Texts, the first difference first."""
    record = os.path.join(folder, "record.jsonl")
    args = command(case, record)
    run = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=600)
    said = run.stderr.strip()[:2000]
    if run.returncode < 0 or "Sanitizer" in run.stderr or "runtime error" in run.stderr:
        return ["hwctl died (%d): %s" % (run.returncode, said)]
    with open(record, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    sent = [bytes.fromhex(r["req"]) for r in rows if r["op"] == "control"
            and r["opcode"] in (NETWORK_GROUP_HEADER, CONTEXT_INFO)]
    try:
        traffics = [Traffic(net, case.host) for net in case.nets]
    except Refused as reason:
        return refusal(str(reason), run.returncode, said, sent if len(case.nets) == 1 else [])
    if not sent:
        return ["the spec has traffic for this, hwctl refuses: %s" % said]
    found = list(Comparison(case, traffics, rows).differences(sent))
    if run.returncode:
        found.append("hwctl: %s" % said)
    return found


def refusal(reason, status, said, sent):
    """The planner may find another reason first, but it has to be one of the spec's."""
    reasons = ["configuration channels: the firmware takes", "more vDMA channels than the chip has",
               "no descriptor list can carry transfers", "no descriptor list can hold",
               "descriptors are too many", "FIFO word", "outbound stream", "16-bit registers",
               "smaller than one buffer", "does not fit the chip's stream FIFO",
               "too large for the chip to pad", "no buffer size divides", "that could stand in for",
               "needs more descriptors than a list can have", "out of turn"]
    assert reason in reasons, reason
    if sent:
        yield "the spec refuses this (%s), hwctl sent %d messages" % (reason, len(sent))
    if not status or not any(r in said for r in reasons):
        yield "the spec refuses this (%s), hwctl: status %d, %s" % (reason, status, said)


class Comparison:
    def __init__(self, case, traffics, rows):
        self.case, self.traffics, self.rows = case, traffics, rows
        self.addresses = {}  # list: its bus address, from the first action that names it
        self.created = {int(r["bus"], 16): r for r in rows if r["op"] == "list_create"}

    def differences(self, sent):
        yield from self.messages(sent)
        yield from self.lists()
        yield from self.statuses()
        yield from self.transfers()

    def messages(self, sent):
        sent = iter(sent)
        for number, t in enumerate(self.traffics):
            header, want = next(sent, b""), control(NETWORK_GROUP_HEADER, t.header)
            if header != want:
                yield "header of network %d: %s instead of %s" % (number, header.hex(), want.hex())
            for message in t.messages:
                text = message.differs(next(sent, b""), self.addresses)
                if text:
                    yield "network %d, %s" % (number, text)
                    return
        if next(sent, None):
            yield "more messages than there are"

    def lists(self):
        """5.5, 5.6, 5.8"""
        if len(set(self.addresses.values())) != len(self.addresses):
            yield "two lists at one address"
        states = {r["list"]: r["descs"] for r in self.rows if r["op"] == "list_state"}
        fetched = {r["list"]: r["pieces"] for r in self.rows if r["op"] == "config_list"}
        for made, address in self.addresses.items():
            row = self.created.get(address)
            where = "%s list at 0x%x" % (made.kind, address)
            if not row:
                yield where + " was never made"
                continue
            for name in ("page", "count", "circular"):
                if row[name] != getattr(made, name):
                    yield "%s: %s is %d instead of %d" % (where, name, row[name],
                                                          getattr(made, name))
            if made.descs:
                yield from self.descriptors(where, made, states.get(row["list"], []))
            if made.kind == "configuration":
                pieces = [(p["descs"], p["bytes"], p["sha256"])
                          for p in fetched.get(row["list"], [])]
                if pieces != made.pieces:
                    yield where + ": " + first_of("piece", pieces, made.pieces)

    @staticmethod
    def descriptors(where, made, runs):
        got = [(size, ctrl) for n, size, ctrl, _, _ in runs for _ in range(n)]
        if got != made.descs:
            yield where + ": " + first_of("descriptor", got, made.descs)
        at = 0
        for n, _, _, buf, offset in runs:
            if offset != at * made.page or not buf or buf != runs[0][3]:
                yield "%s: descriptor %d is at %d of buffer %d" % (where, at, offset, buf)
                return
            at += n

    def statuses(self):
        """5.9: RESET; one network: ENABLED with batch 0; several: by turns, no RESET between."""
        host = self.case.host
        turns = [(ENABLED, 0, 0)]
        if len(self.traffics) > 1:
            turns = 2 * [(ENABLED, i, host.batch if IS_MULTI_CONTEXTS in t.net.extensions else 1)
                         for i, t in enumerate(self.traffics)]
        reset = (RESET, 255, 0)
        want = [control(CONTEXT_SWITCH_STATUS, bytes([status]), bytes([app]),
                        struct.pack("<H", batch), bytes(2))
                for status, app, batch in [reset, *turns, reset, reset]]
        got = [bytes.fromhex(r["req"]) for r in self.rows if r["op"] == "control"
               and r["opcode"] == CONTEXT_SWITCH_STATUS]
        if got != want:
            yield first_of("change of status", [g.hex() for g in got], [w.hex() for w in want])

    def transfers(self):
        """6.2, 6.3, and channels that are enabled"""
        host, latency = self.case.host, self.case.latency
        streams = {self.created[self.addresses[s.list]]["list"]: s for t in self.traffics
                   for s in t.inputs + t.outputs if self.addresses.get(s.list) in self.created}
        heads, counts = {}, dict.fromkeys(streams, 0)
        masks = {sum(1 << s.channel for s in t.inputs + t.outputs) for t in self.traffics}
        for row in self.rows:
            if row["op"] == "enable_channels":
                heads = dict.fromkeys(streams, 0)
                if row["map"] not in [[m, 0, 0] for m in masks]:
                    yield "channels %r are enabled, not %r" % (row["map"], masks)
            if row["op"] != "transfer":
                continue
            s = streams.get(row["list"])
            if not s:
                yield "a transfer of a list that is no boundary stream's: %r" % row
                return
            n, start = ceil(s.transfer, s.page), heads.get(row["list"], 0)
            first_irq = latency and s.layer.input
            heads[row["list"]] = (start + n) % s.list.count
            counts[row["list"]] += 1
            want = {"ch": s.channel, "start": start, "descs": n, "avail": heads[row["list"]],
                    "ctrl_first": LAST if n == 1 or first_irq else PLAIN, "ctrl_last": LAST,
                    "size_last": s.transfer - (n - 1) * s.page, "first_irq": 2 * first_irq,
                    "last_irq": 2, "debug": 0, "ret": 0}
            for name, value in want.items():
                if row[name] != value:
                    yield "transfer %d of %s: %s is %d instead of %d" % (
                        counts[row["list"]], s.layer.name, name, row[name], value)
                    return
        for number, count in counts.items():
            s = streams[number]
            if count < 2 * host.batch or (count > 2 * host.batch and not s.layer.nms):
                yield "%d transfers of %s for %d frames" % (count, s.layer.name, 2 * host.batch)


def first_of(what, got, want):
    for i in range(max(len(got), len(want))):
        a, b = (x[i] if i < len(x) else "nothing" for x in (got, want))
        if a != b:
            return "%s %d is %s instead of %s" % (what, i, a, b)
    return ""


def check(name, seed):
    """Differences between hwctl and the spec in one case."""
    with tempfile.TemporaryDirectory(prefix="spec-traffic-") as folder:
        rng = random.Random("%s %d" % (name, seed))
        case = CASES[name][0](rng, seed, folder)
        return list(differences(case, folder))


def main():
    chosen = [(name, seed) for name, (_, plain, sanitized) in CASES.items()
              for seed in range(sanitized if SANITIZED else plain)]
    if len(sys.argv) > 1:
        first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
        last = int(sys.argv[3]) if len(sys.argv) > 3 else first
        chosen = [(sys.argv[1], seed) for seed in range(first, last + 1)]
    failed = 0
    print("1..%d" % len(chosen))
    for i, (name, seed) in enumerate(chosen, 1):
        title = "%d - %s, seed %d" % (i, name, seed)
        try:
            texts = check(name, seed)
        except Skip as reason:
            print("ok %s # SKIP skipped: %s" % (title, reason))
            continue
        except Exception:
            texts = traceback.format_exc().splitlines()
        failed += bool(texts)
        print("%sok %s" % ("not " if texts else "", title))
        for text in texts[:12]:
            print("# " + text)
        if texts:
            print("# again: OUT=%s tests/golden/test_spec_traffic.py %s %d" % (OUT, name, seed))
        sys.stdout.flush()
    return min(failed, 99)


if __name__ == "__main__":
    sys.exit(main())
