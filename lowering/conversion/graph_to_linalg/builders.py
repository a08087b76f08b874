"""Building linalg on tensors: sizes that are constants or values, linalg.generic with a body, reductions, reshapes.

A `Size` is an int where it is known and an index value where it is not; arithmetic on sizes folds constants, so that
static shapes leave no arith ops behind.
"""

from __future__ import annotations

import math as pymath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from terrace.dialects.base import element_type_of, shape_of
from terrace.lowering.graph import payload
from terrace.mlir import DYNAMIC, arith, ir, linalg, tensor
from terrace.rewriting import replace

Size: TypeAlias = int | ir.Value
Body: TypeAlias = Callable[..., ir.Value]

# ---------------------------------------------------------------------------------------------------------------------
# Sizes
# ---------------------------------------------------------------------------------------------------------------------


def index_value(size: Size) -> ir.Value:
    """`size` as an index value."""
    return arith.constant(ir.IndexType.get(), size) if isinstance(size, int) else size


def size_of(value: ir.Value, axis: int) -> Size:
    """The size of tensor `value` along `axis`."""
    size = shape_of(value)[axis]
    return tensor.dim(value, index_value(axis)) if size == DYNAMIC else size


def sizes_of(value: ir.Value) -> list[Size]:
    """All sizes of tensor `value`."""
    return [size_of(value, axis) for axis in range(len(shape_of(value)))]


def add(left: Size, right: Size) -> Size:
    """left + right."""
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    if left == 0 or right == 0:
        return right if isinstance(left, int) else left
    return arith.addi(index_value(left), index_value(right))


def sub(left: Size, right: Size) -> Size:
    """left - right."""
    if isinstance(left, int) and isinstance(right, int):
        return left - right
    return left if right == 0 else arith.subi(index_value(left), index_value(right))


def mul(left: Size, right: Size) -> Size:
    """left * right."""
    if isinstance(left, int) and isinstance(right, int):
        return left * right
    if left == 1 or right == 1:
        return right if isinstance(left, int) else left
    return arith.muli(index_value(left), index_value(right))


def floordiv(left: Size, right: Size) -> Size:
    """floor(left / right), for left >= 0 and right > 0."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    return left if right == 1 else arith.divui(index_value(left), index_value(right))


def ceildiv(left: Size, right: Size) -> Size:
    """ceil(left / right), for left >= 0 and right > 0."""
    return floordiv(add(left, sub(right, 1)), right)


def maximum(left: Size, right: Size) -> Size:
    """The larger of both, signed."""
    if isinstance(left, int) and isinstance(right, int):
        return max(left, right)
    return arith.maxsi(index_value(left), index_value(right))


def minimum(left: Size, right: Size) -> Size:
    """The smaller of both, signed."""
    if isinstance(left, int) and isinstance(right, int):
        return min(left, right)
    return arith.minsi(index_value(left), index_value(right))


def product(sizes: Sequence[Size]) -> Size:
    """The product of `sizes`, 1 when there are none."""
    result: Size = 1
    for size in sizes:
        result = mul(result, size)
    return result


def split_sizes(sizes: Sequence[Size]) -> tuple[list[int], list[ir.Value]]:
    """`sizes` as a shape with DYNAMIC in it and the values that stand for those, in order."""
    shape = [size if isinstance(size, int) else DYNAMIC for size in sizes]
    return shape, [size for size in sizes if not isinstance(size, int)]


def known_sizes(declared: Sequence[int], sizes: Sequence[Size]) -> list[Size]:
    """`sizes`, taken from the `declared` shape wherever that is static."""
    return [size if known == DYNAMIC else known for known, size in zip(declared, sizes, strict=True)]


# ---------------------------------------------------------------------------------------------------------------------
# Tensors
# ---------------------------------------------------------------------------------------------------------------------


def empty(sizes: Sequence[Size], element_type: ir.Type) -> ir.Value:
    """An uninitialised tensor."""
    return tensor.empty(list(sizes), element_type)


def filled(sizes: Sequence[Size], element_type: ir.Type, value: float) -> ir.Value:
    """A tensor of `value` everywhere."""
    return linalg.fill(payload.constant(element_type, value), outs=[empty(sizes, element_type)])


def cast_type(value: ir.Value, type_: ir.Type) -> ir.Value:
    """`value` as the compatible tensor type `type_` (a static size for `?` or the reverse)."""
    return value if value.type == type_ else tensor.cast(type_, value)


def finish(op: ir.OpView, value: ir.Value) -> bool:
    """Replace the single-result `op` by `value`, cast to its declared type. Ends a pattern."""
    return replace(op, cast_type(value, op.operation.results[0].type))


# ---------------------------------------------------------------------------------------------------------------------
# linalg.generic
# ---------------------------------------------------------------------------------------------------------------------


def dims(count: int) -> list[ir.AffineExpr]:
    """The affine dimensions d0, d1, ..."""
    return [ir.AffineExpr.get_dim(i) for i in range(count)]


def generic(
    inputs: Sequence[ir.Value],
    output: ir.Value,
    maps: Sequence[Sequence[ir.AffineExpr]],
    iterators: Sequence[str],
    body: Body,
) -> ir.Value:
    """A linalg.generic. `maps` has the index expressions of each input and of the output, last.

    `body` gets the scalars of the inputs and of the output, and returns the scalar to store.
    """
    rank = len(iterators)
    kinds = [ir.Attribute.parse(f"#linalg.iterator_type<{kind}>") for kind in iterators]
    attributes = {
        "indexing_maps": ir.ArrayAttr.get(
            [ir.AffineMapAttr.get(ir.AffineMap.get(rank, 0, list(exprs))) for exprs in maps]
        ),
        "iterator_types": ir.ArrayAttr.get(kinds),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(inputs), 1]),
    }
    operation = ir.Operation.create(
        "linalg.generic",
        results=[output.type],
        operands=[*inputs, output],
        attributes=attributes,
        regions=1,
    )
    scalars = [element_type_of(value) for value in (*inputs, output)]
    block = operation.regions[0].blocks.append(*scalars, arg_locs=[operation.location] * len(scalars))
    with ir.InsertionPoint(block):
        linalg.yield_([body(*block.arguments)])
    return operation.results[0]


def elementwise(
    inputs: Sequence[ir.Value],
    maps: Sequence[Sequence[ir.AffineExpr]],
    sizes: Sequence[Size],
    element_type: ir.Type,
    body: Body,
) -> ir.Value:
    """A parallel linalg.generic into a new tensor of `sizes`; `body` gets the inputs' scalars only."""
    return generic(
        inputs,
        empty(sizes, element_type),
        [*maps, dims(len(sizes))],
        ["parallel"] * len(sizes),
        lambda *scalars: body(*scalars[:-1]),
    )


