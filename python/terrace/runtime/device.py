"""IREE's devices, shared by the models of a process that hold them: on the CPU, one per number of threads."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from iree.runtime import flags
from iree.runtime._binding import HalDevice, create_hal_driver

from terrace.errors import TargetError
from terrace.runtime.lifetime import Owned
from terrace.target import WORKER_BYTES

MAX_THREADS = 64
"""IREE's limit on the workers of one executor."""

KEPT_BYTES = 1 << 30
"""The memory of transients and results up to which a device keeps what is freed, for later calls."""

ALLOCATOR = f"caching:device_local=*;{KEPT_BYTES};1024"
"""IREE's allocator that keeps up to 1024 freed buffers: new memory is cleared at every call, and its pages are mapped.

Whatever is allocated counts in `KEPT_BYTES`, also results that users hold: beyond it, freed memory goes back.
"""


class Device(Owned):
    """A `HalDevice`, open as long as someone holds this. Its last holder ends its threads."""

    def __init__(self, hal: HalDevice) -> None:
        super().__init__(hal)
        self.hal = hal

    def trim(self) -> None:
        """Give back the memory that is kept for later calls."""
        if "hal" in self.__dict__:  # The garbage collector may have let go of it already.
            self.hal.allocator.trim()


class Devices:
    """The open devices of a kind. A forked child has none of its parent's."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._open: weakref.WeakValueDictionary[Hashable, Device] = weakref.WeakValueDictionary()
        self._lock = threading.RLock()

    def get(self, key: Hashable, create: Callable[[], Any]) -> Device:
        """The device that is open under this key, or a new one on the `HalDevice` that `create` makes."""
        with self._lock:
            device = self._open.get(key)
            if device is None:
                self._open[key] = device = Device(create())
            return device


_devices = Devices()


def default_threads() -> int:
    """The cores that this process may run on."""
    return min(len(os.sched_getaffinity(0)), MAX_THREADS)


def cpu_device(threads: int | None = None) -> Device:
    """The device with that many workers; all cores if None.

    One thread is the `local-sync` driver: the caller's thread does the work (`local-task` with one worker snaps to
    scheduler steps). More are `local-task`. Raises `TargetError` for a number that IREE cannot have.
    """
    count = checked_threads(threads)
    return _devices.get(count, lambda: _create(count))


def checked_threads(threads: Any) -> int:
    """A number of workers, all cores for None; raises `TargetError` for one that IREE cannot have."""
    count = default_threads() if threads is None else threads
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_THREADS:
        raise TargetError(f"threads is {threads!r}; expected None or a number from 1 to {MAX_THREADS}")
    return count


def _create(count: int) -> Any:
    if count == 1:
        return create_hal_driver("local-sync").create_default_device([ALLOCATOR])
    # Process-wide flags, which the driver reads when it is created, so drivers are not shared. Left alone, a worker's
    # memory is as large as the second cache of the machine at hand, and what was compiled for more fails when called.
    flags.parse_flags(f"--task_topology_group_count={count}", f"--task_worker_local_memory={WORKER_BYTES}")
    return create_hal_driver("local-task").create_default_device([ALLOCATOR])
