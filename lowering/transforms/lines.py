"""Lines of pixels, which convolutions along one axis are made of: images of height 1, whatever the model calls them.

The kernels of images are fastest along the width. A model has lines as [n, c, w], or as images of width 1; between two
convolutions it goes from one form to the other and back by reshapes, which would keep permutes and elementwise ops from
meeting the convolution before them.
"""

from __future__ import annotations

from typing import Any

from terrace.dialects.base import attributes_of, element_type_of, shape_of
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.graph.builders import reshape
from terrace.lowering.graph.constant_expressions import is_constant_expression
from terrace.mlir import DYNAMIC, ir, operation_of
from terrace.rewriting import Pattern, replace

PLACES = {3: (0, 1, 3), 4: (0, 1, 3, 2)}
"""By the rank of the model's form, [n, c, w] or [n, c, w, 1], where its dimensions are in an image [n, c, 1, w]."""

SINKING = {*ELEMENTWISE_OPS, *(f"graph.{name}" for name in ("batch_norm", "border_pad", "concat", "pad", "slice"))}
"""What keeps the form of a line."""


class TurnLine(Pattern):
    """A convolution of images [n, c, h, 1] along their height is one along the width of images [n, c, 1, h]."""

    op_name = "graph.conv2d"

    def rewrite(self, op: ir.OpView) -> bool:
        attrs = attributes_of(op)
        image, weight = shape_of(op.input), shape_of(op.weight)
        if attrs.layout != "NCHW" or image[3] != 1 or weight[3] != 1 or image[2] == 1 or any(attrs.padding[2:]):
            return False
        shape = shape_of(op.result)
        value = type(op).build(
            reshape(op.input, [0, 1, None, 2]),
            reshape(op.weight, [0, 1, None, 2]),
            **{name: [getattr(attrs, name)[axis] for axis in (1, 0)] for name in ("strides", "dilations")},
            padding=[0, 0, *attrs.padding[:2]],
            groups=attrs.groups,
            layout=attrs.layout,
            result_type=ir.RankedTensorType.get([*shape[:2], 1, shape[2]], element_type_of(op.result)),
        )
        return replace(op, reshape(value, [0, 1, 3, None]))


class SinkLine(Pattern):
    """op(reshape(image), ...) becomes reshape(op(image, ...)), where the reshape gives a line as the model has it.

    The other operands are such reshapes, or constant expressions. Only images that a permute by `permutation` gives
    are taken, as it will sink, too.
    """

    def __init__(self, op_name: str, permutation: list[int]) -> None:
        self.op_name = op_name  # type: ignore[misc]
        self._permutation = permutation

    def rewrite(self, op: ir.OpView) -> bool:
        operation = op.operation
        rank, operands = len(shape_of(operation.operands[0])), list(operation.operands)
        every = self.op_name in ELEMENTWISE_OPS or self.op_name == "graph.concat"
        if every:
            rank = len(shape_of(op.result))
        lines, rest = (operands, []) if every else (operands[:1], operands[1:])
        images = [_image_of(value) for value in lines]
        if rank not in PLACES or not any(image is not None and self._is_permuted(image) for image in images):
            return False
        if any(image is None and not is_constant_expression(value) for image, value in zip(images, lines, strict=True)):
            return False
        shape, attributes = _as_image(operation, rank)
        if shape is None:
            return False
        taken = [
            _constant_as_image(value, rank) if image is None else image
            for image, value in zip(images, lines, strict=True)
        ]
        kept = dict(operation.attributes.items()) | attributes
        type_ = ir.RankedTensorType.get(shape, element_type_of(op.result))
        value = type(operation.opview).build(*taken, *rest, result_type=type_, **kept)
        left = [0, 1, 3] if len(shape) == 4 else list(range(len(shape)))
        return replace(op, reshape(value, [*left, *[None] * (len(shape_of(op.result)) - len(left))]))

    def _is_permuted(self, image: ir.Value) -> bool:
        """Whether an image is what the permute gives, or what ops make of that, which it has yet to sink below."""
        operation = operation_of(image)
        while operation is not None and operation.name in SINKING:
            operation = operation_of(operation.operands[0])
        if operation is None or operation.name != "graph.permute":
            return False
        return attributes_of(operation).permutation == self._permutation


def _image_of(value: ir.Value) -> ir.Value | None:
    """The image [n, c, 1, w] that a line is the reshape of."""
    operation = operation_of(value)
    if operation is None or operation.name != "graph.reshape":
        return None
    image, line = shape_of(operation.operands[0]), shape_of(value)
    # Of two unknown sizes a reshape may make others.
    if len(image) != 4 or image[2] != 1 or image.count(DYNAMIC) > 1 or 0 in image:
        return None
    return operation.operands[0] if line in ([*image[:2], image[3]], [*image[:2], image[3], 1]) else None


def _constant_as_image(value: ir.Value, rank: int) -> ir.Value:
    """A constant that broadcasts into a line, for the image; without leading dimensions of 1."""
    own = len(shape_of(value))
    axes = [None] * (rank - own) + list(range(own))
    moved = [axes[PLACES[rank].index(place)] if place in PLACES[rank] else None for place in range(4)]
    if rank == 4 and moved[2] is not None:
        moved[2] = None  # Its last dimension, of size 1, as the line's is.
    first = next((place for place, axis in enumerate(moved) if axis is not None), 4)
    return reshape(value, moved[first:])


def _as_image(operation: ir.Operation, rank: int) -> tuple[list[int] | None, dict[str, Any]]:
    """The shape of an op's result on images, None if it is no image of a line, and the attributes that change."""
    attrs, places = attributes_of(operation), PLACES[rank]
    line, line_in = shape_of(operation.results[0]), shape_of(operation.operands[0])

    def spread(values: list[int], neutral: int) -> list[int]:
        return [values[places.index(place)] if place in places else neutral for place in range(4)]

    if operation.name == "graph.reduce":
        axes = [places[axis] for axis in attrs.axes]
        if attrs.keepdims:
            return spread(line, 1), {"axes": sorted(axes)}
        kept = [size for axis, size in enumerate(line_in) if axis not in attrs.axes and axis != 3]
        return kept, {"axes": sorted({*axes, 2})}
    shape = spread(line, 1)
    if shape[2] != 1:
        return None, {}
    if operation.name == "graph.slice":
        neutral = {"starts": 0, "stops": 1, "steps": 1}
        return shape, {name: spread(getattr(attrs, name), number) for name, number in neutral.items()}
    if operation.name in ("graph.border_pad", "graph.pad"):
        return shape, {name: spread(getattr(attrs, name), 0) for name in ("low", "high")}
    return shape, {"axis": places[attrs.axis]} if operation.name in ("graph.batch_norm", "graph.concat") else {}


def line_patterns(permutation: list[int]) -> list[Pattern]:
    """The patterns that move the reshapes of lines below what can take images that a permute by `permutation` gives."""
    return [SinkLine(name, permutation) for name in (*SINKING, "graph.reduce")]
