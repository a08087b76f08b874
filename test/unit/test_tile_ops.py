"""Every op on tiles on every target that lowers tiles: texts of the level "loop", run and compared with NumPy."""

from __future__ import annotations

import functools
import shutil

import numpy as np
import pytest
import terrace
from terrace.compiler import Request, Text, lower
from terrace.runtime.cosim import cosim
from terrace.runtime.cpu_features import host_features
from tile_programs import ATOM_CASES, CASES, program

TARGETS = [
    "cpu",
    pytest.param("vulkan", marks=pytest.mark.vulkan),
    pytest.param("hls", marks=pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")),
]


needs_int8_dot = pytest.mark.skipif(
    not {"avx512vnni", "avx512vl", "avx512bw"} <= set(host_features()), reason="this CPU has no AVX-512 VNNI"
)


@functools.cache
def results(target: str, atoms: bool = False) -> dict[str, np.ndarray]:
    """What all kernels give, in one program."""
    cases = ATOM_CASES if atoms else CASES
    text, inputs = program(cases)
    compiled = terrace.compile_mlir(text, target=target)
    return dict(zip(cases, map(np.asarray, compiled(*inputs)), strict=True))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_it_agrees_with_numpy(target: str, name: str) -> None:
    """To the bit: all numbers are small integers."""
    np.testing.assert_array_equal(results(target)[name], CASES[name].result)


@needs_int8_dot
@pytest.mark.parametrize("name", ATOM_CASES)
def test_atoms_agree_with_numpy(name: str) -> None:
    np.testing.assert_array_equal(results("cpu", atoms=True)[name], ATOM_CASES[name].result)


CIRCUITS = ["a_condition_gives_integers", "a_loop_carries_integers", "contract_integers", "reduce_integers"]


@pytest.mark.skipif(shutil.which("verilator") is None or shutil.which("g++") is None, reason="needs verilator and g++")
@pytest.mark.parametrize("name", CIRCUITS)
def test_circuits_agree_with_their_programs(name: str) -> None:
    """Each bit of their results, in the cycles that were predicted."""
    pytest.importorskip("circt")
    text, _ = program({name: CASES[name]})
    report = cosim(lower(Text(text), Request.of("hls"), until="hls").ir["hls"], vectors=20)
    assert [row.kernel for row in report.simulated] == [name]
    assert report.passed, str(report)
