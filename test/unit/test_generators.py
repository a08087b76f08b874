"""The generators, compiled and run: against float64, on every target description, and under edited schedules.

The bound is `graph_program.RTOL * max|y| + ATOL`. The order of additions does not depend on the schedule, so equal
programs under different schedules give the same bits, and are compared without a tolerance.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import generator_programs as programs
import numpy as np
import pytest
import terrace
from generator_programs import one_of_each, uniform
from graph_program import Program, edited, foreign_rows, loops_of, recut, schedules_of
from terrace.errors import PassError
from terrace.lowering.kernels import work_division
from terrace.lowering.kernels.packing import Pack, Packing, Pad
from terrace.lowering.kernels.schedule import Schedule
from terrace.runtime.cpu_features import host_features
from terrace.target import CpuDescription

FAMILIES = {
    "matmul": programs.matmuls,
    "batch_matmul": programs.batch_matmuls,
    "conv2d, constant weights": lambda: programs.convs(constant=True),
    "conv2d, weights given": lambda: programs.convs(constant=False),
    "elementwise": programs.elementwise,
    "truth values": programs.truth_values,
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
    # Each of Winograd's variants rounds in its own way, and targets choose differently.
    compiled = program.compile(terrace.Target(cpu=cpu), winograd=False)
    program.check(compiled)
    return program, compiled


def _same_results(program: Program, left: terrace.CompiledModel, right: terrace.CompiledModel) -> None:
    first, second = program.results(left), program.results(right)
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)


@pytest.mark.parametrize(("bits", "workers"), [(128, 1), (256, 8), (512, 8)])
def test_targets_agree(sample: tuple[Program, Any], bits: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_division, "MINIMUM_CYCLES", 2048)  # Programs as small as these have several workgroups.
    program, compiled = sample
    other = program.compile(terrace.Target(cpu=_cpu(bits, workers), threads=2), winograd=False)
    assert schedules_of(other) != schedules_of(compiled)
    _same_results(program, compiled, other)


# -- edited schedules -------------------------------------------------------------------------------------------------

Edit = Callable[[str, Schedule], Schedule]


def _family(kernel: str) -> str:
    return re.sub(r"_[0-9x]+(_\d+)?$", "", kernel)


def _tiles(schedule: Schedule) -> Mapping[str, int]:
    return schedule.cut("register").sizes


def _pads_in_place(schedule: Schedule) -> bool:
    """Whether a schedule is the one of the depthwise kernel, which cuts no columns into blocks."""
    return schedule.tile("kw") > 1 and not schedule.staged


def _small_tiles(kernel: str, schedule: Schedule) -> Schedule:
    tiles = {"ow": 1, "kw": schedule.tile("kw")} if _pads_in_place(schedule) else {}
    return Schedule.of(tiles, packed=_pads(schedule))


def _pads(schedule: Schedule) -> Mapping[str, Packing]:
    """Row-major operands, but the padding of a staged image, here 1 all around, made before."""
    return {"input": Pad((0, 1, 1, 0), (0, 1, 1, 0))} if "input" in schedule.staged else {}


def _odd_tiles(kernel: str, schedule: Schedule) -> Schedule:
    """Tiles that divide nothing; blocks of three tiles, in sequence."""
    tiles = {name: size if size == 1 or name in ("kw", "ic") else 3 for name, size in _tiles(schedule).items()}
    blocks = {name: 3 * size for name, size in tiles.items() if name in ("m", "n", "ow", "oh", "d0", "d1") and size > 1}
    packed = {name: how for name, how in schedule.packed.items() if not isinstance(how, Pack)}
    if _family(kernel).startswith("conv"):
        blocks = {name: size for name, size in schedule.cut("local").sizes.items() if size % tiles.get(name, 1) == 0}
    return recut(schedule, tile=tiles, block=blocks, parallel=(), packed=packed)


def _in_parallel(kernel: str, schedule: Schedule) -> Schedule:
    """One tile a workgroup, the dimensions swapped."""
    names = ("n", "m") if "m" in _tiles(schedule) else ("d1", "d0")
    if _family(kernel).startswith("conv"):
        names = ("oh", "n") if _pads_in_place(schedule) else ("ow", "oh", "n")
    tiles = {name: schedule.tile(name) for name in (*names[::-1], *_tiles(schedule))}
    sums = {name: tiles.pop(name) for name in ("kw", "ic", "k") if name in tiles}
    blocks = {name: schedule.tile(name) for name in names}
    return recut(schedule, tile={**tiles, **sums}, block=blocks, parallel=names)


def _wide_layouts(kernel: str, schedule: Schedule) -> Schedule:
    """Blocks twice as wide as the tile, where a packing has blocks; elsewhere rhs is staged, or no more."""
    if any(isinstance(how, Pack) for how in schedule.packed.values()):
        packed = {name: _doubled(how) if isinstance(how, Pack) else how for name, how in schedule.packed.items()}
        grouped = kernel.endswith("12x24")
        kept = [name for name in _tiles(schedule) if name not in ("kw", "ic", "k")]
        if _pads_in_place(schedule):
            kept = ["oh", "g", "ow"][::-1]
        tiles = {**{name: schedule.tile(name) for name in reversed(kept)}, **_tiles(schedule)}
        sums = {name: tiles.pop(name) for name in ("kw", "ic", "k") if name in tiles}
        return recut(schedule, tile={**tiles, **sums}, packed=schedule.packed if grouped else packed)
    if _family(kernel) == "matmul":
        return recut(schedule, block={}, staged=("rhs",))
    return recut(schedule, tile={**_tiles(schedule), "k": 4} if "k" in _tiles(schedule) else {"d0": 2}, staged=())


def _doubled(packing: Pack) -> Pack:
    return dataclasses.replace(packing, inner_tiles=(2 * packing.inner_tiles[0],))


def _staged_in_sequence(kernel: str, schedule: Schedule) -> Schedule:
    """Blocks that one workgroup takes after another, staged ones too."""
    if _family(kernel).startswith("conv"):
        return recut(schedule, block={"n": 1, "oh": 2 * schedule.tile("oh")}, parallel=())
    names = ("n", "m") if "m" in _tiles(schedule) else ("d1", "d0")
    return recut(schedule, block={name: schedule.tile(name) for name in names}, parallel=names[1:])


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
        program.compile(text=edited(compiled.ir("kernel"), {conv: recut(schedules_of(compiled)[conv], staged=())}))


# -- what does not fit ------------------------------------------------------------------------------------------------


def test_rows_that_exceed_local_memory() -> None:
    """One row of tiles of a 512x512 image with 192 channels takes 1.2 MB: its padding is made before, not staged."""
    program = Program()
    with program as p:
        image, weight = p.argument(uniform(1, 4, 512, 192)), p.parameter(uniform(4, 192, 3, 3))
        p.result("conv2d", programs.conv(p, image, weight, padding=(1, 1, 1, 1)))
    compiled = program.compile(winograd=False)
    (schedule,) = schedules_of(compiled).values()
    assert schedule.staged == () and schedule.packed["input"] == Pad((0, 1, 1, 0), (0, 1, 1, 0))
    program.check(compiled)


def test_a_convolution_of_float64() -> None:
    program = Program()
    with program as p:
        image, weight = (p.argument(uniform(*shape, dtype="float64")) for shape in ((1, 4, 5, 3), (2, 3, 1, 3)))
        p.result("conv2d", programs.conv(p, image, weight))
    compiled = program.compile()
    assert foreign_rows(compiled) == []
    program.check(compiled)
