#!/usr/bin/env python3
"""Measure the regret of the cost model over 200 shapes: how much longer its choice takes than the best candidate.

    scripts/tuning_sweep.py -o sweep.json [--only conv3x3] [--every 20] [--trials 8]

Each shape is a model of one layer, tuned on one thread as `terrace-tune` does. A shape that is in the file already is
not measured again, so that what is interrupted goes on. Prints the table of docs/tuning.md of all that is in the file.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from terrace.compiler import PyTorch, Request
from terrace.compiler.tuning import tune
from terrace.errors import TerraceError
from terrace.storage.files import write_file
from terrace.target import Target
from torch import nn


@dataclasses.dataclass(frozen=True)
class Shape:
    """A layer: what the table calls its like, its name, its sizes, and the type that it
    computes in or, as int4 and int8, that its weights are stored in."""

    group: str
    kind: str
    sizes: tuple[int, ...]
    type: str = "f32"

    @property
    def name(self) -> str:
        return f"{self.kind}-{'x'.join(map(str, self.sizes))}-{self.type}"

    def build(self) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
        torch.manual_seed(0)
        module, *shapes = LAYERS[self.kind](*self.sizes)
        return module.eval(), tuple(torch.randn(shape) for shape in shapes)


class Call(nn.Module):
    """A function as a model."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        return self.function(*args)


