"""IREE's CPU devices, one per number of threads, shared by all models of the process."""

from __future__ import annotations

import os
import threading
from typing import Any

from iree.runtime import flags
from iree.runtime._binding import create_hal_driver

from terrace.errors import TargetError
from terrace.runtime.cpu_features import allow_amx

MAX_THREADS = 64
"""IREE's limit on the workers of one executor."""

_devices: dict[int, Any] = {}
_lock = threading.Lock()


def default_threads() -> int:
    """The cores that this process may run on."""
    return min(len(os.sched_getaffinity(0)), MAX_THREADS)


def cpu_device(threads: int | None = None) -> Any:
    """The `HalDevice` with that many workers; all cores if None.

    One thread is the `local-sync` driver: the caller's thread does the work (`local-task` with one worker snaps to
    scheduler steps). More are `local-task`. Raises `TargetError` for a number that IREE cannot have.
    """
    count = default_threads() if threads is None else threads
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_THREADS:
        raise TargetError(f"threads is {threads!r}; expected None or a number from 1 to {MAX_THREADS}")
    with _lock:
        if count not in _devices:
            allow_amx()
            _devices[count] = _create(count)
        return _devices[count]


def _create(count: int) -> Any:
    if count == 1:
        return create_hal_driver("local-sync").create_default_device()
    # The worker count is a process-wide flag that the driver reads when it is created, so drivers are not shared.
    flags.parse_flags(f"--task_topology_group_count={count}")
    return create_hal_driver("local-task").create_default_device()