def broadcast_map(value: ir.Value, sizes: Sequence[Size]) -> list[ir.AffineExpr]:
    """The index expressions that read `value`, broadcast by NumPy's rules, at an element of a tensor of `sizes`.

    A size of `?` is taken to equal the result's size: only a size known to be 1 stretches.
    """
    shape = shape_of(value)
    offset = len(sizes) - len(shape)
    return [
        ir.AffineExpr.get_constant(0) if size == 1 and sizes[axis] != 1 else ir.AffineExpr.get_dim(axis)
        for axis, size in enumerate(shape, start=offset)
    ]


def broadcast_sizes(values: Sequence[ir.Value], declared: Sequence[int]) -> list[Size]:
    """The sizes of the broadcast of `values`, whose result is declared to have the shape `declared`."""
    sizes: list[Size] = []
    for axis, known in enumerate(declared):
        size: Size = known
        if known == DYNAMIC:
            # The operand that is `?` here decides; if none is, all are 1.
            size = 1
            for value in values:
                own = axis - len(declared) + len(shape_of(value))
                if own >= 0 and shape_of(value)[own] == DYNAMIC:
                    size = size_of(value, own)
                    break
                if own >= 0:
                    size = max(1, shape_of(value)[own]) if size == 1 else size
        sizes.append(size)
    return sizes


