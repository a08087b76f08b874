"""The schedules that tuning tries: the cost model's choice first, distinct, each one that the kernel can follow, and
all with the same results.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import terrace
from generator_programs import conv, uniform
from graph_program import Program, edited
from terrace.dialects import graph
from terrace.dialects.context import create_context
from terrace.lowering.kernels.choose_schedules import alternatives, choose_schedule
from terrace.lowering.kernels.read_kernel import calls_of, read_kernel
from terrace.lowering.kernels.schedule import DIRECT, Schedule
from terrace.lowering.kernels.view import KernelView, is_kernel
from terrace.lowering.target.candidate_schedules import MOST, candidate_schedules, why_not
from terrace.machine import WorkgroupMachine
from terrace.mlir import ir, parse_module
from terrace.target import CpuDescription

MACHINES = {
    "one worker": CpuDescription(),
    "four workers": CpuDescription(workers=4),
    "AVX2": CpuDescription(vector_bits=256, vector_registers=16),
    "little memory": CpuDescription(local_bytes=8 << 10),
}
EXACT = ("matmul", "batch", "conv2d", "elementwise", "add", "relu", "max_pool2d")
"""The kernels, by how their names begin, whose results are the same bits by all schedules of a variant."""


def _programs() -> Program:
    program = Program()
    with program as p:
        x = p.argument(uniform(150, 64))
        p.result(
            "weights", graph.ReluOp.build(graph.MatmulOp.build(x, p.parameter(uniform(64, 72)), transpose_rhs=False))
        )
        p.result("columns", graph.MatmulOp.build(x, p.argument(uniform(64, 520)), transpose_rhs=False))
        p.result("rows", graph.MatmulOp.build(x, p.argument(uniform(41, 64)), transpose_rhs=True))
        q, k = p.argument(uniform(3, 30, 24)), p.argument(uniform(3, 35, 24))
        p.result("batches", graph.BatchMatmulOp.build(q, k, transpose_rhs=True))
        image = p.argument(uniform(1, 18, 13, 8))
        p.result("3x3", conv(p, image, p.parameter(uniform(40, 8, 3, 3)), padding=(1, 1, 1, 1)))
        p.result("5x5", conv(p, image, p.parameter(uniform(20, 8, 5, 5)), padding=(2, 2, 2, 2), strides=(2, 2)))
        p.result("short rows", conv(p, p.argument(uniform(1, 7, 7, 8)), p.parameter(uniform(33, 8, 2, 2))))
        p.result("depthwise", conv(p, image, p.parameter(uniform(8, 1, 3, 3)), padding=(1, 1, 1, 1), groups=8))
        p.result("elementwise", graph.AddOp.build(p.argument(uniform(13, 1)), p.argument(uniform(13, 170))))
        p.result("softmax", graph.SoftmaxOp.build(p.argument(uniform(13, 170)), axis=1))
        scale, shift = p.parameter(uniform(70)), p.parameter(uniform(70))
        p.result("norm", graph.LayerNormOp.build(p.argument(uniform(12, 70)), scale, shift, epsilon=1e-5))
        p.result("sum", graph.ReduceOp.build(p.argument(uniform(13, 300)), kind="sum", axes=[1], keepdims=False))
        pool = {"kernel": [2, 2], "strides": [2, 2], "padding": [0] * 4, "dilations": [1, 1], "ceil_mode": False}
        p.result("pool", graph.MaxPool2dOp.build(p.argument(uniform(1, 8, 8, 70)), layout="NHWC", **pool))
        heads = [p.argument(uniform(2, 3, length, 16)) for length in (21, 300, 300)]
        p.result("attention", graph.AttentionOp.build(*heads, scale=0.25, is_causal=False))
    return program


@pytest.fixture(scope="module")
def sample() -> tuple[Program, terrace.CompiledModel]:
    program = _programs()
    return program, program.compile(terrace.Target(cpu=CpuDescription(), threads=1))


@pytest.fixture
def kernels(sample: tuple[Program, terrace.CompiledModel]) -> Iterator[list[KernelView]]:
    with create_context() as context, ir.Location.unknown():
        module = parse_module(sample[1].ir("kernel"), context)
        calls = calls_of(module.operation)
        yield [read_kernel(function, calls) for function in module.body.operations if is_kernel(function)]


@pytest.mark.parametrize("name", MACHINES)
def test_the_choice_is_first_and_all_can_be_followed(name: str, kernels: list[KernelView]) -> None:
    machine = MACHINES[name]
    counts = {}
    for kernel in kernels:
        own = kernel.schedule
        found = candidate_schedules(kernel, machine)
        counts[kernel.name] = len(found)
        assert found[0] == choose_schedule(kernel, machine)
        assert len({str(schedule.to_attribute()) for schedule in found}) == len(found) <= MOST
        assert all(why_not(kernel.function, schedule.to_attribute(), machine) is None for schedule in found[1:])
        assert read_kernel(kernel.function).schedule == own
    # Every family has some; small kernels may leave no choice on a small machine.
    assert sum(count > 1 for count in counts.values()) >= len(counts) - 2, counts


def test_fewer_are_the_first_of_more(kernels: list[KernelView]) -> None:
    for kernel in kernels:
        found = candidate_schedules(kernel, MACHINES["one worker"])
        assert candidate_schedules(kernel, MACHINES["one worker"], most=3) == found[:3]
        assert candidate_schedules(kernel, MACHINES["one worker"], most=1) == found[:1]


def test_winograds_variants_are_tried_where_they_are_allowed(kernels: list[KernelView]) -> None:
    variants = {}
    for allowed in (True, False):
        found = [candidate_schedules(kernel, MACHINES["one worker"], rounding=allowed) for kernel in kernels]
        variants[allowed] = {schedule.variant for schedules in found for schedule in schedules}
    assert variants == {True: {DIRECT, "winograd_2x2", "winograd_4x4"}, False: {DIRECT}}


def test_other_kinds_of_machines_have_no_alternatives(kernels: list[KernelView]) -> None:
    for kernel in kernels:
        assert not list(alternatives(kernel, kernel.schedule, WorkgroupMachine(64, 1 << 15)))


def test_what_cannot_be_followed_is_told(kernels: list[KernelView]) -> None:
    kernel = next(kernel for kernel in kernels if kernel.name.startswith("softmax"))
    wrong = {
        "cannot enter 'local'": Schedule.of({"m": 1, "n": 16}, staged=("input",)),
        "must be a multiple": Schedule.of({"m": 3, "n": 16}, block={"m": 4}),
    }
    for words, schedule in wrong.items():
        assert words in str(why_not(kernel.function, schedule.to_attribute(), MACHINES["one worker"]))


@pytest.mark.parametrize("number", range(1, MOST))
def test_all_give_the_same_results(
    sample: tuple[Program, terrace.CompiledModel], kernels: list[KernelView], number: int
) -> None:
    """Of each kernel the candidate of this number, compiled together."""
    program, compiled = sample
    changes: dict[str, Schedule] = {}
    variants = set()
    for kernel in kernels:
        found = candidate_schedules(kernel, MACHINES["one worker"])
        if number < len(found):
            changes[kernel.name] = found[number]
            if found[number].variant != found[0].variant:
                variants.add(kernel.name)
    other = program.compile(terrace.Target(cpu=CpuDescription(), threads=1), edited(compiled.ir("kernel"), changes))
    names = [row["kernel"] for row in compiled.report().rows]
    expected, found_results = program.results(compiled), program.results(other)
    assert len(names) == len(expected)
    for kernel_name, result in zip(names, expected, strict=True):
        actual, wanted = found_results[result], expected[result]
        if kernel_name.startswith(EXACT) and kernel_name not in variants:
            np.testing.assert_array_equal(actual, wanted, err_msg=f"{kernel_name}: {changes.get(kernel_name)}")
        else:
            limit = 1e-5 * np.abs(wanted).max()
            np.testing.assert_allclose(actual, wanted, 0, limit, err_msg=f"{kernel_name}: {changes.get(kernel_name)}")
