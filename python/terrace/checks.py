"""The checks that a program makes while it runs: what each says when it fails, and how that reaches the caller.

A program with checks gives one more result, an integer: 0, or the number of the first check that failed, from 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from terrace.errors import CheckError, DivisionByZeroError, IndexRangeError

CheckKind = Literal["index", "division", "assertion"]

CODE_DTYPE = "int32"
"""The type of the result that says which check failed."""

_ERRORS: dict[str, type[CheckError]] = {
    "index": IndexRangeError,
    "division": DivisionByZeroError,
    "assertion": CheckError,
}


@dataclasses.dataclass(frozen=True)
class Check:
    """One check: its kind, which decides the exception, and the message, which names the op and the user's line."""

    kind: CheckKind
    message: str

    def __post_init__(self) -> None:
        if self.kind not in get_args(CheckKind) or not isinstance(self.message, str):
            raise ValueError(f"a check is one of {', '.join(get_args(CheckKind))} with a message, not {self!r}")

    def error(self) -> CheckError:
        """What to raise when it fails."""
        return _ERRORS[self.kind](self.message)

    def to_json(self) -> dict[str, Any]:
        """The check as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Check:
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError on other data."""
        return cls(data["kind"], data["message"])
