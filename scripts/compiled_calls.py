"""Compiles programs of other projects' suites; notes what kernels they have, and which ops of PyTorch's a call runs."""

from __future__ import annotations

import copy
import resource
import time
from typing import Any

import terrace
import torch
from program_workers import Result
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.kernels.registry import families_by_root
from torch.utils._python_dispatch import TorchDispatchMode

MOVES = {"alias", "as_strided", "clone", "copy_", "detach", "empty", "empty_strided", "lift_fresh", "resize_", "view"}
SEED = {"randint", "_local_scalar_dense"}
"""What a call may do besides running compiled code: hand tensors over, and draw its seed from PyTorch's generator."""


def compile_noted(
    module: torch.nn.Module, args: tuple[Any, ...], shapes: Any, answer: Result, kwargs: dict[str, Any] | None = None
) -> Any:
    """The compiled program; `answer` gets its compile time and what its kernels are."""
    began = cpu_seconds()
    compiled = terrace.compile(copy.deepcopy(module), copy.deepcopy(args), copy.deepcopy(kwargs), dynamic_shapes=shapes)
    answer["seconds"] = round(cpu_seconds() - began, 2)
    rows, known = compiled.report().rows, {"graph.fusion", *families_by_root(), *ELEMENTWISE_OPS}
    answer["ours"] = any(row["by"] == "terrace" for row in rows)
    answer["macs"] = [sum(row["macs"] or 0 for row in rows if row["by"] == by) for by in ("terrace", "iree")]
    answer["generated"] = answer["ours"] or any(row["kernel"] in known for row in rows)
    answer["left"] = sorted({f"{row['kernel']}: {row['why']}" for row in rows if row["by"] != "terrace"})
    return compiled


def cpu_seconds() -> float:
    """The CPU time of this process and of those that it waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


class Operators(TorchDispatchMode):
    """Notes the ops that PyTorch runs, but for those that a call may."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ not in MOVES | SEED:
            self.names.add(str(func))
        return func(*args, **(kwargs or {}))
