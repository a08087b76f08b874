"""A linear layer in int8 is what docs/quantization.md says, on the CPU and as hardware, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import terrace
import torch
from quantized import check_bits, int8, needs_compiler
from torch import nn


def round_half_even(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2))


def specified_linear(
    layer: nn.Linear, x: torch.Tensor, input_range: float, output_range: float, bits: int
) -> torch.Tensor:
    """A linear layer by docs/quantization.md, in float64 and Python's integers; multipliers have so many bits."""
    weight = layer.weight.detach().double().numpy()
    bias = layer.bias.detach().double().numpy()
    s_x, s_y = (float(np.float32(r / 127)) if r > 2**-100 else 1.0 for r in (input_range, output_range))
    s_w = np.maximum(np.abs(weight).max(1) / 127, np.abs(bias) / 2**30 / s_x)
    s_w = np.where(s_w == 0, 1.0, s_w)
    q_w = np.rint(weight / s_w[:, None]).astype(int)
    q_b = np.rint(bias / (s_w * s_x)).astype(int)
    q_x = np.clip(np.rint(x.numpy() / np.float32(s_x)), -128, 127).astype(int)
    result = np.empty((len(x), len(bias)), np.float32)
    for channel, factor in enumerate(s_w * np.float32(s_x / s_y)):
        shift = int(min(max(bits - 1 - np.floor(np.log2(factor)), 1), 62))
        multiplier = min(int(np.rint(factor * 2.0**shift)), 2**bits - 1)
        for row, total in enumerate(q_x @ q_w[channel] + q_b[channel]):
            result[row, channel] = min(max(round_half_even(int(total) * multiplier, 2**shift), -128), 127)
    return torch.from_numpy(result) * torch.tensor(s_y, dtype=torch.float32)


LAYERS = {
    "usual": (20, 12, 1.0),
    "one channel": (7, 1, 1.0),
    "odd": (13, 33, 3.0),
    "one input": (1, 5, 0.01),
    "many channels": (9, 200, 1.0),
}


@needs_compiler
@pytest.mark.parametrize(
    ("name", "bits"),
    [*((name, 31) for name in LAYERS), ("usual", 17), ("odd", 8), ("one input", 4), ("many channels", 4)],
)
def test_a_linear_layer_is_what_the_specification_says(name: str, bits: int) -> None:
    torch.manual_seed(0)
    inputs, outputs, size = LAYERS[name]
    layer, sample = nn.Linear(inputs, outputs), size * torch.randn(9, inputs)
    options = {**int8(sample), **({"quantize": {"type": "int8", "multiplier_bits": bits}} if bits < 31 else {})}
    compiled = [terrace.compile(layer.eval(), (sample,), target=target, options=options) for target in ("cpu", "hls")]
    input_range, output_range = sample.abs().max().item(), layer(sample).abs().max().item()
    # Outside of what was seen, too: those saturate.
    for x in (sample, 5 * sample, torch.zeros_like(sample)):
        expected = specified_linear(layer, x, input_range, output_range, bits)
        assert torch.equal(check_bits(compiled, x), expected)
