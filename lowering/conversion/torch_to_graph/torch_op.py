"""What the builders share: reading a torch op's operands, its types as builtin types, and small pieces of graph IR.

A builder takes a `TorchOp` and returns the builtin tensor that replaces the op's result, or None to leave the op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from terrace.dialects import graph
from terrace.dialects.base import element_type_of, shape_of, to_attribute
from terrace.errors import PassError
from terrace.mlir import DYNAMIC, PassManager, arith, ir, operation_of, tensor, walk
from terrace.passes import fail

Number = bool | int | float


class TypeTable:
    """The builtin type of every torch tensor type in a module, as torch-mlir itself converts them."""

    def __init__(self, module: ir.Operation) -> None:
        torch_types = list(dict.fromkeys(_tensor_types(module)))
        self._builtin = dict(zip(torch_types, convert_types(torch_types, module.context), strict=True))

    def builtin(self, type_: ir.Type) -> ir.RankedTensorType | None:
        """The builtin tensor type for a torch tensor type; None for any other type."""
        return self._builtin.get(type_)


def _tensor_types(module: ir.Operation) -> Iterator[ir.Type]:
    for operation in walk(module):
        blocks = [block for region in operation.regions for block in region.blocks]
        values = [*operation.results, *(argument for block in blocks for argument in block.arguments)]
        yield from (value.type for value in values if str(value.type).startswith("!torch.vtensor<["))


def convert_types(types: Sequence[ir.Type], context: ir.Context) -> list[ir.Type]:
    """`types` after torch-mlir's type conversion, read off a function declaration that takes them.

    The bindings have no class for torch types. Running this pass also loads the `torch_c` dialect.
    """
    scratch = ir.Module.create(ir.Location.unknown(context))
    with context, ir.Location.unknown(), ir.InsertionPoint(scratch.body):
        attributes = {
            "sym_name": ir.StringAttr.get("types"),
            "sym_visibility": ir.StringAttr.get("private"),
            "function_type": ir.TypeAttr.get(ir.FunctionType.get(list(types), [])),
        }
        ir.Operation.create("func.func", attributes=attributes, regions=1)
    PassManager.parse("builtin.module(torch-func-backend-type-conversion)", context).run(scratch.operation)
    declaration = scratch.body.operations[0]
    return list(ir.FunctionType(ir.TypeAttr(declaration.attributes["function_type"]).value).inputs)


class TorchOp:
    """A torch op as its builder reads it; operands are counted from 0."""

    def __init__(self, operation: ir.Operation, types: TypeTable) -> None:
        self._operation = operation
        # `torch.operator` holds any op that torch-mlir does not know.
        is_foreign = operation.name == "torch.operator"
        self.name = ir.StringAttr(operation.attributes["name"]).value if is_foreign else operation.name
        self._operands = list(operation.operands)
        self._types = types
        self.result_type = types.builtin(operation.results[0].type)
        self.is_result_unsigned = is_unsigned(operation.results[0].type)

    def refuse(self, message: str) -> PassError:
        """The error to raise for an op that torch-mlir's own conversion would get wrong."""
        return fail(self._operation, message)

    @property
    def result_shape(self) -> list[int]:
        return shape_of(self.result_type)

    @property
    def result_element_type(self) -> ir.Type:
        return element_type_of(self.result_type)

    def value(self, index: int) -> ir.Value:
        """The operand as it is."""
        return self._operands[index]

    def is_tensor(self, index: int) -> bool:
        return self._types.builtin(self._operands[index].type) is not None

    def is_none(self, index: int) -> bool:
        return _defined_by(self._operands[index], "torch.constant.none") is not None

    def tensor(self, index: int) -> ir.Value:
        """The operand as a builtin tensor."""
        return to_builtin(self._operands[index], self._types)

    def optional_tensor(self, index: int) -> ir.Value | None:
        return None if self.is_none(index) else self.tensor(index)

    def tensors(self, index: int) -> list[ir.Value] | None:
        """The operand, a list of tensors, as builtin tensors; None when it is not made here."""
        made = _defined_by(self._operands[index], "torch.prim.ListConstruct")
        return None if made is None else [to_builtin(value, self._types) for value in made.operands]

    def optional_tensors(self, index: int) -> list[ir.Value | None] | None:
        """The operand, a list of tensors and of None, as builtin tensors; None when it is not made here."""
        values = self.elements(index)
        if values is None:
            return None
        return [None if _defined_by(v, "torch.constant.none") else to_builtin(v, self._types) for v in values]

    def number(self, index: int) -> Number | None:
        """The operand's constant value, or None."""
        return constant_number(self._operands[index])

    def integer(self, index: int) -> int | None:
        value = self.number(index)
        return value if isinstance(value, int) else None

    def flag(self, index: int) -> bool:
        """Whether the operand is the constant `true`."""
        return self.number(index) is True

    def string(self, index: int) -> str | None:
        made = _defined_by(self._operands[index], "torch.constant.str")
        return None if made is None else ir.StringAttr(made.attributes["value"]).value

    def elements(self, index: int) -> list[ir.Value] | None:
        """The values of the operand, a list made here, or None."""
        made = _defined_by(self._operands[index], "torch.prim.ListConstruct")
        return None if made is None else list(made.operands)

    def integers(self, index: int) -> list[int] | None:
        """The constant integers of the operand, a list, or None when one of them is not constant."""
        elements = self.elements(index)
        if elements is None:
            return None
        numbers = [constant_number(element) for element in elements]
        return [int(n) for n in numbers if n is not None] if None not in numbers else None

    def numbers(self, index: int) -> list[Number] | None:
        """The constant numbers of the operand, a list, or None when one of them is not constant."""
        elements = self.elements(index)
        numbers = [constant_number(element) for element in elements or ()]
        found = [number for number in numbers if number is not None]
        return found if elements is not None and len(found) == len(numbers) else None

    def axis(self, index: int, rank: int) -> int | None:
        """The operand, a constant dimension, counted from the front."""
        value = self.integer(index)
        return None if value is None else value % max(rank, 1)

    def broadcastable(self, index: int, element_type: ir.Type) -> ir.Value | None:
        """The operand, a tensor or a number, as a tensor of `element_type` (of rank 0 for a number)."""
        if self.is_tensor(index):
            return cast(self.tensor(index), element_type)
        number = self.number(index)
        if number is not None:
            return scalar(number, element_type)
        return cast(_scalar_tensor(self._operands[index]), element_type)


