"""Transposed convolutions run by our kernels, as many multiplications as the stride asks for and no more."""

from __future__ import annotations

import itertools

import pytest
import terrace
import torch
from e2e_models import assert_close, eager
from terrace.frontend.decompositions.convolution import convolution
from torch import nn
from torch.export import Dim


def randn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=dtype)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_decomposition_of_every_configuration(dimensions: int) -> None:
    reference = nn.functional.conv_transpose1d if dimensions == 1 else nn.functional.conv_transpose2d
    tried = 0
    settings = itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 4), (0, 1), (1, 2), (1, 2), (1, 5))
    for kernel, stride, padding, more, dilation, groups, size in settings:
        results = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1
        if more >= max(stride, dilation) or min(stride, dilation) > 1 or results < 1:
            continue
        image = randn(2, 4, *range(size, size + dimensions), dtype=torch.float64)
        weight = randn(4, 3, *[kernel] * dimensions, dtype=torch.float64)
        bias = torch.arange(3.0 * groups, dtype=torch.float64)
        expected = reference(image, weight, bias, stride, padding, more, groups, dilation)
        found = convolution(image, weight, bias, [stride], [padding], [dilation], True, [more], groups)
        torch.testing.assert_close(found, expected)
        tried += 1
    assert tried > 100


MODELS = {
    "upsampling": (nn.ConvTranspose2d(8, 16, 4, stride=2, padding=1), (1, 8, 6, 5), 4),
    "patches": (nn.ConvTranspose2d(8, 16, 2, stride=2, bias=False), (2, 8, 6, 5), 4),
    "uneven": (nn.ConvTranspose2d(8, 6, (3, 4), stride=(2, 1), padding=(1, 2), output_padding=(1, 0)), (1, 8, 6, 5), 0),
    "grouped": (nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1, groups=8), (1, 8, 6, 5), 0),
    "vector": (nn.ConvTranspose1d(8, 16, 8, stride=4, padding=2), (2, 8, 9), 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_kernels_of_ours_run_transposed_convolutions(name: str) -> None:
    model, shape, taps = MODELS[name]
    image = randn(*shape)
    compiled = terrace.compile(model, (image,))
    expected = eager(model, image)
    assert_close(compiled(image), expected)
    layers = [layer for layer in compiled.report().layers if layer["macs"]]
    assert layers and all(layer["by"] == "terrace" for layer in layers)
    if taps:
        # The stride divides the kernel: kernel / stride taps for each result, and for one more row of each phase.
        rows = 1
        for size, step in zip(expected.shape[2:], model.stride, strict=True):
            rows *= size + step * (model.padding[0] > 0)
        assert sum(layer["macs"] for layer in layers) == shape[0] * rows * 16 * 8 * (taps if name != "patches" else 1)


def test_dynamic_sizes() -> None:
    model = nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1)
    size = Dim("size", min=1, max=64)
    compiled = terrace.compile(model, (randn(2, 4, 6, 6),), dynamic_shapes=({0: Dim("n"), 2: size},))
    for image in (randn(2, 4, 6, 6), randn(1, 4, 1, 6), randn(3, 4, 17, 6)):
        assert_close(compiled(image), eager(model, image))
