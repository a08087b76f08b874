"""An IREE program around one SPIR-V binary: `@main` runs it through `hal.dispatch.extern`."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.dialects.context import create_context
from terrace.lowering.target.iree import syntax
from terrace.mlir import func, ir


def extern_program(
    name: str, operands: Sequence[ir.Type], results: Sequence[ir.Type], workgroups: Sequence[int], path: str
) -> str:
    """The text of a program whose @main takes and gives the tensors of the kernel `name`.

    iree-compile finds the binary by `path` in a folder of `--iree-hal-executable-object-search-path`.
    """
    context = create_context()
    context.allow_unregistered_dialects = True
    with context, ir.Location.unknown():
        inputs, outputs = ([ir.Type.parse(str(type_)) for type_ in types] for types in (operands, results))
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            main = func.FuncOp("main", (inputs, outputs))
        with ir.InsertionPoint(main.add_entry_block()):
            func.ReturnOp(syntax.dispatch_extern(name, list(main.arguments), outputs, workgroups, path))
        return module.operation.get_asm(print_generic_op_form=True, assume_verified=True)
