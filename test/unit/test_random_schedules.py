"""Random schedules of every family: each is refused with a place, or gives the result that the cost model's gives.

Products and convolutions give the same bits; sums along a row follow the tile (`docs/numerics.md`) and have a bound.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import terrace
from generator_programs import conv, uniform
from graph_program import Program, edited, recut, schedules_of
from terrace.dialects import graph
from terrace.dialects.context import create_context
from terrace.errors import PassError
from terrace.lowering.conversion.convert_kernel_to_loop import make_loops
from terrace.lowering.kernels.conv2d.winograd_shape import VARIANTS
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.packing import Pack, Sums, Terms, Transform
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import is_kernel, schedule_op
from terrace.lowering.target.local_memory import require_local_memory
from terrace.mlir import ir, parse_module
from terrace.target import CpuDescription

STAGED = {
    "matmul": ("lhs", "rhs"),
    "batch": ("lhs", "rhs"),
    "conv2d": ("input",),
    "attention": ("query",),
    "softmax": ("input",),
}
"""What may be copied into local memory, by the first word of a kernel's name."""


def _programs() -> Program:
    program = Program()
    with program as p:
        x, q, k = p.argument(uniform(37, 1040)), p.argument(uniform(3, 20, 64)), p.argument(uniform(3, 64, 20))
        p.result(
            "columns", graph.ReluOp.build(graph.MatmulOp.build(x, p.argument(uniform(1040, 41)), transpose_rhs=False))
        )
        p.result("rows", graph.MatmulOp.build(x, p.argument(uniform(41, 1040)), transpose_rhs=True))
        p.result("weights", graph.MatmulOp.build(x, p.parameter(uniform(1040, 43)), transpose_rhs=False))
        p.result("batches", graph.BatchMatmulOp.build(q, k, transpose_rhs=False))
        image = p.argument(uniform(2, 9, 11, 5))
        p.result("3x3", conv(p, image, p.parameter(uniform(33, 5, 3, 3)), padding=(1, 1, 1, 1)))
        p.result("depthwise", conv(p, p.argument(uniform(1, 7, 7, 37)), p.parameter(uniform(37, 1, 3, 3)), groups=37))
        p.result("groups", conv(p, p.argument(uniform(1, 9, 9, 6)), p.parameter(uniform(8, 3, 3, 3)), groups=2))
        pool = {"kernel": [3, 3], "strides": [2, 2], "padding": [1] * 4, "dilations": [1, 1], "ceil_mode": False}
        p.result("pool", graph.MaxPool2dOp.build(p.argument(uniform(1, 9, 9, 20)), layout="NHWC", **pool))
        p.result("elementwise", graph.ReluOp.build(p.argument(uniform(13, 70))))
        p.result("softmax", graph.SoftmaxOp.build(p.argument(uniform(13, 70)), axis=1))
        p.result("softmax of lines", graph.SoftmaxOp.build(p.argument(uniform(3, 13, 40)), axis=1))
        vector, norm = p.argument(uniform(24)), {"groups": 8, "epsilon": 1e-5}
        p.result("group norm", graph.GroupNormOp.build(p.argument(uniform(2, 24, 37)), vector, vector, axis=1, **norm))
        p.result("channels", graph.GroupNormOp.build(p.argument(uniform(2, 37, 24)), vector, vector, axis=2, **norm))
        p.result("sum", graph.ReduceOp.build(p.argument(uniform(13, 7, 30)), kind="sum", axes=[1], keepdims=False))
        table, rows = p.argument(uniform(50, 70)), p.argument(np.arange(21) * 8 % 50)
        p.result("look-up", graph.ReluOp.build(graph.EmbeddingOp.build(table, rows)))
        places = p.argument(np.arange(13 * 70).reshape(13, 70) * 7 % 50)
        p.result("gather", graph.GatherOp.build(table, places, axis=0))
        updated = p.argument(np.arange(21).reshape(1, 21) * 5 % 30), p.argument(uniform(13, 21))
        p.result("scatter", graph.ScatterOp.build(p.argument(uniform(13, 30)), *updated, axis=1, kind="sum"))
        heads = [p.argument(uniform(2, 3, length, 16)) for length in (21, 37, 37)]
        p.result("attention", graph.AttentionOp.build(*heads, scale=0.25, is_causal=True))
    return program


ROUNDED = ("softmax", "softmax of lines", "group norm", "channels", "sum", "attention")


