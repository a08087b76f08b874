"""From the torch dialect to the levels that the rest of Terrace takes: graph ops, and linalg for what has none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from terrace.dialects.base import element_type_of, shape_of
from terrace.errors import ModelImportError, PassError
from terrace.frontend.export import KEPT_WHOLE
from terrace.frontend.symbols import main_function, set_function_type
from terrace.lowering.conversion.convert_torch_to_graph import ConvertTorchToGraph
from terrace.lowering.conversion.graph_to_linalg import builders as b
from terrace.mlir import arith, ir, operation_of, tensor, walk
from terrace.passes import LimitError, LocatedPassError, Pass, UpstreamPass, describe_location, run_passes

OF_PYTORCH = ("torch.aten.", "torch.prim.", "torch.prims.")

LEGAL_DIALECTS = {"arith", "builtin", "func", "graph", "linalg", "math", "scf", "tensor", "tm_tensor"}
"""The dialects of an imported module."""


def import_pipeline() -> Sequence[Pass]:
    """The passes that take the torch dialect away. torch-mlir's own pipelines refuse foreign ops; its passes do not."""
    return [
        ConvertTorchToGraph(),
        # What no graph op expresses is decomposed, and some of the parts are graph ops.
        UpstreamPass("func.func(torch-decompose-complex-ops,canonicalize)", is_torch),
        ConvertTorchToGraph(),
        UpstreamPass("func.func(convert-torch-to-tmtensor,canonicalize)", is_torch),
        UpstreamPass("func.func(convert-torch-to-linalg,canonicalize)", is_torch),
        UpstreamPass("func.func(convert-torch-to-scf,convert-torch-to-arith,convert-torch-to-tensor)", is_torch),
        UpstreamPass("torch-func-backend-type-conversion", is_torch),
        UpstreamPass("func.func(canonicalize,torch-finalizing-backend-type-conversion,canonicalize,cse)", is_torch),
    ]


def is_torch(operation: ir.Operation) -> bool:
    """Whether an op of PyTorch's is left to torch-mlir."""
    return operation.name.startswith("torch.") and is_computation(operation)


def legalize(module: ir.Module) -> None:
    """Convert `module`, from the torch dialect, in place; raises `ModelImportError` naming an op that resists."""
    try:
        run_passes(import_pipeline(), module.operation)
    except (LocatedPassError, LimitError) as error:
        raise ModelImportError(str(error)) from error
    except PassError as error:
        refuse(blamed_ops(module.operation, error))
        raise ModelImportError(str(error)) from error
    with module.context, ir.Location.unknown():
        erase_assertions(module.operation)
        let_sizes_be_zero(module.operation)
        round_constants(module.operation)
        view_elements(module.operation)
        wrap_scalars(main_function(module))
        module.operation.verify()
    refuse(illegal_ops(module.operation))


def refuse(operations: Sequence[ir.Operation]) -> None:
    """Raise `ModelImportError` if there are any ops, naming each with the user's line."""
    if not operations:
        return
    names = list(dict.fromkeys(described_name(op) for op in operations))
    lines = [f"  {describe_location(op.location)}: {described_name(op)}" for op in operations]
    text = "\n".join(dict.fromkeys(lines))
    message = f"the model uses ops that are not supported:\n{text}\nWrite them with other PyTorch ops."
    if any(not name.startswith(OF_PYTORCH) for name in names):
        message += " For a custom op, terrace.register_lowering says how it becomes graph ops."
    kept = [name for name in names if is_kept_whole(name)]
    if kept:
        message += (
            f"\nTo Terrace's developers: {', '.join(kept)} is in KEPT_WHOLE (frontend/export.py), which takes "
            "PyTorch's decomposition away. Where the op's builder returns None, it has to decompose the op by itself."
        )
    raise ModelImportError(message, names)


def is_kept_whole(name: str) -> bool:
    """Whether an op of the torch dialect, with or without the name of its overload, is in `KEPT_WHOLE`."""
    return name.removeprefix("torch.aten.").partition(".")[0] in {packet.__name__ for packet in KEPT_WHOLE}


def blamed_ops(module: ir.Operation, error: PassError) -> list[ir.Operation]:
    """The ops that the diagnostics of a failed pass name and locate; all that are not legal if they name none."""
    illegal = illegal_ops(module)
    diagnostics = error.__cause__.error_diagnostics if isinstance(error.__cause__, ir.MLIRError) else []
    blamed = [
        op
        for op in illegal
        if any(f"'{op.name}'" in found.message and found.location == op.location for found in diagnostics)
    ]
    return blamed or illegal


def illegal_ops(module: ir.Operation) -> list[ir.Operation]:
    """The ops of other dialects than the legal ones that are to blame for that."""
    return [op for op in walk(module) if op.name.partition(".")[0] not in LEGAL_DIALECTS and is_computation(op)]


