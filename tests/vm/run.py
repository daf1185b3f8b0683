#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Real kernels in virtual machines, with the software chip as a PCIe device.

usage: run.py [-v] [CASE[/CHECK]...]     default: all; --list names them; -v: all that guests say
       run.py CASE -- COMMAND            a shell command in the guest, the card bound to its driver

One line for each check, with its time; what the guest said when one fails.  Needs OUT, TOP and
HAILO_SHARED (make vm-check sets them).  docs/vm-testing.md
"""
import glob
import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from itertools import zip_longest

from image import Image, module_order
from machine import Gone, Machine

TOP, OUT = os.environ["TOP"], os.environ["OUT"]
SHARED = os.environ.get("HAILO_SHARED", "")
HERE = os.path.join(TOP, "tests/vm")
VM = os.path.join(OUT, "vm")
TRIPLET = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
BOOT_LIMIT = 120
CHECK_LIMIT = 120

Q35 = ["-machine", "q35,kernel-irqchip=split"]
VTD = [*Q35, "-device", "intel-iommu,intremap=on,caching-mode=on"]
VIRT = "virt,gic-version=3"
VFIO = ["vfio", "vfio_iommu_type1", "vfio-pci"]

PROGRAMS = ["boot", "boot_mmio", "dma_test", "infer", "vendor_hefs", "daemon"]
# Where there is an IOMMU, or hailo_uio.
BRINGUP = ["udev", "doctor", "bind"]
TROUBLE = ["sigkill", "two_processes", "irq_lost", "function_reset", "unbind", "unplug"]
# Checks in which the chip shall meet addresses that lead nowhere.
STRAY = {"iommu_fault"}

# The service runs as hailo-inference with the one group that udev's rules give the card to.
GUEST_FILES = {
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\nhailo-inference:x:990:990::/:/bin/sh\n",
    "etc/group": "root:x:0:\nhailo:x:991:hailo-inference\nhailo-inference:x:990:\n",
}

# By hand what udev does elsewhere.
BIND_VFIO = ("echo vfio-pci >/sys/bus/pci/devices/0000:01:00.0/driver_override;"
             "echo 0000:01:00.0 >/sys/bus/pci/drivers_probe")

CASES = {
    "x86-vtd": {
        "arch": "amd64", "kernel": "amd64", "options": VTD, "cmdline": "intel_iommu=on",
        "modules": VFIO, "driver": "vfio-pci",
        "checks": ["model", "probe", *PROGRAMS, *BRINGUP, *TROUBLE, "iommu_fault"],
    },
    "arm64-smmu": {
        "arch": "arm64", "kernel": "arm64", "options": ["-machine", VIRT + ",iommu=smmuv3"],
        "modules": VFIO, "driver": "vfio-pci",
        # No unplugging: the port above is in the card's group (Linux 6.1 does not turn on its ACS here), so
        # while VFIO has the group the port's own interrupt ends at the SMMU and nobody sees the request.
        "checks": ["model", "probe", *PROGRAMS, *BRINGUP, *(t for t in TROUBLE if t != "unplug"),
                   "iommu_fault"],
    },
    "arm64-16k": {
        "arch": "arm64", "kernel": "arm64-16k", "options": ["-machine", VIRT],
        "built": "uio", "modules": ["uio", "hailo_uio"], "driver": "hailo_uio",
        "checks": ["model", *PROGRAMS, *BRINGUP, *TROUBLE],
    },
    "x86-iommufd": {
        "arch": "amd64", "kernel": "amd64-6.12", "options": VTD, "cmdline": "intel_iommu=on",
        "built": "iommufd", "modules": ["irqbypass", "iommufd", "vfio", "vfio-pci-core", "vfio-pci"],
        "driver": "vfio-pci", "checks": ["model", *PROGRAMS, *BRINGUP, *TROUBLE, "iommu_fault"],
    },
    "x86-noiommu": {
        "arch": "amd64", "kernel": "amd64", "options": Q35,
        "built": "noiommu", "modules": VFIO, "driver": "vfio-pci", "flags": "--unsafe-no-iommu",
        "setup": "echo 1 >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode;"
                 "echo 16 >/proc/sys/vm/nr_hugepages;" + BIND_VFIO,
        "checks": ["model", "noiommu_refused", "boot", "boot_mmio", "dma_test", "infer", "vendor_hefs",
                   "sigkill"],
    },
    # Behind an IOMMU that the kernel runs for the module, each transfer is held to what is mapped.
    "x86-uio-vtd": {
        "arch": "amd64", "kernel": "amd64", "options": VTD, "cmdline": "intel_iommu=on iommu.strict=1",
        "built": "uio", "modules": ["uio", "hailo_uio"], "driver": "hailo_uio",
        "setup": "mkdir -p /etc/hailo-inference; touch /etc/hailo-inference/leave-card;"
                 "echo hailo_uio >/sys/bus/pci/devices/0000:01:00.0/driver_override;"
                 "echo 0000:01:00.0 >/sys/bus/pci/drivers_probe",
        "checks": ["model", "boot", "dma_test", "infer", "vendor_hefs", "daemon", *TROUBLE, "iommu_fault"],
    },
    "x86-uio": {
        "arch": "amd64", "kernel": "amd64", "options": Q35,
        "built": "uio", "modules": ["uio", "hailo_uio"], "driver": "hailo_uio",
        "checks": ["model", *PROGRAMS, *BRINGUP, *TROUBLE],
    },
}

# What docs/kernel-module.md promises, asked of the module itself.
for _case in CASES.values():
    if _case["driver"] == "hailo_uio":
        _case["checks"] = [*_case["checks"], "module"]


def prepare(*args):
    # A make in there has nothing of the job server of the one that called us.
    env = {k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}
    subprocess.run([os.path.join(HERE, "prepare.sh"), VM, *args], check=True, env=env)


def build_initrd(case, checks, folder):
    arch = case["arch"]
    kernel = os.path.join(VM, "kernel", case["kernel"])
    root = os.path.join(VM, "root", arch)
    if arch == "amd64":
        programs, libraries = OUT, ["/", root]
    else:
        programs = os.path.join(OUT, arch)
        libraries = [subprocess.run([os.path.join(TOP, "tests/support/sysroot.sh")], check=True,
                                    capture_output=True, text=True).stdout.strip(), root]
    image = Image(TRIPLET[arch], libraries)
    for name in ("proc", "sys", "dev", "tmp", "run", "bin"):
        image.folder(name)
    image.file("bin/busybox", os.path.join(root, "bin/busybox"))
    image.file("init", os.path.join(HERE, "guest/init"))
    image.file("checks", os.path.join(HERE, "guest/checks"))
    image.program("bin/udevadm", os.path.join(root, "bin/udevadm"))
    image.link("lib/systemd/systemd-udevd", "/bin/udevadm")
    for rules in ("lib/udev/rules.d/50-udev-default.rules", "lib/udev/rules.d/80-drivers.rules"):
        image.file(rules, os.path.join(root, rules))
    image.file("lib/udev/rules.d/70-hailo-inference.rules",
               os.path.join(TOP, "udev/70-hailo-inference.rules"))
    image.file("usr/lib/hailo-inference/vfio-group", os.path.join(TOP, "udev/vfio-group"))
    image.link("usr/bin/hwctl", "/bin/hwctl")
    lines = []
    built = glob.glob(f"{VM}/built/{case.get('built')}-{case['kernel']}/*.ko")
    for path in module_order(kernel, case["modules"], built):
        name = "modules.d/" + os.path.basename(path).removesuffix(".xz")
        image.file(name, path)
        lines.append("/" + name)
    image.data("modules", ("\n".join(lines) + "\n").encode())
    compiler = {"amd64": "gcc", "arm64": "aarch64-linux-gnu-gcc"}[arch]
    for source in (HERE + "/guest/probe.c", TOP + "/tests/kmod/abi_check.c"):
        name = os.path.basename(source).removesuffix(".c")
        program = os.path.join(folder, name)
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-D_GNU_SOURCE", "-o",
                        program, source], check=True)
        image.file("bin/" + name, program)
    for prog in ("hwctl", "hailo-inferenced", "tests/vm/guest/stray"):
        image.program("bin/" + os.path.basename(prog), os.path.join(programs, prog))
    for path in glob.glob(os.path.join(VM, "expect/*")):
        image.file("expect/" + os.path.basename(path), path)
    for path in hefs():
        image.file("hefs/" + os.path.basename(path), path)
    image.file("models/imu-motion.hef", os.path.join(OUT, "models/imu-motion.hef"))
    image.file("models/imu-motion.json", os.path.join(OUT, "models/imu-motion.json"))
    image.file("data/sample-walk.json", os.path.join(TOP, "deploy/models/sample-walk.json"))
    for name, text in GUEST_FILES.items():
        image.data(name, text.encode())
    settings = {"CHECKS": " ".join(checks), "DRIVER": case["driver"], "COMMAND": case.get("command", ""),
                "SETUP": case.get("setup", ":"), "FLAGS": case.get("flags", "")}
    image.data("case", "".join(f"{k}={shlex.quote(v)}\n" for k, v in settings.items()).encode())
    path = os.path.join(folder, "initrd")
    image.write(path)
    return path


def hefs():
    """Real ones that a Hailo-8 runs."""
    return sorted(glob.glob(os.path.join(SHARED, "data/hef/*.hailo8.v*.hef")))


def hwctl(*args):
    done = subprocess.run([os.path.join(OUT, "hwctl"), *args], check=True, capture_output=True)
    return done.stdout.decode()


# A look at the chip that found nothing to do: alive (BAR0 0x98), and no interrupt status.
IDLE_LOOK = (["0", "0x98"], ["0", "0x18c", "32", "R", "0x00000000"])


def accesses(path, start=0):
    """
    Register accesses of a --record-mmio file, without times.  How often the driver looked before
    something happened is a matter of speed, so idle looks (the pair above) are left out, and of a read
    that was repeated with the same result one is kept.  Everything else counts.
    """
    rows = []
    with open(path, encoding="utf-8") as f:
        f.seek(start)
        for line in f:
            row = line.split("\t")[1:6]
            if row[0] == "bar" or (row[3] == "R" and rows and row == rows[-1]):
                continue
            if row == IDLE_LOOK[1] and rows and rows[-1][:2] == IDLE_LOOK[0]:
                rows.pop()
            else:
                rows.append(row)
    return rows


def expect():
    """What the chip in software answers inside of one process, in VM/expect."""
    folder = os.path.join(VM, "expect")
    os.makedirs(folder, exist_ok=True)

    def keep(name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    default = os.path.join(OUT, "models/imu-motion.hef")
    sample = os.path.join(TOP, "deploy/models/sample-walk.json")
    for hef in [default, *hefs()]:
        extra = ["--input", sample] if hef == default else []
        text = hwctl("run", hef, "--device", "mock", "--frames", "3", "--json", *extra)
        keep(os.path.basename(hef)[:-4] + ".outputs", text[text.index('\t"outputs"'):])
    record = os.path.join(VM, "boot.tsv")
    hwctl("boot", "--device", "mock", "--record-mmio", record)
    keep("boot", "".join("\t".join(r) + "\n" for r in accesses(record)))
    keep("infer.json", ask_daemon(default, sample))


def ask_daemon(hef, sample):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {**os.environ, "HEF_PATH": hef, "HAILO_DEVICE_ID": "mock", "SIDECAR_HOST": "127.0.0.1",
           "SIDECAR_PORT": str(port)}
    with open(sample, "rb") as f:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/infer", f.read(),
                                         {"Content-Type": "application/json"})
    log = os.path.join(VM, "daemon.log")
    with open(log, "wb") as err:
        daemon = subprocess.Popen([os.path.join(OUT, "hailo-inferenced")], env=env, stderr=err,
                                  stdout=err)
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.read().decode()
            except OSError:
                time.sleep(0.1)
    finally:
        daemon.terminate()
        daemon.wait()
    with open(log, encoding="utf-8") as f:
        raise RuntimeError("the daemon on this machine does not answer: " + f.read())


class Host:
    """What a guest may ask of the host: each method is a command, its answer one line."""

    def __init__(self, machine):
        self.machine = machine
        self.number = 0  # how often the card was plugged in again
        self.mark = 0
        self.refused = 0

    def answer(self, text):
        command, _, rest = text.partition(" ")
        try:
            return f"ok {getattr(self, 'do_' + command)(rest)}"
        except (AttributeError, ValueError, OSError) as e:
            return f"error {e}"

    def stray_dma(self):
        """What DMA there was since the last call that ought not to be; "" if none."""
        try:
            refused, uninvited = int(self.do_stats("dma_refused")), int(self.do_stats("dma_without_master"))
        except ValueError:
            return ""  # no card
        was, self.refused = self.refused, refused
        if refused > was:
            return f"{refused - was} transfers of the chip went outside of its mappings"
        return f"{uninvited} transfers without bus mastering" if uninvited else ""

    def do_faults(self, specs):
        """Order faults of the chip; none: take all back."""
        self.machine.qmp("qom-set", path="/machine/peripheral/chip", property="faults", value=specs)
        return ""

    def do_stats(self, name):
        text = self.machine.qmp("qom-get", path="/machine/peripheral/chip", property="stats")
        return json.loads(text)[name]

    def mmio(self):
        return os.path.join(self.machine.folder, f"mmio{self.number}.tsv")

    def do_mark(self, _):
        """Register accesses from here on are what do_same_boot() looks at."""
        self.mark = os.path.getsize(self.mmio())
        return ""

    def do_same_boot(self, _):
        ours = accesses(self.mmio(), self.mark)
        want = accesses(os.path.join(VM, "boot.tsv"))
        for i, (a, b) in enumerate(zip_longest(ours, want)):
            if a != b:
                raise ValueError(f"access {i}: the device saw {a}, in one process it is {b}")
        return f"{len(ours)} accesses"

    def do_plug(self, _):
        self.number += 1
        options = dict(o.split("=") for o in self.machine.chip_option(self.number).split(",")[1:])
        self.machine.qmp("device_add", driver="hailo8", **options)
        return ""

    def do_unplug(self, _):
        self.machine.qmp("device_del", id="chip")
        self.machine.wait_event("DEVICE_DELETED", 30)
        return ""


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.number = 0

    def report(self, name, status, seconds, log, quiet=False):
        self.number += 1
        words = {0: "ok", 77: "ok"}
        note = ""
        if status == 77:
            self.skipped += 1
            note = " # SKIP " + next((x for x in log if x.startswith("skipped: ")), "")[9:]
        elif status == 0:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{words.get(status, 'not ok')} {self.number} - {name:<32} {seconds:6.1f} s{note}",
              flush=True)
        if status not in words and not quiet:
            for line in log[-200:]:
                print("#   " + line)
            sys.stdout.flush()


def run_machine(name, case, checks, folder, tally):
    """Boots once and runs @checks; returns those that were not reached."""
    kernel = os.path.join(VM, "kernel", case["kernel"], "vmlinuz")
    machine = Machine(case["arch"], folder, os.path.join(VM, "hailo8.so"), kernel,
                      build_initrd(case, checks, folder), case["options"], case.get("cmdline", ""))
    host, log, left, current = Host(machine), [], list(checks), None
    began = time.monotonic()
    deadline = began + BOOT_LIMIT
    try:
        while True:
            line = machine.line(deadline)
            word, _, rest = line.partition(" ")
            if word == "##UP":
                seconds, release = rest.split()
                print(f"# {name}: Linux {release}, up after {time.monotonic() - began:.1f} s", flush=True)
                deadline = time.monotonic() + BOOT_LIMIT
            elif word == "##START":
                current, log, began = rest, [], time.monotonic()
                deadline = began + case.get("limit", CHECK_LIMIT)
            elif word == "##END":
                check, status = rest.split()
                stray = host.stray_dma()
                machine.send("ok")
                if check not in STRAY and stray:
                    log.append("FAILED: " + stray)
                    status = "1"
                tally.report(f"{name}/{check}", int(status), time.monotonic() - began, log,
                             case.get("show"))
                left.remove(check)
                current = None
                deadline = time.monotonic() + BOOT_LIMIT
            elif word == "##HOST":
                answer = host.answer(rest)
                log.append(f"[host {rest}: {answer}]")
                machine.send(answer)
            elif word == "##DONE":
                return left
            else:
                log.append(line)
                if case.get("show"):
                    print(line, flush=True)
    except Gone as e:
        log.append(str(e))
        with open(os.path.join(folder, "qemu.err"), encoding="utf-8", errors="replace") as f:
            log += f.read().splitlines()
        current = current or left[0]
        tally.report(f"{name}/{current}", 1, time.monotonic() - began, log)
        left.remove(current)
        return left
    finally:
        machine.stop()


def run_case(name, checks, tally):
    case = CASES[name]
    folder = os.path.join(VM, "run", name)
    os.makedirs(folder, exist_ok=True)
    for old in glob.glob(folder + "/*"):
        os.unlink(old)
    began = time.monotonic()
    prepare("kernel", case["kernel"])
    prepare("root", case["arch"])
    if "built" in case:
        prepare("modules", case["built"], case["kernel"])
    print(f"# {name}: prepared in {time.monotonic() - began:.1f} s", flush=True)
    before = tally.number, tally.failed
    while checks:
        checks = run_machine(name, case, checks, folder, tally)
    failed = tally.failed - before[1]
    print(f"# {name}: {'FAILED' if failed else 'passed'}, {tally.number - before[0]} checks, {failed} failed, "
          f"{time.monotonic() - began:.1f} s", flush=True)


def wanted(args):
    """{case: checks} of "case" and "case/check"."""
    todo = {}
    for arg in args or CASES:
        name, _, check = arg.partition("/")
        if name not in CASES or (check and check not in CASES[name]["checks"]):
            sys.exit(f"run.py: no {arg}; --list names what there is")
        todo.setdefault(name, []).extend([check] if check else CASES[name]["checks"])
    return todo


def main():
    args = sys.argv[1:]
    verbose = "-v" in args
    args = [a for a in args if a != "-v"]
    if "--" in args:
        at = args.index("--")
        case = CASES[args[0]]
        case.update(command=" ".join(args[at + 1:]), checks=["command"], show=True)
        args = args[:1]
    if args == ["--list"]:
        for name, case in CASES.items():
            print(name + ": " + " ".join(case["checks"]))
        return 0
    todo = wanted(args)
    for name in todo if verbose else []:
        CASES[name]["show"] = True
    tally = Tally()
    began = time.monotonic()
    prepare("plugin")
    expect()
    print(f"# plugin and expected answers: {time.monotonic() - began:.1f} s", flush=True)
    for name, checks in todo.items():
        run_case(name, checks, tally)
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed or (os.environ.get("CI") == "true" and tally.skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
