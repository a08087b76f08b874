"""NumPy memory as IREE buffers and back, without copies where memory allows.

Ownership. An imported array is borrowed for one call: `Imported` keeps it alive, and nothing of it is left in IREE
afterwards, because `to_array` copies every result that shares memory with it. A result owns its buffer: the array keeps
the buffer and the device alive, in that order, since IREE's buffers outlive neither their device nor say so.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import iree.runtime as rt
import numpy as np

from terrace.runtime.device import Device
from terrace.runtime.lifetime import Owned
from terrace.storage.parameter_archive import Array, numpy_dtype

ALIGNMENT = 64
"""What IREE's CPU kernels assume of every buffer."""

_ELEMENT_TYPES = {
    numpy_dtype(name): getattr(rt.HalElementType, element)
    for name, element in {
        **{f"float{bits}": f"FLOAT_{bits}" for bits in (16, 32, 64)},
        **{f"int{bits}": f"INT_{bits}" for bits in (8, 16, 32, 64)},
        **{f"uint{bits}": f"UINT_{bits}" for bits in (8, 16, 32, 64)},
        "bfloat16": "BFLOAT_16",
        **dict.fromkeys(("float8_e4m3fn", "float8_e5m2"), "UINT_8"),
        "bool": "BOOL_8",
    }.items()
}
_MEMORY = int(rt.MemoryType.DEVICE_LOCAL) | int(rt.MemoryType.HOST_VISIBLE)
_USAGE = int(rt.BufferUsage.TRANSFER) | int(rt.BufferUsage.DISPATCH_STORAGE) | int(rt.BufferUsage.MAPPING)


# What a DLPack capsule holds begins with the address of its data.
_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_address_at = ctypes.c_void_p.from_address
_DLPACK_CPU = 1


class Layout(NamedTuple):
    """What a dense input is at its address: its length in bytes, its shape, and IREE's element type."""

    length: int
    shape: tuple[int, ...]
    element: Any


class Layouts:
    """What the inputs of a call are; compared by identity."""

    def __init__(self, items: Sequence[Layout]) -> None:
        self.items = tuple(items)


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


@functools.lru_cache(maxsize=256)
def _memory_type(length: int) -> Any:
    return ctypes.c_char * length


def _memory_at(address: int, length: int, owner: Any = None) -> Any:
    """Memory as what NumPy and IREE take buffers of, writable, with what keeps it valid."""
    memory = _memory_type(length).from_address(address)
    memory.owner = owner
    return memory


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
    buffer = _import(device, _memory_at(span.start, value.nbytes, value))
    return Imported(view_of(buffer, value), buffer, span, is_copy=False, device=device)


def view_at(device: Device, address: int, layout: Layout) -> Any:
    """A buffer view of what lies at an aligned address. It owns nothing: the memory must be there when it is read."""
    buffer = _import(device, _memory_at(address, layout.length))
    return rt.HalBufferView(buffer, layout.shape, layout.element)


def _import(device: Device, memory: Any) -> Any:
    return device.hal.allocator.import_host_allocation(memory, _MEMORY, _USAGE)


def copy_array(device: Device, value: Array) -> Imported:
    """A copy of `value` in memory that IREE owns: it may stay in the program after the call."""
    # IREE cannot allocate nothing: an empty array gets a byte that no one reads.
    contents = np.ascontiguousarray(value).reshape(-1).view(np.uint8) if value.size else np.zeros(1, np.uint8)
    buffer = device.hal.allocator.allocate_buffer_copy(
        memory_type=_MEMORY, allowed_usage=_USAGE, device=device.hal, buffer=contents
    )
    return Imported(view_of(buffer, value), buffer, range(0), is_copy=True, device=device)


def to_array(device: Device, view: rt.HalBufferView, dtype: str, foreign: list[range]) -> Array:
    """A result as a NumPy array that owns its buffer, or as a copy if its memory lies in one of `foreign`.

    The memory of the array is then foreign, too, to the next result.
    """
    length = view.byte_length
    kind, shape = numpy_dtype(dtype), tuple(view.shape)
    if length == 0:
        return np.empty(shape, kind)
    # A capsule holds the buffer; no tensor is made of it, as that would not hold the device, which must go later.
    capsule = device.hal.create_dlpack_capsule(view, _DLPACK_CPU, 0)
    start = int(_address_at(_pointer_of(capsule, b"dltensor")).value or 0)
    span = range(start, start + length)
    value: Array = np.ndarray(shape, kind, _memory_at(start, length, Owned(capsule, device)))
    if any(overlaps(span, other) for other in foreign):
        return value.copy()
    foreign.append(span)
    return value


def to_tensor(device: Device, view: rt.HalBufferView) -> Any:
    """A result as a copy in memory of torch's, of IREE's type; for a small one that is cheaper than to share memory."""
    capsule = device.hal.create_dlpack_capsule(view, _DLPACK_CPU, 0)
    return sys.modules["torch"].utils.dlpack.from_dlpack(capsule).clone()


def view_of(buffer: rt.HalBuffer, value: Array) -> Any:
    return rt.HalBufferView(buffer, value.shape, element_of(value))


def element_of(value: Array) -> Any:
    """IREE's element type of an array's."""
    return _ELEMENT_TYPES[value.dtype]
