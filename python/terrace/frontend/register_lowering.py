"""`terrace.register_lowering`: how a custom op of PyTorch becomes graph ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from terrace.caller_line import calling_line
from terrace.errors import CompileError
from terrace.lowering.conversion.torch_to_graph.registered import REGISTERED, Lowering

_L = TypeVar("_L", bound=Lowering)

_OWN = ("aten", "prim", "prims", "terrace")
"""Namespaces whose ops have rules of ours."""


def register_lowering(name: str, *, replace: bool = False) -> Callable[[_L], _L]:
    """Register the decorated function as the lowering of the custom op `name`: "mylib::op", or "mylib::op.overload".

    It takes the op's arguments in the order of its schema, tensors as graph values, and gives a graph value for each
    result, of the shape and type that the op's fake implementation says. Models with custom ops are not cached, so that
    an edited function takes part. Raises CompileError for an op that PyTorch does not know, for one of its own, and for
    one that has a lowering, unless it is to `replace` that.
    """
    namespace, separator, rest = name.partition("::")
    op, _, overload = rest.partition(".")
    where = f" ({calling_line()})"
    if not separator or not op:
        raise CompileError(f"register_lowering takes the name of an op, as in 'mylib::op'; got {name!r}{where}")
    if namespace in _OWN:
        raise CompileError(f"'{name}' is no custom op: Terrace has rules of its own for '{namespace}'{where}")
    overloads = [schema.overload_name for schema in torch._C._jit_get_schemas_for_operator(f"{namespace}::{op}")]
    if overload not in overloads:
        raise CompileError(f"PyTorch knows no op '{name}': define it before its lowering, by torch.library{where}")
    key = ".".join(["torch", namespace, op, *([overload] if overload else [])])
    if key in REGISTERED and not replace:
        raise CompileError(f"'{name}' has a lowering already: pass replace=True for another{where}")

    def register(lowering: _L) -> _L:
        REGISTERED[key] = lowering
        return lowering

    return register
