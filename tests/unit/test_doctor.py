# SPDX-License-Identifier: MIT
"""hwctl doctor and bind on machines of our own making: every rung's failure, its cause and what mends it."""
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

from hwctl_support import HWCTL, MODEL, OUT, WAIT, as_documented, contains, equal, hwctl, hwctl_json, run_all, shared
from pci_machine import BARS, BUS, CARD, PORT, Machine, firmware

RUNGS = ["card", "bars", "link", "driver", "iommu", "node", "memlock", "msi", "firmware", "boot", "identify",
         "temperature", "dma", "inference"]
NOBODY = 65534
BASE = tempfile.TemporaryDirectory(prefix="machine-")
os.chmod(BASE.name, 0o755)


def machine():
    m = Machine(tempfile.mkdtemp(dir=BASE.name))
    os.chmod(m.root, 0o755)
    return m


def doctor(m, *args, status=1, user=None, limit=None, env=None):
    """The rungs by name; the exit status and the document must fit."""
    full = dict(os.environ, HW_ROOT=m.root if m else "", **(env or {}))
    full.pop("HAILO_FIRMWARE", None)
    full.update(env or {})
    command = [HWCTL, "doctor", "--json", *args]
    if limit is not None:
        command = ["prlimit", "--memlock=%d:%d" % (limit, limit)] + command
    p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT, env=full,
                       user=user, group=user, extra_groups=[] if user else None, cwd="/")
    if p.returncode != status:
        raise AssertionError("status %d instead of %d:\n%s%s" % (p.returncode, status, p.stdout, p.stderr))
    got = json.loads(p.stdout)
    as_documented("doctor", got)
    equal([r["name"] for r in got["rungs"]], RUNGS)
    rungs = {r["name"]: r for r in got["rungs"]}
    failed = [r["name"] for r in got["rungs"] if r["state"] == "fail"]
    equal(got["ok"], not failed)
    for r in got["rungs"]:
        equal(bool(r["cause"]), r["state"] == "fail")
        equal(bool(r["mend"]), r["state"] == "fail")
        assert r["state"] != "skip" or r["found"], r
    return rungs


def states(rungs, **wanted):
    for name, state in wanted.items():
        if rungs[name]["state"] != state:
            raise AssertionError("%s: %r" % (name, rungs[name]))


def fails(rungs, name, cause, *mends):
    states(rungs, **{name: "fail"})
    contains(rungs[name]["cause"], cause)
    for mend in mends:
        contains("\n".join(rungs[name]["mend"]), mend)


def skipped_from(rungs, first, cause):
    """All from there on are skipped, and say which rung is to be mended first."""
    for name in RUNGS[RUNGS.index(first):]:
        if name != "firmware":
            states(rungs, **{name: "skip"})
            contains(rungs[name]["found"], '"%s"' % cause)


def as_anybody():
    """A user who is not root, for what root may do anyway: (user to run as, how it sees modes)."""
    return NOBODY if os.geteuid() == 0 else None


def up_to_boot(m, args=()):
    """Everything is well but that no card can be opened where there is none."""
    rungs = doctor(m, *args)
    for name in RUNGS[:RUNGS.index("boot")]:
        assert rungs[name]["state"] != "fail", rungs[name]
    fails(rungs, "boot", CARD)
    contains(rungs["identify"]["found"], "did not boot")
    return rungs


# ------------------------------------------------------------------------------------ PCI rungs

def all_is_well_on_the_bus():
    rungs = up_to_boot(machine().vfio())
    states(rungs, card="pass", bars="pass", link="pass", driver="pass", iommu="pass", node="pass", memlock="pass",
           msi="pass", firmware="pass")
    contains(rungs["link"]["found"], "8.0 GT/s x4")
    contains(rungs["firmware"]["found"], "4.23.0")
    contains(rungs["iommu"]["found"], "group 7")
    contains(rungs["node"]["found"], "/dev/vfio/7", "/dev/vfio/vfio")
    rungs = up_to_boot(machine().uio())
    states(rungs, driver="pass", iommu="skip", node="pass", memlock="skip")
    contains(rungs["node"]["found"], "/dev/hailo_uio0")
    # Named, it is the same.
    equal(doctor(machine().uio(), CARD)["node"], rungs["node"])
    equal(doctor(machine().uio(), "--device", CARD)["node"], rungs["node"])


