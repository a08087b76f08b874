"""What a pass is, and how a list of passes runs.

A pass is a frozen dataclass whose fields are its typed options. Passes written in Python and passes of upstream MLIR
mix freely in one list; the same list prints as the one string that `terrace-opt --pass-pipeline` accepts.
"""

from __future__ import annotations

import abc
import dataclasses
import json
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


PLAIN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+*?")


def format_option(value: Any) -> str:
    """An option's value as pipeline text: booleans in lower case, sequences joined by commas, quotes where needed."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ",".join(format_option(item) for item in value)
    text = str(value)
    if isinstance(value, str) and (text in ("", "none") or not PLAIN_CHARACTERS.issuperset(text)):
        return json.dumps(text, ensure_ascii=False)
    return text


def fail(operation: Any, message: str) -> PassError:
    """The error to raise when a pass refuses `operation`; it carries the operation's name and location."""
    op = operation.operation
    return LocatedPassError(op.location, f"'{op.name}' op {message}")


class LocatedPassError(PassError):
    """A refusal tied to a location in the IR; `note` says which pass of which pipeline refused."""

    def __init__(self, location: ir.Location, message: str, note: str = "") -> None:
        text = f"{describe_location(location)}: error: {message}"
        super().__init__(f"{text}\n{note}" if note else text)
        self.location = location
        self.message = message
        self.note = note


class UpstreamPassError(PassError):
    """MLIR itself failed a pass; MLIR emitted the located diagnostics, `note` says which pass of which pipeline."""

    def __init__(self, diagnostics: str, note: str) -> None:
        super().__init__(f"{diagnostics}\n{note}")
        self.note = note


def describe_location(location: ir.Location) -> str:
    """`file:line:column` of the innermost source line in `location`, or `-` when it has none."""
    position = source_position(location)
    return "-" if position is None else ":".join(str(part) for part in position)


def source_position(location: ir.Location) -> tuple[str, int, int] | None:
    """File, line and column of the innermost source line in `location`, or None when it has none."""
    if isinstance(location, ir.FileLineColLoc):
        return str(location.filename), location.start_line, location.start_col
    if isinstance(location, ir.NameLoc):
        return source_position(location.child_loc)
    if isinstance(location, ir.CallSiteLoc):
        return source_position(location.callee)
    if isinstance(location, ir.FusedLoc):
        return next(filter(None, map(source_position, location.locations)), None)
    return None


Observer = Callable[[Pass, ir.Operation], None]


def run_passes(
    passes: Sequence[Pass], module: ir.Operation, after: Observer | None = None, *, verify: bool = True
) -> None:
    """Run `passes` over `module` one after another, verifying the IR after each.

    Raises `PassError` naming the pass that failed and the pipeline string that reproduces it. `after` is called with
    each pass that ran and the module.
    """
    pipeline = f"builtin.module({','.join(str(p) for p in passes)})"
    for pass_ in passes:
        try:
            with module.context, ir.Location.unknown():
                pass_.run(module)
                if verify:
                    module.verify()
        except LocatedPassError as error:
            raise LocatedPassError(error.location, error.message, _reproducer(pass_, pipeline)) from error
        except ir.MLIRError as error:
            raise UpstreamPassError(str(error), _reproducer(pass_, pipeline)) from error
        except PassError as error:
            raise PassError(f"{error}\n{_reproducer(pass_, pipeline)}") from error
        if after is not None:
            after(pass_, module)


def _reproducer(pass_: Pass, pipeline: str) -> str:
    return f"note: pass '{pass_}' failed; --pass-pipeline='{pipeline}' reproduces it"
