"""Kernel families: what the registry says of them, and those that other packages bring."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from terrace.dialects.base import Attributes
from terrace.lowering.kernels.conv2d.space import conv2d_space
from terrace.lowering.kernels.registry import FAMILIES, families, families_by_root, families_for, fusing_roots
from terrace.machine import CircuitMachine, VectorMachine, WorkgroupMachine

THEIRS = Path(__file__).parent / "Inputs" / "their_kernels.py"

MODEL = """
import sys, torch, terrace
from terrace import cache
from torch import nn
class Game(nn.Module):
    def forward(self, x):
        return x + torch.rand(2, 5)
x = torch.zeros(2, 5)
compiled = terrace.compile(Game().eval(), (x,), target=terrace.Target(threads=1))
assert compiled(x).eq(0.25).all(), compiled(x)
print([row["why"] for row in compiled.report().rows], len(cache.entries()))
"""


def test_a_family_is_named_alike_everywhere() -> None:
    assert list(FAMILIES) == sorted(FAMILIES)
    for name, place in FAMILIES.items():
        module, _, class_name = place.partition(":")
        assert module == f"terrace.lowering.kernels.{name}.family"
        assert class_name.lower() == name.replace("_", "") and families()[name].name == name


def test_roots_fuse_in_their_own_family_only() -> None:
    assert fusing_roots() <= set(families_by_root())
    for family in families().values():
        assert set(family.fusing_roots) <= set(family.roots)


def test_machines_have_families() -> None:
    assert families_for(VectorMachine) == tuple(FAMILIES)
    assert families_for(WorkgroupMachine) == ("attention", "conv2d", "elementwise", "matmul", "row_reduction")
    # Circuits keep decoded weights, and have no group norm, no op that takes an index and none in order.
    others = ("encoded_matmul", "gather", "group_norm", "resample", "scan", "scatter", "sort")
    assert families_for(CircuitMachine) == tuple(name for name in FAMILIES if name not in others)


def test_a_footprint_counts_what_windows_reach() -> None:
    attrs = Attributes({"groups": 2, "padding": [1, 1, 0, 0], "strides": [2, 1], "dilations": [1, 3]})
    space = conv2d_space(attrs, [8, 3, 3, 2], [1, 10, 20, 8])
    sizes = {**space.known(), "oh": 4}
    assert space.footprint(0, sizes) == 1 * (3 * 2 + 3) * (19 + 4) * 6
    assert space.footprint(1, sizes) == 8 * 3 * 3 * 2
    assert space.footprint(2, sizes) == 1 * 4 * 20 * 8


def run_with(folder: Path, entries: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Compile a model where a package with these kernel families is installed."""
    shutil.copy(THEIRS, folder)
    info = folder / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[terrace.kernels]\n{lines}\n")
    environment = {**os.environ, "PYTHONPATH": str(folder), "TERRACE_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", MODEL]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_family_of_another_package_makes_kernels_that_are_not_cached(tmp_path: Path) -> None:
    done = run_with(tmp_path, {"dice": "their_kernels:Dice"})
    assert done.returncode == 0, done.stderr
    assert "generator dice" in done.stdout and done.stdout.rstrip().endswith(" 0")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"dice": "their_kernels:Dice", "second": "their_kernels:Second"}, "are both kernel families of RandomBitsOp"),
        ({"matmul": "their_kernels:Dice"}, "kernel family 'matmul', the entry point their_kernels:Dice, is defined"),
        ({"mine": "their_kernels:Misnamed"}, "'mine', their_kernels:Misnamed, is no KernelFamily of that name"),
        ({"mine": "their_kernels:Gone"}, "kernel family 'mine', their_kernels:Gone, cannot be imported"),
    ],
)
def test_a_broken_family_says_which(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    done = run_with(tmp_path, entries)
    assert done.returncode != 0 and message in done.stderr.splitlines()[-1], done.stderr