@pytest.fixture(scope="module")
def sample() -> tuple[Program, terrace.CompiledModel]:
    program = _programs()
    compiled = program.compile()
    program.check(compiled)
    return program, compiled


def _spaces(text: str) -> dict[str, IterationSpace]:
    with create_context() as context:
        module = parse_module(text, context)
        kernels = [function for function in module.body.operations if is_kernel(function)]
        return {k.name.value: IterationSpace.from_attribute(schedule_op(k).iteration_space) for k in kernels}


def _random(rng: random.Random, name: str, schedule: Schedule, space: IterationSpace) -> Schedule:
    """A schedule that may make sense: most are refused."""
    if schedule.variant in VARIANTS:
        return _random_winograd(rng, schedule)
    parallel = [name for name, kind in zip(space.names, space.kinds, strict=True) if kind == "parallel"]
    dims = [*rng.sample(parallel, len(parallel)), *[name for name in space.names if name not in parallel]]
    tile = {d: rng.choice([1, 1, 2, 3, 5, 8, 16]) for d in dims if rng.random() < 0.8}
    blocks = {d: rng.choice([1, 2, 3]) * tile.get(d, 1) for d in space.names if rng.random() < 0.3}
    if "k" in blocks:  # whole chunks of the sum, or else they are refused
        blocks["k"] = rng.choice([208, 416, 1040])
        tile["k"] = rng.choice([1, 2, 8])
    packed = {
        operand: dataclasses.replace(how, inner_tiles=(rng.choice([4, 8, 16, 48]),)) if isinstance(how, Pack) else how
        for operand, how in schedule.packed.items()
        if rng.random() < 0.8
    }
    part = Sums() if "k" in blocks else Terms() if name.startswith("softmax") else None
    return recut(
        schedule,
        tile=tile,
        block=blocks,
        parallel=[d for d in blocks if d in parallel and rng.random() < 0.5][:3],
        packed=packed,
        staged=[operand for operand in STAGED.get(name.partition("_")[0], ()) if rng.random() < 0.5],
        leaves={"result": part} if part is not None and rng.random() < 0.7 else {},
    )


def _random_winograd(rng: random.Random, schedule: Schedule) -> Schedule:
    """Likewise, of the same variant: another rounds in another way."""
    outputs = VARIANTS[schedule.variant]
    tile = {"oc": rng.choice([3, 8, 16]), "oh": outputs * rng.choice([1, 2]), "ow": outputs * rng.choice([1, 2, 3])}
    blocks = {dim: tile[dim] * rng.choice([1, 2, 3]) for dim in ("oc", "ow") if rng.random() < 0.5}
    blocks |= {"n": rng.choice([1, 2]), "ic": rng.choice([2, 16])}
    parallel = [dim for dim in blocks if dim in ("n", "ow", "oc") and rng.random() < 0.5]
    packed = {"weight": Transform((outputs, outputs), (rng.choice([8, 16, 48]),))}
    staged = ["input"] if rng.random() < 0.9 else []
    return recut(
        schedule, tile={**tile, "ic": rng.choice([1, 2])}, block=blocks, parallel=parallel, packed=packed, staged=staged
    )


def _is_taken(text: str, name: str) -> bool:
    """Whether loops can be made of a kernel."""
    with create_context() as context, ir.Location.unknown():
        module = parse_module(text, context)
        kernel = next(op for op in module.body.operations if is_kernel(op) and op.name.value == name)
        try:
            require_local_memory(make_loops(kernel)[1], CpuDescription())
        except PassError:
            return False
    return True


@pytest.mark.parametrize("seed", range(4))
def test_random_schedules(sample: tuple[Program, terrace.CompiledModel], seed: int) -> None:
    program, compiled = sample
    text, rng, changes = compiled.ir("kernel"), random.Random(seed), {}
    spaces = _spaces(text)
    for name, schedule in schedules_of(compiled).items():
        tries = (_random(rng, name, schedule, spaces[name]) for _ in range(40))
        taken = next((cut for cut in tries if _is_taken(edited(text, {name: cut}), name)), None)
        if taken is not None:
            changes[name] = taken
    assert len(changes) > len(spaces) // 2
    expected, found = program.results(compiled), program.results(program.compile(text=edited(text, changes)))
    for name, values in expected.items():
        if name in ROUNDED:
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=f"{name}: {changes}")
        else:
            np.testing.assert_array_equal(found[name], values, err_msg=f"{name}: {changes}")
