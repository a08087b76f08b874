"""The kernels of `test_tile_ops.py`: each op on tiles in a text of the level "loop", and what it computes in NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from random_numbers import RNG
from terrace.dialects import loop
from terrace.dialects.base import element_type_of, shape_of
from terrace.dialects.context import create_context
from terrace.lowering.graph.payload_types import cast
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.mlir import arith, func, ir, memref, scf

Array = np.ndarray


def integers(*shape: int, low: int = -9) -> Array:
    return RNG.integers(low, 10, shape).astype(np.int32)


def floats(*shape: int) -> Array:
    """Small integers, whose sums are exact in any order."""
    return integers(*shape).astype(np.float32)


class Body(LoopBuilder):
    """Builds what a kernel does with the memory of its operands `a` and `b` and of its result `out`."""

    a: ir.Value
    b: ir.Value
    out: ir.Value

    def whole(self, memory: ir.Value) -> ir.Value:
        """All of a memory as a tile."""
        shape = shape_of(memory)
        return self.load(memory, [0] * len(shape), shape, range(len(shape)))

    def finish(self, tile: ir.Value) -> None:
        """All of the result."""
        rank = len(shape_of(tile))
        self.store(tile, self.out, [0] * rank, range(rank))

    def number(self, memory: ir.Value, *at: int) -> ir.Value:
        return memref.load(memory, [self.value(index) for index in at])

    def positive(self, number: ir.Value) -> ir.Value:
        return arith.cmpf(arith.CmpFPredicate.OGT, number, arith.constant(number.type, 0.0))


Emit = Callable[[Body], None]


@dataclasses.dataclass(frozen=True)
class Case:
    """The operands of a kernel, its result, and what emits its body."""

    a: Array
    b: Array
    result: Array
    emit: Emit


CASES: dict[str, Case] = {}
ATOM_CASES: dict[str, Case] = {}
"""Those that multiply by int8_dot."""


def case(a: Array, b: Array, result: Array, cases: dict[str, Case] = CASES) -> Callable[[Emit], Emit]:
    def register(emit: Emit) -> Emit:
        cases[emit.__name__] = Case(a, b, result.astype("f" if a.dtype.kind == "f" else "i"), emit)
        return emit

    return register


def program(cases: dict[str, Case]) -> tuple[str, list[Array]]:
    """The text of a program that launches these kernels, whose results are its results, and its inputs."""
    context = create_context()
    with context, ir.Location.unknown():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            kernels = [_kernel(name, case) for name, case in cases.items()]
            inputs = [array for case in cases.values() for array in (case.a, case.b)]
            main = func.FuncOp("main", ([_tensor(array) for array in inputs], [k.type.results[0] for k in kernels]))
        with ir.InsertionPoint(main.add_entry_block()):
            pairs = zip(kernels, list(main.arguments)[::2], list(main.arguments)[1::2], strict=True)
            func.ReturnOp([func.CallOp(kernel, [a, b]).result for kernel, a, b in pairs])
        module.operation.verify()
        return module.operation.get_asm(), inputs


def _tensor(array: Array) -> ir.Type:
    element = ir.F32Type.get() if array.dtype.kind == "f" else ir.IntegerType.get_signless(8 * array.itemsize)
    return ir.RankedTensorType.get(list(array.shape), element)


def _memref(tensor: ir.Type) -> ir.Type:
    return ir.MemRefType.get(shape_of(tensor), ir.RankedTensorType(tensor).element_type)


def _kernel(name: str, case: Case) -> func.FuncOp:
    """One workgroup that runs a case's body."""
    types, result = [_tensor(case.a), _tensor(case.b)], _tensor(case.result)
    kernel = func.FuncOp(name, (types, [result]), visibility="private")
    kernel.attributes["loop.kernel"] = ir.UnitAttr.get()
    entry = kernel.add_entry_block()
    with ir.InsertionPoint(entry):
        b = Body(entry)
        b.a, b.b = (loop.ToBufferOp(v, _memref(v.type)).operation.results[0] for v in entry.arguments)
        b.out = memref.alloc(_memref(result), [], [])
        with b.parallel([1]):
            case.emit(b)
        func.ReturnOp([loop.ToTensorOp(b.out, result).operation.results[0]])
    return kernel


