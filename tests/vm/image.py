# SPDX-License-Identifier: MIT
"""An initramfs: a newc cpio archive of files from here and there, with the libraries they need."""
import lzma
import os
import re
import stat
import subprocess

LIB_DIRS = ("lib/{t}", "usr/lib/{t}", "lib/{t}/systemd", "usr/lib/{t}/systemd", "lib/systemd",
            "usr/lib/{t}/openblas-pthread", "lib64", "lib")


class Image:
    """Collects entries by name, so that whatever comes later wins."""

    def __init__(self, triplet, roots):
        """@roots: folders that libraries come from, the first that has one wins."""
        self.entries = {}
        self.lib_dirs = [os.path.join(r, d.format(t=triplet)) for r in roots for d in LIB_DIRS]

    def _parents(self, name):
        # Outer ones first: the kernel unpacks in this order.
        folder = os.path.dirname(name)
        if folder and folder not in self.entries:
            self._parents(folder)
            self.entries[folder] = (stat.S_IFDIR | 0o755, b"")

    def folder(self, name, mode=0o755):
        self._parents(name)
        self.entries[name] = (stat.S_IFDIR | mode, b"")

    def link(self, name, target):
        self._parents(name)
        self.entries[name] = (stat.S_IFLNK | 0o777, target.encode())

    def data(self, name, content, mode=0o644):
        self._parents(name)
        self.entries[name] = (stat.S_IFREG | mode, content)

    def file(self, name, path):
        with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
            self.data(name, f.read(), stat.S_IMODE(os.stat(path).st_mode))

    def program(self, name, path):
        """A program or library, its loader and all the libraries it asks for."""
        self.file(name, path)
        text = subprocess.run(["readelf", "-dlW", path], check=True, capture_output=True, text=True)
        for loader in re.findall(r"interpreter: /([^]]+)", text.stdout):
            self._library(loader, os.path.basename(loader))
        for lib in re.findall(r"\(NEEDED\).*\[([^]]+)\]", text.stdout):
            self._library("lib/" + lib, lib)

    def _library(self, name, lib):
        if name in self.entries:
            return
        for folder in self.lib_dirs:
            path = os.path.join(folder, lib)
            # A sysroot's absolute link would lead to this machine's file.
            if os.path.islink(path) and os.readlink(path).startswith("/"):
                continue
            if os.path.isfile(path):
                self.program(name, path)
                return
        raise FileNotFoundError(f"{lib}: not in {', '.join(self.lib_dirs)}")

    def write(self, path):
        with open(path, "wb") as f:
            for i, (name, (mode, content)) in enumerate(
                    [*self.entries.items(), ("TRAILER!!!", (0, b""))]):
                raw = name.encode() + b"\0"
                fields = [i, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0]
                head = b"070701" + "".join(f"{x:08x}" for x in fields).encode() + raw
                f.write(head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4))


def module_order(folder, names, built):
    """
    Files of the named kernel modules and all they need, in load order.  @folder: the kernel's; @built:
    files of modules that are not the kernel's own, or take the place of its own; they need nothing that
    is not named.
    """
    base = os.path.join(folder, "lib/modules", os.listdir(os.path.join(folder, "lib/modules"))[0])
    needs = {}
    with open(os.path.join(base, "modules.dep"), encoding="utf-8") as f:
        for line in f:
            path, deps = line.split(":")
            needs[path] = deps.split()

    def plain(path):
        return re.sub(r"\.ko.*", "", os.path.basename(path)).replace("-", "_")

    by_name = {plain(p): p for p in needs}
    mine = {plain(p): p for p in built}
    order = {}
    for name in map(plain, names):
        if name not in by_name and name not in mine:
            raise FileNotFoundError(f"no module {name} in {base}")
        # modules.dep lists what is needed last first
        deps = [] if name in mine else needs[by_name[name]]
        for dep in [*map(plain, reversed(deps)), name]:
            order[dep] = mine.get(dep) or os.path.join(base, by_name[dep])
    return list(order.values())
