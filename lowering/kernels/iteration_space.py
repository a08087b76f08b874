"""What a kernel iterates over, and where it reads and writes at each point."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from terrace.dialects.base import to_attribute, to_python
from terrace.mlir import DYNAMIC, ir


@dataclasses.dataclass(frozen=True)
class Axis:
    """Where a point of the space stands along an axis of a tensor: the sum of its dimensions, each times its step.

    A dimension that is not named does not move along the axis, nor does one of step 0: the axis has size 1 where other
    tensors have the dimension. `low` and `high` are how much a window may hang over the axis' begin and end: the place
    is less `low` then.
    """

    steps: Mapping[str, int]
    low: int = 0
    high: int = 0

    def once(self) -> Axis:
        """The same axis of a tensor that is broadcast along it."""
        return Axis(dict.fromkeys(self.steps, 0))

    def span(self, sizes: Mapping[str, int]) -> int:
        """How many elements of the axis, first to last, a box of these sizes reaches."""
        return 1 + sum(step * (sizes[name] - 1) for name, step in self.steps.items())


Access = tuple[Axis, ...]
"""The axes of a tensor. A tensor of fewer lacks those that nothing moves along; in a kernel it has them, of size 1."""


def along(*names: str) -> Access:
    """A tensor with an axis for each of these dimensions."""
    return tuple(Axis({name: 1}) for name in names)


def axes_of(access: Access, rank: int) -> Access:
    """The axes that a tensor of this rank has."""
    return access if len(access) == rank else tuple(axis for axis in access if any(axis.steps.values()))


def numbered(name: str, count: int) -> tuple[str, ...]:
    """The names of so many dimensions that may become one (`collapse`): the name itself for one, else with numbers."""
    return (name,) if count == 1 else tuple(f"{name}{number}" for number in range(count))


@dataclasses.dataclass(frozen=True)
class IterationSpace:
    """What a kernel iterates over: for each dimension its name, kind ("parallel", "reduction") and size or DYNAMIC.

    `accesses` says where the root's operands are read and, last, where its result is written. It is empty where that is
    no sum of dimensions, which stay apart then, and in a space that was read from text. `examples` are the sizes that
    the model was exported with, DYNAMIC where they are not known.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    sizes: tuple[int, ...]
    accesses: tuple[Access, ...] = dataclasses.field(default=(), compare=False)
    examples: tuple[int, ...] = dataclasses.field(default=(), compare=False)

    def size(self, name: str) -> int:
        return self.sizes[self.names.index(name)]

    def known(self, assumed: int = DYNAMIC) -> dict[str, int]:
        """The sizes by name; `assumed` stands for those that are known at run time only."""
        return {n: assumed if s == DYNAMIC else s for n, s in zip(self.names, self.sizes, strict=True)}

    def expected(self, assumed: int) -> dict[str, int]:
        """The sizes by name; those that are known at run time only are as in the example, or `assumed`."""
        sizes = self.known()
        for name, size in zip(self.names, self.examples or self.sizes, strict=True):
            if sizes[name] == DYNAMIC:
                sizes[name] = assumed if size == DYNAMIC else size
        return sizes

    def footprint(self, operand: int, sizes: Mapping[str, int]) -> int:
        """How many elements of an operand a box of these sizes reaches, what hangs over its edges included."""
        return math.prod(axis.span(sizes) for axis in self.accesses[operand])

    def to_attribute(self) -> ir.Attribute:
        return to_attribute({"names": list(self.names), "kinds": list(self.kinds), "sizes": list(self.sizes)})

    @staticmethod
    def from_attribute(attribute: ir.Attribute) -> IterationSpace:
        value = to_python(attribute)
        return IterationSpace(tuple(value["names"]), tuple(value["kinds"]), tuple(value["sizes"]))
