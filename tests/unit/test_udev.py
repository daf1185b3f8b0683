# SPDX-License-Identifier: MIT
"""The udev rules, run by udev itself ("udevadm test") over a /sys of our own; users, limits and the unit.

The machine's own /sys, /run and /etc/group are covered in a mount namespace, so this needs root or user namespaces.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from hwctl_support import OUT, TOP, WAIT, Skip, contains, equal, run_all
from pci_machine import BUS, CARD, PORT, Machine

RULES = "70-hailo-inference.rules"
GID = 4242
BASE = tempfile.TemporaryDirectory(prefix="udev-")


def need(program):
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        raise Skip("%s is not installed (deploy/install-deps.sh --test)" % program)
    return path


def machine():
    m = Machine(tempfile.mkdtemp(dir=BASE.name))
    with open(os.path.join(TOP, "udev", RULES)) as f:
        rules = f.read()
    m.helper = m.path("/usr/lib/hailo-inference/vfio-group")
    os.makedirs(os.path.dirname(m.helper))
    shutil.copy(os.path.join(TOP, "udev/vfio-group"), m.helper)
    # What "make install" does for another PREFIX, and the switch of this machine.
    for path in ("/usr/lib/hailo-inference/vfio-group", "/etc/hailo-inference/leave-card"):
        assert path in rules, path
        rules = rules.replace(path, m.path(path))
    m.put("/rules/" + RULES, rules)
    m.put("/group", "root:x:0:\nhailo:x:%d:\n" % GID)
    m.put("/none/x", "")
    m.put("/newdev/null", "")
    return m


def udev(m, device, action="add"):
    """What udev would do: properties, programs to run, group and mode of the node."""
    covers = [("/sys", "/sys"), ("/rules", "/usr/lib/udev/rules.d"), ("/group", "/etc/group")]
    if os.path.isdir("/etc/udev/rules.d"):
        covers.append(("/none", "/etc/udev/rules.d"))
    script = "".join("mount --bind %s%s %s && " % (m.root, a, b) for a, b in covers)
    # udev writes there even for a test.
    script += "mount --bind /dev/null {0}/null && mount --rbind {0} /dev && ".format(m.path("/newdev"))
    script += "mount -t tmpfs none /run && exec %s test --action=%s /sys%s" % (need("udevadm"), action,
                                                                              device.removeprefix("/sys"))
    unshare = [need("unshare"), "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    env = dict(os.environ, SYSTEMD_DEVICE_VERIFY_SYSFS="0", SYSTEMD_LOG_LEVEL="debug")
    p = subprocess.run(unshare + ["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=WAIT, env=env)
    out = p.stdout
    if p.returncode and re.search("^(unshare|mount): ", out, re.M):
        raise Skip("no mount namespace here: " + out.strip())
    equal(p.returncode, 0)
    contains(out, "Reading rules file: /usr/lib/udev/rules.d/" + RULES)
    # Whatever udev does not understand it says with the file's name.
    for line in out.splitlines():
        if RULES in line and re.search("[Ii]nvalid|[Ii]gnoring|[Uu]nknown|[Ff]ailed", line):
            raise AssertionError(line)
    found = {"run": re.findall(r"^run: '(.*)'$", out, re.M), "text": out,
             "properties": dict(re.findall(r"^([A-Z_]+)=(.*)$", out, re.M))}
    for key in ("GROUP", "MODE"):
        got = re.search(r"rules:\d+ %s (\d+)$" % key, out, re.M)
        found[key] = got.group(1) if got else None
    return found


BIND = ["/usr/bin/hwctl bind %s --quiet" % CARD]


def taken(found):
    equal(found["properties"].get("SYSTEMD_WANTS"), "hailo-inferenced.service")
    contains(found["properties"]["TAGS"], ":systemd:")


def untouched(found):
    equal(found["run"], [])
    for key in ("SYSTEMD_WANTS", "TAGS"):
        assert key not in found["properties"], found["text"]
    equal((found["GROUP"], found["MODE"]), (None, None))


def new_cards():
    for driver, run in ((None, BIND), ("hailo", BIND), ("vfio-pci", []), ("hailo_uio", []), ("igb", [])):
        m = machine().card(driver, 7)
        found = udev(m, m.dir)
        equal((driver, found["run"]), (driver, run))
        taken(found)
        equal(m.get(m.dir + "/link/l0s_aspm").strip(), "0")
    # Without that switch in the kernel
    m = machine().card()
    m.remove(m.dir + "/link/l0s_aspm")
    equal(udev(m, m.dir)["run"], BIND)


def later_events():
    m = machine().card("vfio-pci", 7)
    for action in ("change", "bind"):
        found = udev(m, m.dir, action)
        equal(found["run"], [])
        taken(found)  # or systemd would take the device for gone
    equal(m.get(m.dir + "/link/l0s_aspm"), "1\n")
    untouched(udev(m, m.dir, "remove"))


def cards_that_are_left():
    m = machine().card("hailo", 7)
    m.put("/etc/hailo-inference/leave-card", "")
    untouched(udev(m, m.dir))
    equal(m.get(m.dir + "/link/l0s_aspm"), "1\n")
    m = machine().card()
    for name, left in ((CARD, True), ("0000:02:00.0", False)):
        m.put("/rules/60-local.rules", 'SUBSYSTEM=="pci", KERNEL=="%s", ENV{HAILO_LEAVE_CARD}="1"\n' % name)
        found = udev(m, m.dir)
        if left:
            untouched({**found, "properties": {k: v for k, v in found["properties"].items() if k != "HAILO_LEAVE_CARD"}})
        else:
            equal(found["run"], BIND)


def other_devices():
    m = machine().card()
    untouched(udev(m, m.port))
    for ids in ((0x1e60, 0x45c4, 0x1e60, 0x45c4), (0x8086, 0x2864, 0, 0)):
        m = machine().card(None, 7, ids)
        untouched(udev(m, m.dir))
        equal(m.get(m.dir + "/link/l0s_aspm"), "1\n")
        m.node(m.dir + "/misc/hailo_uio0", "hailo_uio0", (10, 0x7f00))
        m.link(m.dir + "/misc/hailo_uio0/subsystem", "/sys/class/misc")
        untouched(udev(m, m.dir + "/misc/hailo_uio0"))


def given_to_the_group(found):
    equal((found["GROUP"], found["MODE"]), (str(GID), "0660"))
    equal(found["run"], [])


def nodes_of_the_card():
    m = machine().uio()
    given_to_the_group(udev(m, m.dir + "/misc/hailo_uio0"))
    m = machine().vfio()
    given_to_the_group(udev(m, "/sys/devices/virtual/vfio/7"))
    m.node(m.dir + "/vfio-dev/vfio0", "vfio/devices/vfio0", (512, 0x7f00))
    m.link(m.dir + "/vfio-dev/vfio0/subsystem", "/sys/class/vfio-dev")
    given_to_the_group(udev(m, m.dir + "/vfio-dev/vfio0"))
    for name, given in (("iommu", True), ("kvm", False), ("vfio", False)):
        d = "/sys/devices/virtual/misc/" + name
        m.node(d, "vfio/vfio" if name == "vfio" else name, (10, 0x7f01))
        m.link(d + "/subsystem", "/sys/class/misc")
        (given_to_the_group if given else untouched)(udev(m, d))


def vfio_groups_of_others():
    """A group is given away only when nothing but this vendor's card can be reached by it."""
    def answer(m, group=7):
        found = udev(m, "/sys/devices/virtual/vfio/%d" % group)
        equal(subprocess.run([m.helper, str(group), m.path("/sys")]).returncode, 0 if found["GROUP"] else 1)
        return found

    m = machine().vfio()
    m.group(PORT, m.port, 7)
    given_to_the_group(answer(m))
    nic = m.function("0000:02:00.0", BUS, (0x8086, 0x1533, 0, 0), "0x020000")
    m.group("0000:02:00.0", nic, 7)
    untouched(answer(m))
    m = machine().vfio()
    second = m.function("0000:02:00.0", BUS, (0x1e60, 0x2864, 0x1e60, 0x2864), "0x0b4000")
    m.group("0000:02:00.0", second, 7)
    given_to_the_group(answer(m))
    m = machine().vfio()
    for number, bdf, ids, klass in ((8, "0000:03:00.0", (0x10de, 0x2864, 0, 0), "0x030000"),
                                    (9, "0000:04:00.0", (0x1e60, 0x45c4, 0, 0), "0x0b4000"),
                                    (10, "0000:05:00.0", (0x8086, 0x1901, 0, 0), "0x060400")):
        m.group(bdf, m.function(bdf, BUS, ids, klass), number)
        d = "/sys/devices/virtual/vfio/%d" % number
        m.node(d, "vfio/%d" % number, (511, number))
        m.link(d + "/subsystem", "/sys/class/vfio")
        untouched(answer(m, number))
    equal(subprocess.run([m.helper, "77", m.path("/sys")], stderr=subprocess.DEVNULL).returncode, 1)