# -- conditions and loops ---------------------------------------------------------------------------------------------

X, Y = floats(3, 20), floats(3, 20)
X[0, 0], Y[0, 0] = 5, -5


def _choose(condition: ir.Value, *branches: list[Callable[[], ir.Value]]) -> list[ir.Value]:
    """An scf.if that gives, for each branch, what its functions emit."""
    operation = scf.IfOp(condition, [emit().type for emit in branches[0]], has_else=True)
    for block, emits in zip((operation.then_block, operation.else_block), branches, strict=True):
        with ir.InsertionPoint(block):
            scf.YieldOp([emit() for emit in emits])
    return list(operation.results)


@case(X, Y, X + (X + Y) + 2)
def a_condition_gives_tiles(b: Body) -> None:
    """Two tiles and a number, of memory, constants and sums."""
    x, y, two = b.whole(b.a), b.whole(b.b), b.number(b.a, 0, 0)
    zero = b.splat([3, 20], two.type, 0.0)
    then = [lambda: x, lambda: arith.addf(x, y), lambda: arith.constant(two.type, 2.0)]
    tile, total, number = _choose(b.positive(two), then, [lambda: zero, lambda: x, lambda: two])
    b.finish(arith.addf(arith.addf(tile, total), b.spread([3, 20], number)))


@case(X, Y, Y)
def a_condition_takes_the_other_branch(b: Body) -> None:
    x, y = b.whole(b.a), b.whole(b.b)
    (tile,) = _choose(b.positive(b.number(b.b, 0, 0)), [lambda: x], [lambda: y])
    b.finish(tile)


