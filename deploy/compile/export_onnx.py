#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Export the encoder of a TCN-VAE from a PyTorch checkpoint to ONNX, and check the result.

  export_onnx.py --checkpoint best.pth -o tcn_encoder.onnx [--hwctl out/hwctl] [--manifest M.json]
  export_onnx.py --make-test-checkpoint random.pth [--motifs 12]    a checkpoint to try it with

The encoder: causal residual TCN blocks (two convolutions each, dilation doubling from block to block, a
1x1 convolution beside them where the width changes), average over time, and the VAE's mean as a
Gemm.  Widths, kernel and number of blocks are read off the checkpoint.  The ONNX file is opset 11
with the fixed input imu_window [1, steps, channels] and the output latent_embeddings [1, latent];
a checkpoint with a motif head (--motif-head) adds motif_scores [1, motifs].

Input values are normalised already: what raw sensor values become is the manifest's matter
(docs/models.md).  Needs Debian's python3-torch and python3-onnx; build and CI do not run this.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import torch
from torch import nn

sys.dont_write_bytecode = True

from onnx_numpy import Operators, initializers

INPUT, LATENT, SCORES = "imu_window", "latent_embeddings", "motif_scores"
OPSET = 11
TORCH_LIMIT, HWCTL_LIMIT = 1e-5, 1e-4
SEEDS = range(4)

# Where the parts of an encoder are found; the first name that a checkpoint has counts.
WRAPPERS = ("module.", "model.", "_orig_mod.")
ENCODERS = ("tcn_encoder.network.", "encoder.network.", "encoder.tcn.network.", "tcn.network.", "network.")
MEANS = ("fc_mu.", "mu.", "mean.", "encoder.fc_mu.", "encoder.mu.")
# Parts of a VAE that its encoder does not need.
LEFT_OUT = ("fc_logvar.", "logvar.", "log_var.", "fc_var.", "encoder.fc_logvar.", "encoder.logvar.",
            "decoder", "decode", "tcn_decoder", "classifier", "activity_head", "activity_classifier")


class Refused(Exception):
    """The checkpoint is not what this script can export; the text is for people."""


