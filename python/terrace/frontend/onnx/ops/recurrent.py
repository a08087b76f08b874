"""LSTM, GRU and RNN: by PyTorch's layers where these are the same, else step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.table import onnx_op

Activation = Callable[[Tensor], Tensor]


def activation(name: str, alpha: float | None, beta: float | None) -> Activation:
    """An activation by ONNX's name."""
    plain: dict[str, Activation] = {
        "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softsign": F.softsign,
        "softplus": F.softplus,
    }  # fmt: skip
    if name.lower() in plain:
        return plain[name.lower()]
    a, b = alpha, beta
    more: dict[str, Activation] = {
        "affine": lambda x: (1.0 if a is None else a) * x + (0.0 if b is None else b),
        "leakyrelu": lambda x: F.leaky_relu(x, 0.01 if a is None else a),
        "thresholdedrelu": lambda x: torch.where(x > (1.0 if a is None else a), x, torch.zeros_like(x)),
        "scaledtanh": lambda x: (1.0 if a is None else a) * torch.tanh((1.0 if b is None else b) * x),
        "hardsigmoid": lambda x: ((0.2 if a is None else a) * x + (0.5 if b is None else b)).clamp(0, 1),
        "elu": lambda x: F.elu(x, 1.0 if a is None else a),
    }
    return more[name.lower()]


DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@onnx_op("LSTM", "GRU", "RNN")
def recurrent(
    node: Node, x: Tensor, w: Tensor, r: Tensor, bias: Tensor | None = None, lengths: Tensor | None = None,
    first: Tensor | None = None, cell: Tensor | None = None, peepholes: Tensor | None = None,
) -> Any:  # fmt: skip
    """Directions one after another. Results: all states [time, directions, batch, hidden], the last ones."""
    batch_first = node.get("layout", 0) == 1
    if batch_first:
        x = x.transpose(0, 1)
        first = None if first is None else first.transpose(0, 1)
        cell = None if cell is None else cell.transpose(0, 1)
    count = w.shape[0]
    hidden = node.get("hidden_size", r.shape[-1])
    zeros = torch.zeros(count, x.shape[1], hidden, dtype=x.dtype)
    first, cell = (zeros if first is None else first), (zeros if cell is None else cell)
    bias = torch.zeros(count, 2 * GATES[node.op] * hidden, dtype=x.dtype) if bias is None else bias
    if lengths is None and peepholes is None and plain(node, count):
        outputs, last = by_layer(node, x, w, r, bias, first, cell)
    else:
        outputs, last = by_steps(node, x, w, r, bias, lengths, first, cell, peepholes)
    if batch_first:
        return outputs.permute(2, 0, 1, 3), *(state.transpose(0, 1) for state in last)
    return outputs, *last


def plain(node: Node, count: int) -> bool:
    """Whether PyTorch's layer does the same."""
    names = node.get("activations", DEFAULTS[node.op] * count)
    usual = [name.lower() for name in names] == [name.lower() for name in DEFAULTS[node.op] * count]
    return (
        usual
        and node.get("clip") is None
        and not node.get("input_forget", 0)
        and node.get("direction", "forward") != "reverse"
        and (node.op != "GRU" or bool(node.get("linear_before_reset", 0)))
    )


