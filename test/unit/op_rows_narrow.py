"""Rows of the sweep on numbers of 8 bits: float8, which casts round, quantised tensors and uint8 beside int8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.ao.quantization.fx._decomposed

if TYPE_CHECKING:
    from op_rows import Inputs, Row

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
q = torch.ops.quantized_decomposed

EDGES = torch.tensor([448, 449, 464, 465, 61440, 61439, 2**-9, 2**-10, 2**-17, 1.5 * 2**-10, 6.1e-5, 17, 19, 0.0137])
"""What is too large, half-way, subnormal, or next to the smallest normal number."""


def as_float8(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return value.to(dtype).float()


def square(s: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Two matrices of 16 by 16, which is what PyTorch scales."""
    value = s.m[:4, :4].repeat(4, 4)
    return value.to(E4M3), (value * value.t()).to(E5M2)


NARROW: dict[str, Row] = {
    "float8": lambda s: [
        as_float8(value, dtype)
        for dtype in (E4M3, E5M2)
        for value in (s.x, s.d, s.k, s.x.half(), EDGES * s.one.sign(), -EDGES * s.one.sign(), s.none, s.z)
    ],
    "float8_to_float8": lambda s: (
        s.x.to(E5M2).to(E4M3).float(),
        s.x.to(E4M3).to(E5M2).double(),
        s.m.to(E4M3).to(E4M3)[0].half(),
    ),
    "scaled_products": lambda s: [
        torch._scaled_mm(*square(s), *scales, bias=bias, out_dtype=torch.float32)
        for scales in (
            (s.z.abs(), s.one.abs()[0, 0]),
            (s.m[:4, 0].repeat(4)[:, None].abs(), s.m[:4, 1].repeat(4)[None].abs()),
        )
        for bias in (None, s.m[:4, 2].repeat(4))
    ],
    "quantize": lambda s: (
        q.quantize_per_tensor(s.x, 0.19, 65, 0, 255, torch.uint8),
        q.quantize_per_tensor(s.m, 0.0215, -3, -128, 127, torch.int8),
        q.quantize_per_channel(s.m, s.m[0].abs(), s.p[0], 1, -100, 100, torch.int8),
    ),
    "dequantize": lambda s: (
        q.dequantize_per_tensor(s.u, 0.199, 65, 0, 255, torch.uint8),
        q.dequantize_per_tensor(s.n, 0.0215, 160, -128, 127, torch.int8),
        q.dequantize_per_channel(s.u, s.m[0].abs(), s.p[0], 1, 0, 255, torch.uint8),
    ),
    "quantised_tensors": lambda s: (
        torch.quantize_per_tensor(s.x, 0.04, -110, torch.qint8).int_repr(),
        torch.quantize_per_tensor(s.k * 0.02, 0.04, 3, torch.quint8).dequantize(),
        torch.quantize_per_tensor(s.m, 0.037, 4, torch.qint32).int_repr(),
        torch.quantize_per_channel(s.m, s.m[0].abs(), s.p[0], 1, torch.qint8).int_repr(),
    ),
    "integers_as_quantised_tensors": lambda s: (
        torch.dequantize(torch._make_per_tensor_quantized_tensor(s.n, 0.0215, -25)),
        torch._make_per_tensor_quantized_tensor(s.u, 0.0215, 255).dequantize(),
        torch._make_per_channel_quantized_tensor(s.k, s.m[:, 0].abs(), s.p[:, 0], 0).dequantize(),
    ),
    "uint8_by_int8": lambda s: (torch._int_mm(s.u.repeat(4, 2)[:, :8], s.n.repeat(2, 2)[:8, :8]),),
}
