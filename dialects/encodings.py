"""Encodings: how a tensor is stored where that is not one element after the other. In text they stand by name.

An encoded tensor is its storage tensors. A class here says which they are, and computes them in NumPy, as constant
expressions are; `lowering/conversion/graph_to_linalg/encodings.py` has the same as linalg.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import ml_dtypes
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
        """What the text says: `{kind = {fields}}`, without what has its default."""
        fields = {field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)}
        return {self.kind: {name: value for name, (value, default) in fields.items() if value != default}}

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
class IntegerGroups(Encoding):
    """Groups of `group` neighbours along `axis`, each with a scale s, whose elements are integers q of `bits` bits.

    Without `zero_points`, s = max|x| / L over the group, for the largest integer L, and q = x / s, rounded to nearest
    (ties to even) and limited to -L..L, NaN giving 0; what is stored stands for q * s. That is absmax quantisation
    (Dettmers et al., LLM.int8(), 2022, section 2), in blocks (Dettmers et al., 8-bit Optimizers via Block-wise
    Quantization, 2022).

    With them, s = (h - l) / (2 L + 1) for the largest element h and the smallest l, zero among them, and a zero point
    z = -L - 1 - l / s, rounded, is the integer of zero; q = x / s, rounded, plus z, limited to -L - 1..L, NaN giving z;
    what is stored stands for (q - z) * s, rounded once. That is affine quantisation (Jacob et al., Quantization and
    Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018, section 2.1).

    The last group is smaller where the groups do not divide the axis. A group of zeros has s = 0 and gives zeros; one
    with NaN or infinity among its elements gives NaN throughout.

    Codes are i8: of 8 bits q itself; of 4 bits, along `axis`, byte j has q of element 2j in its low four bits and of
    2j + 1 in its high ones, in two's complement; where there is no such element, 0. Scales, one along `axis` for each
    group, and zero points likewise, are f32, or bf16 if `scale_bits` is 16: then s is rounded before q is computed.
    """

    bits: ClassVar[int]
    axis: int
    group: int
    zero_points: int = 0
    scale_bits: int = 32

    @property
    def open_axis(self) -> int | None:
        return self.axis if self.per_byte > 1 else None

    @property
    def per_byte(self) -> int:
        """The codes in a byte."""
        return 8 // self.bits

    @property
    def largest(self) -> int:
        """The largest code; the smallest is its negative, one less with zero points."""
        return 2 ** (self.bits - 1) - 1

    @property
    def scale_type(self) -> str:
        """The element type of scales and zero points."""
        return "f32" if self.scale_bits == 32 else "bf16"

    def storage(self, shape: Sequence[int]) -> list[Part]:
        require(0 <= self.axis < len(shape), f"axis {self.axis} is out of range for rank {len(shape)}")
        require(self.group >= 1, f"group must be at least 1, got {self.group}")
        require(self.zero_points in (0, 1), f"zero_points must be 0 or 1, got {self.zero_points}")
        require(self.scale_bits in (16, 32), f"scale_bits must be 16 or 32, got {self.scale_bits}")
        parts = []
        # One type for both: what an op has any number of must be alike.
        beside = [(self.group, self.scale_type)] * (1 + self.zero_points)
        for count, type_ in ((self.per_byte, "i8"), *beside):
            sizes = list(shape)
            sizes[self.axis] = DYNAMIC if shape[self.axis] == DYNAMIC else -(-shape[self.axis] // count)
            parts.append((sizes, type_))
        return parts

    def encode(self, value: Array) -> tuple[Array, ...]:
        rows = np.moveaxis(np.asarray(value, np.float32), self.axis, -1)
        with np.errstate(all="ignore"):
            scales, *zeros = self._scales(rows)
            ratio = np.rint(rows / self._spread(scales, rows.shape[-1]))
            smallest = -self.largest
            if self.zero_points:
                ratio, smallest = ratio + self._spread(zeros[0], rows.shape[-1]), smallest - 1
                ratio = np.where(np.isnan(ratio), self._spread(zeros[0], rows.shape[-1]), ratio)
        codes = np.clip(np.nan_to_num(ratio, nan=0.0), smallest, self.largest).astype(np.int8)
        if self.per_byte == 2:
            if codes.shape[-1] % 2:
                codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
            low, high = codes.view(np.uint8)[..., ::2], codes.view(np.uint8)[..., 1::2]
            codes = ((high << 4) | (low & 15)).view(np.int8)
        stored = ml_dtypes.bfloat16 if self.scale_bits == 16 else np.float32
        parts = [codes, *(part.astype(stored) for part in (scales, *zeros))]
        return tuple(np.ascontiguousarray(np.moveaxis(part, -1, self.axis)) for part in parts)

    def _scales(self, rows: Array) -> list[Array]:
        """Scales, and zero points if there are any, in float32, of groups along the last axis."""
        starts = np.arange(0, rows.shape[-1], self.group)
        if not len(starts):  # Of no elements there is no maximum.
            return [np.zeros((*rows.shape[:-1], 0), np.float32)] * (1 + self.zero_points)
        if not self.zero_points:
            return [self._rounded(np.maximum.reduceat(np.abs(rows), starts, axis=-1) / np.float32(self.largest))]
        high = np.maximum(np.maximum.reduceat(rows, starts, axis=-1), np.float32(0))
        low = np.minimum(np.minimum.reduceat(rows, starts, axis=-1), np.float32(0))
        scales = self._rounded((high - low) / np.float32(2 * self.largest + 1))
        smallest = np.float32(-self.largest - 1)
        zeros = np.clip(smallest - np.rint(low / scales), smallest, np.float32(self.largest))
        return [scales, np.where(np.isnan(zeros), np.float32(0), zeros)]

    def _rounded(self, scales: Array) -> Array:
        return scales.astype(ml_dtypes.bfloat16).astype(np.float32) if self.scale_bits == 16 else scales

    def _spread(self, part: Array, size: int) -> Array:
        """A number of each group for each of its elements."""
        return np.repeat(part, self.group, axis=-1)[..., :size]

    def decode(self, parts: Sequence[Array], size: int) -> Array:
        codes, *beside = (np.moveaxis(part, self.axis, -1) for part in parts)
        if self.per_byte == 2:
            codes = np.stack([(codes << 4) >> 4, codes >> 4], axis=-1)
            codes = codes.reshape(*codes.shape[:-2], 2 * codes.shape[-2])[..., :size]
        scales, *zeros = (self._spread(part.astype(np.float32), codes.shape[-1]) for part in beside)
        with np.errstate(all="ignore"):
            values = codes.astype(np.float32)
            result = (values - zeros[0] if zeros else values) * scales
        return np.ascontiguousarray(np.moveaxis(result, -1, self.axis))


class Int4Groups(IntegerGroups):
    """Groups of integers of 4 bits."""

    kind, bits = "int4_groups", 4


class Int8Groups(IntegerGroups):
    """Groups of integers of 8 bits."""

    kind, bits = "int8_groups", 8


ENCODINGS: dict[str, type[Encoding]] = {kind.kind: kind for kind in (Int4Groups, Int8Groups)}
"""The encodings by kind."""


def encoding_of(attribute: Any) -> Encoding:
    """The encoding that a dictionary of an op says. Raises ShapeError for what is none."""
    names = list(attribute) if isinstance(attribute, dict) else []
    if len(names) != 1 or names[0] not in ENCODINGS:
        raise ShapeError(f"attribute 'encoding' must be {{kind = {{...}}}} of a kind in {', '.join(ENCODINGS)}")
    kind, fields = ENCODINGS[names[0]], attribute[names[0]]
    known = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(kind)}
    needed = {name for name, is_needed in known.items() if is_needed}
    is_complete = isinstance(fields, dict) and needed <= set(fields) <= set(known)
    optional = f", and may have {', '.join(set(known) - needed)}" if needed != set(known) else ""
    require(is_complete, f"encoding {kind.kind} must have the fields {', '.join(sorted(needed))}{optional}")
    for name, value in fields.items():
        require(type(value) is int, f"'{name}' of the encoding must be an integer, got {value}")
    return kind(**fields)
