"""Runs functions of the graph dialect in float64, for tests of passes: what a pass changes must not show.

Elementwise, layout and reduction ops are the evaluator's (which has its own tests against torch); convolutions, pools,
norms and attention are torch's. Values are numpy arrays, so `?` needs nothing special.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import quantized_reference as exact
import torch
import torch.nn.functional as F
from terrace.dialects.base import attributes_of, shape_of
from terrace.lowering.graph.evaluation import EVALUATION
from terrace.lowering.graph.evaluation.arrays import dense_array, numpy_type, widen
from terrace.mlir import DYNAMIC, ir

Array = np.ndarray


def run_function(module: ir.Module, inputs: list[Array], parameters: dict[str, Array]) -> list[Array]:
    """The results of the one function of `module` on `inputs`."""
    body = module.body
    function = next(op.operation for op in body.operations if op.operation.name == "func.func")
    symbols = {op.operation.attributes["sym_name"].value: op.operation for op in body.operations}
    block = function.regions[0].blocks[0]
    values = dict(zip(block.arguments, inputs, strict=True))
    return Interpreter(symbols, parameters).run(block, values)


class Interpreter:
    def __init__(self, symbols: dict[str, ir.Operation], parameters: dict[str, Array]) -> None:
        self._symbols = symbols
        self._parameters = parameters

    def run(self, block: ir.Block, values: dict[ir.Value, Array]) -> list[Array]:
        """What the terminator of `block` gives; `values` grows by all that is computed."""
        for op in (op.operation for op in block.operations):
            if op.name in ("func.return", "graph.yield"):
                return [values[value] for value in op.operands]
            results = self._run_op(op, values)
            for value, array in zip(op.results, results, strict=True):
                if isinstance(value.type, ir.RankedTensorType):
                    declared = shape_of(value)
                    assert len(declared) == array.ndim, str(op)
                    assert all(d in (s, DYNAMIC) for d, s in zip(declared, array.shape, strict=True)), (
                        f"{array.shape}: {op}"
                    )
                values[value] = array
        raise AssertionError("no terminator")

    def _run_op(self, op: ir.Operation, values: dict[ir.Value, Array]) -> list[Any]:
        operands = [values[value] for value in op.operands]
        if op.name == "graph.fusion":
            return self.run(op.regions[0].blocks[0], values)
        if op.name == "graph.load":
            return [self._load(op.attributes["symbol"].value)]
        if op.name in _TORCH_OPS:
            tensors = [torch.from_numpy(np.ascontiguousarray(value)) for value in operands]
            if op.name in _SUMS and not tensors[0].is_floating_point():
                # torch convolves and pools no integers; in float64 their sums are exact.
                sums = _TORCH_OPS[op.name](attributes_of(op), *(tensor.double() for tensor in tensors))
                return [sums.numpy().astype(numpy_type(op.result))]
            return [_TORCH_OPS[op.name](attributes_of(op), *tensors).numpy()]
        if op.name in _NUMPY_OPS:
            return [_NUMPY_OPS[op.name](op, operands)]
        return list(EVALUATION.of(op)(op, attributes_of(op), operands))

    def _load(self, symbol: str) -> Array:
        operation = self._symbols[symbol]
        if operation.name == "graph.parameter":
            return widen(self._parameters[symbol])
        return self.run(operation.regions[0].blocks[0], {})[0]


def _stretch(op: ir.Operation, sizes: list[int]) -> list[int]:
    remaining = iter(sizes)
    return [int(next(remaining)) if size == DYNAMIC else size for size in shape_of(op.results[0])]


def _causal_mask(op: ir.Operation, operands: list[Array]) -> Array:
    """The one linalg op that a pass makes."""
    return np.triu(np.full(operands[0].shape, -np.inf), k=1)


def _constant(op: ir.Operation, operands: list[Array]) -> Any:
    attribute = op.attributes["value"]
    if isinstance(attribute, (ir.FloatAttr, ir.IntegerAttr)):
        return attribute.value
    return widen(dense_array(attribute))


def _table(op: ir.Operation) -> Array:
    return np.asarray(dense_array(op.attributes["table"]))


def _integer_layer_norm(op: ir.Operation, operands: list[Array]) -> Array:
    attrs, (value,) = attributes_of(op), operands
    rows = value.reshape(*value.shape[: value.ndim - attrs.dims], -1)
    return exact.layer_norm(rows, attrs.epsilon).reshape(value.shape)


_NUMPY_OPS: dict[str, Any] = {
    "graph.integer_layer_norm": _integer_layer_norm,
    "graph.integer_softmax": lambda op, v: exact.softmax(v[0], _table(op)),
    "graph.lookup": lambda op, v: exact.lookup(v[0], _table(op)),
    "arith.constant": _constant,
    "graph.broadcast": lambda op, v: np.broadcast_to(v[0], _stretch(op, v[1:])),
    "graph.reshape": lambda op, v: v[0].reshape(_stretch(op, v[1:])),
    "tensor.dim": lambda op, v: v[0].shape[v[1]],
    "tensor.empty": lambda op, v: np.empty(_stretch(op, v)),
    "linalg.generic": _causal_mask,
}


def _in_layout(function: Any) -> Any:
    """`function`, which wants NCHW, on an op whose attribute says what its image is in."""

    def run(attrs: Any, image: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        if attrs.layout == "NCHW":
            return function(attrs, image, *rest)
        return function(attrs, image.permute(0, 3, 1, 2), *rest).permute(0, 2, 3, 1)

    return run


def _padded(attrs: Any, image: torch.Tensor, value: float = 0.0) -> torch.Tensor:
    top, bottom, left, right = attrs.padding
    return F.pad(image, (left, right, top, bottom), value=value)


def _attention(attrs: Any, *tensors: torch.Tensor) -> torch.Tensor:
    inner, mask = attrs.get("inner_heads", []), tensors[3:]
    q, k, v = (x.transpose(-3, -2) if i in inner else x for i, x in enumerate(tensors[:3]))
    bias = mask[0] if mask else torch.zeros((), dtype=q.dtype)
    if attrs.is_causal:
        bias = bias + torch.triu(torch.full((q.shape[-2], k.shape[-2]), -torch.inf, dtype=q.dtype), diagonal=1)
    bias, grouped = bias.expand(*q.shape[:-1], k.shape[-2]), q.shape[-3] != k.shape[-3]
    result = F.scaled_dot_product_attention(q, k, v, bias, scale=attrs.scale, enable_gqa=grouped)
    return result.transpose(-3, -2) if 3 in inner else result


def _batch_norm(attrs: Any, x: torch.Tensor, *statistics: torch.Tensor) -> torch.Tensor:
    mean, var, scale, shift = statistics
    moved = x.movedim(attrs.axis, -1)
    return ((moved - mean) / torch.sqrt(var + attrs.epsilon) * scale + shift).movedim(-1, attrs.axis)


_SUMS = ("graph.conv2d", "graph.max_pool2d", "graph.sum_pool2d")


def _sum_pool(attrs: Any, image: torch.Tensor) -> torch.Tensor:
    """A convolution of each channel by ones; torch's pools by sums do not dilate."""
    _, channels, height, width = image.shape
    reach = [d * (k - 1) + 1 for d, k in zip(attrs.dilations, attrs.kernel, strict=True)]
    if attrs.ceil_mode:
        top, bottom, left, right = attrs.padding
        missing = [
            -(size + low + high - r) % s
            for size, low, high, r, s in zip(
                (height, width), (top, left), (bottom, right), reach, attrs.strides, strict=True
            )
        ]
        image = F.pad(image, (0, missing[1], 0, missing[0]))
    ones = torch.ones(channels, 1, *attrs.kernel, dtype=image.dtype)
    return F.conv2d(_padded(attrs, image), ones, None, attrs.strides, 0, attrs.dilations, channels)


