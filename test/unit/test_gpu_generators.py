"""The generators on this machine's Vulkan device, against float64: the shapes and values that hurt.

The bound is that of `graph_program`. Programs are those of `generator_programs` that a device can run: IREE has no
float64 exponential for SPIR-V.
"""

from __future__ import annotations

import generator_programs as programs
import numpy as np
import pytest
from generator_programs import BROADCASTS, uniform
from graph_program import Program, foreign_rows
from random_numbers import RNG
from terrace.dialects import graph
from terrace.errors import TerraceError

pytestmark = pytest.mark.vulkan


def _elementwise() -> Program:
    """Every way to broadcast, and both element types of a GPU's kernels."""
    program = Program()
    with program as p:
        for left, right in BROADCASTS:
            x, y = p.argument(uniform(*left)), p.argument(uniform(*right))
            p.result(f"{left} + {right}", graph.AddOp.build(graph.ReluOp.build(x), y))
        x, y = (p.argument(RNG.integers(-99, 99, (3, 19)).astype("int32")) for _ in range(2))
        z = graph.SubOp.build(graph.MulOp.build(x, y), graph.MaximumOp.build(x, y))
        p.result("int32", graph.SelectOp.build(graph.CompareOp.build(x, y, predicate="lt"), z, x))
    return program


FAMILIES = {
    "matmul": programs.matmuls,
    "batch_matmul": programs.batch_matmuls,
    "conv2d": lambda: programs.convs(constant=False),
    "elementwise": _elementwise,
    "rows": programs.rows,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_against_float64(family: str) -> None:
    program = FAMILIES[family]()
    compiled = program.compile("vulkan")
    assert foreign_rows(compiled) == []
    program.check(compiled)


def test_special_values() -> None:
    program = programs.special_values()
    program.check(program.compile("vulkan"), each=True)


def test_a_size_of_zero_is_refused_and_the_next_call_works() -> None:
    program = Program()
    with program as p:
        p.result("relu", graph.ReluOp.build(p.argument(uniform(3, 5), dynamic=(0, 1))))
    compiled = program.compile("vulkan")
    with pytest.raises(TerraceError, match="a size is 0 in this call"):
        compiled(np.zeros((0, 5), np.float32))
    program.check(compiled)


def test_other_types_are_left_to_iree() -> None:
    """64-bit numbers and int8 are not every GPU's; the report says so."""
    program = Program()
    with program as p:
        x, y = (p.argument(RNG.integers(-99, 99, (3, 19)).astype("int64")) for _ in range(2))
        p.result("int64", graph.AddOp.build(x, y))
        x, y = (p.argument(uniform(5, 9, dtype="float64")) for _ in range(2))
        p.result("float64", graph.MulOp.build(x, y))
    compiled = program.compile("vulkan")
    refused = [f"the target's kernels do not compute with {name}" for name in ("i64", "f64")]
    assert [row.partition(": ")[2] for row in foreign_rows(compiled)] == refused
    program.check(compiled)
