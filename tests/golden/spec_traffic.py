# SPDX-License-Identifier: MIT
"""What a driver makes of a network: firmware-protocol.md of ../shared/spec, sections 4.6 and 5.

Written from that text alone, without a look at hwlayer/network: see "Traffic from the text of the
spec" in docs/testing.md.  Numbers behind comments are sections.
"""
import hashlib
import struct
from collections import namedtuple

from spec_actions import Action, DescriptorList, Piece, merged, messages
from spec_hef import (BATCH_REGISTER_CONFIG, Ccw, DisableLcu, EnableLcu, EnableNms, Flow,
                      HW_PADDING, KO_RUN_ASAP, MULTI_NETWORK, NHCW, OnIdle, OnLcu, OnNms, OnSent,
                      Sequencer, Sleep, SwitchLcu, WaitModule, WaitSequencer, WriteData)

# 1.7: the answer to GET_HW_CONSTS
HwConsts = namedtuple("HwConsts", "granularity max_buffers max_bytes max_acceptable outbound"
                                  " optimize credit")
HW_CONSTS = struct.Struct("<IHHHIBI")
# 5.6: H, B and s
Host = namedtuple("Host", "page batch depth consts")
PLAIN, LAST, LAST_INTERNAL = 0x02, 0x2e, 0x1e  # 6.1


class Refused(Exception):
    """The spec cannot make anything of this network; the text is a part of hwctl's."""


