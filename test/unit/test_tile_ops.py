"""Every op on tiles on every target that lowers tiles: texts of the level "loop", run and compared with NumPy."""

from __future__ import annotations

import functools
import shutil

import numpy as np
import pytest
import terrace
from terrace.errors import TargetError
from terrace.runtime.gpu import describe_gpu
from tile_programs import CASES, program


def _has_vulkan() -> bool:
    try:
        describe_gpu("vulkan")
    except TargetError:
        return False
    return True


TARGETS = [
    "cpu",
    pytest.param("vulkan", marks=pytest.mark.skipif(not _has_vulkan(), reason="REQUIRES: vulkan")),
    pytest.param("hls", marks=pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")),
]


@functools.cache
def results(target: str) -> dict[str, np.ndarray]:
    """What all kernels give, in one program."""
    text, inputs = program(list(CASES))
    compiled = terrace.compile_mlir(text, target=target)
    return dict(zip(CASES, map(np.asarray, compiled(*inputs)), strict=True))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_it_agrees_with_numpy(target: str, name: str) -> None:
    """To the bit: all numbers are small integers."""
    np.testing.assert_array_equal(results(target)[name], CASES[name].result)