def is_computation(operation: ir.Operation) -> bool:
    """Whether an op does something of its own: constants, lists and casts only serve the ops that are to blame."""
    return not operation.name.startswith(("torch.constant.", "torch.prim.List", "torch_c."))


def described_name(operation: ir.Operation) -> str:
    """The op's name; for `torch.operator`, which holds any op of PyTorch, the name of that one."""
    if operation.name == "torch.operator":
        return ir.StringAttr(operation.attributes["name"]).value
    return operation.name


def erase_assertions(module: ir.Operation) -> None:
    """Erase torch-mlir's run-time checks of sizes: export has proved them, the signature holds what they rest on."""
    for operation in walk(module):
        if operation.name == "cf.assert":
            operation.erase()


def let_sizes_be_zero(module: ir.Operation) -> None:
    """Take the size itself where torch-mlir broadcasts one: it takes the larger of that and 1, also for nothing.

    It would write, and read the place from, an index that is not there.
    """
    for operation in walk(module):
        if operation.name == "arith.maxsi" and isinstance(operation.results[0].type, ir.IntegerType):
            for size, other in (operation.operands, reversed(operation.operands)):
                if is_size(size) and integer_of(other) == 1:
                    operation.results[0].replace_all_uses_with(size)


def round_constants(module: ir.Operation) -> None:
    """Make constants of numbers that are rounded from others: MLIR folds `arith.truncf` of exact ones only.

    IREE's virtual machine, where a number stays that is no element of a tensor, cannot round.
    """
    for operation in walk(module):
        source = operation_of(operation.operands[0]) if operation.name == "arith.truncf" else None
        if (
            source is not None
            and source.name == "arith.constant"
            and isinstance(source.attributes["value"], ir.FloatAttr)
        ):
            value, type_ = ir.FloatAttr(source.attributes["value"]).value, operation.results[0].type
            with operation.location, ir.InsertionPoint(operation):
                operation.results[0].replace_all_uses_with(arith.constant(type_, value))
            operation.erase()


def view_elements(module: ir.Operation) -> None:
    """Read the bits of elements one by one: `tensor.bitcast`, of a whole tensor, fails where IREE fuses it."""
    for operation in walk(module):
        if operation.name != "tensor.bitcast":
            continue
        value, element_type = operation.operands[0], element_type_of(operation.results[0])
        with operation.location, ir.InsertionPoint(operation):
            identity = b.dims(len(shape_of(value)))
            viewed = b.elementwise(
                [value], [identity], b.sizes_of(value), element_type, partial(arith.bitcast, element_type)
            )
        operation.results[0].replace_all_uses_with(b.cast_type(viewed, operation.results[0].type))
        operation.erase()


def is_size(value: ir.Value) -> bool:
    """Whether a number is a size of a tensor."""
    cast = operation_of(value)
    source = operation_of(cast.operands[0]) if cast is not None and cast.name == "arith.index_cast" else None
    return source is not None and source.name == "tensor.dim"


def integer_of(value: ir.Value) -> int | None:
    """The number that a constant is."""
    constant = operation_of(value)
    if constant is None or constant.name != "arith.constant":
        return None
    return ir.IntegerAttr(constant.attributes["value"]).value


def wrap_scalars(main: ir.Operation) -> None:
    """Let numbers enter and leave `main` as tensors of rank 0, so that all that a program takes is a tensor."""
    block = main.regions[0].blocks[0]
    for argument in block.arguments:
        if not isinstance(argument.type, ir.RankedTensorType):
            argument.set_type(ir.RankedTensorType.get([], argument.type))
            with main.location, ir.InsertionPoint.at_block_begin(block):
                number = tensor.extract(argument, [])
            argument.replace_all_uses_except(number, number.owner.operation)
    end = block.operations[len(block.operations) - 1].operation
    for index, value in enumerate(end.operands):
        if not isinstance(value.type, ir.RankedTensorType):
            with end.location, ir.InsertionPoint(end):
                end.operands[index] = as_tensor(value)
    set_function_type(main)


def as_tensor(number: ir.Value) -> ir.Value:
    """A number as a tensor of rank 0. IREE cannot make one of a truth value; it makes one of integers, and casts it."""
    truth = ir.IntegerType.get_signless(1)
    if number.type != truth:
        return tensor.from_elements(ir.RankedTensorType.get([], number.type), [number])
    wide = ir.IntegerType.get_signless(8)
    integer = tensor.from_elements(ir.RankedTensorType.get([], wide), [arith.extui(wide, number)])
    return b.elementwise([integer], [[]], [], truth, partial(arith.trunci, truth))