# ------------------------------------------------------------------------- the network
class Chomp(nn.Module):
    """Cut what the padding on the right added: a causal convolution sees no later steps."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x[:, :, :-self.size].contiguous()


class Block(nn.Module):
    def __init__(self, c_in, c_out, kernel, dilation, downsample):
        super().__init__()
        pad = (kernel - 1) * dilation
        self.conv1 = nn.Conv1d(c_in, c_out, kernel, padding=pad, dilation=dilation)
        self.conv2 = nn.Conv1d(c_out, c_out, kernel, padding=pad, dilation=dilation)
        self.chomp = Chomp(pad)
        self.relu = nn.ReLU()
        self.downsample = nn.Conv1d(c_in, c_out, 1) if downsample else None

    def forward(self, x):
        y = self.relu(self.chomp(self.conv1(x)))
        y = self.relu(self.chomp(self.conv2(y)))
        return self.relu(y + (self.downsample(x) if self.downsample else x))


class Encoder(nn.Module):
    def __init__(self, blocks, latent, motifs, head):
        super().__init__()
        self.network = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.fc_mu = nn.Linear(blocks[-1].conv2.out_channels, latent)
        self.motif_head = nn.Linear(latent, motifs) if motifs else None
        self.activation = {"softmax": nn.Softmax(1), "sigmoid": nn.Sigmoid()}[head]

    def forward(self, x):
        h = self.pool(self.network(x.transpose(1, 2))).squeeze(2)
        z = self.fc_mu(h)
        return (z, self.activation(self.motif_head(z))) if self.motif_head else z


# ---------------------------------------------------------------------- the checkpoint
def load(path, trust):
    """The state dict in a checkpoint, without what training wrapped around its names."""
    with open(path, "rb") as f:
        start = f.read(24)
    if start.startswith(b"version https://git-lfs"):
        raise Refused("%s is a Git LFS pointer, not the file itself: git lfs pull" % path)
    if not start.startswith((b"PK\3\4", b"\x80")):  # a zip archive, or a pickle of old torch
        raise Refused("%s is no PyTorch checkpoint" % path)
    try:
        # Without weights_only a checkpoint is a program that runs as it is loaded.
        data = torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as e:  # what torch raises for a broken file is anybody's guess
        why = (str(e) or type(e).__name__).splitlines()[0].split("error: ")[-1]
        raise Refused("%s: %s%s" % (path, why, "" if trust else "; only plain tensors are loaded "
                                    "unless --trust-pickle, as anything else may run code"))
    for key in ("model_state_dict", "state_dict", "model"):
        if isinstance(data, dict) and isinstance(data.get(key), dict):
            data = data[key]
            break
    if not isinstance(data, dict) or not all(isinstance(v, torch.Tensor) for v in data.values()):
        raise Refused("%s holds no state_dict (nor one under model_state_dict): a whole pickled "
                      "model must be saved as model.state_dict() first" % path)
    state = dict(data)
    for wrapper in WRAPPERS * 2:
        if state and all(k.startswith(wrapper) for k in state):
            state = {k[len(wrapper):]: v for k, v in state.items()}
    if not state:
        raise Refused("%s is empty" % path)
    return state


def some(state, n=6):
    keys = sorted(state)
    return ", ".join(keys[:n]) + (", ... (%d in all)" % len(keys) if len(keys) > n else "")


def find(state, prefixes, what, option):
    for p in prefixes:
        if any(k.startswith(p) for k in state):
            return p
    raise Refused("no key begins with %s (%s; another name: %s).  The checkpoint has: %s" %
                  (" or ".join(prefixes), what, option, some(state)))


class Taker:
    """Takes tensors out of a state dict and knows what is left."""

    def __init__(self, state):
        self.left = dict(state)

    def has(self, prefix):
        return any(k.startswith(prefix) for k in self.left)

    def take(self, key, dims):
        if key not in self.left:
            raise Refused("the checkpoint lacks %s" % key)
        t = self.left.pop(key).to(torch.float32)
        if t.dim() != dims:
            raise Refused("%s has the shape %s; %d dimensions are expected" %
                          (key, list(t.shape), dims))
        if not torch.isfinite(t).all():
            raise Refused("%s has values that are not finite" % key)
        return t

    def layer(self, prefix, dims):
        """Weight and bias; a weight norm (g, v, in both of torch's spellings) is folded into one."""
        for g, v in (("weight_g", "weight_v"),
                     ("parametrizations.weight.original0", "parametrizations.weight.original1")):
            if prefix + v in self.left:
                g, v = self.take(prefix + g, dims), self.take(prefix + v, dims)
                weight = torch._weight_norm(v, g, 0)
                break
        else:
            if prefix + "weight" not in self.left:
                raise Refused("the checkpoint lacks %sweight (or weight_g and weight_v)" % prefix)
            weight = self.take(prefix + "weight", dims)
        bias = self.take(prefix + "bias", 1)
        if bias.shape[0] != weight.shape[0]:
            raise Refused("%sbias has %d values for %d outputs" %
                          (prefix, bias.shape[0], weight.shape[0]))
        return weight, bias

    def drop(self, prefixes):
        gone = [k for k in self.left if k.startswith(tuple(prefixes))]
        for k in gone:
            del self.left[k]
        return gone


def fill(layer, weight, bias, name):
    if layer.weight.shape != weight.shape:
        raise Refused("%sweight has the shape %s where its neighbours want %s" %
                      (name, list(weight.shape), list(layer.weight.shape)))
    layer.weight.data, layer.bias.data = weight, bias


def build(state, args):
    """The encoder with the checkpoint's weights; (module, keys that were left out)."""
    t = Taker(state)
    base = find(state, [args.encoder] if args.encoder else ENCODERS, "the TCN blocks", "--encoder")
    mean = find(state, [args.mean] if args.mean else MEANS, "the mean of the latent", "--mean")
    blocks = []
    while t.has("%s%d." % (base, len(blocks))):
        n, name = len(blocks), "%s%d." % (base, len(blocks))
        # A block that also keeps its layers in a Sequential has every tensor twice.
        t.drop([name + "net."])
        w1, b1 = t.layer(name + "conv1.", 3)
        w2, b2 = t.layer(name + "conv2.", 3)
        c_out, c_in, kernel = w1.shape
        if blocks and c_in != blocks[-1].conv2.out_channels:
            raise Refused("%sconv1.weight takes %d channels, but the block before it gives %d" %
                          (name, c_in, blocks[-1].conv2.out_channels))
        block = Block(c_in, c_out, kernel, 2 ** n, t.has(name + "downsample."))
        if not block.downsample and c_in != c_out:
            raise Refused("the checkpoint lacks %sdownsample.weight, which %d to %d channels need" %
                          (name, c_in, c_out))
        fill(block.conv1, w1, b1, name + "conv1.")
        fill(block.conv2, w2, b2, name + "conv2.")
        if block.downsample:
            fill(block.downsample, *t.layer(name + "downsample.", 3), name + "downsample.")
        blocks.append(block)
    if not blocks:
        raise Refused("the checkpoint lacks %s0.conv1.weight" % base)
    weight, bias = t.layer(mean, 2)
    head = t.layer(args.motif_head, 2) if args.motif_head else (None, None)
    model = Encoder(blocks, len(bias), len(head[1]) if args.motif_head else 0, args.motif_activation)
    fill(model.fc_mu, weight, bias, mean)
    if args.motif_head:
        fill(model.motif_head, *head, args.motif_head)
    out = t.drop(LEFT_OUT + tuple(args.ignore))
    if t.left:
        raise Refused("no part of an encoder that this script knows: %s.  --ignore PREFIX leaves "
                      "keys out, --motif-head PREFIX names a motif head" % some(t.left))
    return model.eval(), out


# -------------------------------------------------------------------- export and checks
def export(model, steps, path):
    channels = model.network[0].conv1.in_channels
    names = [LATENT] + ([SCORES] if model.motif_head else [])
    torch.onnx.export(model, torch.zeros(1, steps, channels), path, opset_version=OPSET,
                      input_names=[INPUT], output_names=names, do_constant_folding=True)
    onnx.checker.check_model(onnx.load(path))


def windows(steps, channels):
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        yield np.cumsum(rng.normal(0, 0.3, (steps, channels)), 0).astype(np.float32)


class Reference(Operators):
    """The ONNX file in numpy, float64."""

    def __init__(self, path):
        self.graph = onnx.load(path).graph
        self.constants = initializers(self.graph)

    def run(self, x):
        v = dict(self.constants)
        v[INPUT] = x[None].astype(np.float64)
        for node in self.graph.node:
            v[node.output[0]] = self.apply(node, v)
        return [v[o.name][0] for o in self.graph.output]


def difference(a, b):
    return max(float(np.abs(np.asarray(x, np.float64) - np.asarray(y, np.float64)).max())
               for x, y in zip(a, b))


def torch_answers(model, x):
    with torch.no_grad():
        out = model(torch.from_numpy(x[None]))
    return [t[0].numpy() for t in (out if isinstance(out, tuple) else (out,))]


def hwctl_answers(hwctl, path, x):
    """From `hwctl run --cpu`; without a manifest beside the model values go in as they are."""
    with tempfile.TemporaryDirectory() as tmp:
        alone, window = os.path.join(tmp, "model.onnx"), os.path.join(tmp, "window.json")
        os.symlink(os.path.abspath(path), alone)
        with open(window, "w") as f:
            json.dump({"x": x.astype(float).tolist()}, f)
        p = subprocess.run([hwctl, "run", "--cpu", alone, "--input", window, "--json"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if p.returncode != 0:
            raise Refused("hwctl run --cpu: " + (p.stderr.strip() or "exit %d" % p.returncode))
        out = json.loads(p.stdout)["outputs"][0]
        return [out[o] for o in (LATENT, SCORES) if o in out]


def check(model, args):
    reference = Reference(args.output)
    limits = {"torch": TORCH_LIMIT, "hwctl run --cpu": HWCTL_LIMIT}
    worst = dict.fromkeys(limits if args.hwctl else ["torch"], 0.0)
    for x in windows(args.steps, model.network[0].conv1.in_channels):
        want = torch_answers(model, x)
        worst["torch"] = max(worst["torch"], difference(reference.run(x), want))
        if args.hwctl:
            got = hwctl_answers(args.hwctl, args.output, x)
            if [len(v) for v in got] != [len(v) for v in want]:
                raise Refused("hwctl run --cpu gives other outputs than torch")
            worst["hwctl run --cpu"] = max(worst["hwctl run --cpu"], difference(got, want))
    for name, d in worst.items():
        print("%-16s largest difference %.2e over %d windows (limit %g)" %
              (name + ":", d, len(SEEDS), limits[name]))
        if not d <= limits[name]:
            raise Refused("the ONNX file does not compute what the checkpoint does")


# ------------------------------------------------------------------- a checkpoint to try
def make_test_checkpoint(path, motifs):
    """Random weights under the names, and with the weight norm, that TCN-VAEs train with."""
    g = torch.Generator().manual_seed(20250905)
    state = {}

    def put(name, *shape, norm=False, scale=None):
        scale = scale or 1.0 / np.sqrt(np.prod(shape[1:]))
        w = torch.randn(*shape, generator=g) * scale
        if norm:
            state[name + ".weight_g"] = w.norm(2, (1, 2), keepdim=True) * 1.5
            state[name + ".weight_v"] = w
        else:
            state[name + ".weight"] = w
        state[name + ".bias"] = torch.randn(shape[0], generator=g) * 0.05

    widths = (9, 64, 128, 256)
    for i in range(3):
        block = "tcn_encoder.network.%d." % i
        put(block + "conv1", widths[i + 1], widths[i], 3, norm=True)
        put(block + "conv2", widths[i + 1], widths[i + 1], 3, norm=True)
        put(block + "downsample", widths[i + 1], widths[i], 1)
    put("fc_mu", 64, 256)
    put("fc_logvar", 64, 256)
    put("decoder_fc", 256, 64)
    if motifs:
        put("motif_head", motifs, 64)
    torch.save({"epoch": 0, "model_state_dict": {"module." + k: v for k, v in state.items()}}, path)
    print("%s: %d tensors, %d values, random" %
          (path, len(state), sum(v.numel() for v in state.values())))


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", metavar="FILE", help="state_dict, or a dict that holds one")
    what.add_argument("--make-test-checkpoint", metavar="FILE", help="write random weights and end")
    p.add_argument("-o", "--output", metavar="FILE.onnx", help="the file to write")
    p.add_argument("--steps", type=int, default=100, help="rows of a window (100)")
    p.add_argument("--encoder", metavar="PREFIX", help="keys of the blocks, as 'encoder.network.'")
    p.add_argument("--mean", metavar="PREFIX", help="keys of the latent's mean, as 'fc_mu.'")
    p.add_argument("--motif-head", metavar="PREFIX",
                   help="keys of a linear layer from latent to motifs, as 'motif_head.'")
    p.add_argument("--motif-activation", choices=("sigmoid", "softmax"), default="sigmoid",
                   help="what makes scores of 0..1 of the motif head's output (sigmoid; the builder of "
                   "software-chip HEFs cannot do softmax)")
    p.add_argument("--ignore", metavar="PREFIX", action="append", default=[],
                   help="further keys that the encoder does not need; may be repeated")
    p.add_argument("--trust-pickle", action="store_true",
                   help="load a checkpoint that holds more than tensors; it may run any code")
    p.add_argument("--hwctl", metavar="PROGRAM", help="also compare with this hwctl's run --cpu")
    p.add_argument("--motifs", type=int, default=0, help="for --make-test-checkpoint: add a head")
    args = p.parse_args()
    if args.make_test_checkpoint:
        make_test_checkpoint(args.make_test_checkpoint, args.motifs)
        return 0
    if not args.output:
        p.error("--checkpoint wants -o FILE.onnx")
    try:
        model, left_out = build(load(args.checkpoint, args.trust_pickle), args)
        export(model, args.steps, args.output)
        widths = [model.network[0].conv1.in_channels] + [b.conv2.out_channels for b in model.network]
        print("%s: opset %d, [1,%d,%d], blocks %s, latent %d%s" %
              (args.output, OPSET, args.steps, widths[0], "-".join(map(str, widths)),
               model.fc_mu.out_features,
               ", motifs %d" % model.motif_head.out_features if model.motif_head else ""))
        if left_out:
            print("left out: " + some(left_out))
        check(model, args)
    except (Refused, OSError) as e:
        print("export_onnx.py: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
