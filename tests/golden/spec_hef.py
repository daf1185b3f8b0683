# SPDX-License-Identifier: MIT
"""Networks as plain data, written to and read from HEF files: hef-format.md of ../shared/spec.

Written from that text alone, without a look at hwlayer/hef: see "Traffic from the text of the spec"
in docs/testing.md.
"""
import dataclasses
import hashlib
import struct
import zlib
from collections import namedtuple

MAGIC = 0x01484546
HAILO8P, HAILO8R, HAILO8L = 1, 2, 3  # 3.3: architectures in the file
# firmware-protocol.md 5.2.1
NHWC, NHCW, NC, FCR, NHW, ON_CHIP_NMS, F8CR, NHWC_13 = 0, 1, 2, 3, 5, 6, 7, 13
PADDED_DDR_BUFFERS, IS_MULTI_CONTEXTS, KO_RUN_ASAP = 3, 4, 12  # 3.1: extensions
NMS_OUTPUT_BURST, DUAL_DIRECTION, PERIPH_CALCULATION, BATCH_REGISTER_CONFIG = 19, 20, 26, 28
MULTI_NETWORK, HW_PADDING = 8, 11  # optional ones
KINDS = ("boundary", "inter", "ddr")

Nms = namedtuple("Nms", "classes boxes chunks burst")  # burst 0: bbox mode


@dataclasses.dataclass
class Layer:
    """ProtoHEFEdgeLayer: one end of a stream, in one context."""
    name: str
    input: bool
    kind: str = "boundary"
    order: int = NHWC
    shape: tuple = (1, 1, 8)      # height, width, features
    padded: tuple = (1, 1, 8)
    data_bytes: int = 1
    fifo: int = 0x10000           # max_shmifo_size
    core: tuple = (16, 1)         # bytes per buffer, buffers per frame
    stream: int = 0
    network: int = 0
    engine: int = 0
    peer: tuple = (0, 0)          # context and stream of the other end
    rows: int = 0                 # DDR: buffered rows
    nms: Nms = None
    parts: list = ()              # of a mux


@dataclasses.dataclass
class Context:
    layers: list = dataclasses.field(default_factory=list)
    operations: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Network:
    name: str = "net"
    version: int = 1              # of the container
    arch: int = HAILO8P
    extensions: list = dataclasses.field(default_factory=list)
    optional: list = dataclasses.field(default_factory=list)
    networks: list = dataclasses.field(default_factory=lambda: ["n0"])
    cfg_channels: int = 1
    layouts: tuple = (0x33, 0xcc)  # Hailo-8L: the same network for each of these
    preliminary: list = dataclasses.field(default_factory=list)
    contexts: list = dataclasses.field(default_factory=list)
    output_names: list = dataclasses.field(default_factory=list)


# 4.6: an operation is a trigger and actions
Operation = namedtuple("Operation", "trigger actions")
# 4.7
Always = namedtuple("Always", "")
OnLcu = namedtuple("OnLcu", "cluster lcu")
OnSent = namedtuple("OnSent", "stream")
OnIdle = namedtuple("OnIdle", "stream")
OnNms = namedtuple("OnNms", "aggregator pred pred_cluster pred_interface succ succ_interface")
# 4.8
Nothing = namedtuple("Nothing", "")
Ccw = namedtuple("Ccw", "channel data")
Sequencer = namedtuple("Sequencer", "cluster l3_legacy apu ia sc l2 writes l3")
WaitSequencer = namedtuple("WaitSequencer", "cluster")
EnableLcu = namedtuple("EnableLcu", "cluster lcu address count network")
DisableLcu = namedtuple("DisableLcu", "cluster lcu")
SwitchLcu = namedtuple("SwitchLcu", "cluster lcu network")
Flow = namedtuple("Flow", "stream")
WaitModule = namedtuple("WaitModule", "module")
Sleep = namedtuple("Sleep", "us")
EnableNms = namedtuple("EnableNms", "unit network classes burst chunks")
WriteData = namedtuple("WriteData", "address type data mask network shift")


# -------------------------------------------------------------------------- writing: 2.1, encoding

def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    """Absent is 0."""
    return varint(field << 3) + varint(value) if value else b""


def numbers(*values):
    """Fields 1, 2, ..."""
    return b"".join(number(i, v) for i, v in enumerate(values, 1))


