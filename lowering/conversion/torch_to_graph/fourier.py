"""The op that Fourier transforms are made of, `terrace::roots_of_unity` of the frontend."""

from __future__ import annotations

from terrace.dialects import graph
from terrace.lowering.conversion.torch_to_graph.torch_op import TorchOp, converts
from terrace.mlir import ir


@converts("torch.terrace.roots_of_unity")
def build_roots_of_unity(op: TorchOp) -> ir.Value | None:
    length = op.integer(1)
    if length is None:
        return None
    return graph.RootsOfUnityOp.build(result_type=op.result_type, length=length, imaginary=op.flag(2))
