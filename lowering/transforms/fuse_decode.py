"""`fuse-decode`: a product by a weight that is decoded reads its storage, where the target's kernels can do that.

Elsewhere the weight is decoded when the artefact is written. Integers that are cast to floats and multiplied, as
torchao exports weights of one scale for each output channel, are an encoding with scales of one.
"""

from __future__ import annotations

import dataclasses

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.encodings import Encoding, Int8Groups, encoding_of
from terrace.dialects.graph import DecodeOp, EncodedMatmulOp
from terrace.lowering.graph.builders import erase_dead_ops, splat
from terrace.lowering.graph.constant_expressions import constant_values
from terrace.lowering.kernels.group import Group
from terrace.lowering.kernels.target_kernels import TargetKernels
from terrace.lowering.quantization.accumulator_chains import is_weight
from terrace.mlir import ir, operation_of, walk
from terrace.passes import Pass

Stored = tuple[Encoding, list[ir.Value]]
"""An encoding and the storage of a tensor."""


@dataclasses.dataclass(frozen=True)
class FuseDecode(TargetKernels, Pass):
    """Multiply by encoded weights as they are stored."""

    name = "fuse-decode"

    def run(self, module: ir.Operation) -> None:
        constant = constant_values(module)
        for operation in [op for op in walk(module) if op.name == "graph.matmul"]:
            if is_weight(operation.operands[1], constant):
                self._fuse(operation)
        erase_dead_ops(module)

    def _fuse(self, operation: ir.Operation) -> None:
        attrs, result = attributes_of(operation), operation.results[0]
        with ir.InsertionPoint(operation), operation.location:
            stored = _stored(operation.operands[1], int(attrs.transpose_rhs))
            if stored is None:
                return
            encoding, parts = stored
            fused = EncodedMatmulOp.build(
                operation.operands[0],
                *parts,
                result_type=result.type,
                encoding=encoding.attributes,
                transpose_rhs=attrs.transpose_rhs,
            )
        if self.refusal(Group.of(fused.owner.operation)) is not None:
            fused.owner.operation.erase()
            return
        result.replace_all_uses_with(fused)
        operation.erase()


def _stored(weight: ir.Value, axis: int) -> Stored | None:
    """How a weight is stored whose elements along `axis` are summed; None if it is not encoded."""
    operation = operation_of(weight)
    if operation is not None and operation.name == DecodeOp.OPERATION_NAME:
        parts = [value for value in operation.operands if isinstance(value.type, ir.RankedTensorType)]
        return encoding_of(attributes_of(operation).encoding), parts
    if operation is None or operation.name != "graph.cast":
        return None
    codes = operation.operands[0]
    if element_type_of(codes) != ir.IntegerType.get_signless(8):
        return None
    shape = shape_of(codes)
    encoding = Int8Groups(axis, max(shape[axis], 1))
    (_, _), (sizes, _) = encoding.storage(shape)
    return encoding, [codes, splat(1.0, ir.F32Type.get(), sizes)]
