# SPDX-License-Identifier: MIT
"""Actions and the messages that carry them, as firmware-protocol.md 1.2, 4.2 to 4.5 describe them.

Written from that text alone, without a look at hwlayer/network.
"""
import struct

CHUNK = 1461  # 4.2
HEAD = 39     # 1.7: bytes of SET_CONTEXT_INFO before its actions
NETWORK_GROUP_HEADER, CONTEXT_INFO, CONTEXT_SWITCH_STATUS = 0x20, 0x21, 0x25
CONTEXTS = {0: "preliminary", 1: "dynamic", 2: "batch switching", 3: "activation"}
REPEATED = 24

REG = (" H core_bytes H core_buffers H periph_bytes H periph_buffers H feature_padding"
       " I frame_payload H frame_padding B in_core")
HBI = " B buffer_type Q list H page I descs I pattern"
# 4.4: name and parameters
ACTIONS = {
    0: ("FETCH_CFG_CHANNEL_DESCRIPTORS", "H descs B ch"),
    1: ("TRIGGER_SEQUENCER", "B cluster B l3_cut H l3_offset I apu I ia Q sc Q l2 Q l2_0 Q l2_1"),
    2: ("FETCH_DATA_FROM_VDMA_CHANNEL",
        "B ch B stream B network I frame_size B credit_type B buffer_type"),
    3: ("ENABLE_LCU_DEFAULT", "B lcu B network"),
    4: ("ENABLE_LCU_NON_DEFAULT", "B lcu B network H address I count"),
    5: ("DISABLE_LCU", "B lcu"),
    6: ("ACTIVATE_BOUNDARY_INPUT", "B ch B stream" + REG + HBI + " I credit"),
    7: ("ACTIVATE_BOUNDARY_OUTPUT", "B ch B stream B network" + REG + HBI),
    8: ("ACTIVATE_INTER_CONTEXT_INPUT", "B ch B stream B network" + REG + HBI + " I credit"),
    9: ("ACTIVATE_INTER_CONTEXT_OUTPUT", "B ch B stream B network" + REG + HBI),
    10: ("ACTIVATE_DDR_BUFFER_INPUT", "B ch B stream" + REG + HBI + " I credit B peer_ch"),
    11: ("ACTIVATE_DDR_BUFFER_OUTPUT", "B ch B stream" + REG + HBI + " I rows"),
    12: ("DEACTIVATE_VDMA_CHANNEL", "B ch B direction B check B buffer_type I credit"),
    13: ("CHANGE_VDMA_TO_STREAM_MAPPING", "B ch B stream B dummy"),
    14: ("ADD_DDR_PAIR_INFO", "B ch B d2h_ch B network I frame_descs H list_descs"),
    15: ("DDR_BUFFERING_START", ""),
    16: ("LCU_INTERRUPT", "B lcu"),
    17: ("SEQUENCER_DONE_INTERRUPT", "B cluster"),
    19: ("OUTPUT_CHANNEL_TRANSFER_DONE_INTERRUPT", "B ch B stream B network B inter B buffer_type"),
    20: ("MODULE_CONFIG_DONE_INTERRUPT", "B module"),
    21: ("APPLICATION_CHANGE_INTERRUPT", ""),
    22: ("ACTIVATE_CFG_CHANNEL", "B ch B cfg_stream" + HBI),
    23: ("DEACTIVATE_CFG_CHANNEL", "B ch B cfg_stream"),
    24: ("REPEATED_ACTION", "B count B last_executed B type"),
    25: ("WAIT_FOR_DMA_IDLE", "B ch B stream B inter B buffer_type"),
    26: ("WAIT_FOR_NMS",
         "B aggregator B pred B pred_cluster B pred_interface B succ B succ_interface"),
    29: ("BURST_CREDITS_TASK_START", ""),
    30: ("BURST_CREDITS_TASK_RESET", ""),
    31: ("DDR_BUFFERING_RESET", ""),
    32: ("OPEN_BOUNDARY_INPUT_CHANNEL",
         "B ch" + HBI + " B stream B network H periph_bytes I frame_size"),
    33: ("OPEN_BOUNDARY_OUTPUT_CHANNEL", "B ch" + HBI),
    34: ("ENABLE_NMS", "B unit B network H classes H burst B chunks"),
    35: ("WRITE_DATA_BY_TYPE", "I address B type I data B shift I mask B network"),
    36: ("SWITCH_LCU_BATCH", "B lcu B network I count"),
    37: ("CHANGE_BOUNDARY_INPUT_BATCH", "B ch"),
    38: ("PAUSE_VDMA_CHANNEL", "B ch B direction"),
    39: ("RESUME_VDMA_CHANNEL", "B ch B direction"),
    43: ("SLEEP", "I us"),
}
REPEATABLE = {0, 1, 2, 3, 4, 5, 13, 14, 34, 36}
NUMBERS = {name: number for number, (name, _) in ACTIONS.items()}
LAYOUTS = {number: struct.Struct("<" + "".join(layout.split()[::2]))
           for number, (_, layout) in ACTIONS.items()}