def users_and_groups():
    m = machine()
    for name in ("/etc/passwd", "/etc/group"):
        m.put(name, "")
    conf = os.path.join(TOP, "deploy/sysusers.d/hailo-inference.conf")
    p = subprocess.run([need("systemd-sysusers"), "--root=" + m.root, conf], capture_output=True, text=True)
    equal(p.returncode, 0)
    contains(m.get("/etc/passwd"), "hailo-inference:x:", "/usr/sbin/nologin")
    assert re.search(r"^hailo:x:\d+:hailo-inference$", m.get("/etc/group"), re.M), m.get("/etc/group")


def the_unit():
    with open(os.path.join(TOP, "deploy/hailo-inferenced.service")) as f:
        unit = f.read()
    m = machine()
    m.put("/hailo-inferenced.service", unit.replace("/usr/sbin/hailo-inferenced",
                                                    os.path.abspath(os.path.join(OUT, "hailo-inferenced"))))
    p = subprocess.run([need("systemd-analyze"), "--man=no", "verify", m.path("/hailo-inferenced.service")],
                       capture_output=True, text=True, timeout=WAIT)
    equal((p.returncode, p.stderr), (0, ""))
    # Nothing may keep it from the nodes that the group has.
    for line in ("User=hailo-inference", "SupplementaryGroups=hailo", "CapabilityBoundingSet=", "NoNewPrivileges=yes"):
        assert line + "\n" in unit, line
    for line in ("PrivateDevices", "DevicePolicy", "ProtectClock"):
        assert line not in unit, line


TESTS = [new_cards, later_events, cards_that_are_left, other_devices, nodes_of_the_card, vfio_groups_of_others,
         users_and_groups, the_unit]


if __name__ == "__main__":
    sys.exit(run_all(TESTS))
