# SPDX-License-Identifier: MIT
"""The few ONNX operators that our encoders are made of, in numpy: what a file says, whoever wrote it.

A method for each: a is the node's attributes, then its inputs.  Of the kind that the inputs are.
"""
import numpy as np
from onnx import helper, numpy_helper


def attributes(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def initializers(graph):
    return {t.name: numpy_helper.to_array(t) for t in graph.initializer}


class Operators:
    def apply(self, node, values):
        """The node's output from the values of its inputs, by name."""
        return getattr(self, node.op_type)(attributes(node), *(values[name] for name in node.input))

    @staticmethod
    def Constant(a):
        return numpy_helper.to_array(a["value"])

    @staticmethod
    def Identity(a, x):
        return x

    @staticmethod
    def Transpose(a, x):
        return x.transpose(a["perm"])

    @staticmethod
    def Conv(a, x, w, b):
        left, right = a["pads"]
        dilation, taps = a["dilations"][0], w.shape[2]
        x = np.pad(x, ((0, 0), (0, 0), (left, right)))
        n = x.shape[2] - dilation * (taps - 1)
        y = sum(np.einsum("oc,nct->not", w[:, :, k], x[:, :, k * dilation:k * dilation + n],
                          optimize=True) for k in range(taps))
        return y + b[:, None]

    @staticmethod
    def Slice(a, x, starts, ends, axes, steps):
        cut = [slice(None)] * x.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps):
            cut[axis] = slice(int(start), int(end), int(step))
        return x[tuple(cut)]

    @staticmethod
    def Relu(a, x):
        return np.maximum(x, 0)

    @staticmethod
    def Add(a, x, y):
        return x + y

    @staticmethod
    def GlobalAveragePool(a, x):
        return x.mean(2, keepdims=True)

    @staticmethod
    def Squeeze(a, x):
        return x.squeeze(tuple(a["axes"]))

    @staticmethod
    def Gemm(a, x, w, b):
        assert a.get("alpha", 1) == 1 and a.get("beta", 1) == 1
        return x @ (w.T if a.get("transB") else w) + b

    @staticmethod
    def Softmax(a, x):
        e = np.exp(x - x.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    @staticmethod
    def Sigmoid(a, x):
        return 1 / (1 + np.exp(-x))
