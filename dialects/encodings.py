"""Encodings: how a tensor is stored where that is not one element after the other. In text they stand by name.

An encoded tensor is its storage tensors. A class here says which they are, and computes them in NumPy, as constant
expressions are; `lowering/conversion/graph_to_linalg/encodings.py` has the same as linalg.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from terrace.dialects.base import ShapeError, require
from terrace.mlir import DYNAMIC

Array = np.ndarray[Any, np.dtype[Any]]
Part = tuple[list[int], str]
"""The shape and the element type of a storage tensor."""


@dataclasses.dataclass(frozen=True)
class Encoding:
    """An encoding of tensors of floats; the fields are what the text says of it."""

    kind: ClassVar[str]
    """The word in the text."""

    @property
    def attributes(self) -> dict[str, Any]:
        """What the text says: `{kind = {fields}}`."""
        return {self.kind: dataclasses.asdict(self)}

    def storage(self, shape: Sequence[int]) -> list[Part]:
        """The tensors that a tensor of this shape is stored as. Raises ShapeError where it cannot be."""
        raise NotImplementedError

    def encode(self, value: Array) -> tuple[Array, ...]:
        """The storage of a tensor of float32."""
        raise NotImplementedError

    def decode(self, parts: Sequence[Array], size: int) -> Array:
        """The tensor, in float32; `size` is the one that the storage does not tell, see `open_axis`."""
        raise NotImplementedError

    @property
    def open_axis(self) -> int | None:
        """The axis whose size does not follow from the sizes of the storage; None if all do."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Int4Groups(Encoding):
    """Groups of `group` neighbours along `axis`, each with a scale s, whose elements are integers q from -7 to 7.

    s = max|x| / 7 over the group, in float32, and q = x / s, rounded to nearest (ties to even) and limited to that
    range, NaN giving 0; what is stored stands for q * s. That is absmax quantisation (Dettmers et al., LLM.int8(),
    2022, section 2) with 7 for 127, in blocks (Dettmers et al., 8-bit Optimizers via Block-wise Quantization, 2022).
    The last group is smaller where the groups do not divide the axis. A group of zeros has s = 0 and gives zeros; one
    with NaN or infinity among its elements gives NaN throughout.

    Codes are i8: along `axis`, byte j has q of element 2j in its low four bits and of 2j + 1 in its high ones, in two's
    complement; where there is no such element, 0. Scales are f32, one along `axis` for each group.
    """

    kind = "int4_groups"
    axis: int
    group: int

    @property
    def open_axis(self) -> int:
        return self.axis

    def storage(self, shape: Sequence[int]) -> list[Part]:
        require(0 <= self.axis < len(shape), f"axis {self.axis} is out of range for rank {len(shape)}")
        require(self.group >= 1, f"group must be at least 1, got {self.group}")
        parts = []
        for count, type_ in ((2, "i8"), (self.group, "f32")):
            sizes = list(shape)
            sizes[self.axis] = DYNAMIC if shape[self.axis] == DYNAMIC else -(-shape[self.axis] // count)
            parts.append((sizes, type_))
        return parts

    def encode(self, value: Array) -> tuple[Array, ...]:
        rows = np.moveaxis(np.asarray(value, np.float32), self.axis, -1)
        starts = np.arange(0, rows.shape[-1], self.group)
        with np.errstate(all="ignore"):
            # Of no elements there is no maximum.
            empty = np.zeros((*rows.shape[:-1], 0), np.float32)
            scales = np.maximum.reduceat(np.abs(rows), starts, axis=-1) / np.float32(7) if len(starts) else empty
            ratio = np.rint(rows / np.repeat(scales, self.group, axis=-1)[..., : rows.shape[-1]])
        codes = np.clip(np.nan_to_num(ratio, nan=0.0), -7, 7).astype(np.int8)
        if codes.shape[-1] % 2:
            codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
        low, high = codes.view(np.uint8)[..., ::2], codes.view(np.uint8)[..., 1::2]
        packed = ((high << 4) | (low & 15)).view(np.int8)
        return tuple(np.ascontiguousarray(np.moveaxis(part, -1, self.axis)) for part in (packed, scales))

    def decode(self, parts: Sequence[Array], size: int) -> Array:
        codes, scales = (np.moveaxis(part, self.axis, -1) for part in parts)
        low, high = (codes << 4) >> 4, codes >> 4
        values = np.stack([low, high], axis=-1).reshape(*codes.shape[:-1], -1)[..., :size]
        with np.errstate(all="ignore"):
            result = values.astype(np.float32) * np.repeat(scales, self.group, axis=-1)[..., :size]
        return np.ascontiguousarray(np.moveaxis(result, -1, self.axis))


ENCODINGS: dict[str, type[Encoding]] = {kind.kind: kind for kind in (Int4Groups,)}
"""The encodings by kind."""


def encoding_of(attribute: Any) -> Encoding:
    """The encoding that a dictionary of an op says. Raises ShapeError for what is none."""
    names = list(attribute) if isinstance(attribute, dict) else []
    if len(names) != 1 or names[0] not in ENCODINGS:
        raise ShapeError(f"attribute 'encoding' must be {{kind = {{...}}}} of a kind in {', '.join(ENCODINGS)}")
    kind, fields = ENCODINGS[names[0]], attribute[names[0]]
    known = [field.name for field in dataclasses.fields(kind)]
    is_complete = isinstance(fields, dict) and set(fields) == set(known)
    require(is_complete, f"encoding {kind.kind} must have the fields {', '.join(known)}")
    for name, value in fields.items():
        require(type(value) is int, f"'{name}' of the encoding must be an integer, got {value}")
    return kind(**fields)
