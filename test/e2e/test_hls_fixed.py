"""Models computed in fixed point: simulated with the types of Vitis HLS, against integers and against eager PyTorch.

`python test/e2e/test_hls_fixed.py` prints the table of docs/hardware.md: the error for formats of several widths.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys

import numpy as np
import pytest
import terrace
import torch
from terrace.compiler import PyTorch, Request, lower
from terrace.errors import CompileError, TargetError
from terrace.lowering.target.hls.numbers import bit_patterns
from terrace.number_format import FixedPoint
from terrace.target import HlsDescription, Target
from test_hls import MODELS, make
from torch import nn

needs_simulation = pytest.mark.skipif(
    shutil.which("g++") is None or importlib.util.find_spec("hls4ml") is None, reason="needs g++ and hls4ml"
)

FORMATS = (
    "ap_fixed<16,6>",
    "ap_fixed<8,3,AP_RND,AP_SAT>",
    "ap_fixed<12,4,AP_RND_CONV,AP_SAT_SYM>",
    "ap_fixed<10,2,AP_TRN_ZERO,AP_SAT>",
)


def in_format(text: str) -> Target:
    return Target("hls", hls=HlsDescription(number_format=text))


def narrowed(exact: np.ndarray, shift: int, format_: FixedPoint) -> np.ndarray:
    """Integers in units of 2^-shift of the last place of a format, as integers in units of that: as C++ stores them."""
    floor, rest = exact >> shift, exact & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    negative = exact < 0
    up = {
        "AP_TRN": np.zeros_like(rest, bool),
        "AP_TRN_ZERO": negative & (rest > 0),
        "AP_RND": rest >= half,
        "AP_RND_CONV": (rest > half) | ((rest == half) & (floor & 1 == 1)),
    }[format_.rounding]
    rounded, top = floor + up, 1 << (format_.width - 1)
    if format_.overflow == "AP_WRAP":
        return (rounded + top) % (2 * top) - top
    return np.clip(rounded, -top + (format_.overflow == "AP_SAT_SYM"), top - 1)


@needs_simulation
@pytest.mark.parametrize("text", FORMATS)
def test_a_perceptron_is_bit_exact(text: str) -> None:
    """Products and their sum are exact; each layer's result is rounded once, when it is stored."""
    torch.manual_seed(1)
    first, last = nn.Linear(20, 12), nn.Linear(12, 5)
    model, x = nn.Sequential(first, nn.ReLU(), last).eval(), 0.9 * torch.randn(4, 20).clamp(-1, 1)
    format_ = FixedPoint.parse(text)
    assert format_ is not None

    def bits(tensor: torch.Tensor) -> np.ndarray:
        return bit_patterns(tensor.detach().numpy(), format_)

    hidden = bits(x) @ bits(first.weight).T + (bits(first.bias) << format_.fraction)
    hidden = narrowed(np.maximum(hidden, 0), format_.fraction, format_)
    result = hidden @ bits(last.weight).T + (bits(last.bias) << format_.fraction)
    expected = narrowed(result, format_.fraction, format_) / 2.0**format_.fraction
    np.testing.assert_array_equal(terrace.compile(model, (x,), target=in_format(text))(x), expected)


@needs_simulation
@pytest.mark.parametrize("name", MODELS)
def test_a_wide_format_agrees_with_eager(name: str) -> None:
    """Convolutions, pools, softmax, norms and attention with 20 bits after the point."""
    model, x = make(name)
    with torch.no_grad():
        expected = model(x)
    compiled = terrace.compile(model, (x,), target=in_format("ap_fixed<30,10,AP_RND,AP_SAT>"))
    assert (compiled(x) - expected).abs().max() <= 2e-5


@needs_simulation
def test_special_inputs_are_numbers_of_the_format() -> None:
    class Passes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x) - torch.relu(-x)

    x = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e-40, -1e30, 100.0, 0.25, -0.3])
    compiled = terrace.compile(Passes(), (x,), target=in_format("ap_fixed<8,4,AP_RND,AP_SAT>"))
    assert compiled(x).tolist() == [0, 7.9375, -8, 0, -8, 7.9375, 0.25, -0.3125]


@needs_simulation
def test_weights_on_ports_are_rounded_as_those_on_chip() -> None:
    model, x = make("mlp")
    results = []
    for elements in (0, 1 << 16):
        hls = HlsDescription(number_format="ap_fixed<16,4,AP_RND,AP_SAT>", rom_elements=elements)
        results.append(terrace.compile(model, (x,), target=Target("hls", hls=hls))(x))
    assert torch.equal(*results)


def test_weights_out_of_range_are_refused() -> None:
    model = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        model.weight[:] = torch.tensor([[1.0, 2.5], [-9.0, 0.0]])
    with pytest.raises(
        CompileError, match=r"'weight.*' has elements from -9 to 2.5, and ap_fixed<8, 4, .*> holds -8 to"
    ):
        terrace.compile(model, (torch.zeros(1, 2),), target=in_format("ap_fixed<8,4>"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int8", "must be 'float' or like"),
        ("ap_fixed<16,6,RND>", "has an unknown mode"),
        ("ap_fixed<33,6>", "must have 2 to 32 bits"),
        ("ap_fixed<8,0>", "1 to all of them before the point"),
        ("ap_fixed<8,9>", "1 to all of them before the point"),
    ],
)
def test_unknown_formats_are_refused(text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        HlsDescription(number_format=text)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = make("mlp")
    lowered = lower(PyTorch(model, (x,)), Request.of(in_format("ap_fixed<16,6>")))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match=r"pip install mlir-terrace\[hls\]"):
        terrace.CompiledModel(lowered.artifact())


def main() -> int:
    """Print the error of each model in each format; returns 0."""
    names = ("mlp", "lenet", "residual", "transformer")
    print("| format | " + " | ".join(names) + " |\n|---|" + "--:|" * len(names))
    for width, integer in ((8, 3), (10, 4), (12, 5), (16, 6), (20, 6), (24, 8), (32, 10)):
        for modes in ("", ",AP_RND,AP_SAT"):
            text, cells = f"ap_fixed<{width},{integer}{modes}>", []
            for name in names:
                model, x = make(name)
                with torch.no_grad():
                    expected = model(x)
                try:
                    found = terrace.compile(model, (x,), target=in_format(text))(x)
                    cells.append(f"{((found - expected).abs().max() / expected.abs().max()).item():.1e}")
                except CompileError:
                    cells.append("weights out of range")
            print(f"| `{text}` | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
