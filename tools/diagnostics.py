"""Diagnostics on the command line: printed as `file:line:col: error: ...`, or matched with `expected-*` comments."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from typing import Protocol

from terrace.mlir import ir
from terrace.passes import source_position

DESIGNATOR = re.compile(
    r"expected-(?P<severity>error|warning|note|remark)(?P<regex>-re)?\s*"
    r"(?:@(?P<where>[+-]\d+|above|below|unknown))?\s*\{\{(?P<text>(?(regex).*|.*?))\}\}"
)
_REGEX_PART = re.compile(r"\{\{(.*?)\}\}")
LOOKS_LIKE_DESIGNATOR = re.compile(r"//.*expected-(error|warning|note|remark).*\{")
SEE_CURRENT = "see current operation"


@dataclasses.dataclass(frozen=True)
class Report:
    """One diagnostic; `position` is file, line and column, or None when its location is no source line."""

    severity: str
    message: str
    position: tuple[str, int, int] | None


class Sink(Protocol):
    """Takes the diagnostics of a run."""

    def report(self, report: Report) -> None:
        """Take one diagnostic."""


def reports_of(diagnostic: ir.Diagnostic, input_name: str) -> Iterator[Report]:
    """A diagnostic of MLIR and its notes. Text parsed from memory is called `-` by MLIR, `input_name` by us."""
    position = source_position(diagnostic.location)
    if position is not None and position[0] == "-":
        position = (input_name, *position[1:])
    yield Report(diagnostic.severity.name.lower(), diagnostic.message, position)
    for note in diagnostic.notes:
        yield from reports_of(note, input_name)


class Printer:
    """Prints diagnostics to stderr with the source line and a caret, as mlir-opt does."""

    def __init__(self, input_name: str, lines: list[str]) -> None:
        self.input_name = input_name
        self.lines = lines

    def report(self, report: Report) -> None:
        """Print one diagnostic."""
        where = "<unknown>:0" if report.position is None else ":".join(map(str, report.position))
        print(f"{where}: {report.severity}: {report.message}", file=sys.stderr)
        if report.position is not None and report.position[0] == self.input_name:
            _, line, column = report.position
            if 0 < line <= len(self.lines):
                print(f"{self.lines[line - 1]}\n{' ' * (column - 1)}^", file=sys.stderr)


@dataclasses.dataclass
class Expectation:
    """An `expected-*` comment on line `line`; `target` is the line of the diagnostic, None for an unknown one."""

    severity: str
    text: str
    pattern: re.Pattern[str]
    line: int
    target: int | None
    met: bool = False

    def accepts(self, report: Report, input_name: str) -> bool:
        """Whether `report` is what this comment expects."""
        known = report.position is not None and report.position[0] == input_name and report.position[1] > 0
        line = report.position[1] if report.position is not None and known else None
        return self.severity == report.severity and self.target == line and bool(self.pattern.search(report.message))


class Verifier:
    """Matches diagnostics with the `expected-*` comments of a file, by line, severity and text.

    Each comment expects one diagnostic. A diagnostic without a comment is a failure unless `only_expected`.
    """

    def __init__(self, input_name: str, lines: list[str], only_expected: bool) -> None:
        self.input_name = input_name
        self.only_expected = only_expected
        self.problems: list[str] = []
        self.expectations = list(self._read(lines))

    def report(self, report: Report) -> None:
        """Match one diagnostic."""
        if report.message.startswith(SEE_CURRENT):
            return
        for expectation in self.expectations:
            if not expectation.met and expectation.accepts(report, self.input_name):
                expectation.met = True
                return
        if not self.only_expected:
            where = "<unknown>:0" if report.position is None else ":".join(map(str, report.position))
            self.problems.append(f"{where}: error: unexpected {report.severity}: {report.message}")

    def finish(self) -> bool:
        """Print what did not match to stderr; True if all did."""
        for expectation in self.expectations:
            if not expectation.met:
                target = "an unknown location" if expectation.target is None else f"line {expectation.target}"
                self.problems.append(
                    f"{self.input_name}:{expectation.line}: error: expected {expectation.severity} "
                    f'"{expectation.text}" was not produced at {target}'
                )
        for problem in self.problems:
            print(problem, file=sys.stderr)
        return not self.problems

    def _read(self, lines: list[str]) -> Iterator[Expectation]:
        for number, line in enumerate(lines, start=1):
            found = list(DESIGNATOR.finditer(line))
            if not found and LOOKS_LIKE_DESIGNATOR.search(line):
                self.problems.append(
                    f"{self.input_name}:{number}: error: malformed expectation; write "
                    f"'expected-error @+1 {{{{text}}}}' (or @-1, @above, @below, @unknown)"
                )
            for match in found:
                try:
                    pattern = _pattern(match["text"], bool(match["regex"]))
                except re.error as error:
                    self.problems.append(f"{self.input_name}:{number}: error: no regular expression: {error}")
                    continue
                target = _target_line(lines, number, match["where"])
                yield Expectation(match["severity"], match["text"], pattern, number, target)


def _pattern(text: str, is_regex: bool) -> re.Pattern[str]:
    """What a message must hold: `text`, in which with -re the parts inside {{ }} are regular expressions."""
    parts = _REGEX_PART.split(text) if is_regex else [text]
    return re.compile("".join(f"(?:{part})" if i % 2 else re.escape(part) for i, part in enumerate(parts)))


def _target_line(lines: list[str], number: int, where: str | None) -> int | None:
    """The line that a comment on line `number` speaks of; `above` and `below` skip other such comments."""
    if where is None:
        return number
    if where == "unknown":
        return None
    if where not in ("above", "below"):
        return number + int(where)
    step = -1 if where == "above" else 1
    target = number + step
    while 0 < target <= len(lines) and DESIGNATOR.search(lines[target - 1]):
        target += step
    return target
