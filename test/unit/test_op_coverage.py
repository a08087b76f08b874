"""Every op that programs may hold has a row in the sweep, a rule with a test, or a reason for having neither."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from op_rows import FAMILIES, Row
from ops_without_rows import REASONS, reason_for
from terrace.frontend import export
from terrace.frontend.decompositions import ARITHMETIC, MOVES
from terrace.frontend.export import decompose, decomposition_table, export_program
from test_ops import Rows, inputs
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

RULE_TESTS = Path(__file__).parents[1] / "conversion" / "convert_torch_to_graph.mlir"


@functools.cache
def swept() -> frozenset[str]:
    """The ops that the rows call, and those that they are decomposed to."""
    return frozenset(name for rows in FAMILIES.values() for name in ops_of(rows))


def ops_of(rows: dict[str, Row]) -> Iterator[str]:
    exported = export_program(Rows(list(rows.values())), inputs(), None, None)
    for program in (exported, decompose(exported)):
        for node in program.graph.nodes:
            if isinstance(node.target, OpOverload):
                yield name_of(node.target)
    with Recorder() as recorder:
        Rows(list(rows.values()))(*inputs())
    yield from recorder.names


class Recorder(TorchDispatchMode):
    """Notes the names of the ops that eager calls: those on the way from what users call to what is left at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(name_of(func))
        return func(*args, **(kwargs or {}))


def name_of(op: OpOverload) -> str:
    """The name, with that of the overload."""
    return str(op).removeprefix("aten.")


@functools.cache
def ruled() -> frozenset[str]:
    """The ops in the tests of convert-torch-to-graph's rules."""
    names = re.findall(r"torch\.aten\.(\w+(?:\.\w+)?)", RULE_TESTS.read_text())
    return frozenset(name if "." in name else f"{name}.default" for name in names)


@functools.cache
def required() -> frozenset[str]:
    """The core ATen ops, and the others that no decomposition takes apart and that write to none of their inputs."""
    table = decomposition_table()
    return frozenset(name_of(op) for op in all_ops() if torch.Tag.core in op.tags or (op not in table and is_whole(op)))


def all_ops() -> Iterator[OpOverload]:
    for name in torch._C._dispatch_get_all_op_names():
        namespace, _, rest = name.partition("::")
        packet, _, overload = rest.partition(".")
        if namespace == "aten" and torch._C._dispatch_has_kernel(name):
            yield getattr(getattr(torch.ops.aten, packet), overload or "default")


def is_whole(op: OpOverload) -> bool:
    is_composite = op.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)
    returns_tensor = any("Tensor" in str(result.type) for result in op._schema.returns)
    return not op._schema.is_mutable and not is_composite and returns_tensor


def test_every_op_has_a_row_a_rule_or_a_reason() -> None:
    missing = [name for name in required() - swept() - ruled() if reason_for(name) is None]
    assert not missing, sorted(missing)


def test_no_reason_is_given_for_what_has_a_row() -> None:
    told = {name: why for name in swept() & required() if (why := reason_for(name)) is not None}
    assert not told, told


@pytest.mark.parametrize("why", REASONS)
def test_every_reason_is_some_ops(why: str) -> None:
    assert any(re.fullmatch(REASONS[why], name) for name in required())


def test_an_op_without_a_row_is_found() -> None:
    library = torch.library.Library("aten", "FRAGMENT")
    library.define("of_tomorrow(Tensor self) -> Tensor")
    library.impl("of_tomorrow", torch.clone, "CPU")
    try:
        required.cache_clear()
        with pytest.raises(AssertionError, match="of_tomorrow"):
            test_every_op_has_a_row_a_rule_or_a_reason()
    finally:
        library._destroy()
        required.cache_clear()


def test_an_op_has_one_decomposition() -> None:
    """Of two tables that name an op, one would count and nobody would know which."""
    families = [family.DECOMPOSITIONS for family in (*ARITHMETIC, *MOVES)]
    others = [export.DATA_DEPENDENT, export.RANDOM, export.SCATTER_REDUCTIONS, export.SPECTRA]
    named = [str(op) for table in (*families, *others) for op in table]
    assert sorted(named) == sorted(set(named))
