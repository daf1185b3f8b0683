# SPDX-License-Identifier: MIT
"""A virtual machine: QEMU with the software chip as a PCIe device, its console and its monitor."""
import json
import os
import select
import socket
import subprocess
import time

PORT = ["-device", "pcie-root-port,id=slot0,bus=pcie.0,chassis=1,x-speed=8,x-width=4"]
QEMU = {
    "amd64": ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"],
    "arm64": ["qemu-system-aarch64", "-accel", "tcg", "-cpu", "max,pauth-impdef=on"],
}
CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}


class Gone(Exception):
    """The machine ended, or was too slow."""


class Machine:
    def __init__(self, arch, folder, plugin, kernel, initrd, options, cmdline):
        """@options: QEMU's, in front of the chip's port.  Files go to @folder."""
        self.folder = folder
        self.buffer = b""
        self.events = []
        console, monitor = os.path.join(folder, "console"), os.path.join(folder, "monitor")
        listeners = []
        for path in (console, monitor):
            if os.path.exists(path):
                os.unlink(path)
            s = socket.socket(socket.AF_UNIX)
            s.bind(path)
            s.listen(1)
            listeners.append(s)
        # fmt: off
        args = [
            *QEMU[arch], *options, *PORT,
            "-device", self.chip_option(), "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-m", "1024", "-kernel", kernel, "-initrd", initrd,
            "-append", f"console={CONSOLE[arch]} panic=-1 quiet loglevel=1 {cmdline}",
            "-chardev", f"socket,id=console,path={console}", "-serial", "chardev:console",
            "-chardev", f"socket,id=monitor,path={monitor}", "-mon", "chardev=monitor,mode=control",
        ]
        # fmt: on
        self.stderr = open(os.path.join(folder, "qemu.err"), "w", encoding="utf-8")
        self.proc = subprocess.Popen(
            args, stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr,
            env={**os.environ, "LD_PRELOAD": plugin, "OPENBLAS_NUM_THREADS": "1"})
        self.console, self.monitor = (self._accept(s) for s in listeners)
        self._qmp_next()  # the greeting
        self.qmp("qmp_capabilities")

    def chip_option(self, number=0):
        facts = os.path.join(self.folder, f"facts{number}.jsonl")
        mmio = os.path.join(self.folder, f"mmio{number}.tsv")
        return f"hailo8,id=chip,bus=slot0,facts={facts},mmio={mmio}"

    def _accept(self, listener):
        listener.settimeout(20)
        try:
            return listener.accept()[0]
        except TimeoutError as e:
            self.stop()
            with open(self.stderr.name, encoding="utf-8") as f:
                raise Gone(f"QEMU did not start: {f.read()}") from e
        finally:
            listener.close()

    def _qmp_next(self):
        line = b""
        while not line.endswith(b"\n"):
            try:
                more = self.monitor.recv(1)
            except ConnectionError:
                more = b""
            if not more:
                raise Gone("QEMU ended")
            line += more
        return json.loads(line)

    def qmp(self, command, **arguments):
        self.monitor.settimeout(30)
        request = {"execute": command, "arguments": arguments}
        self.monitor.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self._qmp_next()
            if "error" in answer:
                raise ValueError(answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]
            self.events.append(answer["event"])

    def wait_event(self, name, seconds):
        """Until QEMU has reported it."""
        end = time.monotonic() + seconds
        while name not in self.events:
            self.monitor.settimeout(max(end - time.monotonic(), 0.01))
            self.events.append(self._qmp_next().get("event"))
        self.events.remove(name)

    def line(self, deadline):
        """The next line of the console; Gone when the guest ended or none came in time."""
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.console], [], [], left)[0]:
                raise Gone("no answer within its time")
            more = self.console.recv(65536)
            if not more:
                raise Gone("the guest ended")
            self.buffer += more
        raw, self.buffer = self.buffer.split(b"\n", 1)
        return raw.decode(errors="replace").rstrip("\r")

    def send(self, text):
        self.console.sendall(text.encode() + b"\n")

    def stop(self):
        """Ends the machine, however it is."""
        try:
            self.proc.wait(0.5)
        except subprocess.TimeoutExpired:
            self.proc.terminate()
            try:
                self.proc.wait(10)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.stderr.close()
