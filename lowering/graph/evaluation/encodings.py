"""Evaluation of the ops between tensors and their encodings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from terrace.dialects import graph
from terrace.dialects.base import Attributes
from terrace.dialects.encodings import encoding_of
from terrace.lowering.graph.evaluation.arrays import Array, numpy_type, to_round, widen
from terrace.lowering.graph.evaluation.rules import EVALUATION, evaluates, result_shape, result_type
from terrace.mlir import ir


@EVALUATION.add(graph.EncodeOp)
def _encode(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Sequence[Array]:
    """Of what the operand's type holds, as its numbers are cut into few: not of more digits."""
    declared = numpy_type(op.operands[0])
    return encoding_of(attrs.encoding).encode(to_round(operands[0], declared).astype(declared).astype(np.float32))


@evaluates(graph.DecodeOp)
def _decode(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    encoding, shape = encoding_of(attrs.encoding), result_shape(op)
    value = encoding.decode(operands, 0 if encoding.open_axis is None else shape[encoding.open_axis])
    return value.astype(result_type(op))


@evaluates(graph.EncodedMatmulOp)
def _encoded_matmul(op: ir.Operation, attrs: Attributes, operands: list[Array]) -> Array:
    lhs, *parts = operands
    rhs = widen(encoding_of(attrs.encoding).decode(parts, lhs.shape[-1]))
    return np.matmul(widen(lhs), rhs.T if attrs.transpose_rhs else rhs)
