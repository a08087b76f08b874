"""Calls with plain tensors, as most are: dense, and of types and shapes that an earlier call was accepted with.

Such a call needs no further check, and its tensors are read where they lie. All others go the long way, which also says
what is wrong with them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from terrace.runtime.buffers import ALIGNMENT, Layout, Layouts, element_of
from terrace.signature import COMPLEX, MOST_ACCEPTED, Signature
from terrace.storage.parameter_archive import Array


class PlainCalls:
    """The types and shapes that a model was called with."""

    def __init__(self, signature: Signature) -> None:
        args, kwargs = signature.inputs.items
        # Only positional tensors, which nobody writes to, of types that the program takes as they are.
        self._are_possible = (
            not (kwargs.items or signature.written or signature.is_seeded)
            and all(item.kind == "leaf" for item in args.items)
            and all(leaf.kind == "tensor" and leaf.dtype not in COMPLEX for leaf in signature.input_leaves)
        )
        self._names = list(signature.parameters)[: len(args.items)]
        self._accepted: dict[Hashable, Layouts] = {}
        self._address_of: dict[Any, Callable[[Any], int]] = {}

    def by_position(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[Any] | None:
        """All arguments of a call in order, if those given by name are what is wanted after the others."""
        if not kwargs:
            return args
        if len(args) + len(kwargs) != len(self._names):
            return None
        try:
            return (*args, *(kwargs[name] for name in self._names[len(args) :]))
        except KeyError:
            return None

    def find(self, args: Sequence[Any]) -> tuple[tuple[int, ...], Layouts, bool] | None:
        """Where the tensors of a plain call lie, what they are, and whether they are torch's; None for another call.

        `args` are all arguments in order. The addresses are valid as long as somebody holds the tensors.
        """
        kind = type(args[0]) if args else None
        address_of = self._address_of.get(kind)
        if address_of is None:
            return None
        key: list[Any] = []
        addresses: list[int] = []
        try:
            for value in args:
                if type(value) is not kind:
                    return None
                address = address_of(value)
                if not address or address % ALIGNMENT:
                    return None
                key += (value.dtype, value.shape)
                addresses.append(address)
        except RuntimeError:  # A tensor without memory of its own: a sparse one, one within torch.vmap.
            return None
        layouts = self._accepted.get(tuple(key))
        return None if layouts is None else (tuple(addresses), layouts, kind is not np.ndarray)

    def remember(self, args: Sequence[Any], arrays: Sequence[Array]) -> None:
        """Take calls with arguments like these, which were found right, for plain ones, if such can be.

        `args` are the leaves of the arguments in order, `arrays` what NumPy sees of them.
        """
        if not self._are_possible:
            return
        torch = sys.modules.get("torch")
        kinds = {np.ndarray: _address_of_array, getattr(torch, "Tensor", None): _address_of_tensor}
        kind = type(args[0]) if args else None
        is_plain = kind in kinds and all(type(value) is kind for value in args) and all(map(np.size, arrays))
        if not is_plain:
            return
        if len(self._accepted) >= MOST_ACCEPTED:
            self._accepted.clear()
        layouts = [Layout(array.nbytes, array.shape, element_of(array)) for array in arrays]
        self._accepted[tuple(part for value in args for part in (value.dtype, value.shape))] = Layouts(layouts)
        self._address_of[kind] = kinds[kind]


def _address_of_tensor(value: Any) -> int:
    """0 for a tensor that is not dense, on another device, or whose numbers are those in memory negated."""
    is_dense = value.is_cpu and value.is_contiguous() and not value.is_neg()
    return value.data_ptr() if is_dense else 0


def _address_of_array(value: Any) -> int:
    """0 for an array that is not dense."""
    return value.ctypes.data if value.flags.c_contiguous else 0
