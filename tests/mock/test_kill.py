#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Killing the driver's process at any moment: the next start works, and no DMA follows a death.

One chip in software (hwctl mock serve) outlives everybody.  TAP on stdout.
"""
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

OUT = os.environ["OUT"]
HWCTL = os.path.join(OUT, "hwctl")
MODEL = os.path.join(OUT, "models", "imu-motion.hef")
SLOW = os.environ.get("SAN", "0") not in ("", "0")
ROUNDS = 40 if SLOW else 200
LEAST = ROUNDS // 20  # of them in each stage
TERMS = 8 if SLOW else 30
LIMIT = 120 if SLOW else 30
SEED = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1 << 32)

WIRE_MASTER = 4  # hwlayer/mock/wire.h

failures = 0
number = 0


def result(ok, name, why=""):
    global failures, number
    number += 1
    print(f"{'ok' if ok else 'not ok'} {number} - {name}", flush=True)
    if not ok:
        failures += 1
        for line in str(why).splitlines():
            print(f"# {line}", flush=True)
    return ok


class Server:
    """hwctl mock serve, with its log of life-cycle facts."""

    def __init__(self, folder, *extra):
        self.path = os.path.join(folder, "chip.sock")
        self.log = os.path.join(folder, "facts.jsonl")
        self.device = "mock:" + self.path
        self.proc = subprocess.Popen(
            [HWCTL, "mock", "serve", "--socket", self.path, "--log", self.log, *extra],
            stdout=subprocess.PIPE, text=True)
        line = self.proc.stdout.readline()
        assert self.path in line, f"the server did not start: {line!r}"
        self.at = 0

    def facts(self):
        """What was logged since the last call."""
        with open(self.log, encoding="utf-8") as f:
            f.seek(self.at)
            text = f.read()
        end = text.rfind("\n") + 1
        self.at += len(text[:end].encode())
        return [json.loads(line) for line in text[:end].splitlines()]

    def wait_gone(self):
        """Facts until the user's disconnect was seen."""
        seen, end = [], time.monotonic() + LIMIT
        while time.monotonic() < end:
            seen += self.facts()
            if any(f["fact"] == "disconnect" for f in seen):
                return seen
            time.sleep(0.001)
        raise AssertionError(f"the server never saw its user go: {seen}")

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(LIMIT)


def run(device, frames=3):
    p = subprocess.run([HWCTL, "run", MODEL, "--device", device, "--frames", str(frames), "--json"],
                       capture_output=True, text=True, timeout=LIMIT, check=False)
    if p.returncode:
        raise AssertionError(f"exit status {p.returncode}: {p.stderr.strip()}")
    return json.loads(p.stdout)["outputs"]


