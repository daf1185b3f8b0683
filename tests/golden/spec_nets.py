# SPDX-License-Identifier: MIT
"""Random networks, and the corners that chance does not find.

All of them are networks that a compiler could make: streams, names and transfers fit each other, so
each one is either configured and run or refused by a rule of the spec.
"""
import random

from spec_hef import (Always, BATCH_REGISTER_CONFIG, Ccw, Context, DUAL_DIRECTION, DisableLcu,
                      EnableLcu, EnableNms, F8CR, FCR, Flow, HAILO8L, HAILO8P, HAILO8R, HW_PADDING,
                      IS_MULTI_CONTEXTS, KO_RUN_ASAP, Layer, MULTI_NETWORK, NC, NHCW, NHW, NHWC,
                      NHWC_13, NMS_OUTPUT_BURST, Network, Nms, Nothing, ON_CHIP_NMS, OnIdle, OnLcu,
                      OnNms, OnSent, Operation, PADDED_DDR_BUFFERS, PERIPH_CALCULATION, Sequencer,
                      Sleep, SwitchLcu, WaitModule, WaitSequencer, WriteData)


def align8(x):
    return (x + 7) // 8 * 8


def transfer_bytes(layer):
    h, w, f = layer.padded
    return align8(h * w * f * layer.data_bytes)


def output_names(net):
    """hef-format.md 4.5; a mux stands for its parts"""
    return [part.name for c in net.contexts for l in c.layers
            if l.kind == "boundary" and not l.input for part in l.parts or [l]]


