"""Products whose k is cut for local memory: the sums of a block of the result stay there, and no bit changes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import terrace
from generator_programs import uniform
from graph_program import Program, edited, recut, schedules_of
from terrace.dialects import graph
from terrace.errors import PassError
from terrace.lowering.kernels.packing import Sums
from terrace.lowering.kernels.schedule import Schedule
from terrace.mlir import ir

SUMS = {"result": Sums()}


def products() -> Program:
    """Of 1040 terms, which are summed in chunks of 208, and of 1031, of which 7 are left; weights and activations."""
    program = Program()
    with program as p:
        for m, k, n in ((37, 1040, 41), (5, 1031, 19)):
            x = p.argument(uniform(m, k))
            for transposed, shape in ((True, (n, k)), (False, (k, n))):
                for kind in (p.parameter, p.argument):
                    y = graph.MatmulOp.build(x, kind(uniform(*shape)), transpose_rhs=transposed)
                    p.result(f"{k} transposed={transposed} {kind.__name__}", graph.ReluOp.build(y))
        x, y = p.argument(uniform(3, 9, 1040)), p.argument(uniform(3, 1040, 17))
        p.result("batches", graph.BatchMatmulOp.build(x, y, transpose_rhs=False))
    return program


@pytest.fixture(scope="module")
def sample() -> tuple[Program, terrace.CompiledModel]:
    program = products()
    compiled = program.compile()
    program.check(compiled)
    return program, compiled


def _chunk(kernel: str, compiled: terrace.CompiledModel) -> int:
    return 208 if "1040" in compiled.ir("kernel").partition(f"@{kernel}(")[2].partition("{")[0] else 512


@pytest.mark.parametrize(
    ("staged", "tiles", "chunks", "parallel"),
    [((), 2, 1, True), (("rhs",), 2, 1, False), (("lhs", "rhs"), 1, 1, True), (("lhs",), 3, 2, False)],
)
def test_blocks_of_k_change_no_bit(
    sample: tuple[Program, terrace.CompiledModel], staged: tuple[str, ...], tiles: int, chunks: int, parallel: bool
) -> None:
    program, compiled = sample

    def cut(kernel: str, schedule: Schedule) -> Schedule:
        block = {name: tiles * schedule.tile(name) for name in ("m", "n")}
        block |= {"k": chunks * _chunk(kernel, compiled)} | ({"b": 1} if kernel.startswith("batch") else {})
        entering = tuple(name for name in staged if name not in schedule.packed)
        spread = ("m", "n") if parallel else ()
        return recut(schedule, block=block, parallel=spread, staged=entering, leaves=SUMS)

    changes = {kernel: cut(kernel, schedule) for kernel, schedule in schedules_of(compiled).items()}
    other = program.compile(text=edited(compiled.ir("kernel"), changes))
    first, second = program.results(compiled), program.results(other)
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)


def test_long_columns_are_cut() -> None:
    """A worker's memory does not hold columns of 9000 elements: it is chosen."""
    program = Program()
    with program as p:
        x, y = p.argument(uniform(130, 9000)), p.argument(uniform(9000, 600))
        p.result("matmul", graph.MatmulOp.build(x, y, transpose_rhs=False))
    compiled = program.compile()
    (schedule,) = schedules_of(compiled).values()
    assert schedule.leaving == ("result",) and schedule.staged == ("rhs",) and schedule.block("k") == 500
    program.check(compiled)


def test_sizes_known_at_run_time() -> None:
    program = Program()
    with program as p:
        x, y = p.argument(uniform(37, 1040), (0,)), p.argument(uniform(1040, 41), (1,))
        p.result("matmul", graph.MatmulOp.build(x, y, transpose_rhs=False))
    compiled = program.compile()
    ((kernel, schedule),) = schedules_of(compiled).items()
    block = {"m": 2 * schedule.tile("m"), "n": schedule.tile("n"), "k": 208}
    cut = recut(schedule, block=block, parallel=(), staged=("lhs", "rhs"), leaves=SUMS)
    other = program.compile(text=edited(compiled.ir("kernel"), {kernel: cut}))
    for m, n in ((0, 3), (1, 1), (37, 41), (3, 0), (100, 65)):
        inputs = [uniform(m, 1040), uniform(1040, n)]
        np.testing.assert_array_equal(*(np.asarray(c(*inputs)) for c in (compiled, other)))


@pytest.mark.parametrize("target", [pytest.param("vulkan", marks=pytest.mark.vulkan), "hls"])
def test_other_targets(target: str) -> None:
    """Workgroups share the memory of the sums, and circuits have it as an array."""
    program = Program()
    with program as p:
        x, y = p.argument(uniform(20, 1040)), p.argument(uniform(1040, 17))
        p.result("matmul", graph.MatmulOp.build(x, y, transpose_rhs=False))
    compiled = program.compile(target)
    ((kernel, schedule),) = schedules_of(compiled).items()
    block = {"m": schedule.tile("m"), "n": schedule.tile("n"), "k": 208}
    cut = recut(schedule, block=block, staged=("rhs",), leaves=SUMS)
    other = program.compile(target, text=edited(compiled.ir("kernel"), {kernel: cut}))
    np.testing.assert_array_equal(*(program.results(c)["matmul"] for c in (compiled, other)))


def test_integers_have_no_chunks() -> None:
    program = Program()
    with program as p:
        x, y = (p.argument(np.random.default_rng(0).integers(-128, 128, s, "int8")) for s in ((9, 70), (70, 33)))
        type_ = ir.RankedTensorType.get([9, 33], ir.IntegerType.get_signless(32))
        p.result("matmul", graph.MatmulOp.build(x, y, transpose_rhs=False, result_type=type_))
    compiled = program.compile()
    ((kernel, schedule),) = schedules_of(compiled).items()
    block = {name: schedule.tile(name) for name in ("m", "n")} | {"k": 24}
    cut = recut(schedule, block=block, parallel=(), staged=("lhs", "rhs"), leaves=SUMS)
    program.check(program.compile(text=edited(compiled.ir("kernel"), {kernel: cut})))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"k": 100}, "'k' is summed in chunks of 208; its block must be a multiple, got 100"),
        ({}, "with a static 'k' that is cut"),
    ],
)
def test_refused(sample: tuple[Program, terrace.CompiledModel], block: Mapping[str, int], message: str) -> None:
    program, compiled = sample
    kernel, schedule = next((k, s) for k, s in schedules_of(compiled).items() if _chunk(k, compiled) == 208)
    cut = recut(schedule, block=block, parallel=(), staged=(), leaves=SUMS)
    with pytest.raises(PassError, match=message):
        program.compile(text=edited(compiled.ir("kernel"), {kernel: cut}))
