"""Whose IREE's objects are, and what becomes of programs when the process forks or ends.

IREE works with threads. A forked child lacks them, so it can neither use nor destroy what it inherits: that is left as
it is, and programs open anew at the next call. When the interpreter ends, a daemon thread that returns from IREE finds
no Python to return to, which aborts the process: calls that run are waited for, and daemon threads begin no others.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import weakref
from typing import Any, Protocol

from iree.runtime._binding import disable_leak_checker


class _Process:
    """A process that owns objects of IREE; `is_parent` in a child that was forked from it."""

    is_parent = False
    # Here, as the garbage collector may want them when this module's names are gone.
    keep_forever = staticmethod(ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_IncRef", ctypes.pythonapi)))


class Owned:
    """Objects of IREE, and what they need, let go of in order: the garbage collector knows none.

    In a forked child, what is the parent's is never let go of.
    """

    def __init__(self, *objects: Any) -> None:
        self._objects = list(objects)
        self._process = _this_process

    def __del__(self) -> None:
        process = self.__dict__.get("_process")
        if process is not None and process.is_parent:
            process.keep_forever(self)
            return
        objects = self.__dict__.get("_objects", [])
        self.__dict__.clear()
        while objects:
            del objects[0]


class Guest(Protocol):
    """What must know that the process forks or ends."""

    def before_fork(self) -> None:
        """Let no call run until the fork is over, where that matters to the child."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Let go of everything that is the parent's."""

    def wait(self) -> None:
        """Wait for the calls that run."""


_this_process = _Process()
_guests: weakref.WeakSet[Guest] = weakref.WeakSet()
_is_ending = False
# Held during a fork, so that the guests are those of before, and two forks do not wait for each other's programs.
_lock = threading.RLock()
_forking: list[Guest] = []


def tell(guest: Guest) -> None:
    """Tell `guest` of forks and of the end, as long as it lives."""
    with _lock:
        _guests.add(guest)


def end_daemon_thread() -> None:
    """End this thread if it is a daemon and the interpreter is ending. Called where a call begins."""
    if _is_ending and threading.current_thread().daemon:
        raise SystemExit


def _before_fork() -> None:
    _lock.acquire()
    _forking.extend(_guests)
    for guest in _forking:
        guest.before_fork()


def _after_fork_in_parent() -> None:
    for guest in _forking:
        guest.after_fork_in_parent()
    _forking.clear()
    _lock.release()


def _after_fork_in_child() -> None:
    global _this_process, _lock  # noqa: PLW0603
    _this_process.is_parent = True
    _this_process = _Process()
    # nanobind would list at exit what is kept forever.
    disable_leak_checker()
    for guest in _forking:
        guest.after_fork_in_child()
    _forking.clear()
    _lock = threading.RLock()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


@atexit.register
def _wait_for_calls() -> None:
    global _is_ending  # noqa: PLW0603
    with _lock:
        _is_ending = True
        guests = list(_guests)
    for guest in guests:
        guest.wait()
    if "torch" in sys.modules or any(thread.daemon for thread in threading.enumerate()):
        # Daemon threads die where they stand, and what they hold is never let go of. Nor is the memory of a tensor of
        # which a view is left: PyTorch releases no Python objects at the end.
        disable_leak_checker()