def _conv(size: int, inputs: int, outputs: int, window: int, stride: int, groups: int = 1) -> tuple[Any, ...]:
    layer = nn.Conv2d(inputs, outputs, window, stride, padding=window // 2, groups=groups)
    # Channels last on both sides, so that nothing but the convolution is left.
    return Call(NHWC(layer)), (1, size, size, inputs)


class NHWC(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


LAYERS: dict[str, Any] = {
    "linear": lambda m, k, n: (nn.Linear(k, n), (m, k)),
    "matmul": lambda m, k, n: (Call(torch.matmul), (m, k), (k, n)),
    "conv": _conv,
    "depthwise": lambda size, width, window, stride: _conv(size, width, width, window, stride, width),
    "softmax": lambda rows, columns: (nn.Softmax(-1), (rows, columns)),
    "layer_norm": lambda rows, columns: (nn.LayerNorm(columns), (rows, columns)),
    "gelu": lambda rows, columns: (nn.GELU(), (rows, columns)),
    "sum": lambda rows, columns: (Call(lambda x: x.sum(-1)), (rows, columns)),
    "max_pool": lambda size, width: (Call(NHWC(nn.MaxPool2d(2))), (1, size, size, width)),
    "attention": lambda heads, length, width: (
        Call(nn.functional.scaled_dot_product_attention),
        *[(1, heads, length, width)] * 3,
    ),
}
"""What makes a layer of its sizes: the module, then the shapes of its inputs."""


def shapes() -> list[Shape]:
    """The sweep."""
    return list(itertools.chain(_products(), _convolutions(), _rows(), _narrow()))


def _products() -> Iterator[Shape]:
    square = [64, 96, 128, 192, 256, 384, 512, 640, 768, 1024]
    yield from (Shape("matmul, square", "linear", (n, n, n)) for n in square)
    yield from (Shape("matmul, square", "matmul", (n, n, n)) for n in square)
    for rows, (k, n) in itertools.product((16, 128, 197), ((768, 768), (768, 3072), (3072, 768), (512, 2048))):
        yield Shape("linear of transformers", "linear", (rows, k, n))
    for rows, (k, n) in itertools.product((1, 2, 5, 8), ((512, 512), (1024, 4096), (2048, 1000))):
        yield Shape("matmul, few rows", "linear", (rows, k, n))
    odd = [(37, 99, 101), (100, 300, 70), (250, 333, 125), (511, 257, 129), (1000, 100, 10), (77, 1001, 333)]
    yield from (Shape("matmul, odd", kind, sizes) for sizes in odd for kind in ("linear", "matmul"))
    skinny = [(2048, 64, 64), (64, 2048, 64), (64, 64, 2048), (4096, 32, 256), (32, 4096, 32), (1024, 1024, 48)]
    yield from (Shape("matmul, skinny", kind, sizes) for sizes in skinny for kind in ("linear", "matmul"))
    weights = [("int4", 1, 1024, 4096), ("int4", 8, 4096, 1024), ("int4", 128, 768, 3072), ("int8", 4, 2048, 1000)]
    yield from (Shape("weights of int4, int8", "linear", tuple(sizes), type_) for type_, *sizes in weights)


def _convolutions() -> Iterator[Shape]:
    one = [(56, 64, 64), (56, 64, 256), (28, 256, 128), (28, 128, 512), (14, 512, 256), (14, 256, 1024), (7, 1024, 512)]
    one += [(7, 512, 2048), (112, 16, 96), (56, 24, 144), (14, 96, 576), (7, 960, 160)]
    yield from (Shape("conv 1x1", "conv", (*sizes, 1, 1)) for sizes in one)
    three = [(224, 3, 64), (112, 32, 64), (112, 64, 64), (56, 64, 64), (56, 128, 128), (28, 128, 128), (28, 256, 256)]
    three += [(14, 256, 256), (14, 512, 512), (7, 512, 512), (56, 32, 32), (28, 64, 96), (33, 48, 80), (13, 192, 384)]
    three += [(96, 16, 16), (27, 96, 256), (64, 24, 40), (20, 160, 160), (56, 16, 64), (10, 256, 128), (40, 48, 48)]
    three += [(17, 320, 64), (80, 8, 24), (24, 112, 56)]
    yield from (Shape("conv 3x3", "conv", (*sizes, 3, 1)) for sizes in three)
    strided = [(224, 3, 32), (112, 32, 64), (56, 64, 128), (28, 128, 256), (14, 256, 512), (55, 24, 48), (57, 96, 96)]
    strided += [(32, 64, 64), (20, 80, 120), (112, 16, 32), (9, 256, 384), (64, 3, 16)]
    yield from (Shape("conv 3x3, stride 2", "conv", (*sizes, 3, 2)) for sizes in strided)
    large = [(28, 64, 64, 5, 1), (27, 96, 256, 5, 1), (64, 16, 32, 5, 1), (56, 32, 48, 5, 2), (14, 128, 128, 5, 1)]
    large += [(224, 3, 64, 7, 2), (112, 8, 32, 7, 1), (56, 32, 32, 7, 1), (30, 20, 24, 7, 2), (112, 3, 16, 7, 2)]
    yield from (Shape("conv 5x5, 7x7", "conv", sizes) for sizes in large)
    for window, stride in ((3, 1), (3, 2), (5, 1)):
        for sizes in ((112, 32), (56, 144), (28, 192), (14, 384), (7, 960)):
            yield Shape("depthwise", "depthwise", (*sizes, window, stride))


def _rows() -> Iterator[Shape]:
    rows = [(128, 128), (512, 512), (197, 197), (1024, 1024), (2000, 50), (100, 4000), (4096, 16)]
    yield from (Shape("softmax", "softmax", sizes) for sizes in rows)
    norms = [(128, 768), (197, 768), (512, 1024), (1024, 512), (1000, 100), (64, 4096), (4096, 48)]
    yield from (Shape("layer norm", "layer_norm", sizes) for sizes in norms)
    yield from (Shape("elementwise, sums, pools", "gelu", sizes) for sizes in ((128, 3072), (1000, 1000), (77, 333)))
    yield from (Shape("elementwise, sums, pools", "sum", sizes) for sizes in ((512, 512), (1000, 100), (64, 10000)))
    yield from (Shape("elementwise, sums, pools", "max_pool", sizes) for sizes in ((112, 64), (28, 128), (56, 20)))
    heads = [(12, 128, 64), (12, 197, 64), (8, 512, 64), (16, 64, 32), (4, 1024, 64), (12, 77, 64), (6, 300, 40)]
    yield from (Shape("attention", "attention", sizes) for sizes in heads)


def _narrow() -> Iterator[Shape]:
    """The same in bfloat16, and in int8."""
    for type_ in ("bf16", "i8"):
        products = [(128, 768, 3072), (128, 3072, 768), (197, 768, 768), (256, 256, 256), (1, 1024, 4096)]
        yield from (Shape(f"matmul, {type_}", "linear", sizes, type_) for sizes in products)
        convolutions = [(56, 64, 64, 3, 1), (28, 128, 128, 3, 1), (14, 256, 256, 3, 1), (28, 256, 128, 1, 1)]
        convolutions += [(56, 64, 128, 3, 2), (224, 3, 64, 7, 2)]
        yield from (Shape(f"conv, {type_}", "conv", sizes, type_) for sizes in convolutions)
    depthwise = [(112, 32, 3, 1), (56, 144, 3, 1), (28, 192, 3, 2)]
    yield from (Shape("conv, i8", "depthwise", sizes, "i8") for sizes in depthwise)


def measure(shape: Shape, trials: int) -> dict[str, Any]:
    """The row of a shape: the kernel that is most of its work."""
    model, args = shape.build()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"tune": {"file": str(Path(folder) / "records.json"), "trials": trials}}
        if shape.type in ("int4", "int8"):
            options["quantize_weights"] = shape.type
        if shape.type == "i8":
            options |= {"quantize": "int8", "calibration": [args]}
        precision = "medium" if shape.type == "bf16" else "highest"
        rows = tune(PyTorch(model, args), Request.of(Target(threads=1), precision, options))
    best = max((row for row in rows if row.record is not None), key=lambda row: row.record.chosen_seconds, default=None)
    found = {"name": shape.name, "group": shape.group, "seconds": round(time.perf_counter() - began, 2)}
    notes = [note for row in rows for note in row.notes]
    if best is None:
        return {**found, "kernel": "", "tried": 1, "regret": 1.0, "notes": notes}
    record = dataclasses.asdict(best.record)
    return {**found, "kernel": best.kernel, **record, "regret": best.record.gain, "notes": notes}


def table(rows: list[dict[str, Any]]) -> str:
    """Per group, and of all: how many, the geometric mean, the 90th percentile and the largest regret."""
    lines = ["| shapes | number | geometric mean | 90th percentile | largest |", "|---|--:|--:|--:|--:|"]
    for group in [*dict.fromkeys(row["group"] for row in rows), "all"]:
        own = sorted(row["regret"] for row in rows if group in ("all", row["group"]))
        mean = statistics.geometric_mean(own)
        tenth = own[math.ceil(0.9 * len(own)) - 1]
        lines.append(f"| {group} | {len(own)} | {mean:.3f} | {tenth:.2f} | {own[-1]:.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="FILE", help="the rows, as JSON")
    parser.add_argument("--only", default="", metavar="TEXT", help="of names or groups that contain it")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one shape of so many")
    parser.add_argument("--trials", type=int, default=8, metavar="N", help="schedules of a shape (default: 8)")
    options = parser.parse_args()
    rows = json.loads(options.output.read_text()) if options.output.exists() else []
    wanted = [shape for shape in shapes() if options.only in f"{shape.group} {shape.name}"][:: options.every]
    for number, shape in enumerate(wanted, 1):
        if any(row["name"] == shape.name for row in rows):
            continue
        try:
            rows.append(measure(shape, options.trials))
        except TerraceError as error:
            print(f"{shape.name}: {error}", file=sys.stderr)
            continue
        write_file(options.output, json.dumps(rows, indent=1))
        row = rows[-1]
        print(f"{number}/{len(wanted)} {shape.name}: regret {row['regret']:.2f} of {row['tried']}, {row['seconds']} s")
        print(*row["notes"], sep="\n", end="\n" if row["notes"] else "", flush=True)
    print(table(rows) if rows else "nothing was measured")
    return 1 if any("other results" in note for row in rows for note in row["notes"]) else 0


if __name__ == "__main__":
    sys.exit(main())
