"""What a line of `terrace-bench` is: a small module, its inputs, and PyTorch's own ways to compute the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclasses.dataclass(frozen=True)
class Contest:
    """A module to compile, the arguments to call it with, and PyTorch's own ways to compute the same.

    `precision` and `options` are those of `terrace.compile`. Results may differ from those in float64 by `tolerance` of
    the largest element.
    """

    model: nn.Module
    args: tuple[torch.Tensor, ...]
    peers: dict[str, Callable[[], Any]]
    precision: str = "highest"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tolerance: float = 1e-4


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of the benchmark. `type` is the type of the factors of its products, as MLIR calls it; which peers
    compute in it, and the machine's limit, follow from it. `flops` and `bytes` are those of one call, 0 where they say
    nothing; those of a model are counted when it is compiled.
    """

    name: str
    kind: Literal["kernels", "models", "weights"]
    what: str
    build: Callable[[], Contest]
    type: str = "f32"
    flops: int = 0
    bytes: int = 0

    @property
    def group(self) -> str:
        """What is reported together, and has a mean of its own."""
        return self.kind + SUFFIXES[self.type]


SUFFIXES = {"f32": "", "bf16": "-bf16", "i8": "-int8"}
"""What the types that are measured add to a name."""

TOLERANCES = {("kernels", "bf16"): 2**-7, ("kernels", "i8"): 0.04, ("models", "bf16"): 0.2, ("models", "i8"): 0.5}
"""How far results may be from float64, as a part of the largest. Random weights keep the errors of single layers,
which trained ones damp."""

CALIBRATION = 4
"""Inputs that scales are found with."""


def in_type(case: Case, type_: str) -> Case:
    """A case of float32 with its products in a narrower type: bf16 is the precision "medium", i8 is quantized."""

    def build() -> Contest:
        contest = case.build()
        narrow = dataclasses.replace(contest, tolerance=TOLERANCES[case.kind, type_])
        if type_ == "bf16":
            return dataclasses.replace(narrow, precision="medium")
        # With the input itself: one result outside the calibrated range is clipped, and its error measures chance.
        calibration = [contest.args, *(like(contest.args, seed) for seed in range(CALIBRATION - 1))]
        return dataclasses.replace(narrow, options={"quantize": "int8", "calibration": calibration})

    suffix = SUFFIXES[type_]
    what = f"{case.what}, {suffix.strip('-')}"
    return dataclasses.replace(case, name=case.name + suffix, what=what, build=build, type=type_)


def like(args: tuple[torch.Tensor, ...], seed: int) -> tuple[torch.Tensor, ...]:
    """Other inputs of the same kind: numbers of the normal distribution, the same tokens in another order."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def other(value: torch.Tensor) -> torch.Tensor:
        if value.is_floating_point():
            return torch.randn(value.shape, generator=generator)
        return value.flatten()[torch.randperm(value.numel(), generator=generator)].view(value.shape)

    return tuple(other(value) for value in args)
