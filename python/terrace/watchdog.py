"""Limits of passes written in Python: a pass that is beyond one is ended by an exception raised where it is."""

from __future__ import annotations

import ctypes
import threading
import time
from types import TracebackType

from terrace.supervision import Limits

_TICK = 0.1


class LimitReached(BaseException):
    """Raised in the thread of a pass. Not an Exception: a pass that catches those must end, too."""


class Watchdog:
    """Watches the thread that enters it, from `begin` on; `reason` says which limit was reached."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.reason = ""
        self._began: float | None = None
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True, name="terrace-watchdog")

    def __enter__(self) -> Watchdog:
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stopped.set()

    def begin(self) -> None:
        """A pass begins."""
        with self._lock:
            self._began = time.monotonic()

    def end(self) -> None:
        """The pass has ended; from here on nothing is raised."""
        with self._lock:
            self._began = None

    def _watch(self) -> None:
        while not self._stopped.wait(min(_TICK, self.limits.seconds)):
            with self._lock:
                if self._began is None:
                    continue
                self.reason = self.limits.exceeded(time.monotonic() - self._began)
                if self.reason:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(self._thread), ctypes.py_object(LimitReached)
                    )
                    return
