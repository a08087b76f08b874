"""What softmax and the norms are made of: passes over lines, which are what each is computed along."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from terrace.dialects.base import shape_of
from terrace.lowering.graph.payload_types import combine
from terrace.lowering.kernels.builder import Index, LoopBuilder
from terrace.lowering.kernels.view import KernelView, TilePlace, load_operand
from terrace.mlir import arith, ir

Element = Callable[[TilePlace], ir.Value]
"""What of each element is reduced or stored, as a function of where a tile of it stands."""

Step = Callable[[ir.Value, TilePlace], ir.Value]
"""A total and what joins it of the elements at a place, as a function on tiles."""


class Lines(ABC):
    """Some lines of the kernel's input, side by side, and passes over them.

    A statistic is a tile of the shape `statistic`: a number of each line, or the same one for several.
    """

    size: Index
    """The elements of a line."""
    statistic: tuple[int, ...]

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel, self.root = b, kernel, kernel.root
        self.element_type = kernel.accumulator

    @property
    def corrects_mean(self) -> bool:
        """Whether a norm makes up for what rounding the mean loses."""
        return True

    @abstractmethod
    def fold_all(self, kind: str, steps: Sequence[Step], type_: ir.Type | None = None) -> list[ir.Value]:
        """As `fold`, several in one pass. Sums are in blocks if the schedule says so."""

    @abstractmethod
    def finish(self, element: Element) -> None:
        """Compute the result at each place, run the epilogue, and store it."""

    @abstractmethod
    def repeat(self, number: ir.Value, like: ir.Value) -> ir.Value:
        """A statistic for each element of the tile `like`."""

    def fold(self, kind: str, element: Element, type_: ir.Type | None = None) -> ir.Value:
        """Each line reduced by `kind`, a statistic; `type_` is that of `element`, if not the kernel's own."""
        return self.fold_all(kind, [lambda total, place: combine(kind, total, element(place))], type_)[0]

    def kept(self, element: Element) -> tuple[Element, Element]:
        """What computes elements, and what gives them again in a later pass: reads them, or computes them again."""
        return element, element

    def input(self, place: TilePlace) -> ir.Value:
        return self.load(0, place)

    def load(self, operand: int, place: TilePlace) -> ir.Value:
        value = self.root.operands[operand]
        return load_operand(self.b, self.kernel.memory_of(value), shape_of(value), place)

    def number(self, value: float, type_: ir.Type | None = None) -> ir.Value:
        """A statistic that is the same for each line, of the type that the kernel computes in, or of another."""
        return self.b.splat(self.statistic, type_ or self.element_type, value)

    def mean(self, total: ir.Value) -> ir.Value:
        """Sums over the lines divided by their size."""
        if isinstance(self.size, int):
            return arith.mulf(total, self.number(1.0 / self.size))
        integer = ir.IntegerType.get_signless(64)
        count = arith.sitofp(self.element_type, arith.index_cast(integer, self.size))
        return arith.divf(total, self.b.spread(self.statistic, count))
