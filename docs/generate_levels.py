"""Writes the IR of docs/levels.md: `python docs/generate_levels.py` after a change of what the levels print.

levels.md is prose around code blocks that open with ```mlir generated=LEVEL; this file fills them, and a test in
test/unit/test_docs.py compares. The target is fixed, so that the text is the same on every machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from terrace.compiler import PyTorch, Request, lower
from terrace.compiler.module_interface import SIGNATURE
from terrace.dialects.context import create_context
from terrace.frontend import import_model
from terrace.mlir import func, parse_module
from terrace.target import CpuDescription, Target
from torch import nn

PAGE = Path(__file__).with_name("levels.md")
FENCE = "```mlir generated="
FEATURES = ("avx2", "fma")


class Layer(nn.Module):
    """A fully connected layer with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x))


def levels() -> dict[str, str]:
    """The text of the model as imported and at every level, without the signature that `@main` carries."""
    model, args = Layer().eval(), (torch.zeros(8, 32),)
    imported = import_model(model, args, context=create_context())
    target = Target(features=FEATURES, threads=1, cpu=CpuDescription.of_features(FEATURES))
    lowered = lower(PyTorch(model, args), Request.of(target))
    texts = {"imported": str(imported.module), **lowered.ir}
    return {level: without_signature(text, generic=level == "iree") for level, text in texts.items()}


def without_signature(text: str, *, generic: bool) -> str:
    """The module printed again without the attribute; in generic form where the level's text is so."""
    context = create_context()
    context.allow_unregistered_dialects = True
    module = parse_module(text, context)
    with context:
        for view in module.body.operations:
            if isinstance(view, func.FuncOp) and SIGNATURE in view.attributes:
                del view.attributes[SIGNATURE]
    return module.operation.get_asm(print_generic_op_form=generic, assume_verified=True).strip()


def render(page: str, texts: dict[str, str]) -> str:
    """`page` with its generated blocks filled."""
    lines: list[str] = []
    inside = False
    for line in page.splitlines():
        if inside and line != "```":
            continue
        lines.append(line)
        inside = line.startswith(FENCE)
        if inside:
            lines += texts[line.removeprefix(FENCE)].splitlines()
    return "\n".join(lines) + "\n"


def main() -> int:
    """Rewrite the page; returns 0."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), levels()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
