"""Files in memory: mapped, without the descriptor that Python's `mmap` keeps for each of them, or read.

Both ask the kernel for pages of 2 MB, with which weights are read faster. A mapped file has them where the file system
keeps it in such pieces, memory of the process's own wherever transparent huge pages are not turned off.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import weakref
from typing import BinaryIO

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *([ctypes.c_int] * 3), ctypes.c_long]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
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
    _libc.madvise(address, size, mmap.MADV_HUGEPAGE)
    memory = (ctypes.c_char * size).from_address(address)
    # Not at exit: what reads it may still be there.
    weakref.finalize(memory, _libc.munmap, address, size).atexit = False
    return memoryview(memory).cast("B").toreadonly()


def read_file(file: BinaryIO, size: int) -> memoryview:
    """The first `size` bytes of a file, or as many as it has, read-only, in memory that begins where a page does."""
    if size == 0:
        return memoryview(b"")
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # Of a kernel without huge pages.
        memory.madvise(mmap.MADV_HUGEPAGE)
    view, read = memoryview(memory), 0
    file.seek(0)
    while more := file.readinto(view[read:]):  # type: ignore[attr-defined]
        read += more
    return view.toreadonly()[:read]
