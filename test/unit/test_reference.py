"""Every graph op, converted to linalg and run by IREE, against torch in float64; a family of ops is one compilation.

Tolerances stand with the cases: `rtol * |y| + atol`, where rtol defaults to `reference_cases.RTOL` by element type.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import reference_cases_elementwise
import reference_cases_indexed
import reference_cases_quantized
import reference_cases_tensor
import torch
from iree_harness import run_module
from reference_cases import Case, arguments_of, convert
from terrace.dialects.context import create_context
from terrace.lowering.conversion.convert_graph_to_linalg import REFERENCES, ConvertGraphToLinalg
from terrace.mlir import ir, parse_module
from terrace.passes import run_passes

FAMILIES = {
    **reference_cases_elementwise.FAMILIES,
    **reference_cases_quantized.FAMILIES,
    **reference_cases_tensor.FAMILIES,
    **reference_cases_indexed.FAMILIES,
}


@functools.cache
def cases_of(family: str) -> list[Case]:
    """The cases of `family`."""
    return FAMILIES[family]()


@functools.cache
def results_of(family: str) -> dict[str, Any]:
    """The results of all cases of `family`, from one compilation."""
    cases = cases_of(family)
    return run_module(convert(cases), {case.name: arguments_of(case) for case in cases})


PARAMETERS = [pytest.param(family, case, id=case.name) for family in FAMILIES for case in cases_of(family)]


@pytest.mark.parametrize(("family", "case"), PARAMETERS)
def test_reference(family: str, case: Case) -> None:
    """The converted op agrees with torch."""
    case.check(results_of(family)[case.name])


RESHAPES = [
    # input type, result type, sizes of the input and the result
    ("4x6", "2x12", [4, 6], [2, 12]),
    ("?x6", "?x2x3", [4, 6], [4, 2, 3]),
    ("?x?", "?", [4, 5], [20]),
    ("?", "4x5", [20], [4, 5]),
    ("6x4", "?x?", [6, 4], [3, 8]),
    ("0x3", "3x0x2", [0, 3], [3, 0, 2]),
    ("?x3", "?x1", [0, 3], [0, 1]),
    ("", "1x1", [], [1, 1]),
    ("1x1", "", [1, 1], []),
    ("?x1", "", [1, 1], []),
    ("", "?", [], [1]),
    ("2x3", "2x3", [2, 3], [2, 3]),
    ("?x3", "?x3", [2, 3], [2, 3]),
]
BROADCASTS = [
    ("1x3", "4x3", [1, 3], [4, 3]),
    ("3", "2x?x3", [3], [2, 5, 3]),
    ("?x1", "?x7", [2, 1], [2, 7]),
    ("", "2x2", [], [2, 2]),
    ("1x?", "?x?", [1, 3], [0, 3]),
]


def sized_function(name: str, op: str, input_: str, result: str) -> str:
    """A function whose `?` result sizes are further i64 arguments."""
    types = [f"tensor<{'x'.join(filter(None, [shape, 'f32']))}>" for shape in (input_, result)]
    count = result.count("?")
    arguments = "".join(f", %s{i}: i64" for i in range(count))
    casts = "\n".join(f"%i{i} = arith.index_cast %s{i} : i64 to index" for i in range(count))
    operands = "".join(f", %i{i}" for i in range(count))
    signature = ", ".join([types[0], *["index"] * count])
    return f"""func.func @{name}(%x: {types[0]}{arguments}) -> {types[1]} {{
      {casts}
      %y = "graph.{op}"(%x{operands}) : ({signature}) -> {types[1]}
      return %y : {types[1]}
    }}
    """


FUSION = """func.func @fused(%x: tensor<?x4xf32>, %y: tensor<4xf32>) -> tensor<?x4xf32> {
  %0 = "graph.fusion"() ({
    %1 = "graph.add"(%x, %y) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    %2 = "graph.relu"(%1) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    "graph.yield"(%2) : (tensor<?x4xf32>) -> ()
  }) : () -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
"""


def convert_text(text: str) -> ir.Module:
    """`text`, converted to linalg."""
    context = create_context()
    module = parse_module(text, context)
    run_passes([ConvertGraphToLinalg()], module.operation)
    return module


def test_reshape_broadcast_and_fusion() -> None:
    """The ops with size operands or a region, in one module."""
    text, inputs, expected = FUSION, {}, {}
    rows, bias = torch.arange(-6.0, 6.0).reshape(3, 4), torch.tensor([1.0, -1.0, 0.5, 0.0])
    inputs["fused"] = [rows.numpy(), bias.numpy()]
    expected["fused"] = torch.relu(rows + bias)
    for op, rows_of_op in (("reshape", RESHAPES), ("broadcast", BROADCASTS)):
        for i, (input_, result, source, target) in enumerate(rows_of_op):
            name = f"{op}_{i}"
            text += sized_function(name, op, input_, result)
            value = torch.arange(float(torch.Size(source).numel())).reshape(source)
            kinds = result.split("x")
            sizes = [size for kind, size in zip(kinds, target, strict=False) if kind == "?"]
            inputs[name] = [value.numpy(), *sizes]
            expected[name] = value.reshape(target) if op == "reshape" else value.expand(target)
    for name, actual in run_module(convert_text(text), inputs).items():
        assert actual.shape == tuple(expected[name].shape), name
        assert np.array_equal(actual, expected[name].numpy()), name


def test_what_outlives_a_call_stays() -> None:
    """Parameters, constants with their bodies, loads and states are not converted; bodies are on request."""
    text = """
    "graph.parameter"() {sym_name = "w", type = tensor<2xf32>} : () -> ()
    "graph.constant"() ({
      %0 = "graph.load"() {symbol = @w} : () -> tensor<2xf32>
      %1 = "graph.neg"(%0) : (tensor<2xf32>) -> tensor<2xf32>
      "graph.yield"(%1) : (tensor<2xf32>) -> ()
    }) {sym_name = "c", type = tensor<2xf32>} : () -> ()
    """
    assert "graph.neg" in str(convert_text(text))
    module = parse_module(text, create_context())
    run_passes([ConvertGraphToLinalg(constants=True)], module.operation)
    assert "graph.neg" not in str(module)
    assert "graph.load" in str(module)


def test_every_converted_op_has_a_case() -> None:
    """A pattern that no case runs is no oracle. Those that need size operands or regions have their own tests.

    That of random_bits is in `test/e2e/test_random.py`, those of encode and decode in `test_encodings.py`, that of
    encoded_matmul in `test_encoded_kernels.py`.
    """
    tested = {case.op.OPERATION_NAME for family in FAMILIES for case in cases_of(family)}
    missing = REFERENCES.op_names - tested
    names = ("broadcast", "decode", "encode", "encoded_matmul", "fusion", "random_bits", "reshape")
    assert missing == {f"graph.{name}" for name in names}
