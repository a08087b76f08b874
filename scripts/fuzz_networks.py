#!/usr/bin/env python3
"""Random small int8 networks as SystemVerilog in Verilator, within random budgets, each frame compared with the CPU.

    scripts/fuzz_networks.py --seed 1 --count 20

prints a line for each; the exit code is 1 if one failed. A seed and a number draw the same network everywhere.
"""

from __future__ import annotations

import argparse
import random
import sys

import terrace
import torch
from check_networks import compare
from terrace.errors import TerraceError
from terrace.fpga import PARTS
from terrace.target import HlsDescription, Target
from torch import nn

FRAMES = 5


def layers(draw: random.Random, channels: int, side: int) -> list[nn.Module]:
    """Convolutions, pools and activations, then linear layers."""
    found: list[nn.Module] = []
    for _ in range(draw.randint(0, 3)):
        kind = draw.choice(["conv", "conv", "depthwise", "max", "mean"])
        size = draw.choice([1, 2, 3, 5])
        stride, padding = draw.choice([1, 1, 2]), draw.choice([0, size // 2])
        if kind in ("max", "mean"):
            size, stride, padding = 2, 2, 0
        after = (side + 2 * padding - size) // stride + 1
        if side + 2 * padding < size or after < 1:
            continue
        if kind == "max":
            found.append(nn.MaxPool2d(2))
        elif kind == "mean":
            found.append(nn.AvgPool2d(2))
        else:
            outputs = channels if kind == "depthwise" else draw.choice([1, 2, 3, 4, 6, 8, 12])
            groups = channels if kind == "depthwise" else 1
            found.append(nn.Conv2d(channels, outputs, size, stride, padding, groups=groups))
            found += draw.choice([[], [nn.ReLU()], [nn.Tanh()]])
            channels = outputs
        side = after
    found.append(nn.Flatten())
    inputs = channels * side * side
    for _ in range(draw.randint(1, 2)):
        outputs = draw.choice([1, 3, 4, 10, 16])
        found += [nn.Linear(inputs, outputs), *draw.choice([[], [nn.ReLU()]])]
        inputs = outputs
    return found


def check(seed: int, number: int) -> bool:
    draw = random.Random(f"{seed} {number}")
    torch.manual_seed(draw.randrange(1 << 30))
    shape = (1, draw.choice([1, 2, 3, 4]), *[draw.randint(4, 12)] * 2)
    model = nn.Sequential(*layers(draw, *shape[1:3])).eval()
    budget = {
        "dsp": draw.choice([1, 8, 40, 150, 600]),
        "max_unroll": draw.choice([1, 4, 16]),
        "bram": draw.choice([2, 30, 1000]),
        "clock_mhz": draw.choice([50, 200, 350]),
        "part": draw.choice([*PARTS]),
    }
    quantize = {"type": "int8", **draw.choice([{}, {"multiplier_bits": 17}, {"multiplier_bits": 8}])}
    stalls = draw.choice([0, 0, 30])
    words = f"{number}: {shape}, {', '.join(map(str, model))}; {budget}, {quantize}"
    samples = [(torch.randn(shape),) for _ in range(4)]
    options = {"quantize": quantize, "calibration": samples}
    frames = [(torch.randn(shape) * draw.choice([1, 10]),) for _ in range(FRAMES)]
    try:
        design = terrace.compile(model, samples[0], target=Target("hls", hls=HlsDescription(**budget)), options=options)
        cpu = terrace.compile(model, samples[0], options=options)
        passed, result = compare(design, cpu, frames, stalls)
    except TerraceError as error:
        passed, result = False, f"FAILED: {error}"
    print(f"{words}: {result}", flush=True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the number of the first one (default: %(default)s)")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.count)
    return int(not all([check(options.seed, number) for number in numbers]))


if __name__ == "__main__":
    sys.exit(main())
