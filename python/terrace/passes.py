"""What a pass is, and how a list of passes runs.

A pass is a frozen dataclass whose fields are its typed options. Passes written in Python and passes of upstream MLIR
mix freely in one list; the same list prints as the one string that `terrace-opt --pass-pipeline` accepts.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from terrace.errors import PassError
from terrace.mlir import PassManager, ir


@dataclasses.dataclass(frozen=True)
class Pass(abc.ABC):
    """A transformation of a `builtin.module`, in place. Subclasses set `name` and add fields as options."""

    name: ClassVar[str] = ""

    @abc.abstractmethod
    def run(self, module: ir.Operation) -> None:
        """Rewrite `module`. Report a failure with `fail(op, message)`; leave the IR valid."""

    def options(self) -> dict[str, Any]:
        """The options that differ from their defaults, by their names in pipeline text (kebab case)."""
        changed = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                changed[field.name.replace("_", "-")] = value
        return changed

    def __str__(self) -> str:
        options = self.options()
        if not options:
            return self.name
        return f"{self.name}{{{' '.join(f'{key}={format_option(value)}' for key, value in options.items())}}}"


@dataclasses.dataclass(frozen=True)
class UpstreamPass(Pass):
    """A pass, or nested pipeline, of upstream MLIR, given as its text, for example `func.func(canonicalize)`."""

    text: str = ""

    def run(self, module: ir.Operation) -> None:
        PassManager.parse(f"builtin.module({self.text})", module.context).run(module)

    def __str__(self) -> str:
        return self.text


def format_option(value: Any) -> str:
    """An option's value as pipeline text: booleans in lower case, sequences joined by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ",".join(format_option(item) for item in value)
    return str(value)


def fail(operation: Any, message: str) -> PassError:
    """The error to raise when a pass refuses `operation`; it carries the operation's name and location."""
    op = operation.operation
    return LocatedPassError(op.location, f"'{op.name}' op {message}")


class LocatedPassError(PassError):
    """A refusal tied to a location in the IR."""

    def __init__(self, location: ir.Location, message: str) -> None:
        super().__init__(f"{describe_location(location)}: error: {message}")
        self.location = location
        self.message = message


def describe_location(location: ir.Location) -> str:
    """`file:line:column` of the innermost source line in `location`, or its MLIR text when it has none."""
    if location.is_a_file():
        return f"{location.filename}:{location.start_line}:{location.start_col}"
    if location.is_a_name():
        return describe_location(location.child_loc)
    if location.is_a_callsite():
        return describe_location(location.callee)
    if location.is_a_fused():
        for child in location.locations:
            text = describe_location(child)
            if text != "-":
                return text
    return "-"


Observer = Callable[[Pass, ir.Operation], None]


def run_passes(passes: Sequence[Pass], module: ir.Operation, after: Observer | None = None) -> None:
    """Run `passes` over `module` one after another, verifying the IR after each.

    Raises `PassError` naming the pass that failed and the pipeline string that reproduces it. `after` is called with
    each pass that ran and the module.
    """
    pipeline = f"builtin.module({','.join(str(p) for p in passes)})"
    for pass_ in passes:
        try:
            with module.context, ir.Location.unknown():
                pass_.run(module)
                module.verify()
        except LocatedPassError:
            raise
        except ir.MLIRError as error:
            raise PassError(f"pass '{pass_}' failed in --pass-pipeline='{pipeline}':\n{error}") from error
        if after is not None:
            after(pass_, module)
