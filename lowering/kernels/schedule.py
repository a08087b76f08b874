"""The schedule of a kernel as dataclasses; the same content as the `schedule` attribute of `kernel.schedule`.

A schedule is a list of cuts, outermost first. Each says what part of the iteration space one level of memory holds at
a time, in which order the parts follow each other, and how operands are laid out as they come in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from terrace.dialects.base import to_attribute, to_python
from terrace.lowering.kernels.packing import Copy, Packing, packing_of
from terrace.mlir import ir

DIRECT = "direct"
"""The variant of a family that has no other, and of a schedule that names none: the sums as the op defines them."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """A level of memory, and the part of the iteration space that it holds.

    `sizes` are the part's, in the order of the loops over the parts, outermost first; what it does not name is not cut
    here. `parallel` are spread over the level's units. `enters` says how operands, by name, are laid out in it, and
    `leaves` in which form results do before they are whole.
    """

    memory: str
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    parallel: tuple[str, ...] = ()
    enters: Mapping[str, Packing] = dataclasses.field(default_factory=dict)
    leaves: Mapping[str, Packing] = dataclasses.field(default_factory=dict)

    def to_attribute(self) -> ir.Attribute:
        fields: dict[str, object] = {"memory": self.memory}
        if self.sizes:
            fields |= {"order": list(self.sizes), "sizes": list(self.sizes.values())}
        if self.parallel:
            fields["parallel"] = list(self.parallel)
        for key, packings in (("enters", self.enters), ("leaves", self.leaves)):
            if packings:
                fields[key] = {name: {how.name: how.attributes} for name, how in packings.items()}
        return to_attribute(fields)

    @staticmethod
    def of(value: Mapping[str, Any]) -> Cut:
        """A cut of what the dialect has verified."""
        enters, leaves = (
            {name: packing_of(*next(iter(how.items()))) for name, how in value.get(key, {}).items()}
            for key in ("enters", "leaves")
        )
        sizes = dict(zip(value.get("order", ()), value.get("sizes", ()), strict=True))
        return Cut(value["memory"], sizes, tuple(value.get("parallel", ())), enters, leaves)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a kernel is cut: the cuts, outermost first, without those that say nothing.

    `atom` is the step of the machine that multiplies, where it is not a multiply-add. `variant` is the way in which the
    family computes its op, where it has several.
    """

    cuts: tuple[Cut, ...] = ()
    atom: str | None = None
    variant: str = DIRECT

    @staticmethod
    def of(
        tile: Mapping[str, int],
        block: Mapping[str, int] | None = None,
        parallel: Sequence[str] = (),
        packed: Mapping[str, Packing] | None = None,
        staged: Sequence[str] | Mapping[str, Packing] = (),
        leaves: Mapping[str, Packing] | None = None,
        atom: str | None = None,
        variant: str = DIRECT,
    ) -> Schedule:
        """The cuts that cost models choose: operands `packed` before the kernel runs, a `block` that one worker or
        workgroup takes, 0 for all of a dimension, with what is `staged` in its memory and what `leaves` it in parts,
        and a `tile` for registers.
        """
        entering = staged if isinstance(staged, Mapping) else dict.fromkeys(staged, Copy())
        ordered = {name: size for name, size in {**dict.fromkeys(parallel, 0), **(block or {})}.items() if size}
        cuts = (
            Cut("device", enters=packed or {}),
            Cut("local", ordered, tuple(parallel), entering, leaves or {}),
            Cut("register", tile),
        )
        return Schedule(tuple(cut for cut in cuts if cut.sizes or cut.enters or cut.leaves), atom, variant)

    def cut(self, memory: str) -> Cut:
        """The cut of a level; one that says nothing if there is none."""
        return next((cut for cut in self.cuts if cut.memory == memory), Cut(memory))

    def with_cut(self, new: Cut) -> Schedule:
        """The schedule with another cut for a level of memory that it has one for."""
        return dataclasses.replace(self, cuts=tuple(new if cut.memory == new.memory else cut for cut in self.cuts))

    def tile(self, name: str) -> int:
        """The size of a dimension that registers hold; 1 where it is not cut for them."""
        return self.cut("register").sizes.get(name, 1)

    def block(self, name: str) -> int:
        """The size of a dimension that a worker or workgroup takes; 0 for all of it."""
        return self.cut("local").sizes.get(name, 0)

    @property
    def packed(self) -> Mapping[str, Packing]:
        """How operands are laid out before the kernel runs."""
        return self.cut("device").enters

    @property
    def staged(self) -> tuple[str, ...]:
        """The operands that a worker or workgroup copies into memory of its own."""
        return tuple(self.cut("local").enters)

    @property
    def leaving(self) -> tuple[str, ...]:
        """The results that a worker or workgroup adds up in memory of its own."""
        return tuple(self.cut("local").leaves)

    def to_attribute(self) -> ir.Attribute:
        fields: dict[str, object] = {} if self.atom is None else {"atom": self.atom}
        fields["cuts"] = [cut.to_attribute() for cut in self.cuts] or ir.ArrayAttr.get([])
        if self.variant != DIRECT:
            fields["variant"] = self.variant
        return to_attribute(fields)

    @staticmethod
    def from_attribute(attribute: ir.Attribute) -> Schedule:
        value = to_python(attribute)
        return Schedule(tuple(map(Cut.of, value["cuts"])), value.get("atom"), value.get("variant", DIRECT))
