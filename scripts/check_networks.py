#!/usr/bin/env python3
"""Run whole int8 networks as SystemVerilog in Verilator, and compare each frame with the CPU, bit for bit.

    scripts/check_networks.py --frames 100 --stalls 20 lenet mlp

prints what `CompiledModel.cosim_network` says of each; the exit code is 1 if one of them failed. Weights are random,
frames normal numbers, a tenth of them ten times as large, beyond what the calibration saw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import terrace
import torch
from terrace.target import HlsDescription, Target
from torch import nn

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "models")]

import digits  # noqa: E402
import lenet  # noqa: E402


class Block(nn.Module):
    """Two convolutions and a skip connection, by a convolution of 1x1 where sizes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.second(self.first(x).relu()) + self.skip(x)).relu()


def resnet8() -> nn.Module:
    """That of MLPerf Tiny: three blocks of 16, 32 and 64 channels."""
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    blocks = Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def depthwise() -> nn.Module:
    """A depthwise convolution between one of 3x3 and one of 1x1."""
    wide = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8, stride=2), nn.ReLU()
    return nn.Sequential(*wide, nn.Conv2d(8, 4, 1))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))


def transformer() -> nn.Module:
    return nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lenet": (lambda: lenet.build()[0], (1, 1, 32, 32)),
    "digits_mlp": (digits.mlp, (1, 1, 8, 8)),
    "digits_cnn": (digits.cnn, (1, 1, 8, 8)),
    "mlp": (mlp, (1, 64)),
    "depthwise": (depthwise, (1, 3, 9, 8)),
    "transformer": (transformer, (1, 4, 16)),
    "resnet8": (resnet8, (1, 3, 32, 32)),
}


Frame = tuple[torch.Tensor]


def compare(
    design: terrace.CompiledModel, cpu: terrace.CompiledModel, frames: Sequence[Frame], stalls: int
) -> tuple[bool, str]:
    """Whether frames through the hardware give what the CPU gives, in the predicted cycles if nothing stalls; in words,
    too.
    """
    found = design.cosim_network(frames, stalls)
    pairs = zip(frames, found.results[0], strict=True)
    differ = sum(not torch.equal(cpu(*frame), torch.from_numpy(result.copy())) for frame, result in pairs)
    return found.passed and not differ, f"{differ} of {len(frames)} frames differ from the CPU; {found}"


def check(name: str, frames: int, stalls: int, bram: int, dsp: int) -> bool:
    """Whether a network within a budget passes `compare`."""
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    model = make().eval()
    samples = [(torch.randn(shape),) for _ in range(8)]
    options = {"quantize": "int8", "calibration": samples}
    targets = Target("hls", hls=HlsDescription(bram=bram, dsp=dsp)), "cpu"
    design, cpu = (terrace.compile(model, samples[0], target=target, options=options) for target in targets)
    given = [(torch.randn(shape) * (10 if number % 10 == 9 else 1),) for number in range(frames)]
    passed, words = compare(design, cpu, given, stalls)
    print(f"{name}: {words}", flush=True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", choices=[*NETWORKS, []], help="all of them if none is named")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--stalls", type=int, default=0, metavar="PERCENT", help="of the cycles, of each stream")
    parser.add_argument(
        "--bram", type=int, default=HlsDescription().bram, help="blocks of 36 Kb (default: %(default)s)"
    )
    parser.add_argument("--dsp", type=int, default=HlsDescription().dsp, help="multipliers (default: %(default)s)")
    options = parser.parse_args()
    given = options.frames, options.stalls, options.bram, options.dsp
    return int(not all([check(name, *given) for name in options.networks or NETWORKS]))


if __name__ == "__main__":
    sys.exit(main())
