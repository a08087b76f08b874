"""Random groups, collapsed into kernels of few dimensions: what a kernel computes must be what its group computes.

Every kind of kernel has shapes of many dimensions, some 1, 0 or known at run time only, and an epilogue whose operands
are broadcast along any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from graph_program import Program
from graph_reference import Interpreter
from terrace.dialects import graph
from terrace.dialects.context import create_context
from terrace.dialects.graph_base import window_size
from terrace.lowering.conversion.convert_graph_to_kernel import ConvertGraphToKernel
from terrace.lowering.graph.evaluation.arrays import widen
from terrace.lowering.graph.fusion import fuse
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along
from terrace.lowering.kernels.read_kernel import read_kernel
from terrace.lowering.kernels.registry import FAMILIES
from terrace.lowering.kernels.view import is_kernel
from terrace.mlir import ir, operation_of, parse_module


class Dim(NamedTuple):
    size: int
    dynamic: bool = False


Dims = list[Dim]
FIXED = {
    "matmul": {("m", "n", "k"), ("b", "m", "n", "k")},
    "row_reduction": {("m", "n"), ("m", "n", "l")},
    "group_norm": {("n", "g", "c", "s"), ("n", "g", "s", "c")},
}
"""The dimensions of the kernels of families whose generators take no others; whatever broadcasts is made to fit."""


class Groups:
    """Random groups of one program."""

    def __init__(self, program: Program, seed: int, dynamic: float) -> None:
        self.program, self.dynamic, self.random = program, dynamic, np.random.default_rng(seed)
        self.fused: list[list[ir.Operation]] = []

    def dims(self, least: int, most: int, sizes: Sequence[int] = (1, 1, 2, 3, 5)) -> Dims:
        drawn = [int(size) for size in self.random.choice(sizes, self.random.integers(least, most + 1))]
        # What has no elements and is known to have none becomes no kernel.
        return [Dim(size, size == 0 or self.random.random() < self.dynamic) for size in drawn]

    def tensor(self, dims: Dims) -> Any:
        values = self.random.uniform(0.5, 1.5, [dim.size for dim in dims]).astype(np.float32)
        return self.program.argument(values, [axis for axis, dim in enumerate(dims) if dim.dynamic])

    def broadcast(self, dims: Dims) -> Any:
        """A tensor that broadcasts to these dimensions: of fewer, or of size 1 along some."""
        kept = dims[max(0, self.random.integers(-len(dims), len(dims) + 1)) :]
        return self.tensor([Dim(1) if self.random.random() < 0.4 else dim for dim in kept])

    def add(self, value: Any, dims: Dims, most: int = 2) -> None:
        """The group of `value` and of at most so many ops after it, which may read what it reads, or give results."""
        ops = [operation_of(value)]
        again = [x for x in ops[0].operands if x.type == value.type and x.type.has_static_shape]
        for _ in range(self.random.integers(0, most + 1)):
            if self.random.random() < 0.2:
                self.result(ops, value, dims)
            build = graph.AddOp.build if self.random.random() < 0.5 else graph.MulOp.build
            value = build(value, again[0] if again and self.random.random() < 0.2 else self.broadcast(dims))
            ops.append(operation_of(value))
        self.fused.append(ops)
        self.result(ops, value, dims)

    def result(self, ops: Sequence[ir.Operation], value: Any, dims: Dims) -> None:
        number = len(self.program.names)
        self.program.result(f"{number}: {'+'.join(op.name for op in ops)} {dims}", value)

    # -- one group of each kind -----------------------------------------------------------------------------------

    def elementwise(self) -> None:
        dims = self.dims(0, 5, (0, 1, 1, 2, 3, 4, 5))
        self.add(graph.AddOp.build(self.tensor(dims), self.broadcast(dims)), dims)

    def matmul(self) -> None:
        rows, (n, k) = self.dims(1, 4, (0, 1, 1, 2, 3, 4)), self.dims(2, 2, (1, 3, 4))
        transposed = bool(self.random.random() < 0.5)
        rhs = self.tensor([n, k] if transposed else [k, n])
        self.add(graph.MatmulOp.build(self.tensor([*rows, k]), rhs, transpose_rhs=transposed), [*rows, n])

    def batch_matmul(self) -> None:
        batch, (m, n, k) = self.dims(1, 3), self.dims(3, 3, (1, 3, 4))
        transposed = bool(self.random.random() < 0.5)
        rhs = self.tensor([*batch, n, k] if transposed else [*batch, k, n])
        self.add(graph.BatchMatmulOp.build(self.tensor([*batch, m, k]), rhs, transpose_rhs=transposed), [*batch, m, n])

    def reduce(self) -> None:
        dims = self.dims(0, 6)
        axes = [axis for axis in range(len(dims)) if self.random.random() < 0.5]
        kind, keepdims = str(self.random.choice(["sum", "max", "mean"])), bool(self.random.random() < 0.5)
        value = graph.ReduceOp.build(self.tensor(dims), kind=kind, axes=axes, keepdims=keepdims)
        left = [Dim(1) if axis in axes else dim for axis, dim in enumerate(dims) if keepdims or axis not in axes]
        self.add(value, left)

    def row_reduction(self) -> None:
        dims = self.dims(1, 5)
        columns = dims[len(dims) - self.random.integers(1, len(dims) + 1) :]
        scale = [self.tensor(columns) for _ in range(2)]
        which, x = self.random.integers(3), self.tensor(dims)
        if which == 0:
            self.add(graph.SoftmaxOp.build(x, axis=int(self.random.integers(len(dims)))), dims)
        elif which == 1:
            self.add(graph.LayerNormOp.build(x, *scale, epsilon=0.1), dims)
        else:
            self.add(graph.RmsNormOp.build(x, scale[0], epsilon=0.1), dims)

    def group_norm(self) -> None:
        groups, own = (int(count) for count in self.random.integers(1, 4, 2))
        channels = Dim(groups * own)
        (batch, *sides), is_first = self.dims(1, 4), self.random.random() < 0.5
        dims = [batch, channels, *sides] if is_first else [batch, *sides, channels]
        scale = [self.tensor([channels]) for _ in range(2)]
        axis = 1 if is_first else len(dims) - 1
        self.add(graph.GroupNormOp.build(self.tensor(dims), *scale, groups=groups, epsilon=0.1, axis=axis), dims)

    def attention(self) -> None:
        batch, (length, keys) = self.dims(0, 3), self.dims(2, 2, (1, 3, 4))
        is_plain = self.random.random() < 0.5
        shared, heads = (1 if is_plain else int(self.random.integers(1, 4))), int(self.random.integers(1, 4))
        e, n = Dim(4), Dim(2)
        own, all_heads = [*batch, Dim(heads)], [*batch, Dim(heads * shared)]
        tensors = [[*all_heads, length, e], [*own, keys, e], [*own, keys, n]]
        result, inner = [*all_heads, length, n], [i for i in range(4) if self.random.random() < 0.3 * (not is_plain)]
        moved = [[*t[:-3], t[-2], t[-3], t[-1]] if i in inner else t for i, t in enumerate([*tensors, result])]
        masks = [self.broadcast([*all_heads, length, keys])] if self.random.random() < 0.7 else []
        operands, attributes = map(self.tensor, moved[:3]), {"inner_heads": inner} if inner else {}
        self.add(graph.AttentionOp.build(*operands, *masks, scale=0.5, is_causal=False, **attributes), moved[3])

    def windows(self) -> None:
        """Pools are static."""
        n, c = (int(x) for x in self.random.integers(1, 4, 2))
        h, w, groups = *(int(x) for x in self.random.integers(3, 7, 2)), int(self.random.integers(1, 3))
        strides, padding = (
            [int(x) for x in self.random.integers(1, 3, 2)],
            [int(x) for x in self.random.integers(0, 2, 4)],
        )
        same = {"strides": strides, "padding": padding, "dilations": [1, 1], "layout": "NHWC"}
        is_conv = self.random.random() < 0.5
        dims = [Dim(size, is_conv and self.random.random() < self.dynamic) for size in (n, h, w)]
        x = self.tensor([*dims, Dim(c * groups)])
        if is_conv:
            weight = self.tensor([Dim(2 * groups), Dim(c), Dim(2), Dim(3)])
            value = graph.Conv2dOp.build(x, weight, groups=groups, **same)
        else:
            value = graph.MaxPool2dOp.build(x, kernel=[2, 3], ceil_mode=False, **same)
        sides = zip(dims[1:], (2, 3), strides, padding[::2], padding[1::2], strict=True)
        fitting = [Dim(window_size(dim.size, *window, 1), dim.dynamic) for dim, *window in sides]
        self.add(value, [dims[0], *fitting, Dim(value.type.shape[-1])])

    def copy(self) -> None:
        dims = [Dim(dim.size) for dim in self.dims(1, 6)]
        x = self.tensor(dims)
        which, low = self.random.integers(4), [int(size) for size in self.random.integers(0, 3, len(dims))]
        if which == 0:
            permutation = [int(axis) for axis in self.random.permutation(len(dims))]
            value = graph.PermuteOp.build(x, permutation=permutation)
        elif which == 1:
            value = graph.PadOp.build(x, low=low, high=low[::-1], value=2.0)
        elif which == 2:
            value = graph.ConcatOp.build(x, self.tensor(dims), axis=int(self.random.integers(len(dims))))
        else:
            shape = [2, *(dim.size if dim.size > 1 else 4 for dim in dims)]
            value = graph.BroadcastOp.build(x, result_type=ir.RankedTensorType.get(shape, ir.F32Type.get()))
        self.add(value, [Dim(size) for size in value.type.shape], most=0)  # A copy is a kernel by itself.


KINDS: list[Callable[[Groups], None]] = [
    Groups.elementwise, Groups.matmul, Groups.batch_matmul, Groups.reduce, Groups.row_reduction, Groups.group_norm,
    Groups.attention, Groups.windows, Groups.copy,
]  # fmt: skip


class Calls(Interpreter):
    """Runs kernels, too."""

    def _run_op(self, op: ir.Operation, values: dict[ir.Value, Any]) -> list[Any]:
        operands = [values[value] for value in op.operands]
        if op.name == "func.call":
            block = self._symbols[op.attributes["callee"].value].regions[0].blocks[0]
            return self.run(block, dict(zip(block.arguments, operands, strict=True)))
        sums = {"arith.addi": np.add, "arith.muli": np.multiply, "arith.floordivsi": np.floor_divide}
        if op.name in sums:
            return [sums[op.name](*operands)]
        return [] if op.name == "kernel.schedule" else super()._run_op(op, values)


def random_program(kind: Callable[[Groups], None], count: int, seed: int, dynamic: float) -> Program:
    """A program of so many groups, each a fusion."""
    program = Program()
    with program as p:
        groups = Groups(p, seed, dynamic)
        for _ in range(count):
            kind(groups)
    with program.context:
        for ops in groups.fused:
            fuse(ops)
    assert program.module.operation.verify()
    return program


def runs_of(kinds: str, *accesses: tuple[Axis, ...]) -> str:
    """The kinds that are left of dimensions d0, d1, ... of these kinds ("p" or "r"), read and written so."""
    names, full = tuple(f"d{axis}" for axis in range(len(kinds))), tuple(kinds)
    space = IterationSpace(names, full, (4,) * len(kinds), accesses)
    return "".join(Collapse.of(space, [[4] * len(access) for access in accesses], []).kinds)


def test_dimensions_become_one_where_every_tensor_has_them_side_by_side() -> None:
    rows, columns = along("d0", "d1", "d2"), along("d2")
    assert runs_of("ppp", rows, rows) == "p"
    assert runs_of("prr", rows, rows) == "pr", "of one kind only"
    assert runs_of("ppp", columns, rows) == "pp", "not where one tensor has one of them"
    assert runs_of("ppp", along("d1", "d0", "d2"), rows) == "ppp", "not in another order"
    assert runs_of("ppp", along("d0", "d2", "d1"), rows) == "ppp", "not with another between them"
    assert runs_of("ppp", (Axis({"d0": 2}), *along("d1", "d2")), rows) == "pp", "not of windows with a stride"
    assert runs_of("ppp", (*along("d0"), Axis({"d1": 1, "d2": 1})), rows) == "ppp", "not inside a window"
    assert runs_of("ppp", (*along("d0"), *(axis.once() for axis in along("d1", "d2"))), rows) == "pp", (
        "not half broadcast"
    )
    space = IterationSpace(("n", "c"), ("p", "p"), (4, 4), (along("n", "c"),) * 2)
    assert Collapse.of(space, [[4, 4]] * 2, []).kinds == ("p", "p"), "not of two names"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kernel_computes_what_its_group_does(kind: Callable[[Groups], None]) -> None:
    program = random_program(kind, 100, seed=7, dynamic=0.3)
    with create_context() as context, ir.Location.unknown():
        module = parse_module(program.text, context)
        ConvertGraphToKernel(generators=tuple(FAMILIES)).run(module.operation)
        assert module.operation.verify()
        functions = {op.operation.attributes["sym_name"].value: op for op in module.body.operations}
        kernels = [read_kernel(function) for function in functions.values() if is_kernel(function)]
        main = functions["main"].operation.regions[0].blocks[0]
        ops = [op.operation.name for op in main.operations]
        assert ops.count("func.call") == program.text.count('"graph.fusion"')
        for kernel in kernels:
            # A kernel of any rank keeps dimensions apart where an operand broadcasts along some of them.
            names = kernel.space.names
            assert (
                names in FIXED[kernel.generator]
                if kernel.generator in FIXED
                else names and "graph.broadcast" not in ops
            )
        runner = Calls({name: op.operation for name, op in functions.items()}, {})
        found = runner.run(main, dict(zip(main.arguments, map(widen, program.inputs), strict=True)))
    for name, actual, wanted in zip(program.names, found, program.expected(), strict=True):
        assert actual.shape == wanted.shape, name
        np.testing.assert_allclose(actual, wanted, rtol=1e-12, err_msg=name)


def test_their_loops_do_so_too() -> None:
    def one_of_each(groups: Groups) -> None:
        for kind in KINDS:
            kind(groups)

    program = random_program(one_of_each, 4, seed=3, dynamic=0.2)
    program.check(program.compile())
