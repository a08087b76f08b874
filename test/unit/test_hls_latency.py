"""The cycles and multiply-adds that the report of a design tells of its loops."""

from __future__ import annotations

from terrace.dialects.context import create_context
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.hls.latency import kernel_cycles
from terrace.lowering.target.hls.report import multiply_adds
from terrace.mlir import ir, parse_module

NEST = """
func.func private @sums(%x: memref<6x4x{element}>, %y: memref<4x{element}>) attributes {{loop.kernel}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c6 = arith.constant 6 : index
  %sums = memref.alloca() {{loop.partition = {{dim = 0 : i64, kind = "complete"}}}} : memref<4x{element}>
  scf.for %i = %c0 to %c6 step %c1 {{
    scf.for %j = %c0 to %c4 step %c1 {{
      %a = memref.load %x[%i, %j] : memref<6x4x{element}>
      %b = arith.mul{kind} %a, %a : {element}
      %c = memref.load %sums[%j] : memref<4x{element}>
      %d = arith.add{kind} %c, %b : {element}
      memref.store %d, %sums[%j] : memref<4x{element}>
    }} {{loop.pipeline = 1 : i64}}
  }}
  scf.for %j = %c0 to %c4 step %c1 {{
    %c = memref.load %sums[%j] : memref<4x{element}>
    %d = arith.mul{kind} %c, %c : {element}
    %e = arith.add{kind} %d, %d : {element}
    memref.store %e, %y[%j] : memref<4x{element}>
  }} {{loop.pipeline = 1 : i64}}
  return
}}
"""


def read(element: str) -> tuple[int | None, int | None]:
    """The cycles and the multiply-adds."""
    module = parse_module(NEST.format(element=element, kind="f" if element == "f32" else "i"), create_context())
    with module.context, ir.Location.unknown():
        (kernel,) = loop_kernels(module.operation)
        return kernel_cycles(module.operation)["sums"], multiply_adds(kernel)


def test_a_nest_is_one_pipeline_but_for_sums_of_floats() -> None:
    """24 iterations in a row; or 6 times 4, each row filled and drained, as a sum of floats takes several cycles."""
    (integers, _), (floats, _) = read("i32"), read("f32")
    assert integers is not None and floats is not None
    assert integers == (24 - 1) + 4 + 1 + (4 - 1) + 3 + 1
    assert floats > 6 * 4 + 6 * 10


def test_multiply_adds_are_products_that_join_a_sum() -> None:
    """Not those of the second loop, which are added to each other."""
    assert read("i32")[1] == 24
