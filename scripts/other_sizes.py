"""At which sizes a program with dynamic dimensions is exported, and at which it is called.

It is exported at other sizes than those of its test, so that no size counts because it is that of the example, and
called at the test's and at further ones. Which sizes can do this is told by PyTorch alone: eager has to run them, and
what `torch.export` makes of the program has to take them.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.export import Dim
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

Args = tuple[Any, ...]
Axes = tuple[tuple[int, ...], ...]
"""For each argument, the axes that are dynamic."""
Runs = Callable[[Args], bool]
"""Whether a program runs at these arguments."""
REFUSED = "torch.export refuses dynamic sizes"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The arguments to export with, and those to call with besides the test's; `word` is how it is counted.

    With `apart`, what `torch.export` makes does not take the test's sizes: a second program is compiled at these.
    """

    example: Args
    others: list[Args]
    word: str
    apart: bool = False


def shapes_of(axes: Axes) -> tuple[dict[int, Any] | None, ...]:
    """The `dynamic_shapes` that leave it to PyTorch which relations the sizes have."""
    return tuple(dict.fromkeys(one, Dim.AUTO) or None for one in axes)


def plan(module: torch.nn.Module, args: Args, axes: Axes, runs: Runs) -> Plan:
    """How to compile and call a program whose test has the arguments `args`."""
    found = list(itertools.islice(filter(runs, candidates(args, axes)), 2))
    if not found:
        return Plan(args, [], "eager runs at the test's sizes only")
    for example in found:
        takes = exported_takes(module, example, axes)
        others = [other for other in found if other is not example and takes(other)]
        if takes(args):
            return Plan(example, others, "open")
        if others:
            return Plan(example, others, "open but for the test's sizes, which torch.export sets apart", apart=True)
    takes = exported_takes(module, args, axes)
    if not takes(args):
        return Plan(args, [], REFUSED)
    others = [other for other in found if takes(other)]
    return Plan(args, others, "open, exported at the test's sizes" if others else "torch.export keeps the sizes fixed")


def candidates(args: Args, axes: Axes) -> Iterator[Args]:
    """Arguments at other sizes: all dynamic ones smaller, then larger; then those of equal size alone.

    Smaller ones come first, since elements that are repeated make ties, which eager breaks as it likes.
    """
    sizes = sorted({args[at].shape[axis] for at, one in enumerate(axes) for axis in one} - {0})
    for wanted in (sizes, *([size] for size in sizes if len(sizes) > 1)):
        for factor, step in ((1, -1), (1, -2), (1, 1), (1, 2), (2, 0), (3, 0)):
            # One and nothing are sizes of their own to torch.export.
            changed = {size: factor * size + (step if size + step > 1 else -step) for size in wanted}
            yield tuple(resized(value, one, changed) for value, one in zip(copy.deepcopy(args), axes, strict=True))


def resized(value: Any, axes: tuple[int, ...], sizes: dict[int, int]) -> Any:
    """A tensor whose dynamic axes have the size that `sizes` has for theirs.

    It begins anew where it ends; real numbers then are a little nearer to 0, for ties.
    """
    for axis in axes:
        size = value.shape[axis]
        if size in sizes:
            places = torch.arange(sizes[size])
            value = value.index_select(axis, places % size)
            if value.is_floating_point():
                shrink = 1 - (places // size) / 16
                value = value * shrink.to(value.dtype).reshape(-1, *[1] * (value.ndim - axis - 1))
    return value


def exported_takes(module: torch.nn.Module, example: Args, axes: Axes) -> Runs:
    """Whether the program that `torch.export` makes at `example` takes other arguments; none if it makes no program."""
    try:
        exported = export(module, example, axes)
    # The program is the suite's, and may raise anything.
    except Exception:
        return lambda args: False

    def takes(args: Args) -> bool:
        try:
            copy.deepcopy(exported)(*copy.deepcopy(args))
        except Exception:
            return False
        return True

    return takes


def export(module: torch.nn.Module, args: Args, axes: Axes) -> Any:
    """The program as it runs in Python; as TorchDynamo reads it, if it makes a number of a tensor."""
    try:
        exported = torch.export.export(
            copy.deepcopy(module), copy.deepcopy(args), dynamic_shapes=shapes_of(axes), strict=False
        )
    except GuardOnDataDependentSymNode:
        exported = torch.export.export(
            copy.deepcopy(module), copy.deepcopy(args), dynamic_shapes=shapes_of(axes), strict=True
        )
    return exported.module()
