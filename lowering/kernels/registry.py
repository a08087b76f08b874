"""The kernel families by name: Terrace's, and those of other packages, by entry points of the group `terrace.kernels`.

    [project.entry-points."terrace.kernels"]
    histogram = "my_package.histogram:Histogram"

Entry points are read when the families are first asked for.
"""

from __future__ import annotations

import functools
import importlib
from importlib import metadata

from terrace.errors import PipelineError
from terrace.lowering.kernels.family import KernelFamily
from terrace.machine import CircuitMachine, Machine, VectorMachine, WorkgroupMachine
from terrace.storage.cache_key import FAMILY_ENTRY_POINTS

FAMILIES = {
    "attention": "terrace.lowering.kernels.attention.family:Attention",
    "conv2d": "terrace.lowering.kernels.conv2d.family:Conv2d",
    "copy": "terrace.lowering.kernels.copy.family:Copy",
    "elementwise": "terrace.lowering.kernels.elementwise.family:Elementwise",
    "encoded_matmul": "terrace.lowering.kernels.encoded_matmul.family:EncodedMatmul",
    "gather": "terrace.lowering.kernels.gather.family:Gather",
    "group_norm": "terrace.lowering.kernels.group_norm.family:GroupNorm",
    "matmul": "terrace.lowering.kernels.matmul.family:Matmul",
    "permute": "terrace.lowering.kernels.permute.family:Permute",
    "pool2d": "terrace.lowering.kernels.pool2d.family:Pool2d",
    "reduce": "terrace.lowering.kernels.reduce.family:Reduce",
    "resample": "terrace.lowering.kernels.resample.family:Resample",
    "row_reduction": "terrace.lowering.kernels.row_reduction.family:RowReduction",
    "scan": "terrace.lowering.kernels.scan.family:Scan",
    "scatter": "terrace.lowering.kernels.scatter.family:Scatter",
    "sort": "terrace.lowering.kernels.sort.family:Sort",
}
"""Family name to module and class."""


@functools.cache
def families() -> dict[str, KernelFamily]:
    """All families by name, sorted. Raises PipelineError for an entry point that gives none, or what another has."""
    found = {name: _load(name, place) for name, place in FAMILIES.items()}
    for entry in metadata.entry_points(group=FAMILY_ENTRY_POINTS):
        if entry.name in found:
            raise PipelineError(f"kernel family '{entry.name}', the entry point {entry.value}, is defined twice")
        found[entry.name] = _load(entry.name, entry.value)
    _check_roots(found)
    return dict(sorted(found.items()))


def _check_roots(found: dict[str, KernelFamily]) -> None:
    """An op is the root of one family."""
    names: dict[str, str] = {}
    for name, family in found.items():
        for root in family.roots:
            if names.setdefault(root.OPERATION_NAME, name) != name:
                other = names[root.OPERATION_NAME]
                raise PipelineError(f"'{other}' and '{name}' are both kernel families of {root.__name__}")


def _load(name: str, place: str) -> KernelFamily:
    module, _, attribute = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise PipelineError(f"kernel family '{name}', {place}, cannot be imported: {error}") from error
    if not isinstance(found, KernelFamily) or found.name != name:
        raise PipelineError(f"kernel family '{name}', {place}, is no KernelFamily of that name")
    return found


def find_family(name: str) -> KernelFamily | None:
    """The family of this name."""
    return families().get(name)


@functools.cache
def families_by_root() -> dict[str, KernelFamily]:
    """The family of each op that is the root of one."""
    return {root.OPERATION_NAME: family for family in families().values() for root in family.roots}


@functools.cache
def fusing_roots() -> frozenset[str]:
    """The ops that `fuse-epilogue` fuses with the elementwise ops that follow."""
    return frozenset(root.OPERATION_NAME for family in families().values() for root in family.fusing_roots)


@functools.cache
def families_for(*kinds: type[Machine]) -> tuple[str, ...]:
    """The names of the families that have schedules for all these kinds of machines, sorted."""
    return tuple(name for name, family in families().items() if all(kind in family.schedules for kind in kinds))


def common_families() -> tuple[str, ...]:
    """The names of the families that every kind of machine runs."""
    return families_for(VectorMachine, WorkgroupMachine, CircuitMachine)
