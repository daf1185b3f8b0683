#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Train the default model on synthetic motions and write everything that belongs to it.

  train_imu_motion.py --out DIR    train; write imu-motion.onnx, .json, .calib.json and
                                   imu-heldout.bin into DIR (about two minutes on one core)
  train_imu_motion.py --check      look at the committed files: score the ONNX file on the
                                   held-out windows, in float and in simulated 8 bits, and compare
                                   with what the manifest says

Needs Debian's python3-torch (training only), python3-numpy and python3-onnx.  Neither the build
nor CI runs it.
"""
import argparse
import hashlib
import json
import os
import struct
import sys

sys.dont_write_bytecode = True

import numpy as np
import onnx

from imu_motions import CHANNELS, MOTIFS, STEPS, windows

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../compile"))

from onnx_numpy import Operators, initializers

HELDOUT = os.path.join(HERE, "../../tests/data/imu-heldout.bin")
NAME, VERSION = "imu-motion", "1.0.0"
SEED_TRAIN, SEED_CALIBRATE, SEED_HELDOUT = 20250905, 31337, 777
TRAIN_PER_MOTIF, CALIBRATE_PER_MOTIF, HELDOUT_PER_MOTIF = 500, 2, 20
WIDTHS, KERNEL, DILATIONS, LATENT = (24, 32, 48), 3, (1, 2, 4), 64
EPOCHS, BATCH = 24, 64

# ---------------------------------------------------------------- held-out windows
# Layout in README.md.  Sixteen bits for each value, so the file stays small.
HEADER = struct.Struct("<8s6I")
MAGIC = b"IMUWIN1\0"


def pack_windows(x, labels):
    scale = (np.abs(x).max((0, 1)) / 32767).astype(np.float32)
    q = np.rint(x / scale).astype("<i2")
    head = HEADER.pack(MAGIC, 1, *x.shape, len(MOTIFS), 0)
    return head + scale.astype("<f4").tobytes() + labels.astype(np.uint8).tobytes() + q.tobytes()


def unpack_windows(data):
    magic, version, n, steps, channels, motifs, _ = HEADER.unpack_from(data)
    if (magic, version, motifs) != (MAGIC, 1, len(MOTIFS)):
        raise ValueError("not a file of IMU windows")
    at = HEADER.size
    scale = np.frombuffer(data, "<f4", channels, at)
    at += 4 * channels
    labels = np.frombuffer(data, np.uint8, n, at).astype(np.int64)
    q = np.frombuffer(data, "<i2", n * steps * channels, at + n)
    return q.reshape(n, steps, channels).astype(np.float32) * scale, labels


# ------------------------------------------------------------- the ONNX file, in numpy
class Executor(Operators):
    """The network without torch: the file is what counts.

    With `ranges` (value name to (low, high), from calibrate()) every activation is rounded to
    8 bits of its range and every weight to 8 bits of its output channel, as the chip would.
    """

    def __init__(self, model, ranges=None):
        self.graph = model.graph
        self.ranges = ranges
        self.constants = initializers(self.graph)
        for node in self.graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = self.apply(node, {})
        if ranges is not None:
            for node in self.graph.node:
                if node.op_type in ("Conv", "Gemm"):
                    w = self.constants[node.input[1]]
                    s = np.abs(w).max(tuple(range(1, w.ndim)), keepdims=True) / 127
                    self.constants[node.input[1]] = np.rint(w / s).astype(np.float32) * s

    def quantise(self, name, v):
        if self.ranges is None:
            return v
        low, high = self.ranges[name]
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
        scale = (high - low) / 255
        zero = np.rint(-low / scale)
        return ((np.clip(np.rint(v / scale + zero), 0, 255) - zero) * scale).astype(np.float32)

    def run(self, x):
        """x: normalised windows [n, 100, 9]; every value of the graph by name."""
        v = {**self.constants, self.graph.input[0].name:
             self.quantise(self.graph.input[0].name, x.astype(np.float32))}
        for node in self.graph.node:
            if node.op_type == "Constant":
                continue
            v[node.output[0]] = self.quantise(node.output[0], self.apply(node, v))
        return v


def calibrate(model, x):
    """Range of every activation over `x`; the input by channel, all others as a whole."""
    values = Executor(model).run(x)
    name = model.graph.input[0].name
    ranges = {o: (values[o].min(), values[o].max()) for n in model.graph.node for o in n.output}
    ranges[name] = (values[name].min((0, 1)), values[name].max((0, 1)))
    return ranges


def accuracy(scores, labels):
    return float((scores.argmax(1) == labels).mean())


# -------------------------------------------------------------------------- training
def train(x, y, mean, std, noise):
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(1)  # one thread: sums in one order, the same weights each time
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED_TRAIN)

    class CausalConv(nn.Module):
        def __init__(self, c_in, c_out, dilation):
            super().__init__()
            self.chomp = (KERNEL - 1) * dilation
            self.conv = nn.Conv1d(c_in, c_out, KERNEL, padding=self.chomp, dilation=dilation)

        def forward(self, v):
            return F.relu(self.conv(v)[:, :, :-self.chomp])

    class Block(nn.Module):
        def __init__(self, c_in, c_out, dilation):
            super().__init__()
            self.conv1 = CausalConv(c_in, c_out, dilation)
            self.conv2 = CausalConv(c_out, c_out, dilation)
            self.downsample = nn.Conv1d(c_in, c_out, 1)

        def forward(self, v):
            return F.relu(self.conv2(self.conv1(v)) + self.downsample(v))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            widths = (len(CHANNELS),) + WIDTHS
            self.blocks = nn.Sequential(*(Block(widths[i], widths[i + 1], d)
                                          for i, d in enumerate(DILATIONS)))
            self.latent = nn.Linear(widths[-1], LATENT)
            self.motif = nn.Linear(LATENT, len(MOTIFS))

        def forward(self, v):
            v = self.blocks(v.transpose(1, 2))
            latent = self.latent(F.adaptive_avg_pool1d(v, 1).squeeze(2))
            return latent, torch.sigmoid(self.motif(latent))

    net = Encoder()
    xt = torch.from_numpy((x - mean) / std)
    # Soft targets keep the logits, and with them the range that 8 bits must cover, small.
    target = torch.from_numpy(np.eye(len(MOTIFS), dtype=np.float32)[y]) * 0.96 + 0.01
    noise = torch.from_numpy(noise)
    steps = EPOCHS * (len(xt) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    net.train()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(xt))
        total = 0.0
        for i in range(len(xt) // BATCH):
            pick = order[i * BATCH:(i + 1) * BATCH]
            # What the rounding of the input to 8 bits does, as noise.
            v = xt[pick] + (torch.rand(BATCH, STEPS, len(CHANNELS)) - 0.5) * noise
            latent, scores = net(v)
            loss = F.binary_cross_entropy(scores, target[pick], reduction="none").sum(1).mean()
            loss = loss + 2e-3 * latent.square().mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{EPOCHS}  loss {total / (len(xt) // BATCH):.4f}", flush=True)
    return net.eval()


def export(net, path):
    import torch

    torch.onnx.export(net, torch.zeros(1, STEPS, len(CHANNELS)), path, opset_version=11,
                      input_names=["imu_window"],
                      output_names=["latent_embeddings", "motif_scores"], do_constant_folding=True)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    known = {"Transpose", "Conv", "Relu", "Add", "GlobalAveragePool", "Squeeze", "Gemm", "Sigmoid",
             "Constant", "Slice"}
    assert {n.op_type for n in model.graph.node} <= known
    return model


def manifest(mean, std, right, onnx_bytes):
    return {
        "format": "hailo-inference-model/1",
        "name": NAME,
        "version": VERSION,
        "training_data": "synthetic",
        "accuracy": round(right, 4),
        "onnx_sha256": hashlib.sha256(onnx_bytes).hexdigest(),
        "inputs": [{"name": "imu_window", "shape": [1, STEPS, len(CHANNELS)], "type": "float32",
                    "channels": CHANNELS}],
        "outputs": [{"name": "latent_embeddings", "shape": [1, LATENT]},
                    {"name": "motif_scores", "shape": [1, len(MOTIFS)]}],
        "normalization": {"method": "z_score_per_channel",
                          "mean": [float(f"{v:.6g}") for v in mean],
                          "std": [float(f"{v:.6g}") for v in std]},
        "motifs": {"names": MOTIFS},
    }


def dump(value, path):
    """JSON with one line for each innermost list."""
    def text(v, indent):
        if isinstance(v, dict):
            inner = ",\n".join(f'{indent}  "{k}": {text(e, indent + "  ")}' for k, e in v.items())
            return "{\n" + inner + "\n" + indent + "}"
        if isinstance(v, list) and v and isinstance(v[0], (dict, list)):
            return "[\n" + ",\n".join(indent + "  " + text(e, indent + "  ") for e in v) \
                + "\n" + indent + "]"
        return json.dumps(v)
    with open(path, "w", encoding="ascii") as f:
        f.write(text(value, "") + "\n")


def make(out):
    import torch

    os.makedirs(out, exist_ok=True)
    x, y = windows(TRAIN_PER_MOTIF, SEED_TRAIN)
    # Six digits, so that the numbers in the manifest are exactly the ones trained with.
    mean, std = (np.array([f"{v:.6g}" for v in f(x.astype(np.float64), (0, 1))], np.float32)
                 for f in (np.mean, np.std))
    xc, yc = windows(CALIBRATE_PER_MOTIF, SEED_CALIBRATE)
    xc = np.round(xc.astype(np.float64), 4)
    step = (xc.max((0, 1)) - xc.min((0, 1))) / std / 255
    net = train(x, y, mean, std, step.astype(np.float32))

    path = os.path.join(out, NAME + ".onnx")
    model = export(net, path)
    held = pack_windows(*windows(HELDOUT_PER_MOTIF, SEED_HELDOUT))
    xh, yh = unpack_windows(held)
    values = Executor(model).run((xh - mean) / std)
    with torch.no_grad():
        want = net(torch.from_numpy((xh - mean) / std))
    worst = max(np.abs(values[o.name] - w.numpy()).max()
                for o, w in zip(model.graph.output, want))
    print(f"ONNX file against torch: largest difference {worst:.2e}")
    assert worst < 1e-4
    right = accuracy(values["motif_scores"], yh)
    with open(path, "rb") as f:
        dump(manifest(mean, std, right, f.read()), os.path.join(out, NAME + ".json"))
    # Decimal digits as they are written, not what a float makes of them.
    dump({"windows": [[[float(f"{v:.4f}") for v in row] for row in w] for w in xc.tolist()]},
         os.path.join(out, NAME + ".calib.json"))
    with open(os.path.join(out, "imu-heldout.bin"), "wb") as f:
        f.write(held)
    return check(out, os.path.join(out, "imu-heldout.bin"))


# ------------------------------------------------------------------------------ check
def check(folder, heldout):
    path = os.path.join(folder, NAME + ".onnx")
    with open(path, "rb") as f:
        data = f.read()
    with open(os.path.join(folder, NAME + ".json"), encoding="utf-8") as f:
        m = json.load(f)
    with open(os.path.join(folder, NAME + ".calib.json"), encoding="utf-8") as f:
        xc = np.array(json.load(f)["windows"], np.float32)
    with open(heldout, "rb") as f:
        held = f.read()
    x, y = unpack_windows(held)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model)
    mean, std = (np.array(m["normalization"][k], np.float32) for k in ("mean", "std"))
    values = Executor(model).run((x - mean) / std)
    scores, latent = values["motif_scores"], values["latent_embeddings"]
    right = accuracy(scores, y)
    small = Executor(model, calibrate(model, (xc - mean) / std)).run((x - mean) / std)
    right8 = accuracy(small["motif_scores"], y)

    print(f"{len(data)} bytes of ONNX, {len(x)} held-out windows")
    print(f"right motif on top: float {right:.4f}, simulated 8 bits {right8:.4f}")
    for k, motif in enumerate(MOTIFS):
        wrong = [MOTIFS[i] for i in scores[y == k].argmax(1) if i != k]
        wrong8 = [MOTIFS[i] for i in small["motif_scores"][y == k].argmax(1) if i != k]
        if wrong or wrong8:
            print(f"  {motif:6} taken for: float {wrong}, 8 bits {wrong8}")
    cosine = (latent * small["latent_embeddings"]).sum(1) / (
        np.linalg.norm(latent, axis=1) * np.linalg.norm(small["latent_embeddings"], axis=1))
    print(f"latents within {latent.min():.2f}..{latent.max():.2f}, "
          f"least variance {latent.var(1).min():.3f}, least cosine 8 bits/float {cosine.min():.4f}")
    facts = {
        "the manifest's onnx_sha256": m["onnx_sha256"] == hashlib.sha256(data).hexdigest(),
        "the manifest's accuracy": m["accuracy"] == round(right, 4),
        "the manifest's motif names": m["motifs"]["names"] == MOTIFS,
        "held-out windows regenerate": held == pack_windows(*windows(HELDOUT_PER_MOTIF,
                                                                     SEED_HELDOUT)),
        "float accuracy >= 0.97": right >= 0.97,
        "8-bit accuracy >= 0.90": right8 >= 0.90,
        "latents within -10..10": bool(np.abs(latent).max() < 10),
        "less than 150 KB": len(data) < 150000,
    }
    for fact, true in facts.items():
        print(f"{'ok    ' if true else 'WRONG '} {fact}")
    return 0 if all(facts.values()) else 1


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", metavar="DIR", help="train and write into DIR")
    what.add_argument("--check", action="store_true", help="check the committed files")
    a = p.parse_args()
    return check(HERE, HELDOUT) if a.check else make(a.out)


if __name__ == "__main__":
    sys.exit(main())
