"""One graph op as a test case: its operands, its attributes, and what torch says in float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from terrace.dialects import graph
from terrace.dialects.base import element_type_of
from terrace.dialects.context import create_context
from terrace.lowering.conversion.convert_graph_to_linalg import ConvertGraphToLinalg
from terrace.lowering.target.iree.expand_math import ExpandMath
from terrace.mlir import DYNAMIC, func, ir

ELEMENT_TYPES = {
    torch.bool: "i1",
    torch.int8: "i8",
    torch.int16: "i16",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.float32: "f32",
    torch.float64: "f64",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
}
HALF = (torch.float16, torch.bfloat16)

# How far from float64 a result may be, relative to its size, by the type of the operands: 8 units in the last place
# of f32 (IREE's polynomials and its order of summation), one rounding of the half types, and libm's error for f64.
RTOL = {torch.float32: 1e-6, torch.float16: 2**-11 * 1.01, torch.bfloat16: 2**-8 * 1.01, torch.float64: 1e-14}


@dataclasses.dataclass(frozen=True)
class Case:
    """`expected` computes the result from the operands (floats as float64); the tolerance is rtol * |y| + atol."""

    name: str
    op: type[graph.TensorOp]
    operands: tuple[torch.Tensor, ...]
    attributes: dict[str, Any]
    expected: Callable[..., torch.Tensor]
    rtol: float | None = None
    atol: float = 0.0
    dynamic: bool = False
    result: tuple[list[int], str] | None = None

    def operand_types(self) -> list[ir.Type]:
        """The operands' types; in a dynamic case, every size but 1 is `?`."""
        return [
            ir.RankedTensorType.get(
                [DYNAMIC if self.dynamic and size != 1 else size for size in operand.shape],
                ir.Type.parse(ELEMENT_TYPES[operand.dtype]),
            )
            for operand in self.operands
        ]

    def result_type(self) -> ir.Type | None:
        """The declared result type, for ops that cannot infer it."""
        if self.result is None:
            return None
        shape = [DYNAMIC if self.dynamic and size != 1 else size for size in self.result[0]]
        return ir.RankedTensorType.get(shape, ir.Type.parse(self.result[1]))

    def build(self, values: Sequence[ir.Value]) -> ir.Value:
        """The op on these operands. A table becomes a dense attribute, which needs the context."""
        attributes = {
            name: ir.DenseElementsAttr.get(value) if isinstance(value, np.ndarray) else value
            for name, value in self.attributes.items()
        }
        return self.op.build(*values, result_type=self.result_type(), **attributes)

    def check(self, actual: Any) -> None:
        """Compare with torch in float64."""
        expected = self.expected(*(widen(x) for x in self.operands))
        result = torch.from_numpy(actual)
        assert result.shape == expected.shape
        if not result.is_floating_point():
            assert torch.equal(result, expected), f"{result} != {expected}"
            return
        dtype = next((x.dtype for x in self.operands if x.is_floating_point()), torch.float32)
        rtol = RTOL[dtype] if self.rtol is None else self.rtol
        overflow = expected.abs() > torch.finfo(dtype).max
        expected = torch.where(overflow, expected.sign() * float("inf"), expected)
        torch.testing.assert_close(result.double(), expected, rtol=rtol, atol=self.atol, equal_nan=True)


def randn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    """Normal numbers, the same in each run."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def widen(value: torch.Tensor) -> torch.Tensor:
    """A float tensor as float64, its f32 denormals as zeros of their sign: IREE runs with denormals flushed."""
    if not value.is_floating_point():
        return value
    wide = value.double()
    if value.dtype not in (torch.float32, torch.bfloat16):
        return wide
    return torch.where(wide.abs() < torch.finfo(torch.float32).tiny, torch.copysign(torch.zeros(()), wide), wide)


def both(*args: Any, **kwargs: Any) -> list[Case]:
    """The case with static and with dynamic shapes."""
    case = Case(*args, **kwargs)
    return [case, dataclasses.replace(case, name=f"{case.name}_dynamic", dynamic=True)]


def convert(cases: Sequence[Case]) -> ir.Module:
    """A module with a function per case, converted to linalg, in which IREE finds no function that it lacks."""
    context = create_context()
    with context, ir.Location.unknown():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            for case in cases:
                build_function(case)
        module.operation.verify()
        ConvertGraphToLinalg().run(module.operation)
        ExpandMath().run(module.operation)
        module.operation.verify()
    return module


def build_function(case: Case) -> None:
    """The function of `case`. Half types do not cross IREE's numpy boundary: they come and go as f32."""
    types = case.operand_types()
    outer = [
        ir.RankedTensorType.get(t.shape, ir.F32Type.get()) if x.dtype in HALF else t
        for t, x in zip(types, case.operands, strict=True)
    ]
    function = func.FuncOp(case.name, (outer, []))
    block = function.add_entry_block()
    with ir.InsertionPoint(block):
        values = [
            value if value.type == type_ else graph.CastOp.build(value, result_type=type_)
            for value, type_ in zip(block.arguments, types, strict=True)
        ]
        result = case.build(values)
        if str(element_type_of(result)) in ("f16", "bf16"):
            wide = ir.RankedTensorType.get(result.type.shape, ir.F32Type.get())
            result = graph.CastOp.build(result, result_type=wide)
        func.ReturnOp([result])
    function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(outer, [result.type]))


def arguments_of(case: Case) -> list[Any]:
    """The operands of `case` as numpy arrays."""
    return [(x.float() if x.dtype in HALF else x).numpy() for x in case.operands]
