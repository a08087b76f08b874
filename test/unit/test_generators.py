"""The generators, compiled and run: against float64, on every target description, and under edited schedules.

The bound is `graph_program.RTOL * max|y| + ATOL`. The order of additions does not depend on the schedule, so equal
programs under different schedules give the same bits, and are compared without a tolerance.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import generator_programs as programs
import numpy as np
import pytest
import terrace
from generator_programs import one_of_each, uniform
from graph_program import Program, edited, foreign_rows, loops_of, schedules_of
from terrace.dialects import graph
from terrace.errors import PassError
from terrace.lowering.kernels.schedule import Layout, Padding, Schedule
from terrace.runtime.cpu_features import host_features
from terrace.target import CpuDescription

FAMILIES = {
    "matmul": programs.matmuls,
    "batch_matmul": programs.batch_matmuls,
    "conv2d, constant weights": lambda: programs.convs(constant=True),
    "conv2d, weights given": lambda: programs.convs(constant=False),
    "elementwise": programs.elementwise,
    "rows": programs.rows,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_against_float64(family: str) -> None:
    program = FAMILIES[family]()
    compiled = program.compile()
    assert foreign_rows(compiled) == []
    program.check(compiled)


def test_special_values() -> None:
    program = programs.special_values()
    program.check(program.compile(), each=True)


def test_epilogues() -> None:
    program = programs.epilogues()
    compiled = program.compile()
    # Operands that broadcast along a part of collapsed dimensions are made large: two by IREE, when called, and a
    # parameter when it is compiled. The rest is ours.
    assert [row.partition(":")[0] for row in foreign_rows(compiled)] == ["broadcast"] * 2
    assert len(compiled.report().rows) == len(program.names) + 2
    program.check(compiled)


def test_dynamic_sizes() -> None:
    """One compile serves all sizes: no elements, one, a tile, more, and no multiple."""
    program, inputs = programs.dynamic()
    compiled = program.compile()
    assert {row.partition(":")[0] for row in foreign_rows(compiled)} <= {"pad"}
    sizes = [(3, 4, 5, 2), (1, 1, 1, 1), (0, 3, 4, 2), (5, 0, 7, 1), (4, 3, 2, 0), (17, 31, 33, 3), (40, 16, 48, 1)]
    for m, k, n, b in sizes:
        program.check(compiled, inputs(m, k, n, b))


# -- targets ----------------------------------------------------------------------------------------------------------


def _cpu(bits: int, workers: int) -> CpuDescription:
    return CpuDescription(vector_bits=bits, vector_registers=32 if bits == 512 else 16, workers=workers)


@pytest.fixture(scope="module")
def sample() -> tuple[Program, terrace.CompiledModel]:
    program = one_of_each()
    cpu = _cpu(512 if "avx512f" in host_features() else 256, 1)
    compiled = program.compile(terrace.Target(cpu=cpu))
    program.check(compiled)
    return program, compiled


def _same_results(program: Program, left: terrace.CompiledModel, right: terrace.CompiledModel) -> None:
    first, second = program.results(left), program.results(right)
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)


@pytest.mark.parametrize(("bits", "workers"), [(128, 1), (256, 8), (512, 8)])
def test_targets_agree(sample: tuple[Program, Any], bits: int, workers: int) -> None:
    program, compiled = sample
    other = program.compile(terrace.Target(cpu=_cpu(bits, workers), threads=2))
    assert schedules_of(other) != schedules_of(compiled)
    _same_results(program, compiled, other)


# -- edited schedules -------------------------------------------------------------------------------------------------

Edit = Callable[[str, Schedule], dict[str, Any]]


def _family(kernel: str) -> str:
    return re.sub(r"_[0-9x]+(_\d+)?$", "", kernel)


def _small_tiles(kernel: str, schedule: Schedule) -> dict[str, Any]:
    return {
        "tile_sizes": {},
        "block_sizes": {},
        "parallel": (),
        "staged": schedule.staged[:0],
        "layouts": _pads(schedule),
    }


def _pads(schedule: Schedule) -> tuple[Layout | Padding | None, ...]:
    """Row-major arguments, but the padding of a staged image, here 1 all around, made before."""
    padding = Padding((0, 1, 1, 0), (0, 1, 1, 0)) if "input" in schedule.staged else None
    return tuple(padding if i == 0 else None for i in range(len(schedule.layouts)))


def _odd_tiles(kernel: str, schedule: Schedule) -> dict[str, Any]:
    """Tiles that divide nothing; blocks of three tiles, in sequence."""
    tiles = {name: size if size == 1 or name in ("kw", "ic") else 3 for name, size in schedule.tile_sizes.items()}
    blocks = {name: 3 * size for name, size in tiles.items() if name in ("m", "n", "ow", "oh", "d0", "d1") and size > 1}
    layouts = tuple(None if isinstance(layout, Layout) else layout for layout in schedule.layouts)
    fields: dict[str, Any] = {"tile_sizes": tiles, "parallel": (), "layouts": layouts}
    return fields if _family(kernel).startswith("conv") else {**fields, "block_sizes": blocks}


def _in_parallel(kernel: str, schedule: Schedule) -> dict[str, Any]:
    """One tile a workgroup, the dimensions swapped."""
    if _family(kernel).startswith("conv"):
        names: tuple[str, ...] = ("ow", "oh", "n")
    elif "d1" in schedule.tile_sizes:
        names = ("d1", "d0")
    else:
        names = ("n", "m")
    return {"block_sizes": {name: schedule.tile(name) for name in names}, "parallel": names, "order": names[::-1]}


def _wide_layouts(kernel: str, schedule: Schedule) -> dict[str, Any]:
    """Blocks twice as wide as the tile, where a layout is blocked; elsewhere rhs is staged, or no more."""
    if any(isinstance(layout, Layout) for layout in schedule.layouts):
        layouts = tuple(_doubled(layout) if isinstance(layout, Layout) else layout for layout in schedule.layouts)
        grouped = kernel.endswith("12x24")
        return {"layouts": schedule.layouts if grouped else layouts, "order": tuple(reversed(schedule.order))}
    if _family(kernel) == "matmul":
        return {"staged": ("rhs",), "block_sizes": {}}
    return {"staged": (), "tile_sizes": {**schedule.tile_sizes, "k": 4} if "k" in schedule.tile_sizes else {"d0": 2}}


def _doubled(layout: Layout) -> Layout:
    return dataclasses.replace(layout, inner_tiles=(2 * layout.inner_tiles[0],))


def _staged_in_sequence(kernel: str, schedule: Schedule) -> dict[str, Any]:
    """Blocks that one workgroup takes after another, staged ones too."""
    if _family(kernel).startswith("conv"):
        return {
            "block_sizes": {"n": 1, "oh": 2 * schedule.tile("oh")},
            "parallel": (),
            "tile_sizes": schedule.tile_sizes,
        }
    names = ("n", "m") if "m" in schedule.tile_sizes else ("d1", "d0")
    return {"block_sizes": {name: schedule.tile(name) for name in names}, "parallel": names[1:]}


EDITS: dict[str, Edit] = {
    "small tiles": _small_tiles,
    "odd tiles": _odd_tiles,
    "in parallel": _in_parallel,
    "wide layouts": _wide_layouts,
    "staged in sequence": _staged_in_sequence,
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_schedules(sample: tuple[Program, Any], name: str) -> None:
    """Every kernel's loops change, and no bit of its result does."""
    program, compiled = sample
    changes = {kernel: EDITS[name](kernel, schedule) for kernel, schedule in schedules_of(compiled).items()}
    other = program.compile(text=edited(compiled.ir("kernel"), changes))
    before, after = loops_of(compiled.ir("loop")), loops_of(other.ir("loop"))
    assert [kernel for kernel in before if before[kernel] == after[kernel]] == []
    _same_results(program, compiled, other)