def no_card():
    rungs = doctor(machine())
    fails(rungs, "card", "1e60:2864", "lspci", "rescan", "poweroff")
    skipped_from(rungs, "bars", "card")
    m = machine()
    m.put("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    fails(doctor(m), "card", "1e60:2864", "dtparam=pciex1", "ribbon cable")
    # Something else of the same vendor is not it, and is named.
    m = machine()
    m.function("0000:02:00.0", BUS, (0x1e60, 0x45c4, 0x1e60, 0x45c4), "0x0b4000")
    fails(doctor(m), "card", "0000:02:00.0 (1e60:45c4)")


def the_wrong_card():
    m = machine().vfio()
    fails(doctor(m, PORT), "card", "8086:1901", "hwctl list")
    fails(doctor(m, "0000:09:00.0"), "card", "no PCI function 0000:09:00.0", "hwctl list")
    m.function("0000:02:00.0", BUS, (0x1e60, 0x2864, 0x1e60, 0x2864), "0x0b4000")
    contains(doctor(m)["card"]["found"], CARD, "there are more")


def a_card_that_is_dead():
    m = machine().vfio()
    with open(m.path(m.dir + "/config"), "r+b") as f:
        f.write(b"\xff" * 256)
    rungs = doctor(m, CARD)
    fails(rungs, "card", "all ones", "remove", "poweroff")
    skipped_from(rungs, "bars", "card")


def bars_without_room():
    for number in BARS:
        m = machine().vfio()
        m.bars({i: b for i, b in BARS.items() if i != number})
        rungs = doctor(m)
        fails(rungs, "bars", "BAR%d has no address" % number, "rescan", "pci=realloc")
        skipped_from(rungs, "boot", "bars")
    m = machine().vfio()
    m.bars({**BARS, 4: (0x800008000, 0x1000)})
    fails(doctor(m), "bars", "BAR4 has too little")


def slow_links():
    m = machine().vfio()
    m.speed(m.dir, ("2.5", 4), ("8.0", 4))
    fails(doctor(m), "link", "below what both sides can", "poweroff", "LnkSta")
    m.speed(m.dir, ("8.0", 1), ("8.0", 4))
    rungs = doctor(m)
    fails(rungs, "link", "below what both sides can")
    contains(rungs["link"]["found"], "8.0 GT/s x1, card and slot can 8.0 GT/s x4")
    # It is no reason to stop.
    fails(rungs, "boot", CARD)
    # The slot is what limits: as good as it gets.  On a Pi 5 more can be had.
    m.speed(m.port, ("5.0", 1), ("5.0", 1))
    m.speed(m.dir, ("5.0", 1), ("8.0", 4))
    rungs = doctor(m)
    states(rungs, link="pass")
    contains(rungs["link"]["found"], "5.0 GT/s x1, all that the slot gives; the card could go faster")
    m.put("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    contains(doctor(m)["link"]["found"], "dtparam=pciex1_gen=3")
    m.speed(m.dir, ("2.5", 1), ("8.0", 4))
    fails(doctor(m), "link", "below", "ribbon cable", "pciex1_gen=3")
    m.put(m.dir + "/current_link_speed", "Unknown\n")
    states(doctor(m), link="skip")
    m.speed(m.dir, ("5.0", 1), ("8.0", 4))
    m.remove(m.port + "/max_link_speed")
    states(doctor(m), link="skip")


def interrupts():
    m = machine().vfio()
    m.put("/proc/cmdline", "root=/dev/sda1 pci=nomsi quiet\n")
    fails(doctor(m), "msi", "pci=nomsi", "update-grub")
    m.put("/proc/cmdline", "root=/dev/sda1 pci=noaer nomsi\n")
    states(doctor(m), msi="pass")
    for d in (m.dir, m.port):
        m.put(d + "/msi_bus", "0\n")
        fails(doctor(m), "msi", "msi_bus is 0", "/msi_bus")
        m.put(d + "/msi_bus", "1\n")
    with open(m.path(m.dir + "/config"), "rb") as f:
        config = f.read()
    m.put(m.dir + "/config", config[:64])  # what users get to see
    states(doctor(m), msi="skip")
    m.put(m.dir + "/config", config[:0x81] + b"\0" + config[0x82:])
    fails(doctor(m), "msi", "no MSI capability", "poweroff")
    m.put(m.dir + "/config", config[:0x81] + b"\x80" + config[0x82:])  # a list that ends nowhere
    fails(doctor(m), "msi", "no MSI capability")


# --------------------------------------------------------------------- driver, IOMMU, permissions

def drivers():
    m = machine().card(group=7)
    rungs = doctor(m)
    fails(rungs, "driver", "no driver has the card", "sudo hwctl bind " + CARD)
    states(rungs, iommu="pass", msi="pass", node="skip", memlock="skip")
    skipped_from(rungs, "boot", "driver")
    m.bind("hailo")
    fails(doctor(m), "driver", "the vendor's driver", "sudo hwctl bind " + CARD, "--to-vendor")
    m.bind("uio_pci_generic")
    fails(doctor(m), "driver", "uio_pci_generic", "hwctl bind")
    # Without an IOMMU the module is needed, and may not be there.
    fails(doctor(machine().card()), "driver", "no driver", "modinfo -n hailo_uio")
    # An IOMMU that is not used.
    m = machine().uio()
    m.group(CARD, m.dir, 7)
    contains(up_to_boot(m)["driver"]["found"], "hwctl bind")


def vfio_without_an_iommu():
    m = machine().card("vfio-pci")
    rungs = doctor(m)
    fails(rungs, "driver", "no IOMMU", "--driver hailo_uio")
    fails(rungs, "iommu", "kernel runs none", "intel_iommu=on", "--driver hailo_uio")
    m.put("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n")
    fails(doctor(m), "iommu", "kernel runs none", "--firmware-setup")
    m.put("/proc/cpuinfo", "CPU part\t: 0xd0b\n")
    equal(len(doctor(m)["iommu"]["mend"]), 1)
    m = machine().vfio()
    m.put("/sys/kernel/iommu_groups/7/name", "vfio-noiommu\n")
    fails(doctor(m), "driver", "--unsafe-no-iommu")
    # Asked for, it is taken.
    m.remove("/sys/class/vfio/7")
    m.node("/sys/class/vfio/noiommu-7", "vfio/noiommu-7", (511, 0x7f01))
    rungs = up_to_boot(m, args=["--unsafe-no-iommu"])
    states(rungs, driver="pass", iommu="skip", node="pass", memlock="skip")
    contains(rungs["node"]["found"], "/dev/vfio/noiommu-7")


def groups_with_others():
    m = machine().vfio()
    m.group(PORT, m.port, 7)  # a bridge does no harm
    contains(up_to_boot(m)["iommu"]["found"], "group 7")
    other = m.function("0000:02:00.0", BUS, (0x8086, 0x1533, 0, 0), "0x020000")
    m.group("0000:02:00.0", other, 7)
    m.bind("igb", other)
    rungs = doctor(m)
    fails(rungs, "iommu", "0000:02:00.0 (driver igb)", "another slot", "hailo_uio")
    skipped_from(rungs, "boot", "iommu")


def nodes_and_rights():
    m = machine().vfio()
    m.remove("/sys/class/vfio/7")
    rungs = doctor(m)
    fails(rungs, "node", "vfio-pci made no device node", "hwctl bind")
    skipped_from(rungs, "boot", "node")
    m = machine().vfio()
    m.remove("/dev/vfio/7")
    fails(doctor(m), "node", "missing", "udevadm trigger", "/dev/vfio/7")
    m = machine().vfio()
    m.remove("/dev/vfio/vfio")
    rungs = doctor(m)
    fails(rungs, "node", "missing")
    contains(rungs["node"]["found"], "/dev/vfio/vfio")
    # The other way: character device and iommufd.
    m.node(m.dir + "/vfio-dev/vfio0", "vfio/devices/vfio0", (512, 0x7f00))
    fails(doctor(m), "node", "missing")
    m.put("/dev/iommu", "")
    os.chmod(m.path("/dev/iommu"), 0o666)
    contains(up_to_boot(m)["node"]["found"], "/dev/vfio/devices/vfio0 and /dev/iommu")


def not_this_user():
    """Modes that keep nobody out of it; root is not kept out by any."""
    user = as_anybody()
    for m, node in ((machine().vfio(mode=0o600), "/dev/vfio/7"), (machine().uio(mode=0o600), "/dev/hailo_uio0")):
        rungs = doctor(m, user=user) if user else doctor(m)
        states(rungs, node="fail")
        contains(rungs["node"]["found"], node, "mode 0600")
        # What is wrong depends on whether this machine has the group.
        assert re.search("no group hailo|rules of this package", rungs["node"]["cause"]), rungs["node"]
        contains("\n".join(rungs["node"]["mend"]), "udevadm trigger")
        skipped_from(rungs, "boot", "node")


def not_in_the_group():
    """With group and mode as udev makes them.  Only root can make such files; others see the rest of the tests."""
    if os.geteuid():
        return
    with open("/etc/group") as f:
        found = re.search(r"^hailo:[^:]*:(\d+)", f.read(), re.M)
    m = machine().vfio(mode=0o660)
    if found:
        os.chown(m.path("/dev/vfio/7"), 0, int(found.group(1)))
        fails(doctor(m, user=NOBODY), "node", "not in the group hailo", "usermod -aG hailo")
    else:
        fails(doctor(m, user=NOBODY), "node", "no group hailo", "systemd-sysusers")


def locked_memory():
    user = as_anybody()
    rungs = doctor(machine().vfio(), user=user, limit=64 << 10)
    fails(rungs, "memlock", "locked memory", "limits.d", "LimitMEMLOCK")
    contains(rungs["memlock"]["found"], "64 KiB")
    # What hef check counts, and a margin
    dma = sum(hwctl_json("hef", "check", MODEL, "--device", "mock")["dma_bytes"].values())
    need = int(re.search(r"needs (\d+) KiB", rungs["memlock"]["cause"]).group(1))
    equal(need, (dma >> 10) + 4096)
    states(doctor(machine().vfio(), user=user, limit=(need << 10) + 1023), memlock="pass")
    states(doctor(machine().vfio(), user=user, limit=(need - 1) << 10), memlock="fail")
    big = shared("data/hef/model_3x640x640.hailo8l.v1.hef")
    rungs = doctor(machine().vfio(), "--model", big, user=user, limit=8 << 20)
    fails(rungs, "memlock", big)
    states(doctor(machine().vfio(), "--model", "/no/such.hef", user=user), memlock="skip")


# -------------------------------------------------------------------------------------- firmware

def firmware_files():
    m = machine().vfio()
    path = "/lib/firmware/hailo/hailo8_fw.bin"
    m.remove(path)
    rungs = doctor(m)
    fails(rungs, "firmware", "No such file", "install -D", path)
    skipped_from(rungs, "boot", "firmware")
    m.put(path, firmware()[:-1])
    fails(doctor(m), "firmware", "", "install -D")
    m.put(path, firmware(4, 20))
    rungs = doctor(m)
    fails(rungs, "firmware", "4.23", "install -D")
    contains(rungs["firmware"]["found"], "version 4.20.0")
    m.put("/tmp/other.bin", firmware())
    states(doctor(m, "--firmware", m.path("/tmp/other.bin")), firmware="pass")
    states(doctor(m, env={"HAILO_FIRMWARE": m.path("/tmp/other.bin")}), firmware="pass")
    m.put(path, firmware())
    os.chmod(m.path(path), 0)
    rungs = doctor(m, user=as_anybody())
    fails(rungs, "firmware", "Permission denied", "chmod a+r")
    # A chip in software that is a PCI function (of a virtual machine) makes its own.
    m = machine()
    m.card("vfio-pci", 7, (0x1e60, 0x2864, 0x1af4, 0x1100))
    m.remove(path)
    states(doctor(m), firmware="skip")


# ------------------------------------------------------------------------------------------ chip

def a_chip_in_software_passes():
    rungs = doctor(None, "mock", status=0)
    states(rungs, card="skip", msi="skip", boot="pass", identify="pass", temperature="pass", dma="pass",
           inference="pass")
    contains(rungs["identify"]["found"], "hailo8 in software", "4.23.0")
    contains(rungs["dma"]["found"], "50 frames", "45200 bytes to and 4000 from")  # 50 x 904, 50 x (64 + 16)
    contains(rungs["inference"]["found"], "answers by core")
    rungs = doctor(None, "--device", "mock:8l", "--frames", "7", status=0)
    contains(rungs["identify"]["found"], "hailo8l in software")
    contains(rungs["dma"]["found"], "7 frames")
    out = hwctl("doctor", "mock")[0]
    contains(out, "pass  inference", "all is well")
    assert "FAIL" not in out and "cause:" not in out, out


def faults_of_the_chip():
    rungs = doctor(None, "--device", "mock", "--fault", "boot-dead")
    fails(rungs, "boot", "", "hwctl reset --device mock")
    states(rungs, identify="skip", temperature="skip", dma="skip", inference="skip")
    # IDENTIFY is opcode 0; device information and temperature are 0x33 and 0x2e (spec hailo8-pcie appendix A)
    fails(doctor(None, "--device", "mock", "--fault", "control-silent=0:9"), "boot", "IDENTIFY", "hwctl reset")
    fails(doctor(None, "--device", "mock", "--fault", "control-silent=0x33:9"), "identify", "", "hwctl reset")
    rungs = doctor(None, "--device", "mock", "--fault", "control-silent=0x2e:9")
    fails(rungs, "temperature", "", "hwctl reset")
    states(rungs, identify="pass", dma="pass", inference="pass")
    rungs = doctor(None, "--device", "mock", "--fault", "overheat=100:9000@frame=10", "--frames", "20000")
    fails(rungs, "temperature", "zone", "hwctl temp --watch")
    rungs = doctor(None, "--device", "mock", "--fault", "channel-stuck=16@frame=3")
    fails(rungs, "dma", "channel", "hwctl reset --device mock")
    states(rungs, inference="skip")
    rungs = doctor(None, "--device", "mock", "--fault", "irq-lost=1@frame=1")
    fails(rungs, "dma", "interrupts do not arrive", "/proc/interrupts")
    states(rungs, inference="pass")


def models_that_do_not_fit():
    fails(doctor(None, "mock", "--model", "/no/such.hef"), "dma", "/no/such.hef", "hwctl hef check /no/such.hef")
    rungs = doctor(None, "mock", "--model", shared("data/hef/mnist_cnn.hailo8.v0.hef"))
    states(rungs, dma="pass")
    fails(rungs, "inference", "test pattern", "hwctl doctor mock")


def in_use():
    with tempfile.TemporaryDirectory() as d:
        path = d + "/chip"
        server = subprocess.Popen([HWCTL, "mock", "serve", "--socket", path], stdin=subprocess.DEVNULL)
        try:
            end = time.monotonic() + WAIT
            while not os.path.exists(path):
                assert time.monotonic() < end
                time.sleep(0.01)
            holder = subprocess.Popen([HWCTL, "temp", "--watch", "--device", "mock:" + path],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            holder.stdout.readline()
            rungs = doctor(None, "mock:" + path)
            fails(rungs, "boot", "in use by PID %d" % holder.pid, "systemctl stop hailo-inferenced")
            holder.terminate()
            holder.communicate(timeout=WAIT)
            states(doctor(None, "mock:" + path, status=0), boot="pass", inference="pass")
        finally:
            server.terminate()
            server.wait(timeout=WAIT)


def words_of_the_text():
    m = machine().card(group=7)
    out = hwctl("doctor", status=1, env={"HW_ROOT": m.root})[0]
    contains(out, "FAIL  driver", "      cause: no driver has the card\n",
             "       mend: sudo hwctl bind %s\n" % CARD, 'skip  boot         after "driver" is mended',
             "1 of 14 steps failed")
    for args in (("mock", "mock"), ("nonsense",), ("--frames", "0"), ("--model",)):
        hwctl("doctor", *args, status=2)


# ------------------------------------------------------------------------------------------ bind

class Kernel(threading.Thread):
    """Does what the real one does when bind, unbind and driver_override are written."""

    def __init__(self, m, refuses=None):
        super().__init__(daemon=True)
        self.m, self.refuses, self.stop, self.log = m, refuses, threading.Event(), []
        m.put("/sys/bus/pci/drivers_probe", "")

    def run(self):
        m = self.m
        while not self.stop.is_set():
            driver = os.path.realpath(m.path(m.dir + "/driver"))
            unbind = driver + "/unbind"
            if os.path.exists(unbind) and os.path.getsize(unbind):
                self.log.append("unbind " + os.path.basename(driver))
                os.truncate(unbind, 0)
                m.remove(m.dir + "/driver")
            if m.get("/sys/bus/pci/drivers_probe"):
                m.put("/sys/bus/pci/drivers_probe", "")
                wanted = m.get(m.dir + "/driver_override").strip()
                self.log.append("probe " + wanted)
                if wanted and wanted != self.refuses and not os.path.exists(m.path(m.dir + "/driver")):
                    m.bind(wanted)
            time.sleep(0.001)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()


def modprobe(m, *there):
    """A module makes its driver's folder."""
    m.put("/sbin/modprobe", "#!/bin/sh\ncase $1 in\n%s) mkdir -p %s/sys/bus/pci/drivers/$1\n"
          "\t>%s/sys/bus/pci/drivers/$1/unbind ;;\n*) exit 1 ;;\nesac\n" % ("|".join(there), m.root, m.root))
    os.chmod(m.path("/sbin/modprobe"), 0o755)


def bind(m, *args, status=0):
    got = hwctl(*args, "--json", status=status, env={"HW_ROOT": m.root})[0]
    got = json.loads(got)
    if status == 0:
        as_documented("bind", got)
    return got


def dry_runs_write_nothing():
    m = machine().card("hailo", 7)
    m.put("/sys/bus/pci/drivers/hailo/unbind", "")
    got = bind(m, "bind", "--dry-run")
    equal((got["was"], got["driver"], got["changed"], got["dry_run"]), ("hailo", "vfio-pci", True, True))
    sys_pci = m.root + "/sys/bus/pci/"
    equal(got["steps"], ["modprobe vfio-pci", "echo vfio-pci > %sdevices/%s/driver_override" % (sys_pci, CARD),
                         "echo %s > %sdevices/%s/driver/unbind" % (CARD, sys_pci, CARD),
                         "echo %s > %sdrivers_probe" % (CARD, sys_pci)])
    equal(m.get(m.dir + "/driver_override"), "(null)\n")
    equal(m.get("/sys/bus/pci/drivers_probe"), "")
    # As text they are lines for a shell.
    out = hwctl("bind", CARD, "--dry-run", env={"HW_ROOT": m.root})[0]
    equal(out.splitlines(), got["steps"])
    m = machine().card()
    equal(bind(m, "bind", CARD, "--dry-run")["driver"], "hailo_uio")
    equal(bind(m, "bind", "--driver", "vfio-pci", "--dry-run")["driver"], "vfio-pci")
    got = bind(machine().uio(), "unbind", "--dry-run")
    equal((got["was"], got["driver"], len(got["steps"])), ("hailo_uio", "", 2))
    got = bind(machine().uio(), "unbind", "--to-vendor", "--dry-run")
    equal((got["was"], got["driver"], got["steps"][0]), ("hailo_uio", "hailo", "modprobe hailo_pci"))


def binds_and_unbinds():
    m = machine().card("hailo", 7)
    m.put("/sys/bus/pci/drivers/hailo/unbind", "")
    modprobe(m, "vfio-pci")
    with Kernel(m) as kernel:
        got = bind(m, "bind")
        equal((got["was"], got["driver"], got["changed"]), ("hailo", "vfio-pci", True))
        equal(os.path.basename(os.path.realpath(m.path(m.dir + "/driver"))), "vfio-pci")
        equal(kernel.log, ["unbind hailo", "probe vfio-pci"])
        got = bind(m, "bind")
        equal((got["was"], got["changed"], got["steps"]), ("vfio-pci", False, []))
        got = bind(m, "unbind", "--to-vendor")
        equal((got["was"], got["driver"]), ("vfio-pci", "hailo"))
        contains(hwctl("bind", env={"HW_ROOT": m.root})[0], "bound to vfio-pci, taken from hailo")
        contains(hwctl("unbind", env={"HW_ROOT": m.root})[0], "no driver, taken from vfio-pci", "leave-card")
        contains(hwctl("unbind", env={"HW_ROOT": m.root})[0], "no driver had it")
    equal(m.get(m.dir + "/driver_override").strip(), "")


def refusals():
    m = machine().card("hailo", 7)
    m.put("/sys/bus/pci/drivers/hailo/unbind", "")
    contains(bind(m, "bind", PORT, status=3)["error"], "8086:1901", "no Hailo-8")
    contains(bind(m, "unbind", PORT, status=3)["error"], "8086:1901")
    contains(bind(m, "bind", "0000:0f:00.0", status=3)["error"], "no PCI function")
    contains(bind(machine(), "bind", status=3)["error"], "no Hailo-8 found")
    modprobe(m, "nothing")
    contains(bind(m, "bind", status=1)["error"], "modprobe vfio-pci failed")
    contains(bind(m, "bind", "--driver", "hailo_uio", status=1)["error"], "modprobe hailo_uio failed",
             "raspberry-pi-5.md")
    modprobe(m, "vfio-pci")
    with Kernel(m, refuses="vfio-pci") as kernel:
        contains(bind(m, "bind", status=1)["error"], "did not take " + CARD, "dmesg")
        equal(kernel.log[:2], ["unbind hailo", "probe vfio-pci"])
    equal(m.get(m.dir + "/driver_override").strip(), "")
    # Two cards: which?
    m.function("0000:02:00.0", BUS, (0x1e60, 0x2864, 0x1e60, 0x2864), "0x0b4000")
    contains(hwctl("bind", status=2, env={"HW_ROOT": m.root})[1], CARD, "0000:02:00.0")
    for args in (("bind", "--driver", "igb"), ("bind", "mock"), ("bind", CARD, CARD), ("bind", "--to-vendor"),
                 ("unbind", "--driver", "hailo")):
        hwctl(*args, status=2)


TESTS = [
    all_is_well_on_the_bus, no_card, the_wrong_card, a_card_that_is_dead, bars_without_room, slow_links, interrupts,
    drivers, vfio_without_an_iommu, groups_with_others, nodes_and_rights, not_this_user, not_in_the_group,
    locked_memory, firmware_files, a_chip_in_software_passes, faults_of_the_chip, models_that_do_not_fit, in_use,
    words_of_the_text, dry_runs_write_nothing, binds_and_unbinds, refusals,
]


if __name__ == "__main__":
    sys.exit(run_all(TESTS))
