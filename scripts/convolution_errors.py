#!/usr/bin/env python3
"""Measure the errors of convolutions against float64: by Winograd's variants, direct, and PyTorch's. Prints two tables.

    scripts/convolution_errors.py [--seeds 2] [--layers-only]

Layers read what a ReLU leaves of normal numbers, with weights of variance 2 / (9 inputs). Batch norms of the models get
their statistics from four random images, as training would, and uneven scales: default ones hide errors.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import terrace
import torch
from torch import nn

MODELS = Path(__file__).resolve().parents[1] / "examples" / "models"
LAYERS = [(64, 64, 56), (128, 128, 28), (256, 256, 14), (512, 512, 7), (64, 64, 224), (64, 32, 224), (512, 512, 28)]
"""Input channels, output channels, and pixels along each side."""

Case = Callable[[int], tuple[nn.Module, torch.Tensor]]


def layer(inputs: int, outputs: int, side: int) -> Case:
    def build(seed: int) -> tuple[nn.Module, torch.Tensor]:
        torch.manual_seed(seed)
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        nn.init.normal_(convolution.weight, std=math.sqrt(2 / (9 * inputs)))
        return convolution.eval(), torch.randn(1, inputs, side, side).relu()

    return build


def model(name: str) -> Case:
    spec = importlib.util.spec_from_file_location(name, MODELS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def build(seed: int) -> tuple[nn.Module, torch.Tensor]:
        net, (image,) = module.build()
        torch.manual_seed(seed)
        norms = [norm for norm in net.modules() if isinstance(norm, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.weight.data = torch.exp(0.5 * torch.randn_like(norm.weight))
            norm.bias.data = 0.3 * torch.randn_like(norm.bias)
        if norms:
            net.train()(torch.randn(4, *image.shape[1:]))
        return net.eval(), torch.randn_like(image)

    return build


def errors(case: Case, seed: int, bound: bool) -> list[float]:
    """The largest error by Winograd's variants, direct, and PyTorch's: as a part of max|y|, or of a model's bound."""
    net, x = case(seed)
    wanted = copy.deepcopy(net).double()(x.double())
    unit = float(wanted.abs().max())
    unit = 1e-4 * unit + 1e-5 if bound else unit
    ways = [terrace.compile(net, (x,), options={"winograd": on}) for on in (True, False)]
    return [float((way(x).double() - wanted).abs().max()) / unit for way in (*ways, net)]


def table(title: str, cases: dict[str, Case], seeds: int, bound: bool) -> None:
    print(f"| {title} | chosen | direct | PyTorch |\n|---|---|---|---|")
    for name, case in cases.items():
        found = [errors(case, seed, bound) for seed in range(seeds)]
        print(f"| {name} | {' | '.join(f'{max(column):.1e}' for column in zip(*found, strict=True))} |", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--layers-only", action="store_true")
    options = parser.parse_args()
    with torch.no_grad():
        cases = {f"{i} to {o} channels, {side}x{side}": layer(i, o, side) for i, o, side in LAYERS}
        table("layer: part of max\\|y\\|", cases, options.seeds, bound=False)
        if not options.layers_only:
            models = {name: model(name) for name in ("resnet18", "resnet50", "vgg16", "super_resolution")}
            table("model: part of `1e-4 * max\\|y\\| + 1e-5`", models, options.seeds, bound=True)


if __name__ == "__main__":
    main()