def convert_elements(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """`value` cast to `element_type`, elementwise."""
    if element_type_of(value) == element_type:
        return value
    sizes = sizes_of(value)
    return elementwise([value], [dims(len(sizes))], sizes, element_type, lambda x: payload.cast(x, element_type))


def reduce(
    value: ir.Value,
    axes: Sequence[int],
    element_type: ir.Type,
    *,
    initial: float,
    combine: Callable[[ir.Value, ir.Value], ir.Value],
    prepare: Callable[..., ir.Value] | None = None,
    others: Sequence[tuple[ir.Value, Sequence[ir.AffineExpr]]] = (),
) -> ir.Value:
    """`value` reduced over `axes` (dropped): acc = combine(acc, prepare(x, *others)), starting at `initial`.

    x comes as `element_type`; `others` are more tensors to read, each with its index expressions.
    """
    sizes = sizes_of(value)
    kept = [axis for axis in range(len(sizes)) if axis not in axes]
    output = filled([sizes[axis] for axis in kept], element_type, initial)
    exprs = dims(len(sizes))

    def body(x: ir.Value, *rest: ir.Value) -> ir.Value:
        item = payload.cast(x, element_type)
        if prepare is not None:
            item = prepare(item, *rest[:-1])
        return combine(rest[-1], item)

    return generic(
        [value, *(other for other, _ in others)],
        output,
        [exprs, *(map_ for _, map_ in others), [exprs[axis] for axis in kept]],
        ["reduction" if axis in axes else "parallel" for axis in range(len(sizes))],
        body,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Reshapes
# ---------------------------------------------------------------------------------------------------------------------

Groups: TypeAlias = list[list[int]]


def reassociation(groups: Groups) -> ir.ArrayAttr:
    """`groups` of dimensions as the attribute of tensor.expand_shape and tensor.collapse_shape."""
    i64 = ir.IntegerType.get_signless(64)
    return ir.ArrayAttr.get([ir.ArrayAttr.get([ir.IntegerAttr.get(i64, i) for i in group]) for group in groups])


def collapse(value: ir.Value, groups: Groups) -> ir.Value:
    """`value` with each group of consecutive dimensions merged into one."""
    shape = shape_of(value)
    if len(groups) == len(shape):
        return value
    merged = []
    for group in groups:
        sizes = [shape[i] for i in group]
        merged.append(DYNAMIC if DYNAMIC in sizes else pymath.prod(sizes))
    type_ = ir.RankedTensorType.get(merged, element_type_of(value))
    return tensor.CollapseShapeOp(type_, value, reassociation(groups)).result


def expand(value: ir.Value, groups: Groups, sizes: Sequence[Size]) -> ir.Value:
    """The inverse of `collapse`: dimension i of `value` becomes the dimensions `groups[i]` of `sizes`."""
    if len(sizes) == len(shape_of(value)):
        return value
    shape, dynamic = split_sizes(sizes)
    merged = []
    for group in groups:
        known = [shape[i] for i in group]
        merged.append(DYNAMIC if DYNAMIC in known else pymath.prod(known))
    element_type = element_type_of(value)
    # A group is static exactly when its merged size is: otherwise the op does not verify.
    source = cast_type(value, ir.RankedTensorType.get(merged, element_type))
    return tensor.ExpandShapeOp(
        ir.RankedTensorType.get(shape, element_type), source, reassociation(groups), dynamic, shape
    ).result


def groups_with(rank: int, start: int, count: int) -> Groups:
    """Groups of `rank` dimensions in which the `count` from `start` are one group and the others stand alone."""
    alone_before: Groups = [[i] for i in range(start)]
    alone_after: Groups = [[i] for i in range(start + count, rank)]
    return [*alone_before, list(range(start, start + count)), *alone_after]


def pad(value: ir.Value, low: Sequence[Size], high: Sequence[Size], fill: float) -> ir.Value:
    """`value` with `low` and `high` elements equal to `fill` around it."""
    if all(size == 0 for size in (*low, *high)):
        return value
    element_type = element_type_of(value)
    sizes = shape_of(value)
    static_low, dynamic_low = split_sizes(low)
    static_high, dynamic_high = split_sizes(high)
    shape = [
        DYNAMIC if DYNAMIC in (size, before, after) else size + before + after
        for size, before, after in zip(sizes, static_low, static_high, strict=True)
    ]
    element = payload.constant(element_type, fill)
    op = tensor.PadOp(
        ir.RankedTensorType.get(shape, element_type), value, dynamic_low, dynamic_high, static_low, static_high
    )
    index = ir.IndexType.get()
    block = op.operation.regions[0].blocks.append(*[index] * len(sizes))
    with ir.InsertionPoint(block):
        tensor.YieldOp(element)
    return op.result


def extract_slice(value: ir.Value, offsets: Sequence[Size], sizes: Sequence[Size], strides: Sequence[int]) -> ir.Value:
    """A rectangular part of `value`."""
    static_offsets, dynamic_offsets = split_sizes(offsets)
    static_sizes, dynamic_sizes = split_sizes(sizes)
    return tensor.ExtractSliceOp(
        ir.RankedTensorType.get(static_sizes, element_type_of(value)),
        value,
        dynamic_offsets,
        dynamic_sizes,
        [],
        static_offsets,
        static_sizes,
        list(strides),
    ).result


def single_windows(image: ir.Value, counts: Mapping[int, Size], reach: Mapping[int, Size]) -> ir.Value:
    """`image` without what is beyond the window, along the axes that have one only.

    IREE 3.13 drops dimensions of size 1, and then refuses an image that is larger than what is read of it.
    """
    sizes = [reach[axis] if counts.get(axis) == 1 else size for axis, size in enumerate(sizes_of(image))]
    if all(counts.get(axis) != 1 or reach[axis] == size for axis, size in enumerate(shape_of(image))):
        return image
    return extract_slice(image, [0] * len(sizes), sizes, [1] * len(sizes))


def insert_slice(value: ir.Value, into: ir.Value, offsets: Sequence[Size], strides: Sequence[int]) -> ir.Value:
    """`into` with `value` written at `offsets`."""
    static_offsets, dynamic_offsets = split_sizes(offsets)
    static_sizes, dynamic_sizes = split_sizes(sizes_of(value))
    return tensor.InsertSliceOp(
        value, into, dynamic_offsets, dynamic_sizes, [], static_offsets, static_sizes, list(strides)
    ).result


def transpose(value: ir.Value, permutation: Sequence[int]) -> ir.Value:
    """Dimension i of the result is dimension `permutation[i]` of `value`."""
    if list(permutation) == list(range(len(permutation))):
        return value
    sizes = sizes_of(value)
    exprs: list[Any] = [None] * len(sizes)
    for position, axis in enumerate(permutation):
        exprs[axis] = ir.AffineExpr.get_dim(position)
    return elementwise([value], [exprs], [sizes[axis] for axis in permutation], element_type_of(value), lambda x: x)
