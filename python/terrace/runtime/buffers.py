"""NumPy memory as IREE buffers and back, without copies where memory allows.

Ownership. An imported array is borrowed for one call: `Imported` keeps it alive, and nothing of it is left in IREE
afterwards, because `to_array` copies every result that shares memory with it. A result owns its buffer: the array keeps
the buffer and the device alive, in that order, since IREE's buffers outlive neither their device nor say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import iree.runtime as rt
import numpy as np

from terrace.runtime.device import Device
from terrace.runtime.lifetime import Owned
from terrace.storage.parameter_archive import Array, numpy_dtype
from terrace.structure import dtype_name

ALIGNMENT = 64
"""What IREE's CPU kernels assume of every buffer."""

_ELEMENT_TYPES = {
    "float32": rt.HalElementType.FLOAT_32,
    "float64": rt.HalElementType.FLOAT_64,
    "float16": rt.HalElementType.FLOAT_16,
    "bfloat16": rt.HalElementType.BFLOAT_16,
    "bool": rt.HalElementType.BOOL_8,
    "int8": rt.HalElementType.INT_8,
    "int16": rt.HalElementType.INT_16,
    "int32": rt.HalElementType.INT_32,
    "int64": rt.HalElementType.INT_64,
    "uint8": rt.HalElementType.UINT_8,
    "uint16": rt.HalElementType.UINT_16,
    "uint32": rt.HalElementType.UINT_32,
    "uint64": rt.HalElementType.UINT_64,
}
_MEMORY = int(rt.MemoryType.DEVICE_LOCAL) | int(rt.MemoryType.HOST_VISIBLE)
_USAGE = int(rt.BufferUsage.TRANSFER) | int(rt.BufferUsage.DISPATCH_STORAGE) | int(rt.BufferUsage.MAPPING)


class Imported(Owned):
    """An input for IREE. `buffer` must live until the call is over: IREE does not keep imported memory alive.

    It holds its device, too: the traceback of a call that failed keeps inputs for longer than a model may live.
    """

    def __init__(
        self,
        view: rt.HalBufferView | Array,
        buffer: rt.HalBuffer | Array,
        addresses: range,
        *,
        is_copy: bool,
        device: Device | None = None,
    ) -> None:
        super().__init__(view, buffer, device)
        self.view = view
        self.buffer = buffer
        self.addresses = addresses
        self.is_copy = is_copy


class _MemoryOwner(Owned):
    """Memory at an address as NumPy sees it, with what keeps it valid."""

    def __init__(self, address: int, length: int, *owners: Any) -> None:
        super().__init__(*owners)
        self.__array_interface__ = {"data": (address, False), "shape": (length,), "typestr": "|u1", "version": 3}


def addresses_of(value: Array) -> range:
    """The addresses of a contiguous array."""
    start = value.__array_interface__["data"][0]
    return range(start, start + value.nbytes)


def overlaps(left: range, right: range) -> bool:
    """Whether two address ranges share a byte."""
    return left.start < right.stop and right.start < left.stop and len(left) > 0 and len(right) > 0


def import_array(device: Device, value: Array) -> Imported:
    """`value` as an IREE buffer view: its own memory if that is contiguous and aligned, else a copy.

    Read-only memory is borrowed too: a program writes to no input, but returns new values. Any shape; empty and 0-d
    arrays are copied.
    """
    span = addresses_of(value)
    if not (value.flags.c_contiguous and len(span) > 0 and span.start % ALIGNMENT == 0):
        return copy_array(device, value)
    # IREE asks for writable memory; an alias of a read-only array stands in for it and keeps the array alive.
    alias = np.asarray(_MemoryOwner(span.start, value.nbytes, value))
    buffer = device.hal.allocator.import_host_allocation(alias, memory_type=_MEMORY, allowed_usage=_USAGE)
    return Imported(view_of(buffer, value), buffer, span, is_copy=False, device=device)


def copy_array(device: Device, value: Array) -> Imported:
    """A copy of `value` in memory that IREE owns: it may stay in the program after the call."""
    # IREE cannot allocate nothing: an empty array gets a byte that no one reads.
    contents = np.ascontiguousarray(value).reshape(-1).view(np.uint8) if value.size else np.zeros(1, np.uint8)
    buffer = device.hal.allocator.allocate_buffer_copy(
        memory_type=_MEMORY, allowed_usage=_USAGE, device=device.hal, buffer=contents
    )
    return Imported(view_of(buffer, value), buffer, range(0), is_copy=True, device=device)


def to_array(device: Device, view: rt.HalBufferView, dtype: str, foreign: Sequence[range]) -> Array:
    """A result as a NumPy array that owns its buffer, or as a copy if its memory lies in one of `foreign`."""
    length = view.byte_length
    shape = tuple(view.shape)
    if length == 0:
        return np.empty(shape, numpy_dtype(dtype))
    mapped = view.map()
    # The array that IREE makes is only asked for its address: our owner keeps view and device in the right order.
    span = addresses_of(mapped.asarray([length], np.dtype(np.uint8)))
    memory = np.asarray(_MemoryOwner(span.start, length, mapped, view, device))
    value = memory.view(numpy_dtype(dtype)).reshape(shape)
    return value.copy() if any(overlaps(span, other) for other in foreign) else value


def view_of(buffer: rt.HalBuffer, value: Array) -> Any:
    return rt.HalBufferView(buffer, value.shape, _ELEMENT_TYPES[dtype_name(value)])