@case(X, Y, X * [[1], [2], [3]])
def a_condition_in_a_loop(b: Body) -> None:
    """Each round it adds to some rows."""
    x = b.whole(b.a)
    rows, zero = b.index_tile([3, 20], 0, 0), b.splat([3, 20], ir.F32Type.get(), 0.0)

    def body(index: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        number = arith.index_cast(ir.IntegerType.get_signless(32), index)
        mask = arith.cmpi(arith.CmpIPredicate.sge, rows, b.spread([3, 20], number))
        more = arith.addf(values[0], arith.select(mask, x, zero))
        return _choose(b.less(index, 3), [lambda: more], [lambda: values[0]])

    b.finish(b.reduce_all(0, 5, 1, [zero], body)[0])


@case(X, Y, X * 4 + 6 + 10)
def a_loop_carries_numbers_beside_tiles(b: Body) -> None:
    x, zero = b.whole(b.a), arith.constant(ir.F32Type.get(), 0.0)

    def body(index: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        number, tile, count = values
        as_float = arith.uitofp(zero.type, arith.index_cast(ir.IntegerType.get_signless(32), index))
        return [arith.addf(number, as_float), arith.addf(tile, x), arith.addi(count, index)]

    start = [zero, b.splat([3, 20], zero.type, 0.0), b.value(4)]
    number, tile, count = b.reduce_all(0, 4, 1, start, body)
    counted = arith.uitofp(zero.type, arith.index_cast(ir.IntegerType.get_signless(32), count))
    b.finish(arith.addf(tile, b.spread([3, 20], arith.addf(number, counted))))


@case(X, Y, Y - X)
def a_loop_exchanges_tiles(b: Body) -> None:
    left, right = b.reduce_all(0, 3, 1, [b.whole(b.a), b.whole(b.b)], lambda _, values: values[::-1])
    b.finish(arith.subf(left, right))


@case(X, Y, X)
def a_loop_that_does_not_run(b: Body) -> None:
    (tile,) = b.reduce_all(b.value(2), b.value(2), 1, [b.whole(b.a)], lambda _, values: [b.whole(b.b)])
    b.finish(tile)


@case(X, Y, np.where(X > 0, X, Y))
def masks_are_tiles(b: Body) -> None:
    """A condition gives one, and a loop carries it."""
    x, zero = b.whole(b.a), b.splat([3, 20], ir.F32Type.get(), 0.0)
    above, below = (arith.cmpf(p, x, zero) for p in (arith.CmpFPredicate.OGT, arith.CmpFPredicate.OLT))
    (mask,) = _choose(b.positive(b.number(b.a, 0, 0)), [lambda: above], [lambda: below])
    (mask,) = b.reduce_all(0, 2, 1, [mask], lambda _, values: [arith.andi(values[0], above)])
    b.finish(arith.select(mask, x, b.whole(b.b)))


@case(X, Y, np.where(X[0, 0] > 0, X, Y))
def one_condition_for_all_elements(b: Body) -> None:
    b.finish(arith.select(b.positive(b.number(b.a, 0, 0)), b.whole(b.a), b.whole(b.b)))


G, H = integers(3, 5), integers(3, 5)


@case(G, H, np.where(G[0, 0] > 0, G + G[0, 0], G + H + 7))
def a_condition_gives_integers(b: Body) -> None:
    x, y, number = b.whole(b.a), b.whole(b.b), b.number(b.a, 0, 0)
    positive = arith.cmpi(arith.CmpIPredicate.sgt, number, arith.constant(number.type, 0))
    then = [lambda: x, lambda: number]
    tile, total = _choose(positive, then, [lambda: arith.addi(x, y), lambda: arith.constant(number.type, 7)])
    b.finish(arith.addi(tile, b.spread([3, 5], total)))


@case(G, H, (H - G) + 3 * G + 1 + 2)
def a_loop_carries_integers(b: Body) -> None:
    """Two tiles that it exchanges, one that it adds to, and a number."""
    x, zero = b.whole(b.a), arith.constant(ir.IntegerType.get_signless(32), 0)

    def body(index: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        number, left, right, total = values
        return [arith.addi(number, arith.index_cast(zero.type, index)), right, left, arith.addi(total, x)]

    start = [zero, x, b.whole(b.b), b.splat([3, 5], zero.type, 0)]
    number, left, right, total = b.reduce_all(0, 3, 1, start, body)
    b.finish(arith.addi(arith.addi(arith.subi(left, right), total), b.spread([3, 5], number)))


# -- contractions -----------------------------------------------------------------------------------------------------

L, R = floats(5, 7), floats(7, 20)


def _zero(b: Body, *shape: int) -> ir.Value:
    return b.splat(shape, ir.MemRefType(b.a.type).element_type, 0)


N, M = integers(5, 7), integers(7, 20)


@case(N, M, N @ M)
def contract_integers(b: Body) -> None:
    b.finish(b.contract(b.whole(b.a), b.whole(b.b), _zero(b, 5, 20)))


T = floats(2, 3, 7)


@case(T, R, T @ R)
def contract_leading_dimensions(b: Body) -> None:
    b.finish(b.contract(b.whole(b.a), b.whole(b.b), _zero(b, 2, 3, 20)))


@case(L[0], R, L[0] @ R)
def contract_a_row(b: Body) -> None:
    b.finish(b.contract(b.whole(b.a), b.whole(b.b), _zero(b, 20)))


S = floats(7, 7)


@case(S, R, (S @ S + 1) @ R)
def contract_a_contraction(b: Body) -> None:
    """Its result, plus one, is lhs of another."""
    x = b.whole(b.a)
    product = arith.addf(b.contract(x, x, _zero(b, 7, 7)), b.splat([7, 7], ir.F32Type.get(), 1.0))
    b.finish(b.contract(product, b.whole(b.b), _zero(b, 7, 20)))


@case(S, R, S @ R * 3)
def contract_what_a_loop_carries(b: Body) -> None:
    """Both operands are made outside of the loop that multiplies them."""
    (lhs,) = b.reduce_all(0, b.value(1), 1, [_zero(b, 7, 7)], lambda _, values: [arith.addf(values[0], b.whole(b.a))])
    rhs = b.broadcast_tile(b.reduce_tile(b.whole(b.b), "max"), 20)
    rhs = arith.addf(arith.subf(b.whole(b.b), rhs), rhs)
    b.finish(b.reduce(0, 3, 1, _zero(b, 7, 20), lambda _, total: b.contract(lhs, rhs, total)))


@case(S, R, np.broadcast_to(np.arange(7), (7, 7)))
def contract_positions(b: Body) -> None:
    """Of an identity matrix with the columns' numbers."""
    rows, columns = (b.index_tile([7, 7], 0, dim) for dim in (0, 1))
    one = arith.cmpi(arith.CmpIPredicate.eq, rows, columns)
    f32 = ir.F32Type.get()
    identity, numbers = (cast(tile, f32) for tile in (one, columns))
    b.finish(b.contract(identity, numbers, _zero(b, 7, 7)))


@case(S, R, S @ R + 2 * R)
def an_accumulator_that_is_read_again(b: Body) -> None:
    rhs = b.whole(b.b)
    b.finish(arith.addf(b.contract(b.whole(b.a), rhs, rhs), rhs))


# -- rows -------------------------------------------------------------------------------------------------------------

W = floats(19, 21)


@case(W, Y, W - W.max(1, keepdims=True) + W.sum(1, keepdims=True))
def reduce_and_repeat_rows(b: Body) -> None:
    x = b.whole(b.a)
    largest, total = (b.broadcast_tile(b.reduce_tile(x, kind), 21) for kind in ("max", "sum"))
    b.finish(arith.addf(arith.subf(x, largest), total))


@case(N, M, N.max(1, keepdims=True) + N.sum(1, keepdims=True))
def reduce_integers(b: Body) -> None:
    x = b.whole(b.a)
    b.finish(arith.addi(b.reduce_tile(x, "max"), b.reduce_tile(x, "sum")))


V = floats(2, 3, 4)


@case(V, Y, V * V.sum(2, keepdims=True))
def reduce_three_dimensions(b: Body) -> None:
    x = b.whole(b.a)
    b.finish(arith.mulf(x, b.broadcast_tile(b.reduce_tile(x, "sum"), 4)))


@case(S, R, S @ R * R.sum(1, keepdims=True))
def rows_of_an_accumulator(b: Body) -> None:
    """What is repeated along the rows of a contraction's result was reduced of a tile of another width."""
    product = b.contract(b.whole(b.a), b.whole(b.b), _zero(b, 7, 20))
    b.finish(arith.mulf(product, b.broadcast_tile(b.reduce_tile(b.whole(b.b), "sum"), 20)))


@case(S, R, S @ R[:, :1] + S.sum(1, keepdims=True))
def a_reduction_as_wide_as_an_accumulator(b: Body) -> None:
    column = b.load(b.b, [0, 0], [7, 1], [0, 1])
    x = b.whole(b.a)
    b.finish(arith.addf(b.contract(x, column, _zero(b, 7, 1)), b.reduce_tile(x, "sum")))


# -- memory -----------------------------------------------------------------------------------------------------------


@case(X, Y, np.stack([X, Y], -1).reshape(3, 40))
def strided_stores(b: Body) -> None:
    """Every other column."""
    b.store(b.whole(b.a), b.out, [0, 0], [0, 1], [1, 2])
    b.store(b.whole(b.b), b.out, [0, 1], [0, 1], [1, 2])


@case(V, Y, V.transpose(2, 0, 1)[:, :, ::2] + V[0, 0, 0])
def strides_and_places(b: Body) -> None:
    """A tile of three dimensions, transposed."""
    tile = b.load(b.a, [0, 0, 0], [4, 2, 2], [2, 0, 1], [1, 1, 2])
    b.finish(arith.addf(tile, b.spread([4, 2, 2], b.number(b.a, 0, 0, 0))))


@case(X, Y[0], X + Y[0])
def repeated_loads(b: Body) -> None:
    b.finish(arith.addf(b.whole(b.a), b.load(b.b, [0], [3, 20], [-1, 0])))


P = integers(4, 6, low=0)


@case(P, P, P**2 - 7)
def look_up(b: Body) -> None:
    table = np.arange(10, dtype=np.int32) ** 2 - 7
    type_ = ir.RankedTensorType.get([10], ir.IntegerType.get_signless(32))
    elements = ir.DenseElementsAttr.get(table, type=type_)
    x = b.whole(b.a)
    tile = loop.LookupTileOp(x, elements, x.type).operation.results[0]
    b.finish(tile)


@case(WORDS := integers(9, 5), WORDS, WORDS[1:].reshape(2, 4, 5).transpose(0, 2, 1))
def neighbours_along_a_column(b: Body) -> None:
    """Two dimensions of a tile that move in one of memory."""
    b.finish(b.load(b.a, [1, 0], [2, 5, 4], [0, 1, 0], [4, 1, 1]))


@case(WORDS, WORDS, WORDS[:8].T.reshape(5, 2, 4))
def neighbours_along_a_row_are_stored(b: Body) -> None:
    """The reverse, from one that is laid out as memory is to one that is not."""
    rows = b.load(b.a, [0, 0], [5, 2, 4], [1, 0, 0], [1, 4, 1])
    local = b.alloc([5, 8], element_type_of(rows))
    b.store(rows, local, [0, 0], [0, 1, 1], [1, 4, 1])
    b.finish(b.load(local, [0, 0], [5, 2, 4], [0, 1, 1], [1, 4, 1]))


# -- atoms ------------------------------------------------------------------------------------------------------------

A, B = integers(3, 6, low=0).astype(np.int8), integers(2, 20, 4).astype(np.int8)
B_ROWS = B.transpose(0, 2, 1).reshape(8, 20)[:6].astype(np.int32)
"""B as a matrix: its last two rows belong to no column of A."""


def _dot(b: Body, lhs: ir.Value, rhs: ir.Value) -> ir.Value:
    zero = b.splat([3, 20], ir.IntegerType.get_signless(32), 0)
    return b.contract(lhs, rhs, zero, atom="int8_dot", unsigned_lhs=True)


@case(A, B, (A + 1) @ B_ROWS, ATOM_CASES)
def int8_dot_of_sums(b: Body) -> None:
    """What lhs has too few of to fill a step counts as zero, computed or not."""
    x = b.whole(b.a)
    b.finish(_dot(b, arith.addi(x, b.splat([3, 6], x.type.element_type, 1)), b.whole(b.b)))


LEFT, RIGHT = integers(3, 6, low=0).astype(np.int8), integers(6, 20).astype(np.int8)


def _dot_of_parts(b: Body, dims: list[int]) -> None:
    """A whole group along k, and the two that are there of the next one."""
    total = b.splat([3, 20], ir.IntegerType.get_signless(32), 0)
    for first, count in ((0, 4), (4, 2)):
        at = [first if dim == dims[0] else 0 for dim in range(2)]
        rhs = b.load(b.b, at, [1, 20, 4], dims, [4, 1, 1], [None, None, count])
        total = b.contract(b.load(b.a, [0, first], [3, count], [0, 1]), rhs, total, atom="int8_dot", unsigned_lhs=True)
    b.finish(total)


@case(LEFT, RIGHT, LEFT.astype(np.int32) @ RIGHT, ATOM_CASES)
def int8_dot_of_rows(b: Body) -> None:
    """What lies row by row."""
    _dot_of_parts(b, [0, 1, 0])


@case(LEFT, np.ascontiguousarray(RIGHT.T), LEFT.astype(np.int32) @ RIGHT, ATOM_CASES)
def int8_dot_of_columns(b: Body) -> None:
    """What lies column by column."""
    _dot_of_parts(b, [1, 0, 1])


@case(A, B, A @ (2 * B_ROWS), ATOM_CASES)
def int8_dot_of_what_conditions_give(b: Body) -> None:
    """Operands that are not made as the step wants them."""
    x, y = b.whole(b.a), b.whole(b.b)
    number = b.number(b.a, 0, 0)
    yes = arith.cmpi(arith.CmpIPredicate.sge, number, arith.constant(number.type, 0))
    lhs, rhs = _choose(yes, [lambda: x, lambda: arith.addi(y, y)], [lambda: arith.addi(x, x), lambda: y])
    b.finish(_dot(b, lhs, rhs))


@case(A, B, 5 * (A @ B_ROWS), ATOM_CASES)
def int8_dot_of_what_loops_carry(b: Body) -> None:
    x, y = b.whole(b.a), b.whole(b.b)
    zeros = [b.splat(shape, x.type.element_type, 0) for shape in ([3, 6], [2, 20, 4])]
    (lhs,) = b.reduce_all(0, 5, 1, zeros[:1], lambda _, values: [arith.addi(values[0], x)])
    (rhs,) = b.reduce_all(0, b.value(1), 1, zeros[1:], lambda _, values: [arith.addi(values[0], y)])
    b.finish(_dot(b, lhs, rhs))
