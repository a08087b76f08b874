"""What a text was made for: the resolved target stands in the module, so that each level compiles the same again.

Passes read it; their options override it, for tests.
"""

from __future__ import annotations

from typing import Any

from terrace.dialects.base import to_attribute, to_python
from terrace.errors import TargetError
from terrace.mlir import ir
from terrace.passes import fail
from terrace.target import HlsDescription, Target

TARGET = "terrace.target"
"""The attribute of a module that is its target, a dictionary of what `Target` and its description hold."""

OF_FUNCTION = "terrace_target"
"""The same of a function, in programs of IREE's, whose modules take no attribute of ours."""


def describe_target(module: ir.Operation, target: Target) -> None:
    """Write a resolved target into a module."""
    module.attributes[TARGET] = to_attribute(_known(target.to_json()))


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    nested = {name: _known(value) if isinstance(value, dict) else value for name, value in fields.items()}
    return {name: value for name, value in nested.items() if value is not None}


def target_of(module: ir.Operation) -> Target | None:
    """The target that a module was made for, or None if it does not say. Refuses what is no target."""
    owners = [module, *(op.operation for op in module.regions[0].blocks[0].operations)]
    for owner in owners:
        name = TARGET if owner == module else OF_FUNCTION
        if name in owner.attributes:
            value = to_python(owner.attributes[name])
            try:
                target = Target.from_json(value)
            except (TargetError, TypeError, ValueError) as error:
                raise fail(owner, f"attribute '{name}' is no target: {error}") from error
            # A number that is misspelt would count for nothing, without a word.
            unknown = _names(value) - _names(target.to_json())
            if unknown:
                raise fail(owner, f"attribute '{name}' is no target: there is no {', '.join(sorted(unknown))}")
            return target
    return None


def hls_of(module: ir.Operation) -> HlsDescription:
    """The budget of the hardware design that a module is made for, or the usual one."""
    target = target_of(module)
    return (target and target.hls) or HlsDescription()


def _names(fields: dict[str, Any]) -> set[str]:
    """The names of all fields, those of a description too: `cpu.workers`."""
    nested = {f"{name}.{own}" for name, value in fields.items() if isinstance(value, dict) for own in value}
    return {*fields, *nested}