def blob(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def real(field, value):
    return varint(field << 3 | 5) + struct.pack("<f", value)


# -------------------------------------------------------------------------------- writing: messages

def nms_info(nms):
    """ProtoHEFNmsInfo (78): bbox_size 8; burst type 1 is H8 per class (5.6)."""
    burst = number(8, nms.burst) + number(9, 1) if nms.burst else b""
    return (number(2, nms.classes) + number(3, nms.boxes) + number(4, 8) + number(7, nms.chunks)
            + burst)


def layer_base(layer):
    """ProtoHEFEdgeLayerBase (76)"""
    (h, w, f), (ph, pw, pf) = layer.shape, layer.padded
    nms = blob(11, blob(1, nms_info(layer.nms))) if layer.nms else b""
    return (numbers(h, ph, w, pw, f, pf, layer.order, layer.stream, *layer.core) + nms
            + number(12, layer.data_bytes) + blob(13, number(1, 1)) + number(15, layer.fifo)
            + number(16, layer.engine))


def layer_info(layer):
    """ProtoHEFEdgeLayerInfo (68), with some scale"""
    scale = real(1, 3.0) + real(2, 0.5) + real(3, -1.0) + real(4, 100.0)
    return blob(1, layer.name) + blob(2, layer_base(layer)) + blob(3, scale)


def layer_mux(layer):
    """ProtoHEFEdgeLayerMux (70) of INFO leaves"""
    n = len(layer.parts)
    data = numbers(n, 1, n) + blob(4, b"".join(varint(p.shape[0]) for p in layer.parts))
    return (blob(1, layer.name) + blob(2, layer_base(layer)) + blob(3, data)
            + b"".join(blob(5, blob(1, layer_info(p))) for p in layer.parts))


def edge_layer(layer, context):
    """ProtoHEFEdgeLayer (67)"""
    switch = number(1, context) + number(3, KINDS.index(layer.kind))
    if layer.kind != "boundary":
        peer, stream = layer.peer
        switch += number(6, layer.rows) + blob(8, number(1, peer) + number(3, stream))
    body = number(2, 1) + blob(4, layer_mux(layer)) if layer.parts else blob(3, layer_info(layer))
    return number(1, not layer.input) + body + blob(5, switch) + number(6, layer.network)


TRIGGERS = {OnLcu: 2, Always: 3, OnSent: 4, OnNms: 6, OnIdle: 7}


def trigger_message(trigger):
    """ProtoHEFTrigger (36): the fields of each kind are in the order of our tuples"""
    return blob(TRIGGERS[type(trigger)], numbers(*trigger))


def action_message(a, ccws):
    """ProtoHEFAction (43); @ccws: the configuration words of the file, or None in version 0"""
    if isinstance(a, Ccw):
        if ccws is None:
            return blob(3, blob(1, a.data) + number(2, a.channel))
        ccws += a.data
        return blob(16, numbers(len(ccws) - len(a.data), len(a.data), a.channel))
    if isinstance(a, Sequencer):
        l3 = blob(11, numbers(*a.l3)) if a.l3 else b""
        return blob(5, numbers(a.cluster, a.l3_legacy, a.apu, a.sc, a.l2, a.ia, *a.writes) + l3)
    if isinstance(a, EnableLcu):
        return blob(8, numbers(a.lcu, a.cluster, a.address, a.count) + number(6, a.network))
    if isinstance(a, SwitchLcu):
        return blob(15, numbers(a.lcu, a.cluster) + number(6, a.network))
    if isinstance(a, Sleep):
        return blob(12, blob(2, number(1, a.us)))
    if isinstance(a, WriteData):
        return blob(14, numbers(a.address, a.type) + blob(3, a.data) + number(4, a.mask)
                    + number(5, a.network) + number(6, a.shift))
    simple = {WaitSequencer: 6, DisableLcu: 7, Nothing: 9, Flow: 10, WaitModule: 11, EnableNms: 13}
    fields = (a.lcu, a.cluster) if isinstance(a, DisableLcu) else a
    return blob(simple[type(a)], numbers(*fields))


def operation_message(op, ccws):
    return (blob(1, trigger_message(op.trigger))
            + b"".join(blob(2, action_message(a, ccws)) for a in op.actions))


def core_op(net, ccws):
    """Fields 1 to 6, which ProtoHEFNetworkGroup (29) and the variants of an 8L file share"""
    out = blob(1, blob(1, net.name) + number(5, net.cfg_channels))
    out += blob(2, b"".join(blob(1, operation_message(o, ccws)) for o in net.preliminary))
    for index, context in enumerate(net.contexts):
        layers = b"".join(blob(2, edge_layer(l, index)) for l in context.layers)
        out += blob(3, number(1, index)
                    + b"".join(blob(2, operation_message(o, ccws)) for o in context.operations)
                    + blob(3, blob(1, "context%d" % index) + layers))
    out += b"".join(blob(4, name) for name in net.output_names)
    return out + b"".join(blob(6, name) for name in net.networks)


def write(net):
    """The bytes of a file of container version 0 or 1 (1.2, 1.4)."""
    ccws = bytearray() if net.version else None
    group = core_op(net, ccws)
    if net.arch == HAILO8L:
        group = b"".join(blob(7, blob(1, group) + blob(2, number(1, l))) for l in net.layouts)
    message = blob(1, number(1, net.arch) + blob(3, "3.30.0") + number(4, 2)) + blob(2, group)
    message += b"".join(blob(5, number(1, e) + blob(2, "e%d" % e)) for e in net.extensions)
    message += b"".join(blob(6, number(1, e) + blob(2, "o%d" % e)) for e in net.optional)
    if net.version == 0:
        return (struct.pack(">IIII", MAGIC, 0, len(message), 0) + hashlib.md5(message).digest()
                + message)
    body = message + bytes(ccws)
    return struct.pack(">IIIIQI", MAGIC, 1, len(message), zlib.crc32(body), len(ccws), 0) + body


# ------------------------------------------------------------------------------------------ reading

class Message:
    """A message by field numbers; what is absent is 0, empty or an empty message."""

    def __init__(self, data):
        self.fields = {}
        at = 0

        def take_varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(data):
            tag = take_varint()
            wire = tag & 7
            if wire == 0:
                value = take_varint()
            else:
                size = {1: 8, 5: 4}.get(wire) or take_varint()
                value = data[at:at + size]
                at += size
            self.fields.setdefault(tag >> 3, []).append(value)

    def number(self, field):
        return self.fields.get(field, [0])[-1]

    def bytes(self, field):
        return self.fields.get(field, [b""])[-1]

    def sub(self, field):
        return Message(self.bytes(field))

    def all(self, field):
        return [Message(data) for data in self.fields.get(field, [])]

    def one_of(self, *fields):
        return next(f for f in fields if f in self.fields)


def read_layer(edge):
    if edge.number(2):
        raise ValueError("muxes and planes are not read here")
    info, switch = edge.sub(3), edge.sub(5)
    base = info.sub(2)
    n = base.number
    return Layer(info.bytes(1).decode(), not edge.number(1), KINDS[switch.number(3)], n(7),
                 (n(1), n(3), n(5)), (n(2), n(4), n(6)), n(12), n(15), (n(9), n(10)), n(8),
                 edge.number(6))


def read_trigger(message):
    kind = message.one_of(*TRIGGERS.values())
    cls = next(c for c, field in TRIGGERS.items() if field == kind)
    body = message.sub(kind)
    return cls(*(body.number(i) for i in range(1, len(cls._fields) + 1)))


def read_action(message, words):
    kind = message.one_of(3, 5, 6, 7, 8, 9, 10, 11, 15, 16)
    body = message.sub(kind)
    n = body.number
    if kind == 5:
        l3 = body.sub(11)
        return Sequencer(n(1), n(2), n(3), n(6), n(4), n(5), (n(7), n(8), n(9), n(10)),
                         (l3.number(1), l3.number(2), l3.number(3)))
    return {3: lambda: Ccw(n(2), body.bytes(1)),
            6: lambda: WaitSequencer(n(1)),
            7: lambda: DisableLcu(n(2), n(1)),
            8: lambda: EnableLcu(n(2), n(1), n(3), n(4), n(6)),
            9: Nothing,
            10: lambda: Flow(n(1)),
            11: lambda: WaitModule(n(1)),
            15: lambda: SwitchLcu(n(2), n(1), n(6)),
            16: lambda: Ccw(n(3), words[n(1):n(1) + n(2)])}[kind]()


def read(path, layout=None):
    """A real file of versions 0 to 2; @layout: cluster bitmap, None for the lowest (3.5)."""
    with open(path, "rb") as f:
        data = f.read()
    version, size = struct.unpack_from(">II", data, 4)
    start = {0: 32, 1: 28, 2: 44}[version]
    words = data[start + size:]
    message = Message(data[start:start + size])
    net = Network(version=version, arch=message.sub(1).number(1),
                  extensions=[e.number(1) for e in message.all(5)],
                  optional=[e.number(1) for e in message.all(6)])
    group = message.sub(2)
    if net.arch == HAILO8L:
        variants = {v.sub(2).number(1): v.sub(1) for v in group.all(7)}
        group = variants[min(variants) if layout is None else layout]

    def operations(ops):
        return [Operation(read_trigger(o.sub(1)), [read_action(a, words) for a in o.all(2)])
                for o in ops]
    net.cfg_channels = group.sub(1).number(5)
    net.networks = group.fields.get(6, [])
    net.preliminary = operations(group.sub(2).all(1))
    net.contexts = [Context([read_layer(e) for e in c.sub(3).all(2)], operations(c.all(2)))
                    for c in group.all(3)]
    return net