Builder = Callable[[TorchOp], ir.Value | None]

BUILDERS: dict[str, Builder] = {}
"""The builder of each torch op that has one, by op name."""


def converts(*names: str) -> Callable[[Builder], Builder]:
    """Register a builder for the torch ops `names`."""

    def register(builder: Builder) -> Builder:
        BUILDERS.update(dict.fromkeys(names, builder))
        return builder

    return register


def constant_number(value: ir.Value) -> Number | None:
    """The number that a torch constant op gives as `value`; None when it is not constant."""
    made = operation_of(value)
    if made is None or made.name not in ("torch.constant.int", "torch.constant.float", "torch.constant.bool"):
        return None
    attribute = made.attributes["value"]
    if isinstance(attribute, ir.BoolAttr) or made.name == "torch.constant.bool":
        return bool(ir.IntegerAttr(attribute).value)
    return ir.FloatAttr(attribute).value if isinstance(attribute, ir.FloatAttr) else ir.IntegerAttr(attribute).value


def _defined_by(value: ir.Value, name: str) -> ir.Operation | None:
    made = operation_of(value)
    return made if made is not None and made.name == name else None


def _create(name: str, type_: ir.Type, *operands: ir.Value) -> ir.Value:
    return ir.Operation.create(name, results=[type_], operands=list(operands)).results[0]


def to_builtin(value: ir.Value, types: TypeTable) -> ir.Value:
    """The builtin tensor behind a torch tensor."""
    made = _defined_by(value, "torch_c.from_builtin_tensor")
    if made is not None:
        return made.operands[0]
    return _create("torch_c.to_builtin_tensor", types.builtin(value.type), value)


def to_torch(value: ir.Value, type_: ir.Type) -> ir.Value:
    """The torch tensor of `type_` that stands for the builtin tensor `value`."""
    return _create("torch_c.from_builtin_tensor", type_, value)