def ceil(a, b):
    return -(-a // b)


def align(a, b):
    return ceil(a, b) * b


def pow2(x):
    return 1 << (x - 1).bit_length() if x > 1 else 1


def packed_lcu(a):
    """4.3"""
    return a.lcu & 15 | (a.cluster & 7) << 4


class Stream:
    """A layer, and what the planner adds to it."""

    def __init__(self, layer, context):
        self.layer, self.context = layer, context
        self.channel = self.list = self.page = self.pattern = self.pair = None
        self.frame_payload = self.frame_padding = 0

    def is_a(self, kind, is_input):
        return self.layer.kind == kind and self.layer.input == is_input


class Traffic:
    """header, messages (actions of every context) and the streams with their lists."""

    def __init__(self, net, host):
        self.net, self.host, self.consts = net, host, host.consts
        self.hw_padding = HW_PADDING in net.optional
        self.multi_network = MULTI_NETWORK in net.optional
        self.cfg_channels = net.cfg_channels or 1
        if self.cfg_channels > 4:
            raise Refused("configuration channels: the firmware takes")
        self.contexts = [[Stream(l, k) for l in c.layers] for k, c in enumerate(net.contexts)]
        everything = [s for streams in self.contexts for s in streams]
        self.inputs = [s for s in everything if s.is_a("boundary", True)]
        self.outputs = [s for s in everything if s.is_a("boundary", False)]
        for s in everything:
            self.geometry(s)
        self.channels()
        for s in self.inputs + self.outputs:
            self.boundary_list(s)
        for s in everything:
            if s.is_a("inter", False):
                self.inter_context_list(s)
            elif s.is_a("ddr", False):
                self.ddr_list(s)
        for s in everything:
            if s.is_a("inter", True):
                source = self.find(s.layer.peer[0], s.layer.peer[1], False)
                s.list, s.page, s.pattern = source.list, source.page, source.pattern
        for s in everything:
            self.periph(s)
        self.header = self.group_header()
        self.messages = []
        self.build()

    def find(self, context, stream, is_input):
        found = [s for s in self.contexts[context]
                 if s.layer.input == is_input and s.layer.stream == stream]
        if len(found) != 1:
            raise ValueError("the generator made %d streams %d" % (len(found), stream))
        return found[0]

    def network_index(self, index):
        return index if self.multi_network else 0

    # ------------------------------------------------------------------------------ 5.2, hw shape

    def geometry(self, s):
        l = s.layer
        h, w, f = l.shape
        room = min(0x10000, l.fifo or 0x10000)
        in_chip = (l.kind == "boundary" and not l.parts and l.order == NHCW and not self.hw_padding
                   and l.core[1] == h and w * f % 8 == 0 and w * f * l.data_bytes <= room - 1)
        s.shape = l.shape if in_chip else l.padded
        s.feature_padding = w * l.data_bytes if in_chip else 0
        s.transfer, s.per_frame = align(s.shape[0] * s.shape[1] * s.shape[2] * l.data_bytes, 8), 1
        if l.nms:
            chunks = l.nms.chunks or 1
            if not l.nms.burst:
                s.transfer, s.per_frame = 8, l.nms.classes * l.nms.boxes * chunks
                return
            whole = l.nms.burst >= l.nms.boxes + 1
            s.transfer = l.nms.burst * 8 * (l.nms.classes * chunks if whole else 1)
            s.per_frame = ceil(l.nms.boxes + 1, l.nms.burst) * l.nms.classes * chunks

    # ------------------------------------------------------------------------------ 5.4, channels

    def channels(self):
        h2d, d2h = list(range(self.cfg_channels, 16)), list(range(16, 32))
        try:
            for s in self.inputs:
                s.channel = h2d.pop(0)
            for s in self.outputs:
                s.channel = d2h.pop(0)
            for index, streams in enumerate(self.contexts):
                free_h2d, free_d2h = h2d[:], d2h[:]
                for s in streams:
                    if s.is_a("ddr", False):
                        s.pair = self.find(index, s.layer.peer[1], True)
                        s.pair.pair = s
                        s.pair.channel, s.channel = free_h2d.pop(0), free_d2h.pop(0)
                for s in streams:
                    if s.is_a("inter", False):
                        s.channel = free_d2h.pop(0)
                for s in streams:
                    if s.is_a("inter", True):
                        s.channel = free_h2d.pop(0)
        except IndexError:
            raise Refused("more vDMA channels than the chip has") from None

    # --------------------------------------------------------------- 5.6, boundary descriptor lists

    def boundary_list(self, s):
        size, most = s.transfer, self.host.page
        low = 2 * s.per_frame * self.host.batch
        queue = max(low, min(max(low, self.host.depth * s.per_frame),
                             (32 << 20) // (s.per_frame * size)))
        largest = min(512, most)
        for _ in range(50):  # more: the endless loop that the text names
            if largest > most:
                break
            if largest == s.layer.fifo:
                largest //= 2
            page = max(64, pow2(size)) if largest > size else largest
            if ceil(size, largest) + 1 > 65536:
                largest *= 2
                continue
            descs = ceil(size, page) + 1
            while 2 * descs > 65535:
                page *= 2
                if page > largest:
                    page = largest
                    break
                descs = ceil(size, page) + 1
            if pow2(descs) > 65536:
                largest *= 2
                continue
            count = pow2(max(2, min((ceil(size, page) + 1) * queue + 1, 65536)))
            s.page, s.pattern = page, size
            s.list = DescriptorList("boundary", page, count, True)
            return
        raise Refused("no descriptor list can carry transfers")

    # ---------------------------------------------------------------------- 5.8, internal buffers

    def first_page(self, size):
        start = min(512, self.host.page)
        return start if size >= start else max(64, pow2(size))

    def inter_context_list(self, s):
        size, batch = s.transfer, self.host.batch
        page = self.first_page(size)
        while (ceil(size, page) + 1) * batch > 65535:
            page *= 2
            if page > self.host.page:
                raise Refused("no descriptor list can hold")
        n = ceil(size, page)
        count = max(2, min(n * batch + 1, 65536))
        descs = [(page, PLAIN)] * count
        for b in range(1, batch + 1):
            descs[b * n - 1] = (size - (n - 1) * page, LAST_INTERNAL if b == batch else PLAIN)
        s.page, s.pattern = page, size
        s.list = DescriptorList("inter-context", page, count, False, descs)

    def ddr_list(self, s):
        row, rows = s.layer.core[0], s.layer.rows
        page = self.first_page(row)
        while ceil(row, page) * rows > 65535:
            page *= 2
            if page > self.host.page:
                raise Refused("no descriptor list can hold")
        count = pow2(min(ceil(row, page) * rows + 1, 65536))
        if count > 65535:
            raise Refused("descriptors are too many")
        made = DescriptorList("DDR", page, count, True, [(page, PLAIN)] * count)
        for end in (s, s.pair):
            end.page, end.pattern, end.list = page, row, made

    # --------------------------------------------------------------------------- 5.7, periph values

    def periph(self, s):
        l, c, ddr = s.layer, self.consts, s.layer.kind == "ddr"
        s.credit = l.fifo or c.credit
        if l.nms:
            size = 8 * (l.nms.burst or 1)
            buffers = s.transfer // size
        else:
            size, buffers = self.divide(s, ddr)
        if size % c.granularity:
            raise Refused("FIFO word")
        if c.optimize and not ddr:
            size, buffers = self.optimize(size * buffers, size, buffers)
        if not l.input and size > c.outbound - 8 - s.page:
            raise Refused("outbound stream")
        if size > 65535 or buffers > 65535:
            raise Refused("16-bit registers")
        if not buffers:
            raise Refused("smaller than one buffer")
        s.periph_bytes, s.periph_buffers = size, buffers

    def divide(self, s, ddr):
        """Steps 2 to 4"""
        l, room = s.layer, min(0x10000, s.credit)
        row = s.shape[1] * s.shape[2] * l.data_bytes
        frame = s.shape[0] * row
        if s.page >= s.credit:
            raise Refused("does not fit the chip's stream FIFO")
        if self.hw_padding and frame % 8:
            if frame >= 0xffff:
                raise Refused("too large for the chip to pad")
            s.frame_payload, s.frame_padding = frame, align(frame, 8) - frame
            frame = align(frame, 8)
        step = 512 if ddr else 8
        for size in range(align(row, step), 0, -step):
            if ddr and size < s.credit and size <= room and l.core[0] % size == 0:
                return size, min(65535, l.core[0] * l.core[1] // size)
            if not ddr and size < s.credit - s.page and frame % size == 0 and size <= room:
                return size, min(65535, frame // size)
        raise Refused("no buffer size divides")

    def optimize(self, frame, size, buffers):
        """Step 6"""
        c = self.consts
        first = ceil(frame, max(c.max_acceptable, size))
        for i in range(first, min(frame, c.max_buffers)):
            if frame // c.granularity % i == 0 and frame <= i * c.max_bytes:
                return frame // i, i
        if c.max_buffers >= frame:
            buffers = frame
        return frame // buffers, buffers

    # ------------------------------------------------------------------------------ 4.1, the header

    def group_header(self):
        net = self.net
        operations = net.preliminary + net.contexts[0].operations
        by_type = any(isinstance(a, WriteData) and a.type == 1
                      for o in operations for a in o.actions)
        return (struct.pack("<HBBBBBHHI", len(net.contexts), KO_RUN_ASAP in net.extensions,
                            BATCH_REGISTER_CONFIG in net.extensions, not by_type, 0,
                            len(net.networks) if self.multi_network else 1,
                            min(512, self.host.page), self.host.batch, 0)
                + bytes(12) + bytes([self.cfg_channels])
                + bytes(range(self.cfg_channels)).ljust(4, b"\0"))

    # ----------------------------------------------------------------- 4.6, actions of each context

    def build(self):
        """4.2: activation, batch switching, preliminary, dynamic contexts"""
        net = self.net
        self.messages += messages(3, 0, [Piece(a) for a in self.activation()])
        self.messages += messages(2, 0, merged(self.batch_switching()))
        body, cfg = self.translate(net.preliminary, 0, KO_RUN_ASAP in net.extensions)
        self.messages += messages(0, 0, merged(self.with_cfg(body, cfg)))
        for k, context in enumerate(net.contexts):
            body, cfg = self.translate(context.operations, k, True)
            actions = self.with_cfg(body, cfg) + self.end_of_context(k)
            self.messages += messages(1, k, merged(actions))

    def activation(self):
        """4.6.1"""
        actions = [Action("BURST_CREDITS_TASK_RESET")]
        actions += [Action("OPEN_BOUNDARY_OUTPUT_CHANNEL", ch=s.channel, **self.hbi(s))
                    for s in self.outputs]
        return actions + [
            Action("OPEN_BOUNDARY_INPUT_CHANNEL", ch=s.channel, stream=s.layer.stream,
                   network=self.network_index(s.layer.network), periph_bytes=s.periph_bytes,
                   frame_size=s.periph_bytes * s.periph_buffers, **self.hbi(s))
            for s in self.inputs]

    def batch_switching(self):
        """4.6.2"""
        internal = [s for s in self.edge_order(0) if s.layer.kind != "boundary"]
        actions = []
        for a in (a for op in self.net.preliminary for a in op.actions):
            if isinstance(a, (EnableLcu, SwitchLcu)):
                actions.append(Action("SWITCH_LCU_BATCH", lcu=packed_lcu(a),
                                      network=self.network_index(a.network),
                                      count=a.count if isinstance(a, EnableLcu) else 0))
        actions += [self.deactivate(s, False) for s in internal]
        actions.append(Action("DDR_BUFFERING_RESET"))
        actions += [self.activate(s) for s in internal]
        actions += self.ddr_pairs(0)
        actions += [Action("CHANGE_BOUNDARY_INPUT_BATCH", ch=s.channel) for s in self.inputs]
        return actions + [Action("BURST_CREDITS_TASK_START")]

    def with_cfg(self, body, cfg):
        """4.6.3 and 4.6.4, steps 1 and 3; @cfg: {stream: (list, descriptors used)}"""
        before = [Action("ACTIVATE_CFG_CHANNEL", ch=n, cfg_stream=n, buffer_type=0, list=made,
                         page=made.page, descs=made.count, pattern=used * made.page)
                  for n, (made, used) in sorted(cfg.items())]
        return before + body + [Action("DEACTIVATE_CFG_CHANNEL", ch=n, cfg_stream=n)
                                for n in sorted(cfg)]

    def end_of_context(self, k):
        """4.6.4, step 4"""
        if len(self.contexts) == 1:
            return [Action("APPLICATION_CHANGE_INTERRUPT")]
        order = self.edge_order(k)
        return ([self.deactivate(s, s.layer.kind == "inter") for s in order
                 if s.layer.kind != "boundary"]
                + [Action("PAUSE_VDMA_CHANNEL", ch=s.channel, direction=1) for s in order
                   if s.is_a("boundary", True)])

    def edge_order(self, k):
        return [s for is_input in (False, True) for kind in ("ddr", "boundary", "inter")
                for s in self.contexts[k] if s.is_a(kind, is_input)]

    def start_of_flow(self, k):
        """4.6.4, step 2, before the run"""
        order = self.edge_order(k)
        actions = [self.activate(s) for s in order]
        if len(self.contexts) > 1:
            actions += [self.mapping(s, k, order) for s in self.inputs + self.outputs]
        return actions + self.ddr_pairs(k) + [
            Action("RESUME_VDMA_CHANNEL", ch=s.channel, direction=1) for s in order
            if s.is_a("boundary", True)]

    def end_of_flow(self, k):
        if any(s.is_a("boundary", True) for s in self.contexts[k]):
            return [Action("BURST_CREDITS_TASK_START")]
        return []

    @staticmethod
    def mapping(s, k, order):
        stand_in = [s] if s.context == k else [e for e in order if e.layer.input != s.layer.input]
        if not stand_in:
            raise Refused("that could stand in for")
        return Action("CHANGE_VDMA_TO_STREAM_MAPPING", ch=s.channel,
                      stream=stand_in[0].layer.stream, dummy=s.context != k)

    # --------------------------------------------------------------- actions with streams: 4.3, 4.4

    @staticmethod
    def hbi(s):
        return {"buffer_type": 0, "list": s.list, "page": s.list.page, "descs": s.list.count,
                "pattern": s.pattern}

    def register_info(self, s):
        return {"core_bytes": s.layer.core[0], "core_buffers": s.layer.core[1],
                "periph_bytes": s.periph_bytes, "periph_buffers": s.periph_buffers,
                "feature_padding": s.feature_padding, "frame_payload": s.frame_payload,
                "frame_padding": s.frame_padding, "in_core": self.hw_padding}

    def activate(self, s):
        v = {"ch": s.channel, "stream": s.layer.stream, **self.hbi(s), **self.register_info(s)}
        network = self.network_index(s.layer.network)
        kind, is_input = s.layer.kind, s.layer.input
        if kind == "boundary":
            if is_input:
                return Action("ACTIVATE_BOUNDARY_INPUT", credit=s.credit, **v)
            return Action("ACTIVATE_BOUNDARY_OUTPUT", network=network, **v)
        if kind == "inter":
            if is_input:
                return Action("ACTIVATE_INTER_CONTEXT_INPUT", network=0, credit=s.credit, **v)
            return Action("ACTIVATE_INTER_CONTEXT_OUTPUT", network=network, **v)
        if is_input:
            return Action("ACTIVATE_DDR_BUFFER_INPUT", credit=s.credit, peer_ch=s.pair.channel, **v)
        return Action("ACTIVATE_DDR_BUFFER_OUTPUT", rows=s.layer.rows, **v)

    @staticmethod
    def deactivate(s, check):
        return Action("DEACTIVATE_VDMA_CHANNEL", ch=s.channel, direction=1 if s.layer.input else 2,
                      check=check, buffer_type=0, credit=s.credit)

    def ddr_pairs(self, k):
        pairs = [Action("ADD_DDR_PAIR_INFO", ch=s.pair.channel, d2h_ch=s.channel,
                        network=self.network_index(s.layer.network),
                        frame_descs=s.layer.core[0] // s.page * s.layer.core[1],
                        list_descs=s.list.count)
                 for s in self.contexts[k] if s.is_a("ddr", False)]
        return pairs + [Action("DDR_BUFFERING_START")] if pairs else []

    # -------------------------------------------------------- 5.3, operations of the HEF to actions

    def groups(self, operations):
        """Triggers, actions and, for neighbouring Ccws, pieces (channel, [data, ...]) in order."""
        items = []
        for op in operations:
            items.append(op.trigger)
            group = {}
            for a in (*op.actions, None):
                if isinstance(a, Ccw):
                    group.setdefault(a.channel, []).append(a.data)
                    continue
                channels = sorted(group) if self.net.version == 0 else reversed(list(group))
                items += [(channel, group[channel]) for channel in channels]
                group = {}
                if a is not None:
                    items.append(a)
        return items

    def cfg_lists(self, items):
        """5.5, steps 1 to 3: {stream: list}"""
        bursts = {}
        for item in items:
            if type(item) is tuple:
                sizes = [len(d) for d in item[1]]
                sizes = [sum(sizes)] if self.net.version == 0 else sizes
                bursts.setdefault(item[0], []).extend(sizes)
        lists = {}
        for channel, sizes in bursts.items():
            page = min(512, self.host.page)
            while sum(ceil(b, page) for b in sizes) + 1 > 65535:
                page *= 2
                if page > self.host.page:
                    raise Refused("needs more descriptors than a list can have")
            count = sum(ceil(b, page) for b in sizes) + 1
            lists[channel] = DescriptorList("configuration", page, count, False,
                                            [(page, PLAIN)] * count)
        if sorted(lists) != list(range(len(lists))) or len(lists) > self.cfg_channels:
            raise Refused("out of turn")
        return lists

    def translate(self, operations, k, expand):
        """Actions (None: placeholder), {stream: (list, descriptors used)}; @expand: 4.6.4, 2"""
        items = self.groups(operations)
        lists = self.cfg_lists(items)
        used = dict.fromkeys(lists, 0)
        actions = []
        runs, flowing = 0, False
        for item in [*items, None]:
            if expand and flowing != isinstance(item, Flow):
                actions += self.end_of_flow(k) if flowing else self.start_of_flow(k)
                flowing = not flowing
                runs += flowing
            if type(item) is tuple:
                channel, data = item[0], b"".join(item[1])
                actions.append(self.fetch(lists[channel], used[channel], channel, data))
                used[channel] += lists[channel].pieces[-1][0]
            elif item is not None:
                actions.append(self.action(item, k))
        if expand and runs != 1:
            raise Refused("lets its input flow")
        return actions, {n: (lists[n], used[n]) for n in lists}

    @staticmethod
    def fetch(made, used, channel, data):
        """5.5, step 4"""
        n = ceil(len(data), made.page)
        made.descs[used + n - 1] = (len(data) - (n - 1) * made.page, LAST_INTERNAL)
        made.pieces.append((n, len(data), hashlib.sha256(data).hexdigest()))
        return Action("FETCH_CFG_CHANNEL_DESCRIPTORS", descs=n, ch=channel)

    def action(self, a, k):
        """5.3, both tables"""
        return getattr(self, "from_" + type(a).__name__, self.plain)(a, k)

    def plain(self, a, _):
        network = self.network_index(getattr(a, "network", 0))
        if isinstance(a, OnLcu):
            return Action("LCU_INTERRUPT", lcu=packed_lcu(a))
        if isinstance(a, OnNms):
            return Action("WAIT_FOR_NMS", **a._asdict())
        if isinstance(a, WaitSequencer):
            return Action("SEQUENCER_DONE_INTERRUPT", cluster=a.cluster)
        if isinstance(a, DisableLcu):
            return Action("DISABLE_LCU", lcu=packed_lcu(a))
        if isinstance(a, SwitchLcu):
            return Action("SWITCH_LCU_BATCH", lcu=packed_lcu(a), network=network, count=0)
        if isinstance(a, WaitModule):
            return Action("MODULE_CONFIG_DONE_INTERRUPT", module=a.module)
        if isinstance(a, Sleep):
            return Action("SLEEP", us=min(a.us, 0xffffffff))
        if isinstance(a, EnableNms):
            return Action("ENABLE_NMS", unit=a.unit, network=network, classes=a.classes & 0xffff,
                          burst=a.burst & 0xffff, chunks=a.chunks or 1)
        if isinstance(a, WriteData):
            return Action("WRITE_DATA_BY_TYPE", address=a.address, type=a.type,
                          data=int.from_bytes(a.data, "little"), shift=a.shift, mask=a.mask,
                          network=network)
        return None  # Always and Nothing: the placeholder that separates

    def from_OnSent(self, t, k):
        s = self.find(k, t.stream, False)
        return Action("OUTPUT_CHANNEL_TRANSFER_DONE_INTERRUPT", ch=s.channel, stream=t.stream,
                      network=self.network_index(s.layer.network), inter=s.layer.kind == "inter",
                      buffer_type=0)

    def from_OnIdle(self, t, k):
        s = self.find(k, t.stream, False)
        return Action("WAIT_FOR_DMA_IDLE", ch=s.channel, stream=t.stream,
                      inter=s.layer.kind == "inter", buffer_type=0)

    def from_Sequencer(self, a, _):
        cut, offset = a.l3_legacy & 127, (a.l3_legacy >> 7 & 0xfff) * 8 & 0xffff
        if a.l3 and a.l3[2]:
            cut, offset = a.l3[:2]
        return Action("TRIGGER_SEQUENCER", cluster=a.cluster, l3_cut=cut, l3_offset=offset,
                      apu=a.apu, ia=a.ia, sc=a.sc, l2=a.l2, l2_0=a.writes[0] + (a.writes[1] << 32),
                      l2_1=a.writes[2] + (a.writes[3] << 32))

    def from_EnableLcu(self, a, _):
        v = {"lcu": packed_lcu(a), "network": self.network_index(a.network)}
        if (a.address, a.count) == (1, 2):
            return Action("ENABLE_LCU_DEFAULT", **v)
        return Action("ENABLE_LCU_NON_DEFAULT", address=a.address, count=a.count, **v)

    def from_Flow(self, a, k):
        s = self.find(k, a.stream, True)
        inter = s.layer.kind == "inter"
        size = ceil(s.transfer, s.page) if inter else s.periph_bytes * s.periph_buffers
        return Action("FETCH_DATA_FROM_VDMA_CHANNEL", ch=s.channel, stream=a.stream,
                      network=self.network_index(s.layer.network), frame_size=size,
                      credit_type=2 if inter else 1, buffer_type=0)