_TORCH_OPS: dict[str, Any] = {
    "graph.attention": _attention,
    "graph.avg_pool2d": _in_layout(
        lambda a, x: F.avg_pool2d(_padded(a, x), a.kernel, a.strides, ceil_mode=a.ceil_mode)
    ),
    "graph.batch_norm": _batch_norm,
    "graph.conv2d": _in_layout(lambda a, x, w: F.conv2d(_padded(a, x), w, None, a.strides, 0, a.dilations, a.groups)),
    "graph.conv_transpose2d": _in_layout(
        lambda a, x, w: F.conv_transpose2d(x, w, None, a.strides, a.padding, a.output_padding, a.groups, a.dilations)
    ),
    "graph.layer_norm": lambda a, x, scale, shift: F.layer_norm(x, scale.shape, scale, shift, a.epsilon),
    "graph.max_pool2d": _in_layout(
        lambda a, x: F.max_pool2d(_padded(a, x, -torch.inf), a.kernel, a.strides, 0, a.dilations, a.ceil_mode)
    ),
    "graph.rms_norm": lambda a, x, scale: F.rms_norm(x, scale.shape, scale, a.epsilon),
    "graph.softmax": lambda a, x: F.softmax(x, a.axis),
    "graph.sum_pool2d": _in_layout(_sum_pool),
}
