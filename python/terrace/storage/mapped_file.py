"""Files in memory, without the descriptor that Python's `mmap` keeps for each of them."""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from typing import BinaryIO

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *([ctypes.c_int] * 3), ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_FAILED = ctypes.c_void_p(-1).value


def map_file(file: BinaryIO) -> memoryview:
    """All of a file, read-only, for as long as a view of it lives. Raises OSError if it cannot be mapped."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        return memoryview(b"")
    address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), file.name)
    memory = (ctypes.c_char * size).from_address(address)
    # Not at exit: what reads it may still be there.
    weakref.finalize(memory, _libc.munmap, address, size).atexit = False
    return memoryview(memory).cast("B").toreadonly()
