"""Writes the code of docs/three_ends.md: `python docs/generate_ends.py` after a change of what the levels print.

three_ends.md is prose around code blocks that open with ```mlir generated=PART or ```cpp generated=PART; this file
fills them, and a test in test/unit/test_docs.py compares. Targets are fixed, so that the text is the same everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from terrace.compiler import PyTorch, Request, lower
from terrace.compiler.kernel_texts import KernelLevels
from terrace.dialects.context import create_context
from terrace.lowering.target.hls.numbers import numbers_of
from terrace.lowering.target.hls.printer import print_kernel
from terrace.mlir import func, parse_module
from terrace.target import CpuDescription, Target
from torch import nn

PAGE = Path(__file__).with_name("three_ends.md")
FENCES = ("```mlir generated=", "```cpp generated=")
FEATURES = ("avx2", "fma")

ENDS = {
    "cpu": Target(features=FEATURES, threads=1, cpu=CpuDescription.of_features(FEATURES)),
    "vulkan": Target("vulkan", gpu="ampere"),
    "hls": Target("hls"),
}
"""The three ends, each on a machine that the page names."""


class ConvRelu(nn.Module):
    """A convolution by 3x3 windows with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


def parts() -> dict[str, str]:
    """The text of the kernel at every level, for every end, by the names of the page's blocks."""
    texts: dict[str, str] = {}
    for end, target in ENDS.items():
        lowered = lower(PyTorch(ConvRelu().eval(), (torch.zeros(1, 4, 6, 6),)), Request.of(target))
        levels = KernelLevels(lowered.ir, lowered.target, lowered.flags)
        (name,) = (name for name in levels.names if name.startswith("conv2d"))
        texts.setdefault("graph", levels.text(name, "graph"))
        for level in ("kernel", "loop", end):
            texts[f"{end}.{level}"] = levels.text(name, level)
        if end == "hls":
            texts["hls.cpp"] = cpp(lowered.ir, name)
    return {part: text.strip() for part, text in texts.items()}


def cpp(texts: Mapping[str, str], name: str) -> str:
    """The C++ of a kernel of a design."""
    with create_context() as context:
        module = parse_module(texts["hls"], context)
        functions = [op for op in module.body.operations if isinstance(op, func.FuncOp)]
        (kernel,) = (function for function in functions if function.name.value == name)
        return "\n".join(print_kernel(kernel, {}, numbers_of(module.operation)))


def render(page: str, texts: Mapping[str, str]) -> str:
    """`page` with its generated blocks filled."""
    lines: list[str] = []
    inside = False
    for line in page.splitlines():
        if inside and line != "```":
            continue
        lines.append(line)
        inside = line.startswith(FENCES)
        if inside:
            lines += texts[line.rpartition("=")[2]].splitlines()
    return "\n".join(lines) + "\n"


def main() -> int:
    """Rewrite the page; returns 0."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), parts()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
