"""Python's collector of cycles runs seldom while a model is compiled.

A compile makes many objects, most of which stay, and so sets it off: one walk over torch's objects takes 0.2 s. So do
the imports before the first one.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import threading
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THRESHOLDS = (400_000, 20, 100)
_lock = threading.Lock()
_before: list[tuple[int, int, int]] = []
"""What was set when the first of the compiles that are under way began, once for each of them."""


@contextlib.contextmanager
def collecting_seldom() -> Iterator[None]:
    """Of several threads that compile, the last one to end sets back what was before."""
    with _lock:
        _before.append(_before[0] if _before else gc.get_threshold())
        # Nothing is collected where the user said so.
        if gc.get_threshold()[0]:
            gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        with _lock:
            found = _before.pop()
            if not _before:
                gc.set_threshold(*found)


def collects_seldom(function: Callable[P, T]) -> Callable[P, T]:
    """A decorator; that of `contextlib` would stand between us and the user's line."""

    @functools.wraps(function)
    def collecting(*args: P.args, **kwargs: P.kwargs) -> T:
        with collecting_seldom():
            return function(*args, **kwargs)

    return collecting
