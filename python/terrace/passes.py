"""What a pass is, and how a list of passes runs.

A pass is a frozen dataclass whose fields are its typed options. Passes written in Python and passes of upstream MLIR
mix freely in one list; the same list prints as the one string that `terrace-opt --pass-pipeline` accepts.
"""

from __future__ import annotations

import abc
import dataclasses
import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from terrace import progress
from terrace.errors import PassError, TerraceError
from terrace.failing_op import op_at, op_that_ends
from terrace.mlir import PassManager, ir, walk
from terrace.supervision import Ended, Limits, announce, faults_shown, rehearse
from terrace.watchdog import LimitReached, Watchdog

_LOG = logging.getLogger("terrace.passes")


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


TRUSTED = {"any", "builtin", "canonicalize", "cse", "func", "module"}
"""The words of pipelines that run without a rehearsal: their passes end on any IR that verifies, by bounded rounds."""

_WORD = re.compile(r"[\w-]+")


@dataclasses.dataclass(frozen=True)
class UpstreamPass(Pass):
    """A pass, or nested pipeline, of upstream MLIR, given as its text, for example `func.func(canonicalize)`.

    `concerns` says of an op whether the pass is there for it. Where a module has none, nothing is converted that C++
    could fail on.
    """

    text: str = ""
    concerns: Callable[[ir.Operation], bool] | None = dataclasses.field(default=None, compare=False, repr=False)

    def run(self, module: ir.Operation) -> None:
        manager = PassManager.parse(f"builtin.module({self.text})", module.context)
        manager.enable_verifier(False)  # Who runs passes verifies.
        manager.run(module)

    def is_trusted_with(self, module: ir.Operation) -> bool:
        """Whether it runs without a rehearsal."""
        if TRUSTED.issuperset(_WORD.findall(self.text)):
            return True
        return self.concerns is not None and not any(map(self.concerns, walk(module)))

    def __str__(self) -> str:
        return self.text


Option = None | bool | int | float | str | Sequence["Option"]
"""The value of an option of a pass."""

PLAIN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+*?")


def given_options(pass_: Pass) -> dict[str, Any]:
    """The options of a pass that are not None."""
    return {f.name: value for f in dataclasses.fields(pass_) if (value := getattr(pass_, f.name)) is not None}


def format_option(value: Option) -> str:
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


def fail(operation: ir.Operation | ir.OpView, message: str) -> PassError:
    """The error to raise when a pass refuses `operation`; it carries the operation's name and location."""
    op = operation.operation
    return LocatedPassError(op.location, f"'{op.name}' op {message}")


class LocatedPassError(PassError):
    """A refusal tied to a location in the IR; `note` says which pass of which pipeline refused."""

    def __init__(self, location: ir.Location, message: str, note: str = "") -> None:
        text = f"{describe_location(location)}: error: {message}"
        super().__init__(f"{text}\n{note}" if note else text, message)
        self.location = location
        self.note = note


class UpstreamPassError(PassError):
    """MLIR itself failed a pass; MLIR emitted the located diagnostics, `note` says which pass of which pipeline."""

    def __init__(self, error: ir.MLIRError, note: str) -> None:
        messages = [diagnostic.message for diagnostic in error.error_diagnostics]
        super().__init__(f"{error}\n{note}", messages[0] if messages else str(error))
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


def line_of(location: ir.Location) -> str | None:
    """`path:line` of a location, where it has one."""
    position = source_position(location)
    return None if position is None else f"{position[0]}:{position[1]}"


class LimitError(PassError):
    """A pass crashed, or ran beyond a limit of time or memory; `location` is that of the op it was at, if known."""

    def __init__(
        self, pass_: Pass, reason: str, op: ir.Operation | None, note: str = "", *, crashed: bool = False
    ) -> None:
        at = f", at '{op.name}' op" if op is not None else ""
        message = f"pass '{pass_}' {reason}{at}"
        self.location = None if op is None else op.location
        where = "" if op is None else f"{describe_location(op.location)}: "
        super().__init__(f"{where}error: {message}{f'{chr(10)}{note}' if note else ''}", message)
        self.reason, self.op, self.note, self.crashed = reason, op, note, crashed


def internal_error(raised: Exception) -> str:
    """What to say of an exception that nobody foresaw: where it came from, and at which op, if that is known."""
    frame = traceback.extract_tb(raised.__traceback__)[-1]
    op = op_at(raised.__traceback__)
    what = f"{type(raised).__name__} at {frame.filename}:{frame.lineno}: {raised}"
    where = "" if op is None else f"{describe_location(op.location)}: "
    return f"{where}error: internal error, {what}{'' if op is None else f' (at {op.name!r} op)'}"


