# SPDX-License-Identifier: MIT
"""hwctl as its users meet it: text, JSON against docs/hwctl.md, exit statuses, help, completion, man page."""
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from hwctl_support import (HWCTL, MODEL, ONNX, OUT, TOP, WAIT, Skip, as_documented, contains, documented, equal, hwctl,
                           hwctl_json, run_all, shared)


def commands():
    """The command table, as --help prints it."""
    text = hwctl("--help")[0]
    table = text.split("usage: ")[1].split("options of every command")[0]
    found = re.findall(r"^  ([a-z][a-z-]*(?: [a-z][a-z-]*)?)  +\S", table, re.M)
    assert len(found) >= 14, found
    return found


def options(text):
    """Options that a help text describes: lines that begin with one."""
    found = set()
    for line in re.findall(r"^ +(-.*)", text, re.M):
        found.update(re.findall(r"(?:^|, )(--?[a-z][a-z-]*)", line))
    return found


# ------------------------------------------------------------------------------- tests: devices

def list_names_software_chips():
    out = hwctl("list")[0]
    contains(out, "mock:8 ", "mock:8l ")
    got = hwctl_json("list")
    as_documented("list", got)
    equal(got["software"], ["mock:8", "mock:8l"])


def info_tells_chips_apart():
    for device, arch, clusters in (("mock", "hailo8", 0), ("mock:8l", "hailo8l", 0x33)):
        got = hwctl_json("info", "--device", device)
        as_documented("info", got)
        equal((got["arch"], got["clusters"], got["software_chip"], got["booted"], got["firmware"]),
              (arch, clusters, True, True, "4.23.0"))
        contains(hwctl("info", "--device=" + device)[0], arch, "4.23.0", "a chip in software")
    got = hwctl_json("info", "--no-boot", "--device", "mock")
    equal(set(got), {"backend", "bdf", "software_chip", "booted", "max_desc_page"})
    equal(got["booted"], False)
    contains(hwctl("info", "--no-boot", "--device", "mock")[0], "not booted")


def boot_and_reset_are_timed():
    got = hwctl_json("boot", "--device", "mock")
    as_documented("boot", got, "info")
    assert got["boot_ms"] > 0
    contains(hwctl("boot", "--device", "mock")[0], "booted in", "4.23.0 on hailo8")
    got = hwctl_json("reset", "--device", "mock:8l")
    as_documented("reset", got, "info")
    assert got["reset_ms"] > 0
    equal(got["arch"], "hailo8l")
    contains(hwctl("reset", "--device", "mock:8l")[0], "reset and booted in", "4.23.0 on hailo8l")


def temperature():
    got = hwctl_json("temp", "--device", "mock")
    as_documented("temp", got)
    equal(len(got["celsius"]), 2)
    assert all(-40 < t < 130 for t in got["celsius"]), got
    assert re.fullmatch(r"-?\d+\.\d\d  -?\d+\.\d\d degrees Celsius\n", hwctl("temp", "--device", "mock")[0])


def temperature_goes_on():
    lines = hwctl("temp", "--watch", "--seconds", 2, "--device", "mock", "--json")[0].splitlines()
    assert 1 <= len(lines) <= 3, lines
    for line in lines:
        got = json.loads(line)
        as_documented("temp", got)
        assert got["seconds"] < WAIT
    contains(hwctl("temp", "--watch", "--seconds", 1, "--device", "mock")[0], " s  ", "degrees Celsius")