def victim(device, *command):
    return subprocess.Popen([HWCTL, *command, "--device", device, "--quiet"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for(server, what, seen=None):
    """Block until the server logged @what; returns the seconds since the call."""
    start, seen = time.monotonic(), [] if seen is None else seen
    while time.monotonic() - start < LIMIT:
        new = server.facts()
        seen += new
        if any(what(f) for f in new):
            return time.monotonic() - start
        time.sleep(0.0005)
    raise AssertionError(f"never seen: {seen}")


def enabled(fact):
    return fact["fact"] == "control" and fact["opcode"] == 37 and fact["first_byte"] == 1


def identified(fact):
    """The control that ends a boot."""
    return fact["fact"] == "control" and fact["opcode"] == 0


def connected(fact):
    return fact["fact"] == "connect"


def configures(fact):
    """The first control to the core CPU."""
    return fact["fact"] == "control" and fact["cpu"] == "core"


def stage(facts):
    """How far a killed process had come."""
    if any(enabled(f) for f in facts):
        return "inference"
    if any(configures(f) for f in facts):
        return "configuration"
    if any(connected(f) for f in facts):
        return "boot"
    return "start"


def kill_rounds(server, want, rng):
    """SIGKILL at random moments; each time the next start must give the right answers."""
    # How long things take here, so that moments are spread over all of them.
    p = victim(server.device, "run", MODEL, "--frames", "1000000")
    begin = time.monotonic()
    wait_for(server, connected)
    connect = time.monotonic() - begin
    boot = wait_for(server, identified)
    configuration = wait_for(server, enabled)
    p.kill()
    p.communicate()
    server.wait_gone()
    run(server.device)
    server.wait_gone()

    stages = {"start": 0, "boot": 0, "configuration": 0, "inference": 0}
    problems, after = [], []

    def one(what, where, longest):
        """Kill @what up to @longest seconds after @where; the next start must work.  False: it did not."""
        moment = rng.uniform(0, longest)
        at = f"killed {moment * 1e3:.1f} ms after {where and where.__name__}"
        p = victim(server.device, *what)
        early = []
        if where:
            wait_for(server, where, early)
        time.sleep(moment)
        p.kill()
        p.communicate()
        early += server.facts()
        try:
            outputs = run(server.device)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            problems.append(f"{at}: {e}")
            return False
        if outputs != want:
            problems.append(f"{at}: wrong outputs")
        facts = early + server.wait_gone()
        # Two users in there: the victim, if it had connected, and the one who came after.
        users = [n for n, f in enumerate(facts) if f["fact"] == "connect"]
        mine = facts[:users[-1]]
        stages[stage(mine)] += 1
        after.extend(f for f in facts if f["fact"] in ("since_death", "dma_after_death", "dma_fault"))
        return True

    running = ("run", MODEL, "--frames", "1000000")
    for i in range(ROUNDS):
        # Each part of a life in turn, and any moment of it; every eighth is boot alone.
        what = ("boot",) if i % 8 == 0 else running
        where, longest = [(None, connect + boot), (identified, configuration), (enabled, boot),
                          (None, connect + boot + 2 * configuration)][i % 4]
        if not one(what, where, longest):
            break
    # A busy machine may be late with the signal: then more of what was missed, ever closer to its begin.
    aims = {"boot": (connected, boot), "configuration": (configures, configuration), "inference": (enabled, boot)}
    for name, (where, longest) in aims.items():
        for k in range(5 * LEAST):
            if stages[name] >= LEAST or problems or not one(running, where, longest / (k + 1)):
                break
    return stages, problems, after


def dma_after(facts):
    return [f for f in facts
            if f["fact"] in ("dma_after_death", "dma_fault")
            or (f["fact"] == "since_death" and (f["dma_bytes"] or f["dma_tries"]))]


def term_rounds(server, rng, number_of_rounds, want):
    """SIGTERM: the process ends in order, and the chip is told before any memory goes."""
    problems = []
    for i in range(number_of_rounds):
        p = victim(server.device, "run", MODEL, "--frames", "1000000")
        wait_for(server, enabled)
        time.sleep(rng.uniform(0, 0.03))
        number_of_signal = signal.SIGTERM if i % 2 else signal.SIGINT
        p.send_signal(number_of_signal)
        _, err = p.communicate(timeout=LIMIT)
        facts = server.wait_gone()
        names = [("reset" if f["fact"] == "control" and f["opcode"] == 37 and not f["first_byte"]
                  else f["fact"]) for f in facts]
        if p.returncode != 128 + number_of_signal:
            problems.append(f"round {i}: exit status {p.returncode}: {err.decode().strip()}")
        elif "unmap" not in names or "driver_down" not in names:
            problems.append(f"round {i}: no orderly end: {names}")
        elif not any(n in ("reset", "driver_down") for n in names[:names.index("unmap")]):
            problems.append(f"round {i}: memory went before the chip had stopped: {names}")
        elif facts[-1]["mapped_bytes"] or dma_after(facts):
            problems.append(f"round {i}: {facts[-1]} {dma_after(facts)}")
    if run(server.device) != want:
        problems.append("wrong outputs after the last round")
    server.wait_gone()
    return problems


def second_user(server):
    p = victim(server.device, "run", MODEL, "--frames", "1000000")
    wait_for(server, enabled)
    q = subprocess.run([HWCTL, "boot", "--device", server.device], capture_output=True, text=True,
                       timeout=LIMIT, check=False)
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=LIMIT)
    server.wait_gone()
    text = f"{server.device} is in use by PID {p.pid} (hwctl)"
    if q.returncode != 3 or text not in q.stderr or p.returncode != 143:
        return f"exit status {q.returncode}, {p.returncode}: {q.stderr}"
    return ""


def instrument(server, rng):
    """Proof that a chip that is not told would try: bus mastering on, without driver-down first."""
    for _ in range(50):
        p = victim(server.device, "run", MODEL, "--frames", "1000000")
        wait_for(server, enabled)
        time.sleep(rng.uniform(0, 0.02))
        p.kill()
        p.communicate()
        server.wait_gone()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(server.path)
            s.recv(4096)
            s.send(struct.pack("=6I3Q", WIRE_MASTER, 0, 0, 0, 1, 0, 0, 0, 0))
            s.recv(4096)
            time.sleep(0.01)
        facts = server.wait_gone()
        last = run_and_collect(server, facts)
        tries = [f for f in facts if f["fact"] == "dma_after_death"]
        if tries:
            if any(f["dma_bytes"] for f in last if f["fact"] == "since_death"):
                return f"bytes moved: {last}"
            return ""
    return "the chip never tried"


def run_and_collect(server, facts):
    run(server.device)
    facts += server.wait_gone()
    return facts


def server_dies(folder):
    """A chip that vanishes under a running network: an error in words, no hang."""
    server = Server(folder)
    p = victim(server.device, "run", MODEL, "--frames", "1000000")
    wait_for(server, enabled)
    server.proc.kill()
    server.proc.wait()
    _, err = p.communicate(timeout=LIMIT)
    server.proc.stdout.close()
    # The second: it was gone while the network was being started.
    if p.returncode != 3 or not (b"does not answer any more" in err or b"the card is gone" in err):
        return f"exit status {p.returncode}: {err.decode()}"
    # The socket is left over; a new server takes it, and a client finds it.
    again = Server(folder)
    run(again.device)
    again.stop()
    return ""


def main():
    print(f"# seed {SEED} (KILL_SEED), {ROUNDS} rounds")
    rng = random.Random(SEED)
    want = run("mock")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder)
        try:
            stages, problems, after = kill_rounds(server, want, rng)
            result(not problems, f"every start after {ROUNDS} SIGKILLs works", "\n".join(problems))
            result(all(stages[s] >= LEAST for s in ("boot", "configuration", "inference")),
                   "boot, configuration and inference were all hit", stages)
            print(f"# killed in: {stages}, {time.monotonic() - begin:.1f} s")
            result(len([f for f in after if f["fact"] == "since_death"]) >= ROUNDS
                   and not dma_after(after), "no DMA after a death", dma_after(after)[:20])
            problems = term_rounds(server, rng, TERMS, want)
            result(not problems, f"{TERMS} orderly ends by signal", "\n".join(problems[:5]))
            why = instrument(server, rng)
            result(not why, "a chip that was not told tries, is counted, and moves nothing", why)
            why = second_user(server)
            result(not why, "a second user is told whose it is", why)
        finally:
            status = server.stop()
            result(status == 0, "the server ends with SIGTERM", status)
            result(not os.path.exists(server.path), "and takes its socket away")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(folder, "--uio")
        try:
            p = victim(server.device, "run", MODEL, "--frames", "1000000")
            wait_for(server, enabled)
            p.kill()
            p.communicate()
            facts = server.wait_gone()
            told = [f for f in facts if f["fact"] == "driver_down_for_dead"]
            names = [f["fact"] for f in facts]
            result(told and told[0]["acknowledged"] and run(server.device) == want
                   and names.index("driver_down_for_dead") < names.index("unmap"),
                   "--uio: driver-down for the dead, before its memory goes", names)
        finally:
            server.stop()
    with tempfile.TemporaryDirectory() as folder:
        why = server_dies(folder)
        result(not why, "a server that is killed looks like a card pulled out", why)
    print(f"1..{number}")
    return failures


if __name__ == "__main__":
    sys.exit(main())
