"""How many bits a register of sums has: what it is set to, and all that is added until it is set again."""

from __future__ import annotations

import pytest
from terrace.dialects.context import create_context
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.rtl.circuit import Write, segments
from terrace.lowering.target.rtl.elaborate import elaborate
from terrace.mlir import ir, parse_module

KERNEL = """
func.func private @sums(%x: memref<32xi8>, %y: memref<1xi32>) attributes {{loop.kernel}} {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %start = arith.constant {start} : i32
  %nothing = arith.constant 0 : i8
  %yes = arith.constant true
  %sum = memref.alloca() : memref<i32>
  {before}
  scf.for %i = %c0 to %c4 step %c1 {{
    {outside}
    scf.for %k = %c0 to %c8 step %c1 {{
      %row = arith.muli %i, %c8 : index
      %at = arith.addi %row, %k : index
      %v = memref.load %x[%at] : memref<32xi8>
      %first = arith.cmpi eq, %k, %c0 : index
      %first_row = arith.cmpi eq, %i, %c0 : index
      %both = arith.andi %first, %first_row : i1
      %early = arith.cmpi ult, %k, %c3 : index
      %there = arith.cmpi ult, %i, %c3 : index
      %late = arith.cmpi ugt, %k, %c0 : index
      %never = arith.andi %first, %late : i1
      %is_zero = arith.cmpi eq, %v, %nothing : i8
      scf.if {around} {{
        scf.if {reset} {{
          memref.store %start, %sum[] : memref<i32>
        }}
        scf.if {adds} {{
          %s = memref.load %sum[] : memref<i32>
          {term}
          %t = arith.addi %s, %e : i32
          memref.store %t, %sum[] : memref<i32>
        }}
      }}
    }} {{loop.pipeline = 1 : i64}}
  }}
  %r = memref.load %sum[] : memref<i32>
  memref.store %r, %y[%c0] : memref<1xi32>
  return
}}
"""

SET = "memref.store %start, %sum[] : memref<i32>"
POSITIVE = """%z = arith.extui %v : i8 to i32
          %one = arith.constant 1 : i32
          %e = arith.addi %z, %one : i32"""
OTHER_LOOP = """scf.for %j = %c0 to %c3 step %c1 {
    memref.store %start, %sum[] : memref<i32>
  } {loop.pipeline = 1 : i64}"""
BRANCH = """%is_first_row = arith.cmpi eq, %i, %c0 : index
    scf.if %is_first_row {
      memref.store %start, %sum[] : memref<i32>
      scf.for %j = %c0 to %c3 step %c1 {
        %q = memref.load %x[%j] : memref<32xi8>
        %w = arith.extsi %q : i8 to i32
        memref.store %w, %y[%c0] : memref<1xi32>
      } {loop.pipeline = 1 : i64}
    } else {
      scf.for %j = %c0 to %c3 step %c1 {
        %q = memref.load %x[%j] : memref<32xi8>
        %w = arith.extui %q : i8 to i32
        memref.store %w, %y[%c0] : memref<1xi32>
      } {loop.pipeline = 1 : i64}
    }"""
USUAL = {
    "start": 0,
    "before": "",
    "outside": "",
    "around": "%yes",
    "reset": "%first",
    "adds": "%yes",
    "term": "%e = arith.extsi %v : i8 to i32",
}

CASES: dict[str, tuple[dict[str, object], int]] = {
    # Eight numbers of 8 bits, and the number that it is set to.
    "in the first iteration": ({}, 12),
    "to a number": ({"start": 100_000}, 18),
    "numbers without a sign": ({"term": "%e = arith.extui %v : i8 to i32"}, 13),
    "in the first of all": ({"reset": "%both"}, 14),
    "before all": ({"before": SET, "reset": "%first", "adds": "%yes"}, 12),
    "before all only": ({"before": SET, "around": "%yes", "reset": "%is_zero", "adds": "%yes"}, 14),
    "in the loop around": ({"outside": SET, "reset": "%is_zero"}, 12),
    "where both are done": ({"around": "%there"}, 12),
    # Nothing is added where it is set: it is not seen that one of both always holds.
    "apart": ({"adds": "%late"}, 32),
    "numbers above zero": ({"term": POSITIVE, "start": -4098}, 14),
    # It is set where an element says so, or not in each run through the counters in which something is added.
    "where an element says so": ({"reset": "%is_zero"}, 32),
    "never where something is added": ({"around": "%late"}, 32),
    "in some rows": ({"reset": "%there", "adds": "%yes"}, 14),
    "never": ({"reset": "%never"}, 32),
    "in another loop": ({"before": OTHER_LOOP, "reset": "%is_zero"}, 32),
    "in one of two ways": ({"outside": BRANCH, "reset": "%is_zero"}, 32),
    "where an element says so, both": ({"around": "%is_zero"}, 32),
}


@pytest.mark.parametrize("name", CASES)
def test_bits_of_a_sum(name: str) -> None:
    changes, expected = CASES[name]
    context = create_context()
    module = parse_module(KERNEL.format(**{**USUAL, **changes}), context)
    with context, ir.Location.unknown():
        (kernel,) = loop_kernels(module.operation)
        circuit = elaborate(kernel, (18, 25))
    written = {a.register for segment in segments(circuit.steps) for a in segment.actions if isinstance(a, Write)}
    (width,) = {register.width for register in written if register.name == "t1"}
    assert width == expected