def interrupt(*args):
    """Start, wait for a line, send SIGINT; the line and the exit status."""
    p = subprocess.Popen([HWCTL, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    line = p.stdout.readline()
    p.send_signal(signal.SIGINT)
    rest, err = p.communicate(timeout=WAIT)
    return line, p.returncode, rest + err


def interrupted_watches_stop_in_order():
    for args in (("temp", "--watch"), ("regs", "--watch-channels", "--json")):
        line, status, rest = interrupt(*args, "--device", "mock")
        assert line.strip(), rest
        equal(status, 128 + signal.SIGINT)
        assert "Sanitizer" not in rest, rest


def nothing_happens_no_events():
    equal(hwctl("events", "--seconds", 1, "--device", "mock", "--json")[0], "")


def events_are_printed():
    out = hwctl("events", "--seconds", 3, "--device", "mock", "--fault", "overheat@ms=300", "--json")[0]
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines, "no event came"
    for got in lines:
        as_documented("events", got)
    contains(" ".join(e["name"] + e["text"] for e in lines), "temperature")
    out = hwctl("events", "--seconds", 3, "--device", "mock", "--fault", "overheat@ms=300")[0]
    contains(out, "event", "degrees")


def logs_of_both_processors():
    for args, cpu in (((), "app"), (("--core",), "core")):
        got = hwctl_json("log", *args, "--device", "mock")
        as_documented("log", got)
        equal(got["cpu"], cpu)
        equal(got["bytes"], len(got["text"].encode()))
        contains(hwctl("log", *args, "--device", "mock")[0], got["text"].splitlines()[0])
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "log.bin")
        contains(hwctl("log", "--device", "mock", "-o", path)[0], path)
        with open(path, "rb") as f:
            contains(f.read().decode(), "firmware")
    contains(hwctl("log", "--device", "mock", "-o", "/nowhere/at/all", status=4)[1], "/nowhere/at/all")


def registers():
    out = hwctl("regs", "--device", "mock")[0]
    contains(out, "0x28641e60  vendor 1e60, device 2864", "ATR 3", "32 channels have all registers 0")
    assert "1684" not in out, "the doorbell is not for reading"
    got = hwctl_json("regs", "--device", "mock")
    as_documented("regs", got)
    equal([c["channel"] for c in got["channels"]], list(range(32)))
    equal([w["window"] for w in got["windows"]], [0, 1, 2, 3])
    by_name = {r["name"]: r for r in got["registers"]}
    equal(by_name["ID"]["value"], "0x28641e60")
    equal({n: r["offset"] for n, r in by_name.items()},
          {"ID": "0x00000098", "IMASK": "0x00000188", "ISTATUS": "0x0000018c",
           "SRC_IRQ": "0x00000400", "DST_IRQ": "0x00000500"})
    # The first line is the picture, then only changes come: of a chip that sleeps none.
    lines = hwctl("regs", "--watch-channels", "--seconds", 1, "--device", "mock", "--json")[0].splitlines()
    equal(len(lines), 1)
    as_documented("regs", json.loads(lines[0]))


class Server:
    """A chip in software in its own process."""

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, "chip")
        self.process = subprocess.Popen([HWCTL, "mock", "serve", "--socket", self.path],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + WAIT
        while not os.path.exists(self.path):
            assert self.process.poll() is None and time.monotonic() < end, "the chip did not come up"
            time.sleep(0.01)
        return "mock:" + self.path

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=WAIT)
        self.dir.cleanup()


def registers_of_a_running_chip():
    """Somebody boots the chip and leaves; its windows and the firmware's mark are still there."""
    with Server() as device:
        hwctl("run", MODEL, "--device", device)
        got = hwctl_json("regs", "--device", device)
        as_documented("regs", got)
        text = hwctl("regs", "--device", device)[0]
        contains(text, "vendor 1e60")
        if got["windows"][0]["enabled"]:
            contains(got["windows"][0]["meaning"], "chip address 0x")


# -------------------------------------------------------------------------------- tests: models

def run_on_chip_and_cpu():
    got = hwctl_json("run", MODEL, "--device", "mock", "--frames", 3)
    got["outputs"] = [{"OUTPUT": v for v in o.values()} for o in got["outputs"]]
    as_documented("run", got)
    equal(got["frames"], 3)
    contains(hwctl("run", MODEL, "--device", "mock")[0], "frames/s", "latency ms")
    got = hwctl_json("run", ONNX, "--cpu")
    equal(got["on"], "the CPU")
    contains(hwctl("run", ONNX, status=2)[1], "--cpu")
    contains(hwctl("run", MODEL, "--cpu", status=2)[1], "--cpu")


def run_says_what_computed():
    equal(hwctl_json("run", MODEL, "--device", "mock")["function"], "core")
    equal(hwctl_json("run", ONNX, "--cpu")["function"], "cpu")
    contains(hwctl("run", MODEL, "--device", "mock")[0], "function: core")
    for name, device in (("mnist_cnn.hailo8.v0", "mock"), ("fsq_m13_imu.hailo8.v2", "mock"),
                         ("hand_landmark_lite.hailo8.v2", "mock"),
                         ("model_3x640x640.hailo8l.v1", "mock:8l")):
        path = shared("data/hef/%s.hef" % name)
        contains(hwctl("run", path, "--device", device, "--frames", 20)[0], ": 20 frames in",
                 "function: pattern: the answers are a test pattern, not inference")
    path = shared("data/hef/fsq_m13_imu.hailo8.v2.hef")
    equal(hwctl_json("run", path, "--device", "mock")["function"], "pattern")
    contains(hwctl("run", path, "--device", "mock", "--mock-onnx", ONNX, status=4)[1], "stand-in")
    contains(hwctl("run", path, "--mock-onnx", ONNX, status=3)[1], "on a chip in this process only")


