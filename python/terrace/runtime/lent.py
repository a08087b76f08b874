"""Memory that IREE reads in place, kept until IREE has let go of it.

IREE's workers drop what a call used a moment after its end, and without the GIL, which the last reference to a Python
object needs. So each object has a reference of ours, too, which goes when it is the only one left.
"""

from __future__ import annotations

import collections
import ctypes
import os
from typing import Any

_count_at = ctypes.c_ssize_t.from_address
_add_reference = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("Py_IncRef", ctypes.pythonapi))
_drop_reference = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("Py_DecRef", ctypes.pythonapi))


class _Lent:
    """The objects, by address alone: a reference count that IREE may change meanwhile must not be touched by us."""

    def __init__(self) -> None:
        self._addresses: collections.deque[int] = collections.deque()

    def lend(self, memory: Any) -> memoryview:
        """A view of `memory` for IREE, and for nobody else."""
        view = memoryview(memory)
        _add_reference(view)
        self._addresses.append(id(view))
        return view

    def take_back(self) -> None:
        """Let go of what IREE has let go of."""
        for _ in range(len(self._addresses)):
            try:
                address = self._addresses.popleft()
            except IndexError:  # another thread took it
                return
            if _count_at(address).value == 1:
                _drop_reference(address)
            else:
                self._addresses.append(address)

    def forget(self) -> None:
        """Keep all of it forever."""
        self._addresses.clear()


LENT = _Lent()
os.register_at_fork(after_in_child=LENT.forget)
