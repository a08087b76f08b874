"""NumPy memory as buffers of a device with memory of its own, and back: always copies, through staging buffers.

Nothing that leaves here shares memory with the device, so that the device's buffers may be released at any time.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import iree.runtime as rt
import numpy as np

from terrace.runtime.buffers import Imported, view_of
from terrace.runtime.device import Device
from terrace.storage.parameter_archive import Array, numpy_dtype

_STORAGE = int(rt.BufferUsage.TRANSFER) | int(rt.BufferUsage.DISPATCH_STORAGE)
_STAGING = int(rt.MemoryType.HOST_LOCAL) | int(rt.MemoryType.DEVICE_VISIBLE)
_STAGING_USAGE = int(rt.BufferUsage.TRANSFER) | int(rt.BufferUsage.MAPPING_SCOPED)


@dataclasses.dataclass(frozen=True)
class DeviceMemory:
    """How values reach a device that works in memory of its own, and come back."""

    device: Device

    def import_array(self, value: Array) -> Imported:
        """A copy of `value` on the device."""
        contents = np.ascontiguousarray(value).reshape(-1).view(np.uint8) if value.size else np.zeros(1, np.uint8)
        staging = self._staging(contents.nbytes)
        staging.map().asarray([contents.nbytes], np.dtype(np.uint8))[:] = contents
        buffer = self.device.hal.allocator.allocate_buffer(
            memory_type=int(rt.MemoryType.DEVICE_LOCAL), allowed_usage=_STORAGE, allocation_size=contents.nbytes
        )
        self._copy(staging, buffer)
        return Imported(view_of(buffer, value), buffer, range(0), is_copy=True, device=self.device)

    def to_array(self, view: rt.HalBufferView, dtype: str) -> Array:
        """A copy of a result; `DeviceArray.to_host` imports memory with an alignment that drivers may refuse."""
        shape = tuple(view.shape)
        if not view.byte_length:
            return np.empty(shape, numpy_dtype(dtype))
        staging = self._staging(view.byte_length)
        self._copy(view.get_buffer(), staging)
        contents = staging.map().asarray([view.byte_length], np.dtype(np.uint8)).copy()
        return contents.view(numpy_dtype(dtype)).reshape(shape)

    def _staging(self, length: int) -> Any:
        return self.device.hal.allocator.allocate_buffer(
            memory_type=_STAGING, allowed_usage=_STAGING_USAGE, allocation_size=length
        )

    def _copy(self, source: rt.HalBuffer, target: rt.HalBuffer) -> None:
        """Copy between buffers and wait until that is done."""
        semaphore = self.device.hal.create_semaphore(0)
        done = rt.HalFence.create_at(semaphore, 1)
        self.device.hal.queue_copy(
            source, target, wait_semaphores=rt.HalFence.create_at(semaphore, 0), signal_semaphores=done
        )
        done.wait()