def dma_test_checks_and_counts():
    got = hwctl_json("dma-test", MODEL, "--device", "mock", "--frames", 60, "--onnx", ONNX)
    as_documented("dma-test", got)
    equal((got["ok"], got["frames"], got["function"]), (True, 60, "core"))
    check = {c["name"].split("/")[1]: c for c in got["channels"]}
    # A window is 100 x 9 bytes, padded to 904; the outputs are 64 and 12 bytes, padded to 16.
    equal({n: (c["transfers"], c["bytes"], c["bytes_counted"]) for n, c in check.items()},
          {"imu_window": (60, 60 * 904, 60 * 904), "latent_embeddings": (60, 60 * 64, 60 * 64),
           "motif_scores": (60, 60 * 16, 60 * 16)})
    equal((got["guards"]["dma_damaged"], got["guards"]["user_damaged"]), (0, 0))
    assert got["guards"]["dma_bytes"] > 3 * 4096
    equal(got["chip_statistics"]["bytes_written"], 60 * 80)
    equal((got["data"]["compared"], got["data"]["different"], got["data"]["distinct_answers"]), (56, 0, 4))
    assert got["onnx"]["cosine"] > 0.99, got["onnx"]
    assert got["megabytes_per_second"]["host_to_device"] > 0
    out = hwctl("dma-test", MODEL, "--device", "mock:8l", "--frames", 9)[0]
    assert "FAIL" not in out, out
    contains(out, "guards:", "the chip's own count", "throughput:", "0 differ")


def dma_test_of_a_vendor_network():
    path = shared("data/hef/mnist_cnn.hailo8.v0.hef")
    got = hwctl_json("dma-test", path, "--device", "mock", "--frames", 20)
    as_documented("dma-test", got)
    equal((got["ok"], got["function"], got["data"]["compared"]), (True, "pattern", 20))
    equal([c["bytes"] for c in got["channels"]], [20 * 1024, 20 * 256])


def dma_test_notices():
    """The model on the CPU is another one; a frame that never comes back."""
    with tempfile.TemporaryDirectory() as d:
        with open(ONNX, "rb") as f:
            model = bytearray(f.read())
        # Some weights become 3.0; they are all that is so large.
        middle = len(model) * 3 // 4
        model[middle:middle + 4000] = b"\x40" * 4000
        other = os.path.join(d, "other.onnx")
        with open(other, "wb") as f:
            f.write(model)
        got = hwctl_json("dma-test", MODEL, "--device", "mock", "--frames", 8, "--onnx", other, status=1)
        equal((got["ok"], got["onnx"]["ok"], got["checks"]["bytes"]), (False, False, True))
        contains(hwctl("dma-test", MODEL, "--device", "mock", "--onnx", other, status=1)[0], "FAIL  ONNX")
    err = hwctl("dma-test", MODEL, "--device", "mock", "--onnx", MODEL, status=4)[1]
    contains(err, "imu-motion.hef")
    err = hwctl("dma-test", MODEL, "--device", "mock", "--timeout", 1000, "--fault",
                "channel-stuck=16@frame=3", status=1)[1]
    contains(err, "channel")


def parse_lists():
    want = ("Architecture HEF was compiled for: HAILO8L\n"
            "Network group name: imu-motion, Single Context\n"
            "    Network name: imu-motion/imu-motion\n")
    vstreams = ("        VStream infos:\n"
                "            Input  imu-motion/imu_window UINT8, NHWC(1x100x9)\n"
                "            Output imu-motion/latent_embeddings UINT8, NC(64)\n"
                "            Output imu-motion/motif_scores UINT8, NC(12)\n")
    streams = vstreams.replace("VStream", "Stream")
    equal(hwctl("hef", "parse", MODEL)[0], want + vstreams)
    equal(hwctl("hef", "parse", MODEL, "--streams")[0], want + streams + vstreams)
    equal(hwctl("hef", "parse", MODEL, "--no-vstreams")[0], want)
    out = hwctl("hef", "parse", "--verbose", MODEL)[0]
    assert out.startswith(want + vstreams), out
    contains(out, "clusters 51", "clusters 204", "action write_ccw, channel 0", "core_bytes_per_buffer",
             "channel 0, writes")


def parse_equals_the_vendors_listing():
    folder = shared("golden")
    names = [n for n in sorted(os.listdir(folder)) if n.endswith(".parse-hef.txt")]
    assert len(names) >= 5, names
    for name in names:
        with open(os.path.join(folder, name)) as f:
            golden = f.read()
        want = re.fullmatch(r"exit code: 0\n--- stdout\n(.*)--- stderr\n", golden, re.S).group(1)
        hef = shared("data/hef/" + name.replace(".parse-hef.txt", ".hef"))
        equal(hwctl("hef", "parse", hef)[0], want)


