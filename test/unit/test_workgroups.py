"""How evenly workgroups occupy workers, from schedules: pure functions of sizes, blocks and work."""

from __future__ import annotations

import itertools
import math

import pytest
from terrace.element_types import F32
from terrace.lowering.kernels.elementwise import schedule as elementwise
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.matmul import schedule as matmul
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.work_division import BYTES_PER_CYCLE, MINIMUM_CYCLES, multiply_add_cycles
from terrace.lowering.kernels.workgroups import EVEN, balanced, imbalance, workgroup_count
from terrace.lowering.target.cpu.atoms import atoms, machine_of
from terrace.mlir import DYNAMIC
from terrace.target import CpuDescription, Target

FLOATS = TypeRule(("f32", "f32"), "f32", ("f32",))
WORKERS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def space_of(**sizes: int) -> IterationSpace:
    return IterationSpace(tuple(sizes), ("parallel",) * len(sizes), tuple(sizes.values()))


def cut(space: IterationSpace, **blocks: int) -> Schedule:
    return Schedule.of(dict.fromkeys(space.names, 1), blocks, tuple(blocks))


def test_workgroups_are_counted() -> None:
    space = space_of(m=10, n=7)
    assert workgroup_count(space, Schedule.of({"m": 2})) == 1
    assert workgroup_count(space, cut(space, m=3)) == 4
    assert workgroup_count(space, cut(space, m=3, n=2)) == 16
    assert workgroup_count(space_of(m=DYNAMIC), cut(space, m=3)) is None
    assert workgroup_count(space_of(m=0), cut(space, m=3)) == 0


@pytest.mark.parametrize(
    ("size", "block", "workers", "expected"),
    [(8, 1, 2, 1), (9, 1, 2, 10 / 9), (3, 1, 2, 4 / 3), (8, 5, 2, 5 / 4), (2, 1, 64, 1), (10, 3, 3, 12 / 10)],
)
def test_imbalance(size: int, block: int, workers: int, expected: float) -> None:
    space = space_of(m=size)
    assert imbalance(space, cut(space, m=block), workers) == pytest.approx(expected)


def test_nothing_and_unknown_sizes_are_even() -> None:
    assert imbalance(space_of(m=0), cut(space_of(m=0), m=1), 4) == 1
    assert imbalance(space_of(m=DYNAMIC), cut(space_of(m=0), m=1), 4) == 1


def test_other_blocks_are_found() -> None:
    space = space_of(m=3136, n=144)
    uneven = Schedule.of({"m": 8, "n": 48}, {"m": 1568, "n": 48}, ("m", "n"))
    assert imbalance(space, uneven, 4) > 1.3
    cycles = 12 * MINIMUM_CYCLES
    chosen = balanced(space, uneven, cycles, 4)
    assert imbalance(space, chosen, 4) <= EVEN and chosen.cut("register") == uneven.cut("register")
    # Not where there is too little work for more workgroups, and none that would hold more than its memory does.
    assert workgroup_count(space, balanced(space, uneven, 6 * MINIMUM_CYCLES, 7)) == 6
    staged = Schedule.of({"m": 8, "n": 48}, {"m": 1568, "n": 48}, ("m", "n"), staged=("rhs",))
    block = balanced(space, staged, cycles, 4).cut("local").sizes
    assert block["m"] <= 1568 and block["n"] <= 48


def matmuls() -> list[tuple[IterationSpace, Schedule, int]]:
    """Products with weights, and how each is cut for a number of workers."""
    found = []
    for m, n, k, workers in itertools.product((1, 49, 128, 784, 3136), (96, 768, 1000, 3072), (64, 768, 4096), WORKERS):
        space = IterationSpace(("m", "n", "k"), ("parallel", "parallel", "reduction"), (m, n, k))
        machine = CpuDescription(workers=workers)
        chosen = matmul.schedule_for_vectors(space, True, [False, True], FLOATS, machine)
        found.append((space, balanced(space, chosen, multiply_add_cycles(m * n * k, machine), workers), workers))
    return found


def test_products_are_shared_evenly_and_in_parts_worth_it() -> None:
    uneven = 0  # Where there is work for a few workgroups only, or few tiles.
    for space, schedule, workers in matmuls():
        m, n = (schedule.block(name) or space.size(name) for name in ("m", "n"))
        k = space.size("k")
        whole = max(multiply_add_cycles(m * n * k, CpuDescription()), n * k * F32.bytes / BYTES_PER_CYCLE)
        # Of whole tiles, it may be less.
        assert whole >= 0.5 * MINIMUM_CYCLES or workgroup_count(space, schedule) == 1, (space.sizes, workers)
        uneven += imbalance(space, schedule, workers) > EVEN
    assert uneven <= 0.08 * len(matmuls())


def test_work_is_counted_in_cycles_of_the_core() -> None:
    """The same product has more workgroups on a core that multiplies more slowly, and one of a row for its bytes."""
    space = IterationSpace(("m", "n", "k"), ("parallel", "parallel", "reduction"), (64, 512, 64))
    fast, slow = (CpuDescription(workers=2, fma_per_cycle=n) for n in (2, 1))
    found = [
        workgroup_count(space, matmul.schedule_for_vectors(space, True, [False, True], FLOATS, m)) for m in (fast, slow)
    ]
    assert found == [1, 2]
    row = IterationSpace(("m", "n", "k"), ("parallel", "parallel", "reduction"), (1, 1000, 1280))
    assert workgroup_count(row, matmul.schedule_for_vectors(row, True, [False, True], FLOATS, fast)) == 2


@pytest.mark.parametrize("types", [("i8", "i8", "i32"), ("bf16", "bf16", "f32")])
def test_a_faster_step_has_more_of_them_in_a_workgroup(types: tuple[str, str, str]) -> None:
    """As long as those of float32, not as many products."""
    features = tuple(sorted({feature for atom in atoms() if not atom.block for feature in atom.features}))
    machine = machine_of(Target(features=features, cpu=CpuDescription(vector_bits=512, workers=4)))
    atom = machine.best_atom(types)
    assert atom is not None and machine.speed_of(atom.name) == atom.speed > 1 == machine.speed_of(None)
    space = IterationSpace(("m", "n", "k"), ("parallel", "parallel", "reduction"), (128, 768, 96))
    counts = [
        workgroup_count(space, matmul.schedule_for_vectors(space, True, [False, True], rule, machine))
        for rule in (FLOATS, TypeRule(types[:2], types[2], types[2:]))
    ]
    assert counts[0] == 4 and counts[1] is not None and counts[1] <= counts[0] / atom.speed


def test_elementwise_work_is_shared_evenly() -> None:
    for rows, columns, workers in itertools.product((1, 56, 197, 1024), (768, 4096, 100352), WORKERS):
        space, cycles = space_of(d0=rows, d1=columns), 8 * rows * columns / BYTES_PER_CYCLE
        chosen = elementwise.schedule_for_vectors(space, (F32, F32), CpuDescription(workers=workers))
        schedule = balanced(space, chosen, cycles, workers)
        blocks = [schedule.block(name) or space.size(name) for name in space.names]
        whole = 8 * math.prod(blocks) / BYTES_PER_CYCLE
        assert whole >= MINIMUM_CYCLES or workgroup_count(space, schedule) == 1, (rows, columns, workers)
        assert imbalance(space, schedule, workers) <= EVEN, (rows, columns, workers, blocks)
