"""Every op as a constant expression, on the cases of the references: values and shapes that hurt, against torch.

Evaluation computes in float64 and rounds once: its results are the nearest numbers of the declared type, up to what
numpy's own functions of float64 err.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference_cases import Case
from terrace.dialects import graph
from terrace.dialects.context import create_context
from terrace.lowering.graph.evaluation import EVALUATION, Constants
from terrace.lowering.graph.evaluation.arrays import NUMPY_TYPES, is_float
from terrace.mlir import ir
from test_reference import FAMILIES, cases_of

STATIC = [case for family in FAMILIES for case in cases_of(family) if not case.dynamic]

ROUNDING, LIBRARY = 0.501, 2.0
"""How many units in the last place of its type a result may err: narrow types are rounded, float64 is computed in."""


def as_numpy(value: torch.Tensor) -> np.ndarray:
    if value.dtype == torch.bfloat16:
        return value.view(torch.int16).numpy().view(NUMPY_TYPES["bf16"])
    return value.numpy()


def as_symbol(name: str) -> dict[str, ir.Attribute]:
    return {"symbol": ir.FlatSymbolRefAttr.get(name)}


def evaluate(case: Case) -> np.ndarray:
    """The result of the case's op on parameters."""
    with create_context(), ir.Location.unknown():
        module, types = ir.Module.create(), case.operand_types()
        with ir.InsertionPoint(module.body):
            for i, type_ in enumerate(types):
                attributes = {"sym_name": ir.StringAttr.get(f"p{i}"), "type": ir.TypeAttr.get(type_)}
                ir.Operation.create("graph.parameter", attributes=attributes)
            constant = ir.Operation.create("graph.constant", attributes={"sym_name": ir.StringAttr.get("c")}, regions=1)
        with ir.InsertionPoint(constant.regions[0].blocks.append()):
            loads = [ir.Operation.create("graph.load", [t], [], as_symbol(f"p{i}")) for i, t in enumerate(types)]
            result = case.build([load.result for load in loads])
            ir.Operation.create("graph.yield", operands=[result])
        constant.attributes["type"] = ir.TypeAttr.get(result.type)
        module.operation.verify()
        values = {f"p{i}": as_numpy(value) for i, value in enumerate(case.operands)}
        return Constants(module.operation).evaluate("c", values.__getitem__)


def exact_quotients(x: torch.Tensor, scale: torch.Tensor, kind: str) -> torch.Tensor:
    """What constant expressions make of a quotient: float64, where kernels have float32."""
    limits = np.iinfo(NUMPY_TYPES[kind])
    ratio = np.nan_to_num(np.rint(x.double().numpy() / scale.double().numpy()), posinf=np.inf, neginf=-np.inf)
    return torch.from_numpy(np.clip(ratio, limits.min, limits.max).astype(NUMPY_TYPES[kind]))


def expected_of(case: Case) -> np.ndarray:
    """What torch says of the operands in float64, denormals among them."""
    if case.op is graph.QuantizeOp:
        return exact_quotients(*case.operands, case.result[1]).numpy()
    if case.op is graph.DequantizeOp:
        return (case.operands[0].double() * case.operands[1].double()).numpy()
    return case.expected(*(x.double() if x.is_floating_point() else x for x in case.operands)).numpy()


@pytest.mark.parametrize("case", STATIC, ids=lambda case: case.name)
def test_evaluates_as_torch(case: Case) -> None:
    found, expected = evaluate(case), expected_of(case)
    assert found.shape == expected.shape
    if not is_float(found):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        return
    with np.errstate(over="ignore"):
        nearest = expected.astype(found.dtype)
    unit = np.spacing(np.abs(nearest)).astype(np.float64)
    same = (found == nearest) | (np.isnan(found) & np.isnan(nearest))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0, np.abs(found.astype(np.float64) - expected))
    limit = np.where(same, 1, unit * (LIBRARY if found.dtype == np.float64 else ROUNDING))
    np.testing.assert_array_less(error, limit)
    is_zero = found == 0
    np.testing.assert_array_equal(np.signbit(found[is_zero]), np.signbit(expected[is_zero]))


def test_every_rule_has_a_case() -> None:
    """Those that need size operands have tests of their own in `test_evaluate.py`; encodings in `test_encodings.py`,
    and a product by encoded weights in `test_encoded_kernels.py`.
    """
    tested = {case.op.OPERATION_NAME for case in STATIC}
    names = ("broadcast", "decode", "encode", "encoded_matmul", "reshape")
    assert EVALUATION.op_names - tested == {f"graph.{name}" for name in names}
