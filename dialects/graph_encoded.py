"""The ops of the graph dialect between tensors and their encodings (`terrace.dialects.encodings`), and on these."""

# No `from __future__ import annotations` here: the bindings read the annotations of an op class as objects.
from collections.abc import Sequence

from terrace.dialects.base import (
    Attributes,
    Bool,
    ShapeError,
    attributes_of,
    compatible,
    element_type_of,
    format_shape,
    require,
    shape_of,
    to_attribute,
    verify,
)
from terrace.dialects.encodings import Encoding, encoding_of
from terrace.dialects.graph_base import Graph, Operand, Result, Tensor, TensorOp, widens
from terrace.element_types import ELEMENT_TYPES
from terrace.mlir import DYNAMIC, ext, ir


def _require_float(name: str, value: ir.Value) -> None:
    row = ELEMENT_TYPES.get(str(element_type_of(value)))
    is_computed = row is not None and row.kind == "float" and row.computes_in == "f32"
    require(is_computed, f"{name} must have an element type that is computed in f32, got {element_type_of(value)}")


def _require_parts(encoding: Encoding, shape: list[int], parts: Sequence[ir.Value]) -> None:
    """Refuse storage that is not that of a tensor of `shape`."""
    wanted = encoding.storage(shape)
    require(len(parts) == len(wanted), f"{encoding.kind} stores {len(wanted)} tensors, got {len(parts)}")
    for number, (part, (sizes, type_)) in enumerate(zip(parts, wanted, strict=True)):
        is_right = compatible(shape_of(part), sizes) and str(element_type_of(part)) == type_
        expected = f"{format_shape(sizes)}x{type_}" if sizes else type_
        require(is_right, f"storage tensor {number} is {part.type}, expected tensor<{expected}>")


class EncodeOp(Graph.Operation, name="encode", traits=[ext.Pure]):
    """The storage tensors of `input`, rounded to f32 first, as `encoding` says: {kind = {fields}}.

    They are codes and what stands beside them, scales for example.
    """

    input: Operand[Tensor]
    encoding: ir.DictAttr
    codes: Result[Tensor]
    beside: Sequence[Result[Tensor]]

    @classmethod
    def build(cls, value: ir.Value, encoding: Encoding) -> list[ir.Value]:
        """Create the op at the current insertion point; returns the storage."""
        types = [
            ir.RankedTensorType.get(shape, ir.Type.parse(type_)) for shape, type_ in encoding.storage(shape_of(value))
        ]
        attributes = {"encoding": to_attribute(encoding.attributes)}
        return list(ir.Operation.create(cls.OPERATION_NAME, types, [value], attributes).results)

    def verify_invariants(self) -> bool:
        operation = self.operation

        def check() -> None:
            (value,) = operation.operands
            _require_float("input", value)
            _require_parts(encoding_of(attributes_of(operation).encoding), shape_of(value), list(operation.results))

        return verify(self, check)


class DecodeOp(TensorOp, name="decode", traits=[ext.Pure]):
    """The tensor that storage of an `encoding` stands for, rounded once from f32 to the result's element type.

    `size` is that of the axis whose size the storage does not tell, where the result has a `?` there.
    """

    codes: Operand[Tensor]
    beside: Sequence[Operand[Tensor]]
    size: Sequence[Operand[ir.IndexType]]
    encoding: ir.DictAttr
    result: Result[Tensor]

    @classmethod
    def of(
        cls, parts: Sequence[ir.Value], encoding: Encoding, type_: ir.Type, size: ir.Value | None = None
    ) -> ir.Value:
        """Create the op at the current insertion point; returns the tensor of `type_`."""
        segments = ir.DenseI32ArrayAttr.get([1, len(parts) - 1, int(size is not None)])
        operands = [*parts, *([size] if size is not None else [])]
        return cls.build(*operands, result_type=type_, encoding=encoding.attributes, operandSegmentSizes=segments)

    @staticmethod
    def infer_element_type(types: list[ir.Type], attrs: Attributes) -> ir.Type | None:
        return None

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        encoding, (result,) = encoding_of(attributes_of(operation).encoding), operation.results
        _require_float("result", result)
        shape = shape_of(result)
        _require_parts(encoding, shape, tensors)
        sizes = list(operation.operands)[len(tensors) :]
        is_open = encoding.open_axis is not None and shape[encoding.open_axis] == DYNAMIC
        require(len(sizes) == is_open, f"needs {int(is_open)} sizes after the storage, got {len(sizes)}")


class EncodedMatmulOp(TensorOp, name="encoded_matmul", traits=[ext.Pure]):
    """lhs[..., k] * rhs[k, n] summed over k, as graph.matmul, of the rhs that storage of an `encoding` stands for.

    rhs is [n, k] when `transpose_rhs`; its encoding is along k. It is not rounded to the element type of lhs: products
    and sums are f32, and rounded once, to the result's type, which is that of lhs or f32.
    """

    lhs: Operand[Tensor]
    codes: Operand[Tensor]
    beside: Sequence[Operand[Tensor]]
    encoding: ir.DictAttr
    transpose_rhs: Bool
    result: Result[Tensor]

    @staticmethod
    def infer(shapes: list[list[int]], attrs: Attributes) -> list[int] | None:
        lhs, codes, *_ = shapes
        if len(lhs) < 2:
            raise ShapeError(f"lhs must have rank 2 or more, got {format_shape(lhs)}")
        if len(codes) != 2:
            raise ShapeError(f"codes must have rank 2, got {format_shape(codes)}")
        return [*lhs[:-1], codes[0 if attrs.transpose_rhs else 1]]

    @classmethod
    def accepts(cls, inferred: ir.Type, declared: ir.Type, attrs: Attributes) -> bool:
        return inferred == declared or widens(inferred, declared)

    def _check(self, tensors: list[ir.Value], operation: ir.Operation) -> None:
        super()._check(tensors, operation)
        attrs, (lhs, codes, *beside) = attributes_of(operation), tensors
        encoding, axis = encoding_of(attrs.encoding), int(attrs.transpose_rhs)
        require(encoding.open_axis in (None, axis), f"must be encoded along dimension {axis} of rhs, which k is")
        _require_float("lhs", lhs)
        columns, k = shape_of(codes)[1 - axis], shape_of(lhs)[-1]
        _require_parts(encoding, [columns, k] if axis else [k, columns], [codes, *beside])
