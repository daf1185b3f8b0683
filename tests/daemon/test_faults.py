#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The real daemon on a chip in software that has faults to order: noticed, named, recovered from, and
no answer is ever wrong (docs/mock.md; the library alone: tests/mock/test_faults.c)."""
import os
import subprocess
import sys

from daemon_support import OUT, WAIT, Daemon, run_tests, until

DAEMON = os.path.join(OUT, "hailo-inferenced")
STRIKE = 4  # the frame that a fault concerns


def start(*faults, **env):
    args = [a for f in faults for a in ("--mock-fault", f)]
    full = {"HAILO_DEVICE_ID": "mock", "LOG_LEVEL": "info", "BACKEND_TIMEOUT_MS": "4000"}
    full.update(env)
    return Daemon(DAEMON, *args, **full)


def window(n):
    return [[((n * 131 + t * 17 + c * 7) % 403) / 101.0 - 2.0 for c in range(9)] for t in range(100)]


WINDOWS = [window(i) for i in range(12)]
answers = []


def healthy_answers():
    """What a chip without faults says; each window has an answer of its own."""
    if not answers:
        with start(BACKEND_TIMEOUT_MS="60000") as d:
            d.ready()
            for w in WINDOWS:
                r = d.infer(w)
                assert r.status == 200, r.body
                answers.append(r.body)
        assert len(set(answers)) == len(WINDOWS)
    return answers


def ask_all(d):
    """All windows, one after another; the failures, after checking that the rest is right."""
    failed = []
    for w, want in zip(WINDOWS, healthy_answers()):
        r = d.infer(w)
        if r.status == 200:
            assert r.body == want, (r.body, want)
        else:
            assert r.status in (503, 504), (r.status, r.body)
            failed.append((r.status, r.json()["detail"]))
    return failed


def all_right(d):
    failed = ask_all(d)
    assert not failed, failed


def recovers(fault, words, status=None):
    """The fault strikes; somebody is told in @words; then everything is as before."""
    with start("%s@frame=%d" % (fault, STRIKE)) as d:
        d.ready()
        failed = []
        # overheating takes a few steps until it stops the network
        until("a failure", lambda: failed.extend(ask_all(d)) or failed)
        if status:
            assert failed[0][0] == status and words in failed[0][1], failed
        d.ready()
        until("right answers", lambda: not ask_all(d))
        all_right(d)
        assert words in d.log(), d.log()
        assert d.metric("hailo_device_recoveries_total") == 1
        kinds = ("device", "timeout", "unavailable")
        assert sum(d.metric('hailo_errors_total{error_type="%s"' % k) for k in kinds) >= len(failed)


def a_run_time_error():
    recovers("ctx-error", "the firmware stopped the network at", 503)


def a_channel_error():
    recovers("desc-error=16", "the chip reports a DMA error on its channel", 503)


def a_wrong_completion_count():
    recovers("completion-wrong", "counts transfers that were not queued", 503)


def a_stuck_channel():
    recovers("channel-stuck=2", "is stuck; load the network again")


def a_card_that_is_pulled_out():
    recovers("removed", "fell off the bus or was removed", 503)


def firmware_that_restarts():
    recovers("fw-reboot=10", "the firmware crashed or restarted", 503)


def a_memory_error():
    recovers("ecc-fatal", "cannot be corrected", 503)


def overheating():
    recovers("overheat=20:300", "closed all streams because it is too hot", 503)


def firmware_that_crashes():
    words = "it has crashed"
    with start("fw-crash@frame=%d" % STRIKE) as d:
        d.ready()
        failed = ask_all(d)
        assert failed and failed[0][0] == 504, failed
        # stopping such a chip takes a second or so; who asks meanwhile is told why
        health = until("recovering", lambda: (lambda r: r if r.status == 503 else None)(
            d.request("GET", "/healthz"))) if words not in str(failed) else None
        told = health.json()["detail"] if health else str(failed)
        assert words in told, told
        d.ready()
        all_right(d)
        assert words in d.log()
        assert d.metric("hailo_device_recoveries_total") == 1


def firmware_that_crashes_while_idle():
    """Nobody asks anything: the daemon finds out by itself when it wants the temperature."""
    with start("fw-crash@ms=1500") as d:
        d.ready()
        until("it is noticed", lambda: "the network died" in d.log())
        assert "did not answer GET_CHIP_TEMPERATURE" in d.log(), d.log()
        until("it serves again", lambda: d.metric("hailo_device_recoveries_total") == 1)
        d.ready()
        all_right(d)


def a_dead_boot():
    with start("boot-dead") as d:
        r = until("the reason", lambda: (lambda r: r if "did not start" in r.json()["detail"] else None)(
            d.request("GET", "/healthz")))
        assert r.status == 503 and r.headers["X-Hailo-Backend"] == "none", r.body
        d.ready()
        all_right(d)


def a_damaged_answer_while_loading():
    """It must not pass for a bad model, which would end the daemon."""
    with start("md5-bad@control=4") as d:
        d.ready()
        all_right(d)
        assert "the MD5 of the answer to" in d.log()


def interrupts_that_are_late_lost_or_doubled():
    for fault in ("irq-late=70", "irq-lost=2", "irq-doubled"):
        with start(fault, BACKEND_TIMEOUT_MS="60000") as d:
            d.ready()
            all_right(d)
            assert d.metric("hailo_device_recoveries_total") == 0
            if fault != "irq-doubled":
                assert "an interrupt was lost or is late" in d.log(), d.log()


def events_in_floods():
    with start("event-storm=1000@frame=2", "ecc", BACKEND_TIMEOUT_MS="60000") as d:
        d.ready()
        all_right(d)
        assert "an event storm" in d.log() and "CPU memory error, corrected" in d.log(), d.log()
        assert d.metric("hailo_device_recoveries_total") == 0


def orders_that_make_no_sense():
    for device, spec, words in (("auto", "removed", "HAILO_DEVICE_ID=mock"),
                                ("mock", "remuved", "there is no fault 'remuved'"),
                                ("mock", "irq-late", "the argument is missing")):
        p = subprocess.run([DAEMON, "--mock-fault", spec], env={"HAILO_DEVICE_ID": device},
                           capture_output=True, text=True, timeout=WAIT)
        assert p.returncode == 2 and words in p.stderr and p.stderr.count("\n") == 1, p.stderr
    p = subprocess.run([DAEMON, "--mock-fault"], env={}, capture_output=True, text=True, timeout=WAIT)
    assert p.returncode == 2 and "usage:" in p.stderr


TESTS = [
    a_run_time_error, a_channel_error, a_wrong_completion_count, a_stuck_channel,
    a_card_that_is_pulled_out, firmware_that_restarts, a_memory_error, overheating,
    firmware_that_crashes, firmware_that_crashes_while_idle, a_dead_boot,
    a_damaged_answer_while_loading, interrupts_that_are_late_lost_or_doubled, events_in_floods,
    orders_that_make_no_sense,
]

if __name__ == "__main__":
    sys.exit(run_tests(TESTS))
