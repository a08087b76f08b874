"""Which program an artifact holds, and what a compiled model asks of any."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from terrace.runtime.buffers import Imported, Layouts
from terrace.storage.artifact import Artifact
from terrace.storage.parameter_archive import Array
from terrace.target import registered_as

T = TypeVar("T")


class RunnableProgram(Protocol):
    """A program that is ready to be called.

    One that `reads_in_place` has `invoke_at` and `take_tensor`, too: it reads inputs where the caller has them.
    """

    reads_in_place: bool

    def in_turn(self, work: Callable[[], T]) -> T:
        """What `work` gives, which may use the program; other threads wait where they would disturb."""

    def put(self, value: Array) -> Imported:
        """An input for `invoke`."""

    def copy(self, value: Array) -> Imported:
        """An input that the program may keep."""

    def invoke(self, name: str, arguments: Sequence[Imported], result_count: int) -> list[Any]:
        """Call a function."""

    def invoke_at(self, name: str, addresses: tuple[int, ...], layouts: Layouts, result_count: int) -> list[Any]:
        """Call a function on inputs at these addresses."""

    def take_tensor(self, result: Any) -> Any:
        """A small result as a tensor of torch's that shares no memory."""

    def take(self, result: Any, dtype: str, foreign: list[range]) -> Array:
        """A result as an array whose memory lies in none of `foreign`, and which is then added to them."""


def open_program(artifact: Artifact, threads: int | None = None, *, simulate: bool = True) -> RunnableProgram:
    """Make the program of `artifact` ready, on that many threads where it has any.

    With `simulate`, a hardware design is built to be called; without, it is only looked at.
    """
    open_ = pkgutil.resolve_name(registered_as(artifact.target).runtime)
    program: RunnableProgram = open_(artifact, threads, simulate)
    return program
