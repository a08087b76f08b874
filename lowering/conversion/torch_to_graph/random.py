"""The op that makes random bits, `terrace::random_bits` of the frontend."""

from __future__ import annotations

from terrace.dialects import graph
from terrace.lowering.conversion.torch_to_graph.torch_op import TorchOp, converts, to_index
from terrace.mlir import DYNAMIC, ir


@converts("torch.terrace.random_bits")
def build_random_bits(op: TorchOp) -> ir.Value | None:
    sizes, stream = op.elements(1), op.integer(2)
    if sizes is None or stream is None:
        return None
    dynamic = [to_index(size) for size, known in zip(sizes, op.result_shape, strict=True) if known == DYNAMIC]
    return graph.RandomBitsOp.build(op.tensor(0), *dynamic, result_type=op.result_type, stream=stream)