def parse_as_json():
    got = hwctl_json("hef", "parse", MODEL)
    as_documented("hef parse", got)
    assert "actions" not in got["groups"][0]["variants"][0]["preliminary"]
    equal([v["clusters"] for v in got["groups"][0]["variants"]], [0x33, 0xcc])
    full = hwctl_json("hef", "parse", MODEL, "--verbose")
    for variant in full["groups"][0]["variants"]:
        context = variant["preliminary"]
        equal(len(context["actions"]), context["n_actions"])
        written = {}
        for a in context["actions"]:
            if a["action"] == "write_ccw":
                written[a["channel"]] = written.get(a["channel"], 0) + a["bytes"]
        equal(written, {c["channel"]: c["bytes"] for c in context["config"]})


def parse_a_directory():
    with tempfile.TemporaryDirectory() as d:
        contains(hwctl("hef", "parse", d, status=4)[1], "no file that ends in .hef")
        got = hwctl_json("hef", "parse", d, status=4)
        equal((got["file"], got["hef_status"]), (d, 2))  # hef-format 8.1
        with open(MODEL, "rb") as f:
            model = f.read()
        for name in ("a.hef", "b.hef", "c.hef.bak"):
            with open(os.path.join(d, name), "wb") as f:
                f.write(model)
        os.symlink("a.hef", os.path.join(d, "link.hef"))
        os.mkdir(os.path.join(d, "folder.hef"))
        out = hwctl("hef", "parse", d)[0]
        equal(sorted(re.findall(r"^\*{80}\nParsing (.*):\nArchitecture", out, re.M)),
              [d + "/a.hef", d + "/b.hef"])
        got = hwctl_json("hef", "parse", d)
        equal(sorted(f["file"] for f in got["files"]), [d + "/a.hef", d + "/b.hef"])
        as_documented("hef parse", got["files"][0])


