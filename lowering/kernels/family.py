"""A kernel family: all that is known of a kind of kernels, in one object. Each has a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from terrace.dialects.graph_base import TensorOp
from terrace.lowering.kernels.builder import LoopBuilder
from terrace.lowering.kernels.collapse import Collapse
from terrace.lowering.kernels.group import Group
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.packing import Packing
from terrace.lowering.kernels.schedule import DIRECT, Schedule
from terrace.lowering.kernels.type_rule import TypeRule, all_in, types_of
from terrace.lowering.kernels.view import KernelView
from terrace.machine import Machine
from terrace.mlir import ir


class KernelFamily:
    """A kind of kernels: which groups become one, how they are cut, and the loops that they become.

    A subclass fills in what differs; an instance has no state.
    """

    name: ClassVar[str]
    """The word in `kernel.schedule`."""
    roots: ClassVar[tuple[type[TensorOp], ...]]
    """The ops that make a group one of the family's. No other family has them."""
    fusing_roots: ClassVar[tuple[type[TensorOp], ...]] = ()
    """The roots that `fuse-epilogue` fuses with the elementwise ops that follow."""
    takes_epilogue: ClassVar[bool] = True
    """Whether a kernel may have elementwise ops after its root."""
    updates_first: ClassVar[bool] = False
    """Whether a kernel's only result is the memory of the root's first operand, which it updates in place."""
    operands: ClassVar[tuple[str, ...]] = ()
    """The names of the root's operands, in order, as `staged` of a schedule and `terrace-explain` say them."""
    follows_examples: ClassVar[bool] = False
    """Whether a schedule is chosen for the sizes that the model was exported with, where only a call knows them. An
    image's sides say what the model is for; an example's one or two rows say nothing of a batch."""
    any_rank: ClassVar[bool] = False
    """Whether a kernel may have any number of numbered dimensions, which then stay apart where an input of the epilogue
    is read along some of them. Else they become one, and such an input is made as large as the result."""
    types: ClassVar[Mapping[type[TensorOp], Sequence[TypeRule]]] = {}
    """The element types that a root may have beside those that are computed in f32."""
    wide_types: ClassVar[tuple[str, ...]] = ()
    """The types beside f32 that a root may be computed in as a whole, where the target reduces them."""
    schedules: ClassVar[Mapping[type[Machine], Callable[[KernelView, Any], Schedule]]]
    """What chooses a kernel's schedule, by the kind of machine; on another kind the family is not used."""
    variants: ClassVar[tuple[str, ...]] = (DIRECT,)
    """The ways to compute the root that a schedule may name."""
    rounding_variants: ClassVar[tuple[str, ...]] = ()
    """Those of them that round more than the others, and can be turned off."""
    variant_schedules: ClassVar[Mapping[type[Machine], Callable[[KernelView, Schedule, Any, bool], Schedule]]] = {}
    """What may choose another variant than the schedule of the direct one that it is given, likewise; it is told
    whether `rounding_variants` are allowed."""
    alternatives: ClassVar[Mapping[type[Machine], Callable[[KernelView, Schedule, Any], Iterable[Schedule]]]] = {}
    """What else than the chosen schedule, which it is given, is worth measuring: the most promising first, likewise.

    Some may be no schedules that the kernel can follow, or equal."""
    packed_schedules: ClassVar[Mapping[type[Machine], Callable[[KernelView, Packing, Any], Schedule | None]]] = {}
    """What may choose a schedule that reads a shared weight as another kernel does, likewise; None if there is none."""
    assumed_size: ClassVar[int] = 128
    """What a size that is known at run time only is taken for where schedules are measured."""
    words: ClassVar[str] = "chosen by rule, not by comparing candidates"
    """How `terrace-explain` says in a line why a tile is as large as it is."""

    def must_copy_first(self, root: ir.Operation) -> bool:
        """Whether a kernel with `updates_first` needs a copy of the root's first operand, which is read elsewhere."""
        return False

    def refusal(self, root: ir.Operation) -> str | None:
        """Why a group with this root, whose types are legal, is not taken, or None."""
        return None

    def type_rule(self, root: ir.Operation, reduced: Sequence[str]) -> TypeRule | None:
        """The rule of the root's element types; None if there are no such kernels.

        `reduced` are the types that the target reduces beside f32.
        """
        types = types_of(root)
        rules = self.types.get(type(root.opview), ())
        whole = [all_in(name, types) for name in ("f32", *self.wide_types) if name == "f32" or name in reduced]
        return next((rule for rule in (*whole, *rules) if rule is not None and rule.takes(types)), None)

    def collapsed_attributes(self, root: ir.Operation, collapse: Collapse) -> dict[str, ir.Attribute]:
        """The root's attributes that name axes, as they are in its kernel, whose dimensions became one so."""
        return {}

    def view_refusal(self, root: ir.Operation) -> str | None:
        """Why a root is no kernel on a target that has a part of a tensor at no cost, or None."""
        return None

    def result_sizes(self, group: Group, space: IterationSpace) -> list[ir.Value | int]:
        """The sizes of a group's results, computed from those of its inputs, at the current insertion point."""
        return group.sizes(group.results[0], space)

    def space(self, root: ir.Operation | None, result: Sequence[int]) -> IterationSpace:
        """The iteration space of a root, collapsed or not, whose group has a result of this shape."""
        raise NotImplementedError

    def generate(self, b: LoopBuilder, kernel: KernelView) -> None:
        """Emit the loops of a kernel that has a schedule. Refuses a schedule that it cannot follow."""
        raise NotImplementedError

    def explain_tile(self, kernel: KernelView, machine: Machine) -> list[str]:
        """Why the tile of a kernel is as large as it is, in lines."""
        tile = ", ".join(f"{name}={size}" for name, size in kernel.schedule.cut("register").sizes.items() if size > 1)
        return [f"tile: {tile or 'one element'} ({self.words})"]
