# SPDX-License-Identifier: MIT
"""A machine of our own making below one folder: /sys, /proc, /dev and the rest, as hwctl reads them with HW_ROOT."""
import os
import struct

CARD = "0000:01:00.0"
PORT = "0000:00:01.0"
BUS = "/sys/devices/pci0000:00"
# Sizes and flags of the card's BARs (spec hailo8-pcie 1.2)
BARS = {0: (0x800000000, 0x4000), 2: (0x800004000, 0x1000), 4: (0x800008000, 0x4000)}


def firmware(major=4, minor=23):
    """A well-formed image (spec hailo8-pcie 3.2) that no chip would run."""
    def part(revision):
        return struct.pack("<6I", 0x1dd89de0, 0, major, minor, revision, 80) + bytes(80)
    return part(0) + struct.pack("<2I", 0, 0) + part(1 << 27)


class Machine:
    def __init__(self, root):
        self.root = root
        self.put("/proc/cmdline", "quiet\n")
        self.put("/proc/cpuinfo", "vendor_id\t: GenuineIntel\n")
        self.link("/sys/bus/pci/devices", None)
        self.put("/sys/bus/pci/drivers_probe", "")

    def path(self, name):
        return self.root + name

    def put(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())

    def get(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def remove(self, name):
        os.unlink(self.path(name))

    def link(self, name, target):
        """With None for a target just the folder."""
        path = self.path(name)
        if target is None:
            os.makedirs(path, exist_ok=True)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.makedirs(self.path(target), exist_ok=True)
        if os.path.islink(path):
            os.unlink(path)
        os.symlink(os.path.relpath(self.path(target), os.path.dirname(path)), path)

    def function(self, bdf, where, ids, klass, config=None):
        d = where + "/" + bdf
        vendor, device, subvendor, subdevice = ids
        header = bytearray(64)
        struct.pack_into("<HH", header, 0, vendor, device)
        struct.pack_into("<HH", header, 0x2c, subvendor, subdevice)
        for name, value in (("vendor", vendor), ("device", device), ("subsystem_vendor", subvendor),
                            ("subsystem_device", subdevice)):
            self.put("%s/%s" % (d, name), "0x%04x\n" % value)
        self.put(d + "/class", klass + "\n")
        self.put(d + "/irq", "0\n")
        self.put(d + "/resource", "0x0 0x0 0x0\n" * 7)
        self.put(d + "/config", config or bytes(header))
        self.put(d + "/uevent", "PCI_ID=%04X:%04X\nPCI_SLOT_NAME=%s\n" % (vendor, device, bdf))
        self.link(d + "/subsystem", "/sys/bus/pci")
        self.link("/sys/bus/pci/devices/" + bdf, d)
        return d

    def speed(self, d, now, best):
        for kind, (gts, lanes) in (("current", now), ("max", best)):
            self.put("%s/%s_link_speed" % (d, kind), "%s GT/s PCIe\n" % gts)
            self.put("%s/%s_link_width" % (d, kind), "%d\n" % lanes)

    def card(self, driver=None, group=None, ids=(0x1e60, 0x2864, 0x1e60, 0x2864)):
        """The card below a port, with all that it takes."""
        self.port = self.function(PORT, BUS, (0x8086, 0x1901, 0, 0), "0x060400")
        self.speed(self.port, ("8.0", 4), ("8.0", 4))
        config = bytearray(256)
        struct.pack_into("<4H", config, 0, ids[0], ids[1], 0x0006, 0x0010)
        struct.pack_into("<HH", config, 0x2c, ids[2], ids[3])
        config[0x34] = 0x80
        config[0x80:0x82] = bytes((0x10, 0xe0))  # PCI Express, then MSI (hardware-evidence 1)
        config[0xe0:0xe2] = bytes((0x05, 0x00))
        self.dir = self.function(CARD, self.port, ids, "0x0b4000", bytes(config))
        self.bars(BARS)
        self.speed(self.dir, ("8.0", 4), ("8.0", 4))
        self.put(self.dir + "/driver_override", "(null)\n")
        self.put(self.dir + "/msi_bus", "1\n")
        self.put(self.dir + "/link/l0s_aspm", "1\n")
        if group is not None:
            self.group(CARD, self.dir, group)
        if driver:
            self.bind(driver)
        self.put("/lib/firmware/hailo/hailo8_fw.bin", firmware())
        return self

    def bars(self, bars):
        lines = []
        for i in range(6):
            start, size = bars.get(i, (0, 0))
            lines.append("0x%016x 0x%016x 0x%016x\n" % (start, start + size - 1 if size else 0, 0x14220c))
        self.put(self.dir + "/resource", "".join(lines))

    def group(self, bdf, d, number):
        self.link(d + "/iommu_group", "/sys/kernel/iommu_groups/%d" % number)
        self.link("/sys/kernel/iommu_groups/%d/devices/%s" % (number, bdf), d)

    def bind(self, driver, d=None):
        self.link((d or self.dir) + "/driver", "/sys/bus/pci/drivers/" + driver)

    def node(self, d, devname, number, mode=0o666):
        """The class device at @d and its node; a plain file stands for that."""
        self.put(d + "/dev", "%d:%d\n" % number)
        self.put(d + "/uevent", "MAJOR=%d\nMINOR=%d\nDEVNAME=%s\n" % (*number, devname))
        self.put("/dev/" + devname, "")
        os.chmod(self.path("/dev/" + devname), mode)

    def vfio(self, group=7, mode=0o666):
        """As vfio-pci makes it: a group's node, and the container."""
        self.card("vfio-pci", group)
        self.put("/dev/vfio/vfio", "")
        os.chmod(self.path("/dev/vfio/vfio"), 0o666)
        self.node("/sys/devices/virtual/vfio/%d" % group, "vfio/%d" % group, (511, 0x7f00), mode)
        self.link("/sys/devices/virtual/vfio/%d/subsystem" % group, "/sys/class/vfio")
        self.link("/sys/class/vfio/%d" % group, "/sys/devices/virtual/vfio/%d" % group)
        return self

    def uio(self, mode=0o666):
        """As hailo_uio makes it."""
        self.card("hailo_uio")
        self.node(self.dir + "/misc/hailo_uio0", "hailo_uio0", (10, 0x7f00), mode)
        self.link(self.dir + "/misc/hailo_uio0/subsystem", "/sys/class/misc")
        return self
