"""What tests of quantised models share: options of an int8 compile, and the same bits from several programs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import pytest
import terrace
import torch

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating a design needs g++")


def int8(*samples: Any) -> dict[str, Any]:
    """The options of an int8 compile calibrated on these calls."""
    return {"quantize": "int8", "calibration": list(samples)}


def check_bits(compiled: Sequence[terrace.CompiledModel], *inputs: torch.Tensor) -> torch.Tensor:
    """The same result from every program, bit for bit; that of the first input."""
    results = [[program(x) for program in compiled] for x in inputs]
    for first, *others in results:
        assert all(torch.equal(first, other) for other in others)
    return results[0][0]