def _scalar_tensor(value: ir.Value) -> ir.Value:
    """A `!torch.int`, `!torch.float` or `!torch.bool` as a rank-0 tensor of i64, f64 or i1."""
    conversions = {
        "!torch.int": ("torch_c.to_i64", ir.IntegerType.get_signless(64)),
        "!torch.float": ("torch_c.to_f64", ir.F64Type.get()),
        "!torch.bool": ("torch_c.to_i1", ir.IntegerType.get_signless(1)),
    }
    name, type_ = conversions[str(value.type)]
    return tensor.from_elements(ir.RankedTensorType.get([], type_), [_create(name, type_, value)])


def is_unsigned(type_: ir.Type) -> bool:
    """Whether a torch tensor type holds unsigned integers."""
    return str(type_).endswith(",ui8>")


def is_float(type_: ir.Type) -> bool:
    return isinstance(type_, ir.FloatType)


def is_bool(type_: ir.Type) -> bool:
    return isinstance(type_, ir.IntegerType) and type_.width == 1


def splat(number: Number, shape: Sequence[int], element_type: ir.Type) -> ir.Value:
    """A constant tensor of a static shape, all of whose elements are `number`."""
    if is_float(element_type):
        element: ir.Attribute = ir.FloatAttr.get(element_type, float(number))
    else:
        # A number that does not fit wraps, as PyTorch's do.
        last = 1 << (element_type.width - 1)
        number = number if is_bool(element_type) else (int(number) + last) % (2 * last) - last
        element = ir.IntegerAttr.get(element_type, int(number))
    type_ = ir.RankedTensorType.get(list(shape), element_type)
    return arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, element))


def scalar(number: Number, element_type: ir.Type) -> ir.Value:
    """A constant tensor of rank 0."""
    return splat(number, [], element_type)


def index_constant(number: int) -> ir.Value:
    return arith.constant(ir.IndexType.get(), number)


def to_index(value: ir.Value) -> ir.Value:
    """A `!torch.int` as an index."""
    number = constant_number(value)
    if number is not None:
        return index_constant(int(number))
    return arith.index_cast(ir.IndexType.get(), _create("torch_c.to_i64", ir.IntegerType.get_signless(64), value))


def dim(value: ir.Value, axis: int) -> ir.Value:
    """The size of a builtin tensor along `axis`, as an index."""
    size = shape_of(value)[axis]
    return tensor.dim(value, index_constant(axis)) if size == DYNAMIC else index_constant(size)


def cast(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """`value` in another element type; to i1, whether it differs from zero, as PyTorch does."""
    source = element_type_of(value)
    if source == element_type:
        return value
    if is_bool(element_type):
        return graph.CompareOp.build(value, scalar(0, source), predicate="ne")
    return graph.CastOp.build(value, result_type=ir.RankedTensorType.get(shape_of(value), element_type))


def reshape(value: ir.Value, shape: Sequence[int], sizes: Sequence[ir.Value] = ()) -> ir.Value:
    """`value` under another shape, whose `?` are `sizes`; the value itself if the shape is static and the same."""
    shape = list(shape)
    if shape == shape_of(value) and DYNAMIC not in shape:
        return value
    type_ = ir.RankedTensorType.get(shape, element_type_of(value))
    return graph.ReshapeOp.build(value, *sizes, result_type=type_)


def insert_axis(value: ir.Value, axis: int) -> ir.Value:
    """`value` with a new dimension of size 1 before `axis`."""
    shape = shape_of(value)
    sizes = [dim(value, i) for i, size in enumerate(shape) if size == DYNAMIC]
    return reshape(value, [*shape[:axis], 1, *shape[axis:]], sizes)


def drop_axes(value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """`value` without the dimensions `axes`, whose size is 1."""
    shape = shape_of(value)
    kept = [i for i in range(len(shape)) if i not in axes]
    return reshape(value, [shape[i] for i in kept], [dim(value, i) for i in kept if shape[i] == DYNAMIC])


def permute(value: ir.Value, permutation: Sequence[int]) -> ir.Value:
    return graph.PermuteOp.build(value, permutation=list(permutation))


def i64_array(values: Sequence[int]) -> ir.Attribute:
    """A dense array also for no values at all, which `to_attribute` cannot tell from an empty list of attributes."""
    return to_attribute(list(values)) if values else ir.DenseI64ArrayAttr.get([])
