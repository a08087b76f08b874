"""The cycles, multiply-adds and DSP blocks that the report of a design tells of its loops."""

from __future__ import annotations

import pytest
from terrace.dialects.context import create_context
from terrace.dialects.hardware import PIPELINE
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.hls.latency import kernel_cycles
from terrace.lowering.target.hls.report import multiply_adds, report
from terrace.lowering.target.hls.resources import dsp_blocks
from terrace.mlir import ir, parse_module, walk

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


@pytest.mark.parametrize(
    ("narrow", "wide", "blocks"),
    [("i8", "i32", 1), ("i18", "i48", 1), ("i19", "i48", 2), ("i32", "i64", 4), ("i8", "i8", 1)],
)
def test_dsp_blocks_of_products(narrow: str, wide: str, blocks: int) -> None:
    """An operand is as wide as it was before it was extended; eight copies of a body take eight times as many."""
    extended = "" if narrow == wide else f"%b = arith.extsi %a : {narrow} to {wide}"
    text = f"""
    func.func private @squares(%x: memref<8x{narrow}>, %y: memref<8x{wide}>) attributes {{loop.kernel}} {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      scf.for %n = %c0 to %c8 step %c1 {{
        scf.for %i = %c0 to %c8 step %c1 {{
          %at = arith.muli %i, %c1 : index
          %a = memref.load %x[%at] : memref<8x{narrow}>
          {extended}
          %c = arith.muli {"%a, %a" if narrow == wide else "%b, %b"} : {wide}
          memref.store %c, %y[%i] : memref<8x{wide}>
        }} {{loop.unroll = 8 : i64}}
      }} {{loop.pipeline = 8 : i64}}
      return
    }}
    """
    module = parse_module(text, create_context())
    with module.context, ir.Location.unknown():
        (loop,) = (op for op in walk(module.operation) if PIPELINE in op.attributes)
        assert dsp_blocks(loop) == 8 * blocks
        assert f"II=8, {blocks} DSP blocks" in report(module.operation), "operators are shared"