ORDER = {"LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2], "RNN": [0]}
"""PyTorch's gates among ONNX's: i, f, g, o of i, o, f, c; r, z, n of z, r, h."""


def reordered(node: Node, value: Tensor, hidden: int) -> Tensor:
    parts = value.split(hidden, 0)
    return torch.cat([parts[place] for place in ORDER[node.op]], 0)


def by_layer(
    node: Node, x: Tensor, w: Tensor, r: Tensor, bias: Tensor, first: Tensor, cell: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    hidden, count = r.shape[-1], w.shape[0]
    weights = []
    for d in range(count):
        half = GATES[node.op] * hidden
        parts = (w[d], r[d], bias[d].narrow(0, 0, half), bias[d].narrow(0, half, half))
        weights += [reordered(node, part, hidden) for part in parts]
    rest = (weights, True, 1, 0.0, False, count == 2, False)
    if node.op == "LSTM":
        y, h, c = torch.lstm(x, [first, cell], *rest)
        last: tuple[Tensor, ...] = (h, c)
    else:
        y, h = (torch.gru if node.op == "GRU" else torch.rnn_tanh)(x, first, *rest)
        last = (h,)
    return y.reshape(y.shape[0], y.shape[1], count, hidden).transpose(1, 2), last


def by_steps(
    node: Node, x: Tensor, w: Tensor, r: Tensor, bias: Tensor, lengths: Tensor | None, first: Tensor, cell: Tensor,
    peepholes: Tensor | None,
) -> tuple[Tensor, tuple[Tensor, ...]]:  # fmt: skip
    count = w.shape[0]
    direction = node.get("direction", "forward")
    names = node.get("activations", DEFAULTS[node.op] * count)
    alphas, betas = list(node.get("activation_alpha", [])), list(node.get("activation_beta", []))
    chosen = [
        activation(name, *(v[i] if i < len(v) else None for v in (alphas, betas))) for i, name in enumerate(names)
    ]
    per = len(DEFAULTS[node.op])
    steps = x.shape[0]
    all_outputs, all_h, all_c = [], [], []
    for d in range(count):
        step = STEPS[node.op](node, w[d], r[d], bias[d], chosen[d * per : (d + 1) * per],
                              None if peepholes is None else peepholes[d])  # fmt: skip
        h, c = first[d], cell[d]
        backward = direction == "reverse" or d == 1
        outputs: list[Any] = [None] * steps
        for t in reversed(range(steps)) if backward else range(steps):
            new_h, new_c = step(x[t], h, c)
            if lengths is not None:
                live = (t < lengths).unsqueeze(1)
                outputs[t] = torch.where(live, new_h, torch.zeros_like(new_h))
                h, c = torch.where(live, new_h, h), torch.where(live, new_c, c)
            else:
                outputs[t], h, c = new_h, new_h, new_c
        all_outputs.append(torch.stack(outputs))
        all_h.append(h)
        all_c.append(c)
    last = (torch.stack(all_h), torch.stack(all_c))
    return torch.stack(all_outputs, 1), last if node.op == "LSTM" else last[:1]


Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def clipped(node: Node, value: Tensor) -> Tensor:
    edge = node.get("clip")
    return value if edge is None else value.clamp(-edge, edge)


def lstm_step(node: Node, w: Tensor, r: Tensor, bias: Tensor, act: Sequence[Activation], peep: Tensor | None) -> Step:
    hidden = r.shape[-1]
    wb, rb = bias.split(4 * hidden)
    p_i, p_o, p_f = peep.split(hidden) if peep is not None else (0.0, 0.0, 0.0)

    def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, o, f, g = (F.linear(x, w, wb) + F.linear(h, r, rb)).split(hidden, -1)
        i, f = act[0](clipped(node, i + p_i * c)), act[0](clipped(node, f + p_f * c))
        f = 1 - i if node.get("input_forget", 0) else f
        c = f * c + i * act[1](clipped(node, g))
        o = act[0](clipped(node, o + p_o * c))
        return o * act[2](c), c

    return step


def gru_step(node: Node, w: Tensor, r: Tensor, bias: Tensor, act: Sequence[Activation], peep: Tensor | None) -> Step:
    hidden = r.shape[-1]
    wb, rb = bias.split(3 * hidden)
    late = bool(node.get("linear_before_reset", 0))

    def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        xz, xr, xh = F.linear(x, w, wb).split(hidden, -1)
        rz, rr, rh = r.split(hidden, 0)
        bz, br, bh = rb.split(hidden)
        z = act[0](clipped(node, xz + F.linear(h, rz, bz)))
        reset = act[0](clipped(node, xr + F.linear(h, rr, br)))
        inner = reset * F.linear(h, rh, bh) if late else F.linear(reset * h, rh, bh)
        new = act[1](clipped(node, xh + inner))
        return (1 - z) * new + z * h, c

    return step


def rnn_step(node: Node, w: Tensor, r: Tensor, bias: Tensor, act: Sequence[Activation], peep: Tensor | None) -> Step:
    wb, rb = bias.split(r.shape[-1])

    def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return act[0](clipped(node, F.linear(x, w, wb) + F.linear(h, r, rb))), c

    return step


STEPS = {"LSTM": lstm_step, "GRU": gru_step, "RNN": rnn_step}
