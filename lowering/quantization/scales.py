"""Scales, and the multipliers and shifts that take integers from one scale to another: see `docs/quantization.md`."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from terrace.dialects.base import shape_of
from terrace.dialects.graph import (
    AbsOp,
    CompareOp,
    DivOp,
    FloorOp,
    LogOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    PowOp,
    QuantizeOp,
    ReduceOp,
    SelectOp,
    SubOp,
)
from terrace.lowering.graph.builders import along_axis, splat
from terrace.mlir import ir

LARGEST = 127
"""The integer that stands for the largest magnitude."""

SMALLEST_RANGE = 2.0**-100
"""A tensor that was never seen to be larger is taken for zeros."""

BIAS_LIMIT = 2.0**30
"""The largest magnitude of a quantised bias; the scale of the weights grows where it would be exceeded."""

MAX_TERMS = (2**30 - 2) // (128 * LARGEST)
"""The most products of an activation and a weight whose sum with a bias an i32 always holds: 66052."""

MAX_SHIFT = 62

MULTIPLIER_BITS = 31
"""The significant bits of a multiplier, if nothing else is asked for."""

FEWER_BITS = range(4, 25)
"""The numbers of bits that may be asked for instead: all that a float32 splat holds."""


def scale_of(magnitude: float) -> float:
    """The scale of a tensor of this largest magnitude, a float32 number; 1 for a tensor of zeros."""
    return float(np.float32(magnitude / LARGEST)) if magnitude > SMALLEST_RANGE else 1.0


@dataclasses.dataclass(frozen=True)
class FixedPoint:
    """The number multiplier / 2^shift."""

    multiplier: int
    shift: int

    @staticmethod
    def of(number: float, bits: int = MULTIPLIER_BITS) -> FixedPoint:
        """A positive number with so many significant bits; what is below 2^-31 has fewer, what is above
        2^(bits - 1) is that.
        """
        exponent = math.frexp(number)[1]
        shift = min(max(bits - exponent, 1), MAX_SHIFT)
        return FixedPoint(min(round(math.ldexp(number, shift)), 2**bits - 1), shift)


def f32_splat(number: float) -> ir.Value:
    return splat(number, ir.F32Type.get())


def with_integers(value: ir.Value, width: int) -> ir.Type:
    """The type of `value` with integers of this width as elements."""
    return ir.RankedTensorType.get(shape_of(value), ir.IntegerType.get_signless(width))


def round_to(value: ir.Value, scale: ir.Value, width: int) -> ir.Value:
    """A `graph.quantize` that keeps the shape of `value`."""
    return QuantizeOp.build(value, scale, result_type=with_integers(value, width))


def weight_scale(weight: ir.Value, axis: int, bias: ir.Value | None, input_scale: float) -> ir.Value:
    """The scale of each output channel, which is `axis` of `weight`, as a constant expression [channels].

    The largest weight is 127; a scale is larger where the bias of the channel, of the scale input_scale * scale, would
    exceed `BIAS_LIMIT`. A channel of zeros has scale 1.
    """
    axes = [i for i in range(len(shape_of(weight))) if i != axis]
    largest = ReduceOp.build(AbsOp.build(weight), kind="max", axes=axes, keepdims=False)
    scale = DivOp.build(largest, f32_splat(LARGEST))
    if bias is not None:
        least = DivOp.build(DivOp.build(AbsOp.build(bias), f32_splat(BIAS_LIMIT)), f32_splat(input_scale))
        scale = MaximumOp.build(scale, least)
    is_zero = CompareOp.build(scale, f32_splat(0.0), predicate="eq")
    return SelectOp.build(is_zero, f32_splat(1.0), scale, result_type=scale.type)


def quantize_weight(weight: ir.Value, axis: int, scale: ir.Value) -> ir.Value:
    """The weight in i8, as a constant expression."""
    return round_to(weight, along_axis(scale, axis, len(shape_of(weight))), 8)


def fixed_point_of(number: ir.Value, bits: int) -> tuple[ir.Value, ir.Value]:
    """`FixedPoint.of` each element of a constant expression: multipliers and shifts in i32."""
    exponent = FloorOp.build(DivOp.build(LogOp.build(number), f32_splat(math.log(2.0))))
    wanted = SubOp.build(f32_splat(bits - 1), exponent)
    shift = MinimumOp.build(MaximumOp.build(wanted, f32_splat(1.0)), f32_splat(MAX_SHIFT))
    multiplier = MulOp.build(number, PowOp.build(f32_splat(2.0), shift))
    if bits < MULTIPLIER_BITS:  # What rounds to 2^31 saturates by itself.
        multiplier = MinimumOp.build(multiplier, f32_splat(2**bits - 1))
    one = f32_splat(1.0)
    return round_to(multiplier, one, 32), round_to(shift, one, 32)