def on_a_terminal(*args):
    """What stderr shows when it is a terminal, and stdout is not; it must end well."""
    master, slave = pty.openpty()
    p = subprocess.Popen([HWCTL, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the last one closed it
            break
        if not part:
            break
        shown += part
    os.close(master)
    equal(p.wait(timeout=WAIT), 0)
    return shown.decode()


def progress_of_what_takes_long():
    """As many files as take more than a second, however fast this machine is; and a model that does."""
    with tempfile.TemporaryDirectory() as d:
        with open(MODEL, "rb") as f:
            model = f.read()
        with open(os.path.join(d, "0.hef"), "wb") as f:
            f.write(model)
        shown, n = "", 1
        while "files:" not in shown and n < 100000:
            for i in range(n, 4 * n):
                os.link(os.path.join(d, "0.hef"), os.path.join(d, "%d.hef" % i))
            n *= 4
            shown = on_a_terminal("hef", "parse", d, "--json", "--verbose")
        got = re.findall(r"\rfiles: (\d+) of (\d+) \((\d+) %\)", shown)
        assert got, shown
        for done, total, percent in got:
            equal(int(total), n)
            equal(int(percent), round(100 * int(done) / n))
        assert shown.endswith("\r\x1b[K"), repr(shown)
        equal(on_a_terminal("hef", "parse", d, "--json", "--quiet"), "")
    # Every control while loading waits for an interrupt that is late: a second and a bit in all, most times.
    for _ in range(8):
        shown = on_a_terminal("run", MODEL, "--device", "mock", "--fault", "irq-late=300@control=2")
        if shown:
            break
    assert re.fullmatch(r"(\r(booting|loading): \d+ s  )+\r\x1b\[K", shown) and "loading: 1 s" in shown, repr(shown)


def stress_checks_every_answer():
    got = hwctl_json("stress", "--device", "mock", "--frames", 300, "--threads", 3)
    as_documented("stress", got)
    equal((got["ok"], got["frames"], got["wrong"], got["lost"], got["resets"], got["threads"], got["function"]),
          (True, 300, 0, 0, 0, 3, "core"))
    equal(got["model"], MODEL)
    equal(len(got["celsius"]), 2)
    got = hwctl_json("stress", MODEL, "--device", "mock:8l", "--seconds", 1, "--onnx", ONNX)
    as_documented("stress", got)
    assert got["ok"] and got["frames"] > 0 and got["cosine"] > 0.99, got
    contains(hwctl("stress", "--device", "mock", "--frames", 20)[0], "ok    answers: 0 wrong, 0 lost", "resets: 0",
             "degrees Celsius")


def stress_of_a_test_pattern():
    got = hwctl_json("stress", shared("data/hef/mnist_cnn.hailo8.v0.hef"), "--device", "mock", "--frames", 600)
    equal((got["ok"], got["frames"], got["function"]), (True, 600, "pattern"))


def stress_notices():
    """A lost frame, after which it goes on; a chip that is gone; answers that are not the model's."""
    args = ("--device", "mock", "--frames", 200, "--timeout", 4000, "--threads", 2)
    got = hwctl_json("stress", *args, "--fault", "channel-stuck=16@frame=50", status=1)
    as_documented("stress", got)
    equal((got["ok"], got["resets"], got["wrong"], got["ended_because"]), (False, 1, 0, ""))
    # Each thread's frame, and the next one if it is quicker than the reset.
    assert 1 <= got["lost"] <= 4 and got["frames"] + got["lost"] == 200, got
    contains(got["first_loss"], "4000 ms")
    got = hwctl_json("stress", *args, "--fault", "removed@frame=50", status=1)
    as_documented("stress", got)
    assert not got["ok"] and got["lost"] > 0 and got["frames"] < 200, got
    contains(got["ended_because"], "does not answer")
    out = hwctl("stress", *args, "--fault", "ctx-error@frame=50", status=1)[0]
    contains(out, "FAIL  answers: 0 wrong", "resets: 1", "the first that was lost:")
    with tempfile.TemporaryDirectory() as d:
        other = os.path.join(d, "other.onnx")
        with open(ONNX, "rb") as f:
            model = bytearray(f.read())
        middle = len(model) * 3 // 4
        model[middle:middle + 4000] = b"\x40" * 4000  # some weights become 3.0
        with open(other, "wb") as f:
            f.write(model)
        got = hwctl_json("stress", "--device", "mock", "--frames", 10, "--onnx", other, status=1)
        assert not got["ok"] and got["cosine"] < 0.95, got


def broken_files():
    with tempfile.TemporaryDirectory() as d:
        short = os.path.join(d, "short.hef")
        with open(MODEL, "rb") as f:
            model = f.read()
        with open(short, "wb") as f:
            f.write(model[:1000])
        out, err = hwctl("hef", "parse", short, status=4)
        equal(out, "")
        contains(err, "short.hef", "cut short")
        got = json.loads(hwctl("hef", "parse", short, "--json", status=4)[0])
        doc = documented()["hef parse"][0]
        equal(set(got), {"error", "errno", "hef_status", "file"})
        equal((got["errno"], got["file"]), (74, short))
        assert got["hef_status"] > 0 and "architecture" in doc
        got = hwctl_json("hef", "check", short, "--arch", "8", status=4)
        as_documented("hef check", got)
        equal(got["runs"], False)
        contains(got["reason"], "cut short")
    missing = hwctl_json("hef", "parse", "/no/such.hef", status=4)
    contains(missing["error"], "/no/such.hef")
    equal(missing["errno"], 2)


def files_of_others():
    """A file that this user may not read is one that cannot be used (4), not a missing device (3)."""
    other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "m.hef")
        with open(path, "wb"):
            os.chmod(d, 0o755)
            os.chmod(path, 0)
        # Where hwctl lies may be out of the other user's reach, too.
        own = shutil.copy(HWCTL, d)
        for command in (("hef", "parse"), ("trace", "show"), ("run", "--device", "mock")):
            p = subprocess.run([own, *command, path], capture_output=True, text=True, timeout=WAIT, cwd=d, **other)
            equal((p.returncode, p.stdout), (4, ""))
            contains(p.stderr, path, "Permission denied")


def check_before_running():
    got = hwctl_json("hef", "check", MODEL, "--device", "mock:8l")
    as_documented("hef check", got)
    equal((got["runs"], got["reason"], got["clusters"], got["n_contexts"], got["config_channels"]),
          (True, None, 0x33, 1, 2))
    equal(sorted(s["frame_bytes"] for s in got["streams"]), [16, 64, 904])
    # 8 frames of three streams, each on a page of its own; lists in areas of 64 KiB
    equal(got["dma_bytes"]["frames"], 8 * 3 * 4096)
    equal(got["dma_bytes"]["lists"], 5 * 65536)
    contains(hwctl("hef", "check", MODEL, "--device", "mock")[0], "it will run on mock", "DMA memory")
    got = hwctl_json("hef", "check", MODEL, "--arch", "8l", status=4)
    as_documented("hef check", got)
    contains(got["reason"], "software chip")
    contains(hwctl("hef", "check", MODEL, "--arch", "8", status=4)[0], "it will not run on a Hailo-8:")
    contains(hwctl("hef", "check", MODEL, "--device", "mock", "--name", "other", status=4)[0], "other")


# hef-format A.1: message and configuration words of the smallest file that parses
SMALLEST = ("0a0408012001 129f01 0a030a016e 22056e2f6f7574 429001 228d01 0a030a016e 120d 0a0b 0a021a00 1205 8201021008"
            "1a77 1208 0a021a00 12025200 1a6b 1230 1a2c 0a046e2f696e 1218 08081008180820082804300448205008 6001 6a00"
            "78808001 1a0a 150000803f 2500007f43 2a00 1237 0801 1a31 0a056e2f6f7574 121c"
            "0801100118012001281030103802400148105001 6001 6a00 78808001 1a0a 150000803f 2500007f43 2a00"
            "2a02080d 2a02081a")


def check_finds_what_loading_finds():
    """hef-format 4.12: an action list that lets no data in parses, and configuring refuses it."""
    with tempfile.TemporaryDirectory() as d:
        for flow, status in (("12025200", 0), ("12024a00", 4)):  # allow_input_dataflow, none
            message = bytes.fromhex(SMALLEST.replace("12025200", flow))
            body = message + bytes(8)
            path = os.path.join(d, "m.hef")
            with open(path, "wb") as f:
                f.write(struct.pack(">IIIIQI", 0x01484546, 1, len(message), zlib.crc32(body), 8, 0) + body)
            hwctl("hef", "parse", path)
            got = hwctl_json("hef", "check", path, "--arch", "8", status=status)
            as_documented("hef check", got)
            equal((got["runs"], got["hef_status"]), (status == 0, 26 if status else 0))
            if status:
                contains(got["reason"], "lets its input flow 0 times")
            hwctl("run", path, "--device", "mock", "--frames", "1", status=status)


def check_real_files():
    rows = [("fsq_m13_imu.hailo8.v2", ["--arch", "8"], 0, "it will run"),
            ("fsq_m13_imu.hailo8.v2", ["--arch", "8l"], 4, "compiled for HAILO8P"),
            ("model_3x640x640.hailo8l.v1", ["--arch", "8l"], 0, "cluster layout 0x33"),
            ("model_3x640x640.hailo8l.v1", ["--arch", "8l", "--clusters", "cc"], 0, "cluster layout 0xcc"),
            ("model_3x640x640.hailo8l.v1", ["--arch", "8l", "--clusters", "44"], 4, "0x33, 0xcc"),
            ("model_3x640x640.hailo8l.v1", ["--arch", "8"], 0, "slower"),
            ("model_3x640x640.hailo8l.v1", ["--device", "mock:8l"], 0, "microcode"),
            ("scrfd_2.5g.hailo15h.v3", ["--arch", "8"], 4, "HAILO15H"),
            ("truncated", ["--arch", "8"], 4, "cut short")]
    for name, args, status, words in rows:
        path = shared("data/hef/%s.hef" % name)
        contains(hwctl("hef", "check", path, *args, status=status)[0], words)
        got = hwctl_json("hef", "check", path, *args, status=status)
        as_documented("hef check", got)
        equal(got["runs"], status == 0)


def check_agrees_with_golden():
    """Pages, counts and fetched descriptors of the vendor's own recording."""
    path = shared("golden/mnist_cnn.hailo8.v0.batch1.jsonl")
    config = {}
    with open(path) as f:
        for line in f:
            o = json.loads(line)
            if o["op"] == "config_list":
                config[o.get("ch", o.get("channel", len(config)))] = sum(p["descs"] for p in o["pieces"])
    got = hwctl_json("hef", "check", shared("data/hef/mnist_cnn.hailo8.v0.hef"), "--arch", "8")
    equal(sorted(c["fetched"] for c in got["config"]), sorted(config.values()))


def build_and_firmware():
    with tempfile.TemporaryDirectory() as d:
        out = os.path.join(d, "m.hef")
        got = hwctl_json("hef", "build", ONNX, "-o", out, "--manifest",
                         os.path.join(TOP, "deploy/models/imu-motion.json"), "--calibrate",
                         os.path.join(TOP, "deploy/models/imu-motion.calib.json"))
        as_documented("hef build", got)
        equal(got["bytes"], os.path.getsize(out))
        # Of two lists of windows the last one counts.
        hwctl_json("hef", "build", ONNX, "--calibrate", "/nonexistent", "-o", out, "--contexts", "3",
                   "--manifest", os.path.join(TOP, "deploy/models/imu-motion.json"), "--calibrate",
                   os.path.join(TOP, "deploy/models/imu-motion.calib.json"))
        check = hwctl_json("hef", "check", out, "--device", "mock")
        equal(check["n_contexts"], 3)
        # Batches of 8, 8 and 4: replay must not wait for frames one by one.
        record = os.path.join(d, "r.jsonl")
        hwctl("run", out, "--device", "mock", "--batch", "8", "--frames", "20", "--record", record)
        contains(hwctl("trace", "replay", record)[0], "60 transfers, taken as recorded")
        # Whole batches: the chip is told once, and not how many frames happen to wait.
        hwctl("run", out, "--device", "mock", "--batch", "8", "--frames", "24", "--record", record)
        shown = hwctl("trace", "show", record)[0]
        equal(shown.count("ENABLED"), 1)
        contains(shown, "dynamic_batch=0")
        contains(hwctl("fw", "info", out, status=4)[1], "m.hef")
    contains(hwctl("fw", "info", "/no/such.bin", status=4)[1], "/no/such.bin")


# --------------------------------------------------------------------- tests: the command line

def every_command_has_help():
    for name in commands():
        for flag in ("--help", "-h"):
            out = hwctl(*name.split(), flag)[0]
            assert out.startswith("usage: hwctl " + name), out
            contains(out, "Common options: hwctl --help")
    contains(hwctl("--help")[0], "exit status: 0 done")
    equal(hwctl(status=2)[0], "")
    assert re.fullmatch(r"hwctl \d+\.\d+\.\d+\n", hwctl("--version")[0])


def nonsense_is_refused():
    for name in commands():
        out, err = hwctl(*name.split(), "--no-such-option", "--device", "mock", status=2)
        equal(out, "")
        contains(err, "Try: hwctl --help")
    for args, words in ((("nonsense",), "no command 'nonsense'"), (("hef", "eat"), "'hef eat'"), (("hef",), "'hef'"),
                        (("info", "--device"), "--device wants a value"),
                        (("hef", "parse"), "FILE"), (("hef", "check"), "FILE"), (("dma-test",), "MODEL"),
                        (("dma-test", MODEL, "--frames", "0"), "from 1 to"),
                        (("dma-test", MODEL, "--frames", "many"), "'many'"),
                        (("dma-test", MODEL, "--frames"), "--frames wants a value"),
                        (("temp", "--seconds", "1"), "--watch"), (("regs", "--seconds", "1"), "--watch-channels"),
                        (("hef", "check", MODEL, "--arch", "15"), "8 or 8l"),
                        (("hef", "check", MODEL, "--clusters", "33"), "--arch 8l"),
                        (("hef", "check", MODEL, "--arch", "8l", "--clusters", "x"), "hexadecimal"),
                        (("hef", "check", MODEL, "--arch", "8", "--device", "mock"), "--device"),
                        (("events", "--seconds", "-1"), "from 1 to"), (("reset", "now"), "'now'")):
        contains(hwctl(*args, status=2)[1], words)


def no_device():
    """Not one of these machines has a card at that address; a chip in software is never a stand-in."""
    bdf = "00ff:1f:1f.7"
    for name in ("info", "boot", "reset", "temp", "events", "log", "regs"):
        out, err = hwctl(name, "--device", bdf, status=3)
        equal(out, "")
        contains(err, "hwctl: ")
        got = hwctl_json(name, "--device", bdf, status=3)
        equal(set(got), {"error", "errno"})
    for args in (("dma-test", MODEL), ("run", MODEL), ("hef", "check", MODEL)):
        hwctl(*args, "--device", bdf, status=3)
    contains(hwctl("info", "--device", "mock", "--firmware", "/no/fw.bin", status=3)[1], "/no/fw.bin")
    contains(hwctl("info", "--device", "mock", status=3, env={"HAILO_FIRMWARE": "/no/env.bin"})[1],
             "/no/env.bin")


def wrong_models():
    with tempfile.TemporaryDirectory() as d:
        text = os.path.join(d, "text.hef")
        with open(text, "w") as f:
            f.write("this is no network\n")
        for args in (("dma-test", text), ("run", text)):
            contains(hwctl(*args, "--device", "mock", status=4)[1], "text.hef")
    contains(hwctl("dma-test", "/no/such.hef", "--device", "mock", status=4)[1], "/no/such.hef")


# --------------------------------------------------------------- tests: completion, documents

def complete(line):
    """What bash offers for the line up to its end."""
    script = r'''
source "$1"; line=$2
COMP_LINE=$line COMP_POINT=${#line}
read -r -a COMP_WORDS <<<"$line"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_hwctl "$3"
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
'''
    p = subprocess.run(["bash", "-c", script, "bash", os.path.join(TOP, "deploy/completion/hwctl"), line,
                        HWCTL], capture_output=True, text=True, timeout=WAIT, cwd=os.path.join(TOP, "deploy"))
    equal(p.stderr, "")
    return p.stdout.split()


def completion_knows_the_table():
    table = commands()
    words = sorted({c.split()[0] for c in table})
    equal(sorted(set(complete("hwctl "))), words)
    equal(sorted(set(complete("hwctl --json --device mock "))), words)
    for first in words:
        second = sorted(c.split()[1] for c in table if c.startswith(first + " "))
        if second:
            equal(sorted(complete("hwctl %s " % first)), second)
    equal(complete("hwctl dma"), ["dma-test"])


def completion_of_options_and_values():
    common = options(hwctl("--help")[0])
    assert {"--device", "--json", "--quiet", "--verbose", "--help", "--version"} <= common, common
    for name in commands():
        want = common | options(hwctl(*name.split(), "--help")[0])
        got = set(complete("hwctl %s -" % name))
        equal(got, want)
    assert {"auto", "mock", "mock:8", "mock:8l"} <= set(complete("hwctl info --device ")), "devices"
    # The colon is a word break: what is before it stays on the line.
    equal(sorted(complete("hwctl info --device mock:")), ["8", "8l"])
    equal(complete("hwctl hef check x.hef --arch 8l"), ["8l"])
    equal(complete("hwctl info --fault boot-"), ["boot-dead", "boot-slow"])
    assert "completion" in complete("hwctl hef parse "), "files of deploy/"


def man_pages():
    for page in ("hwctl.1", "hailo-inferenced.8"):
        path = os.path.join(TOP, "docs/man", page)
        try:
            p = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", path], capture_output=True,
                               text=True, timeout=WAIT, env=dict(os.environ, MANWIDTH="100", MANPAGER="cat"))
        except FileNotFoundError:
            raise Skip("man is not installed")
        equal((p.returncode, p.stderr), (0, ""))
        assert len(p.stdout) > 2000, page


