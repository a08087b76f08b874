"""The only file that imports the MLIR bindings, which come inside the torch-mlir wheel.

`frontend/` imports torch-mlir's own Python code (its FX importer, its decompositions) as well, and no bindings.

Everything else takes `ir`, the upstream dialects and the rewrite drivers from here, so that another build of the
same bindings can be swapped in at one place.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import types
from collections.abc import Callable, Container, Iterator
from typing import Any

from torch_mlir import ir, rewrite
from torch_mlir._mlir_libs import _torchMlir  # importing it registers torch-mlir's passes
from torch_mlir.dialects import ext
from torch_mlir.passmanager import PassManager

__all__ = [
    "PassManager",
    "address_of",
    "ext",
    "ir",
    "load_torch_dialects",
    "next_in_block",
    "operation_of",
    "parse_module",
    "rewrite",
    "source_of",
    "walk",
]

# Imported when first asked for: together they cost a tool a third of its start-up time, linalg most of it.
UPSTREAM_DIALECTS = ("arith", "func", "gpu", "linalg", "llvm", "math", "memref", "scf", "tensor", "vector")


def __getattr__(name: str) -> Any:
    """The Python module of an upstream dialect, for `from terrace.mlir import arith`."""
    if name in UPSTREAM_DIALECTS:
        return importlib.import_module(f"torch_mlir.dialects.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# At each op of a dialect that it does not know, the package looks for a module of the dialect's name, on all of
# Python's path. An empty one ends that: DenseNet-121 was looked for 70,000 times, for 2 of its 16 seconds.
for _name in ("flow", "hal", "iree_codegen", "iree_encoding", "stream", "tm_tensor", "torch_c", "util"):
    sys.modules.setdefault(f"torch_mlir.dialects.{_name}", types.ModuleType(_name))


_erase = ir.Operation.erase


def _erase_unused(operation: ir.Operation | ir.OpView) -> None:
    """`Operation.erase`, which left uses of nothing behind: the process died later, far from the line to blame."""
    for result in operation.operation.results:
        user = next(iter(result.uses), None)
        if user is not None:
            names = f"'{operation.operation.name}' op", f"'{user.owner.operation.name}' op"
            raise ValueError(f"{names[0]} cannot be erased while {names[1]} uses its result; replace its uses first")
    _erase(operation)


ir.Operation.erase = ir.OpView.erase = _erase_unused

DYNAMIC = ir.ShapedType.get_dynamic_size()
"""The number that stands for `?` in shapes read from types."""


def create_bare_context() -> ir.Context:
    """A context without any dialect but builtin: it keeps ops and attributes of all others as they are written."""
    # The base class of `ir.Context`, which adds the registry of all dialects in its constructor.
    context: ir.Context = ir.Context.__mro__[1]()
    context.allow_unregistered_dialects = True
    return context


def load_torch_dialects(context: ir.Context) -> None:
    """Load torch-mlir's dialects (torch, torch_c, tm_tensor) into `context`; costs about a millisecond.

    The bindings can register only `torch`; the other two come with the passes that depend on them, here run over an
    empty module.
    """
    _torchMlir.register_dialect(context)
    passes = "torch-func-backend-type-conversion,func.func(convert-torch-to-tmtensor)"
    with context, ir.Location.unknown():
        PassManager.parse(f"builtin.module({passes})").run(ir.Module.create().operation)


def parse_module(text: str, context: ir.Context) -> ir.Module:
    """Parse and verify a module; raises `ir.MLIRError` with located diagnostics."""
    with context, ir.Location.unknown():
        return ir.Module.parse(text, context)


def operation_of(value: ir.Value) -> ir.Operation | None:
    """The operation that defines `value`, or None for a block argument."""
    owner = value.owner
    return None if isinstance(owner, ir.Block) else owner.operation


def source_of(value: ir.Value, names: Container[str]) -> ir.Value:
    """What `value` was made of by ops of these names, each from its first operand."""
    operation = operation_of(value)
    while operation is not None and operation.name in names:
        value = operation.operands[0]
        operation = operation_of(value)
    return value


def walk(operation: ir.Operation | ir.OpView) -> Iterator[ir.Operation]:
    """All operations nested in `operation`, itself excluded, in order; safe against erasing the one yielded."""
    for region in operation.regions:
        for block in region.blocks:
            for child in list(block.operations):
                yield from walk(child.operation)
                yield child.operation


def next_in_block(operation: ir.Operation) -> ir.Operation | None:
    """The operation after `operation`, or None after the last."""
    following = ir.InsertionPoint.after(operation).ref_operation
    return None if following is None else following.operation


_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


def address_of(operation: ir.Operation) -> int:
    """Where `operation` lies in memory: what it is known by while it changes, as it is hashed by its operands."""
    address: int = _get_pointer(operation._CAPIPtr, b"torch_mlir.ir.Operation._CAPIPtr")
    return address


def attach_diagnostics(context: ir.Context, handler: Callable[[ir.Diagnostic], bool]) -> ir.DiagnosticHandler:
    """Register `handler` for diagnostics emitted in `context`; call `.detach()` on what comes back."""
    context.emit_error_diagnostics = True
    return context.attach_diagnostic_handler(handler)