class Builder:
    """Draws one network from @rng; @odd: stream FIFOs of odd sizes, @nms: NMS on the chip."""

    def __init__(self, rng, odd=True, contexts=None, nms=False):
        self.rng, self.made, self.nms, self.odd = rng, 0, None, odd
        one_of, chance = rng.choice, self.chance
        count = contexts or one_of([1, 1, 1, 2, 2, 3, 4])
        extensions = [PERIPH_CALCULATION, PADDED_DDR_BUFFERS]
        extensions += [KO_RUN_ASAP] * chance(.7) + [BATCH_REGISTER_CONFIG] * chance(.3)
        extensions += [IS_MULTI_CONTEXTS] * (count > 1)
        self.dual, self.burst = chance(.3), chance(.5)
        extensions += [DUAL_DIRECTION] * self.dual + [NMS_OUTPUT_BURST] * self.burst
        multi_network = chance(.7)
        self.net = Network(
            version=one_of([0, 1, 1]), arch=one_of([HAILO8P, HAILO8P, HAILO8R, HAILO8L]),
            extensions=extensions,
            optional=[HW_PADDING] * chance(.7) + [MULTI_NETWORK] * multi_network,
            networks=["n%d" % i for i in range(one_of([1, 1, 1, 2, 3]) if multi_network else 1)],
            cfg_channels=one_of([0, 1, 2, 2, 2, 3, 4, 4, 4, 5 if chance(.1) else 4]),
            layouts=one_of([(0x33, 0xcc), (0xcc, 0x33)]),
            contexts=[Context() for _ in range(count)])
        self.draw_layers(nms)
        self.draw_operations()

    def chance(self, p):
        return self.rng.random() < p

    # ------------------------------------------------------------------------------------- layers

    def shape(self, layer):
        one_of = self.rng.choice
        order = one_of([NHWC, NHWC, NHCW, NHCW, NHCW, NC, FCR, NHWC_13]
                       + [NHWC_13, NHWC_13] * layer.input + [F8CR, NHW] * (not layer.input))
        h, w = one_of([1, 1, 2, 3, 7, 8, 16, 28, 80]), one_of([1, 5, 8, 16, 20, 28, 100])
        f = one_of([1, 3, 4, 8, 10, 16, 64, 255])
        if order == NC:
            h, w, f = 1, 1, one_of([5, 10, 16, 100, 1000, 1001, 2048])
        elif order == NHW:
            f = 1
        elif order in (NHWC, NHWC_13):
            w = align8(w)
        wide, deep = w, f
        if order in (NHCW, NHW):
            wide = align8(w)
        if order in (FCR, F8CR) or (order in (NC, NHWC, NHWC_13) and self.chance(.4)):
            deep = align8(f)
        layer.order, layer.shape, layer.padded = order, (h, w, f), (h, wide, deep)
        layer.data_bytes = 1 if layer.kind == "inter" else one_of([1, 1, 1, 2])
        row = min(65535, wide * deep * layer.data_bytes)
        layer.core = (one_of([16, 32, row]), one_of([1, h, h, h]))
        if self.odd and self.chance(.08):
            layer.fifo = one_of([0, 0x4000, 0x8000, 4096, 2048, 1024, 512, 256, 128])

    def layer(self, k, is_input, kind="boundary", **given):
        """A further layer of context @k, with a stream index that is free there."""
        self.made += 1
        layer = Layer("net/l%d" % self.made, is_input, kind, engine=self.rng.choice([0, 0, 1, 2]),
                      network=self.rng.randrange(len(self.net.networks)))
        self.shape(layer)
        layers = self.net.contexts[k].layers
        taken = {l.stream for l in layers if l.input == is_input or not self.dual}
        layer.stream = self.rng.choice([i for i in range(24 if self.chance(.5) else 256)
                                        if i not in taken])
        for name, value in given.items():
            setattr(layer, name, value)
        layers.append(layer)
        return layer

    def boundaries(self, k):
        one_of, last = self.rng.choice, len(self.net.contexts) - 1
        inputs = one_of([1, 1, 2, 3]) if k == 0 else one_of([0, 0, 1])
        outputs = one_of([1, 1, 2, 4]) if k == last else one_of([0, 0, 1, 2])
        for _ in range(inputs * self.many):
            self.layer(k, True)
        for _ in range(outputs * self.many):
            layer = self.layer(k, False)
            if self.chance(.1) and transfer_bytes(layer) == layer.data_bytes * (
                    layer.padded[0] * layer.padded[1] * layer.padded[2]):
                self.make_mux(layer)

    @staticmethod
    def make_mux(layer):
        """Two equal parts, row after row."""
        (h, w, f), (ph, pw, pf) = layer.shape, layer.padded
        layer.parts = [Layer(layer.name + "m%d" % i, False, order=NHCW, shape=layer.shape,
                             padded=layer.padded, data_bytes=layer.data_bytes, core=layer.core,
                             stream=layer.stream) for i in range(2)]
        layer.order, layer.shape, layer.padded = NHCW, (2 * h, w, f), (2 * ph, pw, pf)

    def ddr_pair(self, k):
        """Both ends of rows buffered in the host; the input may come first in the file."""
        one_of = self.rng.choice
        rows, row = one_of([1, 2, 5, 32, 64]), 512 * one_of([1, 2, 3, 8, 40])
        count = one_of([1, 16, 80])
        shape = (count, row // 64, one_of([64, 63]))
        given = {"core": (row, count), "shape": shape, "padded": shape, "data_bytes": 1,
                 "order": NHWC}
        out = self.layer(k, False, "ddr", rows=rows, fifo=one_of([0x10000, 0x8000, 0]), **given)
        back = self.layer(k, True, "ddr", rows=rows + 1, fifo=one_of([0x10000, 0x8000, 0]), **given)
        out.peer, back.peer = (k, back.stream), (k, out.stream)

    def between(self, source, contexts):
        """A stream of context @source that later @contexts read."""
        out = self.layer(source, False, "inter")
        for k in contexts:
            back = self.layer(k, True, "inter", order=out.order, shape=out.shape, padded=out.padded)
            back.peer = (source, out.stream)
            out.peer = (k, back.stream)

    def draw_layers(self, nms):
        count = len(self.net.contexts)
        self.many = 4 if self.chance(.1) else 1
        for k in range(count):
            self.boundaries(k)
            for _ in range(self.rng.choice([0, 0, 0, 1, 2])):
                self.ddr_pair(k)
        for k in range(1, count):
            for _ in range(self.rng.choice([1, 1, 2, 3])):
                self.between(self.rng.randrange(k),
                             [k, k + 1] if k + 1 < count and self.chance(.4) else [k])
        if nms:
            self.make_nms()
        for c in self.net.contexts:
            self.rng.shuffle(c.layers)
        self.net.output_names = output_names(self.net)
        self.rng.shuffle(self.net.output_names)

    def make_nms(self):
        """An output of the last context.  The chip in software knows an NMS by its transfers, so no
        other output may have transfers of that size."""
        one_of = self.rng.choice
        outputs = [l for c in self.net.contexts for l in c.layers
                   if l.kind == "boundary" and not l.input]
        self.nms = Nms(one_of([1, 5, 80]), one_of([4, 10, 100]), one_of([0, 1, 2]),
                       one_of([2, 10, 11, 101, 200]) if self.burst else 0)
        layer = one_of([l for l in self.net.contexts[-1].layers if l in outputs])
        layer.nms, layer.order, layer.data_bytes, layer.parts = self.nms, ON_CHIP_NMS, 2, []
        burst = self.nms.burst or 1
        sizes = (8 * burst, 8 * burst * self.nms.classes * (self.nms.chunks or 1))
        for l in outputs:
            if not l.nms and transfer_bytes(l) in sizes:
                l.shape = l.padded = (3, 8, 48)
                l.order, l.data_bytes, l.core, l.parts = NHWC, 1, (16, 3), []

    # --------------------------------------------------------------------------------- operations

    def ccw(self, channel):
        n = self.rng.choice([8, 16, 64, 504, 512, 520, 1024, 1032, 8 * self.rng.randrange(1, 400)])
        if self.chance(.01):
            n = 8 * self.rng.randrange(1000, 30000)
        return Ccw(channel, self.rng.randbytes(n))

    def enable_lcu(self):
        rng = self.rng
        return EnableLcu(rng.randrange(8), rng.randrange(16),
                         *rng.choice([(1, 2), (1, 2), (1, 3), (2, 2), (65535, 0xffffffff)]),
                         rng.randrange(len(self.net.networks)))

    def sequencer(self):
        bits, rng = self.rng.getrandbits, self.rng
        l3 = rng.choice([None, (rng.randrange(256), rng.randrange(65536), 1), (3, 4, 0)])
        return Sequencer(rng.randrange(8), bits(32), bits(32), bits(32), bits(64), bits(64),
                         [bits(32) for _ in range(4)], l3)

    def write_data(self):
        bits, rng = self.rng.getrandbits, self.rng
        return WriteData(4 * bits(30), rng.choice([0, 0, 0, 1]), rng.randbytes(rng.randrange(5)),
                         bits(32), rng.randrange(len(self.net.networks)), rng.randrange(256))

    def actions(self, channels):
        """Some neighbours of one kind; now and then so many that they fill repeated actions."""
        rng = self.rng
        times = rng.choice([1, 1, 2, 3, 20])
        if self.chance(.03):
            times = rng.choice([254, 255, 256, 257, 510, 511, 600])
        kind = rng.randrange(12)
        if kind <= 2:
            return [self.ccw(rng.choice(channels))
                    for _ in range(rng.choice([1, 2, 3, 5]) * bool(channels))]
        if kind == 3:
            return [self.enable_lcu() for _ in range(times)]
        if kind == 4:
            return [DisableLcu(rng.randrange(8), rng.randrange(16)) for _ in range(times)]
        if kind == 5:
            return [self.sequencer() for _ in range(min(times, 40))]
        if kind == 6:
            return [WaitSequencer(rng.randrange(8))]
        if kind == 7:
            return [WaitModule(rng.randrange(32))]
        if kind == 8:
            return [Nothing()]
        if kind == 9:
            return [self.write_data()] * self.chance(.5)
        if kind == 10:
            return [Sleep(1000 + rng.randrange(1000))] * self.chance(.3)
        return [SwitchLcu(rng.randrange(8), rng.randrange(16),
                          rng.randrange(len(self.net.networks))) for _ in range(min(times, 3))]

    def operations(self):
        """A list whose Ccws use configuration channels 0 to some number (5.5)."""
        rng = self.rng
        channels = list(range(rng.randrange((self.net.cfg_channels or 1) + 1)))
        ops = []
        for _ in range(rng.randrange(4)):
            trigger = Always() if self.chance(.8) else OnLcu(rng.randrange(8), rng.randrange(16))
            if self.nms and self.chance(.3):
                trigger = OnNms(*(rng.randrange(256) for _ in OnNms._fields))
            ops.append(Operation(trigger, [a for _ in range(rng.randrange(12))
                                           for a in self.actions(channels)]))
        used = {a.channel for op in ops for a in op.actions if isinstance(a, Ccw)}
        missing = sorted(set(range(max(used, default=-1))) - used)
        rng.shuffle(missing)
        return [Operation(Always(), [self.ccw(c)]) for c in missing] + ops

    def flow(self, k):
        """The one run that lets the inputs of context @k flow, here and there between waits."""
        run = [Flow(l.stream) for l in self.net.contexts[k].layers if l.input and l.kind != "ddr"]
        return Operation(Always(), [WaitModule(3)] * self.chance(.5) + run
                         + [WaitModule(4)] * self.chance(.5))

    def draw_operations(self):
        net, rng = self.net, self.rng
        pre = self.operations()
        if not any(isinstance(a, Ccw) for op in pre for a in op.actions):
            pre.insert(0, Operation(Always(), [self.ccw(0)]))
        if self.nms:
            pre.append(Operation(Always(), [EnableNms(0, 0, self.nms.classes, self.nms.burst or 1,
                                                      self.nms.chunks)]))
        if KO_RUN_ASAP in net.extensions:
            pre.insert(rng.randrange(len(pre) + 1), self.flow(0))
        net.preliminary = pre
        for k, c in enumerate(net.contexts):
            c.operations = self.operations()
            c.operations.insert(rng.randrange(len(c.operations) + 1), self.flow(k))
            for l in c.layers:
                if not l.input and self.chance(.7):
                    trigger = rng.choice([OnSent, OnSent, OnIdle])(l.stream)
                    c.operations.append(Operation(trigger, [Nothing()] * self.chance(.5)))


def random_network(rng):
    return Builder(rng, nms=rng.random() < .15).net


# ------------------------------------------------------------------------------------- the corners

def chip_nms(rng):
    """Boxes from the chip, one by one or in bursts (5.2, 5.7 step 1)."""
    return Builder(rng, odd=False, nms=True).net


def without_preliminary(rng):
    """Nothing before the first context (4.2: no message at all), or only a placeholder."""
    net = Builder(rng, odd=False).net
    net.extensions = [e for e in net.extensions if e != KO_RUN_ASAP]
    net.preliminary = rng.choice([[], [Operation(Always(), [Nothing()])]])
    if not any(isinstance(a, Ccw) for c in net.contexts for o in c.operations for a in o.actions):
        net.contexts[0].operations.insert(0, Operation(Always(), [Ccw(0, b"\5" * 520)]))
    return net


def long_configuration(rng):
    """36 MB for one configuration channel, more than 65535 pages (5.5, step 2)."""
    net = Builder(rng, odd=False, contexts=1).net
    net.version = 1
    net.preliminary.insert(0, Operation(Always(), [Ccw(0, bytes([i]) * 400008) for i in range(90)]))
    return net


def many_writes(rng):
    """60000 writes of 8 bytes: in version 1 each counts as a page, though they are packed."""
    net = Builder(rng, odd=False, contexts=1).net
    writes = [Ccw(0, bytes([i & 255]) * 8) for i in range(60000)]
    net.preliminary.insert(0, Operation(Always(), writes))
    return net


def large_frame(rng):
    """An input of 5 to 17 MB, whose list is at the limit (5.6), with all sizes of the FIFO."""
    net = Builder(rng, odd=False, contexts=1).net
    layer = next(l for l in net.contexts[0].layers if l.kind == "boundary" and l.input)
    h = rng.choice([640, 1100, 2100])
    layer.order, layer.data_bytes, layer.core = NHWC, 1, (8192, h)
    layer.shape = layer.padded = (h, 1024, 8)
    layer.fifo = rng.choice([0x10000, 0x10000, 128, 256, 512, 1024, 4096, 0])
    return net


def page_sized_fifo(rng):
    """FIFOs as large as a page: step 3 of 5.6 halves it, or 5.7 refuses it."""
    net = Builder(rng, odd=False).net
    for l in (l for c in net.contexts for l in c.layers if l.kind == "boundary"):
        l.fifo = rng.choice([0x10000, 512, 512])
        if l.fifo < 0x10000:
            l.order, l.data_bytes, l.core, l.parts = NHWC, 1, (64, 7), []
            l.shape = l.padded = (rng.choice([1, 8, 50]), 8, rng.choice([1, 2, 4]))
    net.output_names = output_names(net)
    return net


def wide_rows(rng):
    """Rows beside the limits of periph values (5.7)."""
    net = Builder(rng, odd=False).net
    for l in (l for c in net.contexts for l in c.layers if l.kind == "boundary"):
        l.order, l.data_bytes, l.core, l.parts = NHWC, 1, (64, 7), []
        l.shape = l.padded = (rng.choice([3, 8, 50]), rng.choice([104, 640, 8192]),
                              rng.choice([3, 8, 13]))
    net.output_names = output_names(net)
    return net


def many_streams(rng):
    """Four to ten further inputs and outputs: most channels, or more than there are (5.4)."""
    net = Builder(rng, odd=False, contexts=1).net
    first = net.contexts[0]
    taken = {l.stream for l in first.layers}
    flows = [op.actions for op in net.preliminary + first.operations
             if any(isinstance(a, Flow) for a in op.actions)]
    free = [i for i in range(100, 200) if i not in taken]
    for i in range(rng.randrange(4, 11)):
        for is_input in (True, False):
            layer = Layer("net/x%d%s" % (i, "oi"[is_input]), is_input, order=NC, shape=(1, 1, 16),
                          padded=(1, 1, 16), stream=free.pop(0))
            first.layers.append(layer)
            if not is_input:
                net.output_names.append(layer.name)
                continue
            for actions in flows:
                at = [isinstance(a, Flow) for a in actions].index(True)
                actions.insert(at, Flow(layer.stream))
    return net
