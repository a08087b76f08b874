"""An op of two results, of two types: built, verified, hoisted, evaluated. Run as a program: it adds to the dialect."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
import json
import sys

import numpy as np
import terrace
from terrace.dialects.context import create_context
from terrace.dialects.graph_base import Inferred, Operand, Result, Tensor, TensorOp
from terrace.lowering.graph.evaluation import EVALUATION
from terrace.lowering.graph.evaluation.arrays import widen
from terrace.mlir import ext, ir, parse_module


class SplitOp(TensorOp, name="split_float", traits=[ext.Pure]):
    """Mantissa, from 1/2 to 1 in magnitude, and exponent (i32) of each number."""

    input: Operand[Tensor]
    mantissa: Result[Tensor]
    exponent: Result[Tensor]

    @classmethod
    def infer_results(cls, shapes, types, attrs) -> list[Inferred]:  # type: ignore[no-untyped-def]
        return [(shapes[0], types[0]), (shapes[0], ir.IntegerType.get_signless(32))]


@EVALUATION.add(SplitOp)
def split(op, attrs, operands):  # type: ignore[no-untyped-def]
    return np.frexp(widen(operands[0]))


SPLIT = '%m, %e = "graph.split_float"(%w) : (tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xi32>)'
CAST = '%f = "graph.cast"(%e) : (tensor<2x3xi32>) -> tensor<2x3xf32>'
ADD = '%a = "graph.add"(%x, %m) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>'
MUL = '%b = "graph.mul"(%x, %f) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>'


def program(body: str, *results: str) -> str:
    types = ", ".join(["tensor<2x3xf32>"] * len(results))
    return f"""
"graph.parameter"() {{sym_name = "w", type = tensor<2x3xf32>}} : () -> ()
func.func @main(%x: tensor<2x3xf32>) -> ({types}) {{
  %w = "graph.load"() {{symbol = @w}} : () -> tensor<2x3xf32>
  {body}
  return {", ".join(results)} : {types}
}}"""


def build() -> list[str]:
    with create_context(), ir.Location.unknown():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            type_ = ir.RankedTensorType.get([4], ir.F32Type.get())
            value = ir.Operation.create("tensor.empty", [type_]).result
            return [str(result.type) for result in SplitOp.build_results(value)]


def message(text: str) -> str:
    try:
        parse_module(text, create_context())
    except ir.MLIRError as error:
        return str(error)
    return ""


def values(target: str, text: str) -> dict[str, object]:
    weight = np.array([[0.75, -12.0, 1e-30], [0.0, 3.0, 2.0**100]], np.float32)
    compiled = terrace.compile_mlir(text, {"w": weight}, target=target)
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    results = compiled(x)
    given = [r.tolist() for r in (results if isinstance(results, tuple) else (results,))]
    text = compiled.ir("kernel")
    counts = {name: text.count(f'"graph.{name}"') for name in ("constant", "part", "split_float")}
    return {"results": given, **counts, "main": text.partition("@main")[2]}


if __name__ == "__main__":
    whole = program("\n".join((SPLIT, CAST, ADD, MUL)), "%a", "%b")
    made = {
        "types": build(),
        "wrong": message(whole.replace("tensor<2x3xi32>", "tensor<2x3xi64>")),
        "both": {target: values(target, whole) for target in sys.argv[1:]},
        "one": values("cpu", program("\n".join((SPLIT, ADD)), "%a")),
    }
    print(json.dumps(made))
