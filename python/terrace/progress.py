"""How far a compilation is: a stage at a time, told to the log, and on a terminal shown on one line that is erased.

    with shown():                      # by terrace.compile and the tools, around the whole
        with stage("loop"):            # around each part
            for kernel in track(kernels, "kernel"):

Nothing is written when stderr is no terminal, nor when the log itself goes to it.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TextIO, TypeVar

T = TypeVar("T")

_LOG = logging.getLogger("terrace.stages")
_TICK = 0.25
"""Seconds between two writes of the line."""
_BAR = 20
"""Characters of a bar."""


class _Line:
    """The line on a terminal. A thread of its own keeps its clock going while a compiler works."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.stage = self.step = self.count = ""
        self.started = time.perf_counter()
        self.lock = threading.RLock()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._tick, daemon=True, name="terrace-progress")
        self.thread.start()

    def begin(self, stage: str) -> None:
        """Show that a stage begins; an empty one shows nothing."""
        self.stage, self.step, self.count = stage, "", ""
        self._write()

    def close(self) -> None:
        self.stopped.set()
        self.thread.join()
        self.begin("")

    def _tick(self) -> None:
        while not self.stopped.wait(_TICK):
            if self.stage:
                self._write()

    def _write(self) -> None:
        parts = [f"terrace {time.perf_counter() - self.started:.0f} s", self.stage, self.step, self.count]
        text = ": ".join(part for part in parts if part) if self.stage else ""
        width = shutil.get_terminal_size().columns - 1
        with self.lock:
            self.stream.write(f"\r\x1b[2K{text[:width]}")
            self.stream.flush()


_current: _Line | None = None
_lock = threading.Lock()


def _start_anew() -> None:
    """Show nothing of the parent's in a forked child, which lacks its threads."""
    global _current, _lock
    _current, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_start_anew)


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Show progress on stderr until the block ends, if it is a terminal and no other thread shows its own."""
    global _current  # noqa: PLW0603
    lock = _lock
    if not _is_wanted() or not lock.acquire(blocking=False):
        yield
        return
    try:
        line = _current = _Line(sys.stderr)
        try:
            yield
        finally:
            if _current is line:
                line.close()
                _current = None
    finally:
        lock.release()


def _is_wanted() -> bool:
    is_terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return is_terminal and not _LOG.isEnabledFor(logging.INFO)


_is_untold = contextvars.ContextVar("is_untold", default=False)


@contextlib.contextmanager
def untold() -> Iterator[None]:
    """Tell nothing of the stages inside, which are many and a part of the current one."""
    token = _is_untold.set(True)
    try:
        yield
    finally:
        _is_untold.reset(token)


@contextlib.contextmanager
def stage(name: str) -> Iterator[list[str]]:
    """A named part of the work, timed for the log; what is appended to the list that comes back is logged beside.

    Without a name nothing is told of it.
    """
    summary: list[str] = []
    if not name or _is_untold.get():
        yield summary
        return
    if _current is not None:
        _current.begin(name)
    started = time.perf_counter()
    yield summary
    _LOG.info("%8.3f s  %s", time.perf_counter() - started, "  ".join([name, *summary]))


def hide() -> None:
    """Erase the line until the next stage begins, for what writes to the same terminal."""
    if _current is not None:
        _current.begin("")


def say(step: str) -> None:
    """What the current stage is doing now; written at the next tick."""
    if _current is not None and not _is_untold.get():
        _current.step, _current.count = step, ""


def bar(done: int, total: int) -> str:
    """How much of something is done, as a bar."""
    filled = _BAR * done // max(total, 1)
    return f"[{'#' * filled}{'.' * (_BAR - filled)}]"


def track(items: Sequence[T], noun: str) -> Iterator[T]:
    """The items, telling how many of them are done."""
    for number, item in enumerate(items, start=1):
        if _current is not None and not _is_untold.get():
            _current.count = f"{noun} {number}/{len(items)}"
        yield item
