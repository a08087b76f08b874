"""Reading a program's text. Our MLIR lacks IREE's types, so IREE's own bindings read it, and leave what we can read."""

from __future__ import annotations

from typing import Any

from terrace.errors import CompileError
from terrace.supervision import check_reading


def interface_text(program: str, name: str | None = None) -> str:
    """The program in generic form without its executables: globals and functions, in terms that our MLIR parses.

    Raises CompileError if it is no program of IREE's; `name` is the file that the text is of.
    """
    module, _ = read_program(program, name)
    with module.context:
        for operation in list(module.body.operations):
            if operation.operation.name == "stream.executable":
                operation.operation.erase()
        return str(module.operation.get_asm(print_generic_op_form=True, assume_verified=True))


def read_program(program: str, name: str | None = None) -> tuple[Any, Any]:
    """The module of a program, and IREE's bindings, which it belongs to. Raises CompileError if it is no program."""
    # Imported here: it takes a quarter of a second, and only texts of the level "iree" need it.
    from iree.compiler import ir

    with ir.Context() as context:
        # Threads would not survive a fork, and terrace-reduce forks.
        context.enable_multithreading(False)
        check_reading(lambda: ir.Module.parse(program), name or "-")
        try:
            return ir.Module.parse(program), ir
        except ir.MLIRError as error:
            said = str(error).replace('"-":', f"{name or '-'}:")
            raise CompileError(f"the text is not valid at any level:\n{said}") from error