class PassRaisedError(PassError):
    """A pass written in Python raised an exception that is no refusal: a defect of the pass, named with its line.

    `location` is that of the op that the pass was at, if that is known.
    """

    def __init__(self, pass_: Pass, raised: Exception, note: str) -> None:
        frame = traceback.extract_tb(raised.__traceback__)[-1]
        op = op_at(raised.__traceback__)
        at = f" (at '{op.name}' op)" if op is not None else ""
        message = f"pass '{pass_.name}' raised {type(raised).__name__} at {frame.filename}:{frame.lineno}: {raised}{at}"
        self.location = None if op is None else op.location
        where = "" if op is None else f"{describe_location(op.location)}: "
        super().__init__(f"{where}error: {message}\n{note}", message)
        self.pass_name, self.note = pass_.name, note


class _Rehearsals:
    """Runs passes in C++ in a child first: C++ that crashes ends its process, and nothing interrupts it.

    A fork serves all upstream passes that follow each other.
    """

    def __init__(self, passes: Sequence[Pass]) -> None:
        self.passes = passes
        self.until = 0
        self.ended: dict[int, Ended] = {}

    def check(self, number: int, module: ir.Operation) -> None:
        """Raise LimitError if the pass of this number does not survive, or not within its limits."""
        pass_ = self.passes[number]
        if not isinstance(pass_, UpstreamPass):
            return
        if number >= self.until and not pass_.is_trusted_with(module):
            self._rehearse(number, module)
        elif number >= self.until and pass_.concerns is not None:
            # Nor do those next to it find what they are there for.
            self.until = self._end(number, lambda other: other.concerns == pass_.concerns)
        if number in self.ended:
            ended = self.ended[number]
            raise LimitError(pass_, ended.reason, op_that_ends(pass_.text, module), crashed=ended.crashed)

    def _end(self, number: int, belongs: Callable[[UpstreamPass], bool]) -> int:
        """The number of the first pass from `number` on that is not of upstream, or does not belong."""
        passes = self.passes
        places = range(number, len(passes))
        others = (n for n in places if not (isinstance(pass_ := passes[n], UpstreamPass) and belongs(pass_)))
        return next(others, len(passes))

    def _rehearse(self, number: int, module: ir.Operation) -> None:
        self.until = self._end(number, lambda other: True)

        def run() -> None:
            with module.context, ir.Location.unknown():
                for n in range(number, self.until):
                    announce(str(n))
                    self.passes[n].run(module)

        ended = rehearse(run, Limits.read())
        if ended is not None:
            self.ended[int(ended.step or number)] = ended


class Watcher:
    """Sees each pass of a pipeline run; all methods do nothing unless overridden."""

    def before(self, pass_: Pass, module: ir.Operation) -> None:
        """`pass_` is about to run on `module`."""

    def after(self, pass_: Pass, module: ir.Operation, seconds: float) -> None:
        """`pass_` ran, and `module` was verified where that was asked for."""

    def failed(self, pass_: Pass, module: ir.Operation, error: PassError) -> None:
        """`pass_` failed; `module` may not be valid."""


@dataclasses.dataclass(frozen=True)
class PassFailure:
    """What failed: `passes[number]`, when `passes` ran on a copy of `start`, verifying after each or not."""

    passes: tuple[Pass, ...]
    number: int
    start: ir.Operation
    verify: bool


def run_stage(passes: Sequence[Pass], module: ir.Operation, stage: str) -> None:
    """`run_passes` for passes that are believed to leave valid IR, which is verified where C++ takes over from Python.

    When a pass fails all run again on the module as it was, verifying after each: the one to blame may be an earlier
    one. Raises `PassError` as `run_passes` does.
    """
    start = module.clone()
    due = {number for number in range(len(passes)) if _hands_over(passes[number : number + 2])}
    try:
        _run(passes, module, (_Log(), _Shown(len(passes))), due.__contains__, stage)
    except LimitError:
        raise  # It would take as long again.
    except PassError:
        run_passes(passes, start)
        raise


def _hands_over(pair: Sequence[Pass]) -> bool:
    """Whether the first is a pass of Python and the second of upstream, or there is no second."""
    return len(pair) == 1 or (not isinstance(pair[0], UpstreamPass) and isinstance(pair[1], UpstreamPass))