def test_a_refused_edit_is_a_pass_error(sample: tuple[Program, Any]) -> None:
    program, compiled = sample
    conv = next(kernel for kernel in schedules_of(compiled) if kernel.startswith("conv2d_add"))
    with pytest.raises(PassError, match="padding needs the input staged"):
        program.compile(text=edited(compiled.ir("kernel"), {conv: {"staged": ()}}))


# -- what does not fit ------------------------------------------------------------------------------------------------


def test_rows_that_exceed_local_memory() -> None:
    """One row of tiles of a 512x512 image with 192 channels takes 1.2 MB: its padding is made before, not staged."""
    program = Program()
    with program as p:
        image, weight = p.argument(uniform(1, 4, 512, 192)), p.parameter(uniform(4, 192, 3, 3))
        p.result("conv2d", programs.conv(p, image, weight, padding=(1, 1, 1, 1)))
    compiled = program.compile()
    (schedule,) = schedules_of(compiled).values()
    assert schedule.staged == () and schedule.layouts[0] == Padding((0, 1, 1, 0), (0, 1, 1, 0))
    program.check(compiled)


def test_a_contraction_of_float64_is_left_to_iree() -> None:
    program = Program()
    with program as p:
        x, y = p.argument(uniform(3, 4, dtype="float64")), p.argument(uniform(4, 5, dtype="float64"))
        p.result("matmul", graph.MatmulOp.build(x, y, transpose_rhs=False))
    compiled = program.compile()
    assert foreign_rows(compiled) == ["matmul: element type f64 of graph.matmul"]
    program.check(compiled)