def documents_are_complete():
    with open(os.path.join(TOP, "docs/man/hwctl.1")) as f:
        page = f.read().replace("\\-", "-")
    doc = documented()
    for name in commands():
        if not re.search(r"^\.It Cm %s( |$)" % re.escape(name), page, re.M):
            raise AssertionError("hwctl.1 does not describe " + name)
        if name not in doc:
            raise AssertionError("docs/hwctl.md does not describe " + name)
        entry = re.search(r"^\.It Cm %s(?: .*)?$((?:\n(?!\.It|\.Ss|\.Sh|\.El).*)*)" % re.escape(name), page, re.M)
        for option in options(hwctl(*name.split(), "--help")[0]):
            mark = "Fl Fl " + option[2:] if option.startswith("--") else "Fl " + option[1:]
            if not re.search(re.escape(mark) + r"(?![a-z-])", entry.group(0)):
                raise AssertionError("hwctl.1: %s does not mention %s" % (name, option))
    for option in options(hwctl("--help")[0]):
        if not re.search(r"Fl Fl %s(?![a-z-])" % option[2:], page):
            raise AssertionError("hwctl.1 does not mention " + option)
    with open(os.path.join(TOP, "docs/man/hailo-inferenced.8")) as f:
        page = f.read()
    daemon = subprocess.run([os.path.join(OUT, "hailo-inferenced"), "--help"], capture_output=True,
                            text=True, timeout=WAIT).stdout
    settings = re.findall(r"^  ([A-Z][A-Z_]+) ", daemon, re.M)
    assert len(settings) >= 13, settings
    for name in settings:
        if ".It Ev %s\n" % name not in page:
            raise AssertionError("hailo-inferenced.8 does not describe " + name)


TESTS = [
    list_names_software_chips, info_tells_chips_apart, boot_and_reset_are_timed, temperature,
    temperature_goes_on, interrupted_watches_stop_in_order, nothing_happens_no_events, events_are_printed,
    logs_of_both_processors, registers, registers_of_a_running_chip, run_on_chip_and_cpu, run_says_what_computed,
    dma_test_checks_and_counts, progress_of_what_takes_long, stress_checks_every_answer,
    stress_of_a_test_pattern, stress_notices, dma_test_of_a_vendor_network, dma_test_notices, parse_lists,
    parse_equals_the_vendors_listing, parse_as_json, parse_a_directory, broken_files,
    files_of_others, check_before_running, check_finds_what_loading_finds, check_real_files,
    check_agrees_with_golden, build_and_firmware,
    every_command_has_help, nonsense_is_refused, no_device, wrong_models, completion_knows_the_table,
    completion_of_options_and_values, man_pages, documents_are_complete,
]


if __name__ == "__main__":
    sys.exit(run_all(TESTS))
