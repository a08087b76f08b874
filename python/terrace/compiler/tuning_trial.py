"""One kernel tried with several schedules: each is a program of its own, whose results are held against those of the
chosen schedule, and which is measured in turns with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from terrace import progress
from terrace.compiler.driver import lower
from terrace.compiler.request import Request
from terrace.compiler.sources import Text
from terrace.compiler.timing import Call, interleave
from terrace.compiler.trial_program import TrialProgram
from terrace.errors import CompileError
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.tuning_records import Record, described
from terrace.lowering.kernels.view import KernelView
from terrace.runtime.model import CompiledModel
from terrace.target import Target

MARGIN = 0.97
"""Another schedule is taken if it takes less than this part of the chosen one's time, twice."""

ROUNDS, CONFIRMING_ROUNDS = 4, 8

TURN_SECONDS, TURN_SECONDS_OF_THREADS = 0.02, 0.2
"""How long a turn takes: threads need a while to spread over cores."""

TOLERANCE, TOLERANCE_OF_NARROW = 1e-4, 2e-2
"""How far results may be apart, as a part of the largest; where a type of 16 bits or fewer is rounded to, too."""

FLIPPED = 0.01
"""The part of integers that may be one apart: floats are rounded to them."""

Measure = Callable[[Mapping[str, Call], int], Mapping[str, float]]
"""Called with calls by name and a number of rounds, gives the least seconds of each."""


def measure_on(threads: int | None) -> Measure:
    """What measures: CPU time on one thread, which others on the machine disturb less, else the time that passes."""

    def measure(calls: Mapping[str, Call], rounds: int) -> Mapping[str, float]:
        turn = TURN_SECONDS if threads == 1 else TURN_SECONDS_OF_THREADS
        timings = interleave(calls, rounds, turn)
        return {name: own.cpu_min if threads == 1 else own.wall_min for name, own in timings.items()}

    return measure


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a trial, and `notes` on the schedules that were dropped; `differs` if one gave other results."""

    record: Record
    notes: tuple[str, ...] = ()
    differs: bool = False


class Trial:
    """A kernel to be tried on a resolved target, with more `flags` for iree-compile; see `TrialProgram`."""

    def __init__(self, kernel: KernelView, target: Target, flags: Sequence[str] = (), size: int | None = None) -> None:
        self._program = TrialProgram(kernel, target, size)
        self._name, self._target, self._flags = f"@{kernel.name}", target, flags
        is_narrow = any(type_.kind == "float" and type_.bits <= 16 for type_ in kernel.types)
        self._tolerance = TOLERANCE_OF_NARROW if is_narrow else TOLERANCE

    def run(self, schedules: Sequence[Schedule], measure: Measure, label: str = "") -> Outcome:
        """Try them; the first is the chosen one. Progress calls the kernel by `label`.

        Raises CompileError if the chosen one does not compile.
        """
        chosen, *others = schedules
        calls = {"0": self.compile(chosen)}
        expected = _outputs(calls["0"])
        notes, differs = [], False
        for number, schedule in enumerate(others, 1):
            progress.say(f"{label}: schedule {number + 1} of {len(schedules)}")
            try:
                call = self.compile(schedule)
            except CompileError as error:
                notes.append(f"{self._name}: {str(error).partition(chr(10))[0]}; tried {described(schedule)}")
                continue
            if is_close(_outputs(call), expected, self._tolerance):
                calls[str(number)] = call
                continue
            differs = True
            notes.append(
                f"{self._name}: error: other results than those of the chosen schedule, which is a bug of Terrace's:"
                f" please report it; tried {described(schedule)}"
            )
        progress.say(f"{label}: measuring {len(calls)} schedules")
        best, chosen_seconds, seconds = fastest(calls, measure)
        record = Record(described(chosen), chosen_seconds, described(schedules[int(best)]), seconds, len(calls))
        return Outcome(record, tuple(notes), differs)

    def compile(self, schedule: Schedule) -> Call:
        """The kernel, ready to be called. Raises CompileError, also where the native compiler crashes."""
        request = Request(self._target, iree_flags=self._flags, reproducer_dir="off")
        text = Text(self._program.text(schedule), self._program.parameters)
        with progress.untold():
            model, inputs = CompiledModel(lower(text, request).artifact()), self._program.inputs
        return lambda: model(*inputs)


def fastest(calls: Mapping[str, Call], measure: Measure) -> tuple[str, float, float]:
    """The name of the fastest call, the seconds of call "0", and its own, from one comparison.

    It is "0" unless another is clearly faster, twice: among all, and when the two are measured alone.
    """
    first = measure(calls, ROUNDS)
    for name in sorted(first, key=lambda name: first[name]):
        if first[name] >= MARGIN * first["0"]:
            break
        again = measure({"0": calls["0"], name: calls[name]}, CONFIRMING_ROUNDS)
        if again[name] < MARGIN * again["0"]:
            return name, again["0"], again[name]
    return "0", first["0"], first["0"]


def _outputs(call: Call) -> list[np.ndarray]:
    found: Any = call()
    return [np.asarray(value) for value in (found if isinstance(found, tuple) else (found,))]


def is_close(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float) -> bool:
    """Whether results are equal but for roundings. What is not finite must be alike."""
    return all(_are_close(own, other, tolerance) for own, other in zip(found, expected, strict=True))


def _are_close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    wide, other = found.astype(np.float64), expected.astype(np.float64)
    if found.dtype.kind in "biu":
        apart = np.abs(wide - other)
        return bool(np.max(apart, initial=0) <= 1 and np.count_nonzero(apart) <= FLIPPED * apart.size)
    finite = np.isfinite(other)
    if not np.array_equal(np.isfinite(wide), finite) or not np.array_equal(
        wide[~finite], other[~finite], equal_nan=True
    ):
        return False
    limit = tolerance * np.max(np.abs(other[finite]), initial=0.0) + tolerance / 10
    return bool(np.max(np.abs(wide[finite] - other[finite]), initial=0.0) <= limit)