FIELDS = {number: layout.split()[1::2] for number, (_, layout) in ACTIONS.items()}


class DescriptorList:
    """A list that actions point at; at which bus address is the host's affair."""

    def __init__(self, kind, page, count, circular, descs=None):
        self.kind, self.page, self.count, self.circular = kind, page, count, circular
        self.descs = descs      # [(size, control)] of a list that is bound when it is made
        self.pieces = []        # of configuration: (descriptors, bytes, sha256)


class Action:
    """One action, with its values by name."""

    def __init__(self, name, **values):
        self.type = NUMBERS[name]
        if sorted(values) != sorted(FIELDS[self.type]):
            raise TypeError("%s has %s" % (name, ACTIONS[self.type][1]))
        self.values = values


class Piece:
    """What a chunk never cuts (4.2): an action with its header, or one member of a repeated one."""

    def __init__(self, action, bare=False):
        self.action = action
        self.header = b"" if bare else bytes([action.type]) + b"\xff" * 4  # 4.3
        self.size = len(self.header) + LAYOUTS[action.type].size

    def differs(self, got, addresses):
        """Text, or None.  @addresses: where lists are, filled from what is sent."""
        name, values = ACTIONS[self.action.type][0], self.action.values
        if not got:
            return "the message ends before %s" % name
        if got[:len(self.header)] != self.header:
            sent = ACTIONS.get(got[0], ("an unknown action",))[0]
            return "%s (header %s) instead of %s" % (sent, got[:5].hex(), name)
        if len(got) < self.size:
            return "the message ends inside %s" % name
        for field, sent in zip(FIELDS[self.action.type],
                               LAYOUTS[self.action.type].unpack(got[len(self.header):])):
            want = values[field]
            if isinstance(want, DescriptorList):
                want = addresses.setdefault(want, sent)
            if sent != want:
                return "%s: %s is %d instead of %d" % (name, field, sent, want)
        return None


class Message:
    """The chunk of a context that one SET_CONTEXT_INFO carries."""

    def __init__(self, context, index, first, last, pieces):
        self.type, self.first, self.last, self.pieces = context, first, last, pieces
        self.name = CONTEXTS[context] + " context" + (" %d" % index if context == 1 else "")

    def differs(self, got, addresses):
        """As of a piece, over the whole request."""
        want = control(CONTEXT_INFO, bytes([self.first]), bytes([self.last]), bytes([self.type]),
                       bytes(sum(p.size for p in self.pieces)))
        if got[:HEAD - 4] != want[:HEAD - 4]:
            return "%s: begins %s instead of %s" % (self.name, got[:HEAD].hex(), want[:HEAD].hex())
        at = HEAD
        for n, piece in enumerate(self.pieces):
            text = piece.differs(got[at:at + piece.size], addresses)
            if text:
                return "%s, action %d at byte %d of the message: %s" % (self.name, n, at, text)
            at += piece.size
        if len(got) != len(want) or got[:HEAD] != want[:HEAD]:
            return "%s: %d bytes instead of %d" % (self.name, len(got), len(want))
        return None


def control(opcode, *parameters):
    """A request with sequence number 0, as recordings have it (1.2, 1.3)."""
    request = struct.pack(">IIIII", 2, 0, 0, opcode, len(parameters))
    return request + b"".join(struct.pack(">I", len(p)) + p for p in parameters)


def merged(actions):
    """4.5: pieces of a list whose neighbours of one kind are repeated actions; None separates."""
    pieces = []
    at = 0
    while at < len(actions):
        first = actions[at]
        end = at + 1
        while first and end < len(actions) and actions[end] and actions[end].type == first.type:
            end += 1
        run = actions[at:end] if first else []
        at = end
        while run:
            part = run[:255] if first.type in REPEATABLE else run[:1]
            run = run[len(part):]
            if len(part) == 1:
                pieces.append(Piece(part[0]))
                continue
            pieces.append(Piece(Action("REPEATED_ACTION", count=len(part), last_executed=0,
                                       type=first.type)))
            pieces += [Piece(a, bare=True) for a in part]
    return pieces


def messages(context, index, pieces):
    """4.2: cut into chunks."""
    chunks = []
    room = 0
    for piece in pieces:
        if piece.size > room:
            chunks.append([])
            room = CHUNK
        chunks[-1].append(piece)
        room -= piece.size
    return [Message(context, index, n == 0, n == len(chunks) - 1, chunk)
            for n, chunk in enumerate(chunks)]