def run_passes(
    passes: Sequence[Pass], module: ir.Operation, watchers: Sequence[Watcher] = (), *, verify: bool = True
) -> None:
    """Run `passes` over `module` one after another, verifying the IR after each.

    Raises `PassError` naming the pass that failed and the pipeline string that reproduces it; its `failure` holds the
    module as it was before the first pass.
    """
    _run(passes, module, watchers, lambda number: verify, "")


def _run(
    passes: Sequence[Pass],
    module: ir.Operation,
    watchers: Sequence[Watcher],
    verifies: Callable[[int], bool],
    stage: str,
) -> None:
    start = module.clone()
    with progress.stage(stage) as summary, faults_shown(), Watchdog(Limits.read()) as watchdog:
        rehearsals = _Rehearsals(passes)
        for number, pass_ in enumerate(passes):
            for watcher in watchers:
                watcher.before(pass_, module)
            started = time.perf_counter()
            try:
                rehearsals.check(number, module)
                _run_pass(pass_, module, verifies(number), watchdog)
            # A pass may raise anything at all.
            except (Exception, LimitReached) as raised:
                if isinstance(raised, LimitReached) and not watchdog.reason:
                    raise  # Of a run of passes around this one.
                error = _to_pass_error(pass_, module, raised, _note(pass_, passes), watchdog.reason)
                # To look for the cause of what takes so long would take many times as long.
                is_slow = isinstance(error, LimitError) and not error.crashed
                error.failure = None if is_slow else PassFailure(tuple(passes), number, start, verifies(number))
                for watcher in watchers:
                    watcher.failed(pass_, module, error)
                raise error from raised
            seconds = time.perf_counter() - started
            for watcher in watchers:
                watcher.after(pass_, module, seconds)
        if _LOG.isEnabledFor(logging.INFO):
            summary.append(f"{len(passes)} passes, {_count_ops(module)} ops")


def _run_pass(pass_: Pass, module: ir.Operation, verify: bool, watchdog: Watchdog) -> None:
    announce(f"pass '{pass_}'")
    if not isinstance(pass_, UpstreamPass):  # An exception waits until C++ has ended.
        watchdog.begin()
    try:
        with module.context, ir.Location.unknown():
            pass_.run(module)
            if verify:
                module.verify()
    finally:
        watchdog.end()
        announce("")


_UNREADABLE = "Can't cast unknown element type"


def _to_pass_error(pass_: Pass, module: ir.Operation, raised: BaseException, note: str, limit: str) -> PassError:
    if limit:
        return LimitError(pass_, limit, op_at(raised.__traceback__), note)
    if isinstance(raised, LimitError):
        return LimitError(pass_, raised.reason, raised.op, note, crashed=raised.crashed)
    if isinstance(raised, LocatedPassError):
        return LocatedPassError(raised.location, raised.message, note)
    if isinstance(raised, ir.MLIRError):
        return UpstreamPassError(raised, note)
    if isinstance(raised, PassError):
        return PassError(f"{raised}\n{note}", str(raised))
    assert isinstance(raised, Exception)
    refusal = _refusal_in(raised)
    if refusal is not None:
        op = op_at(raised.__traceback__) or module
        return LocatedPassError(op.location, f"'{op.name}' op {refusal}", note)
    return PassRaisedError(pass_, raised, note)


def _refusal_in(raised: Exception) -> str | None:
    """What an exception that knows no place refuses, or None if it is a defect."""
    if isinstance(raised, TerraceError):
        return str(raised)
    # The bindings have no class for array<si8>, and more of this kind.
    if isinstance(raised, TypeError) and str(raised).startswith(_UNREADABLE):
        return f"has an attribute that MLIR's bindings cannot read; use one of i8, i32 or f32: {raised}"
    return None


def _note(pass_: Pass, passes: Sequence[Pass]) -> str:
    pipeline = f"builtin.module({','.join(str(p) for p in passes)})"
    return f"note: pass '{pass_}' failed; --pass-pipeline='{pipeline}' reproduces it"


class _Log(Watcher):
    """Tells the log of each pass: its time, and how many ops it left."""

    def after(self, pass_: Pass, module: ir.Operation, seconds: float) -> None:
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("%8.3f s  %s, %d ops", seconds, pass_, _count_ops(module))


class _Shown(Watcher):
    """Tells the progress line which pass runs."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.number = 0

    def before(self, pass_: Pass, module: ir.Operation) -> None:
        self.number += 1
        progress.say(f"{pass_.name or pass_} ({self.number}/{self.total})")


def _count_ops(module: ir.Operation) -> int:
    return sum(1 for _ in walk(module))
