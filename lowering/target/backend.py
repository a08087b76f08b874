"""A target: what makes a program of kernels, and of what is no kernel. Each is a class in a folder of its own."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from terrace.errors import TargetError
from terrace.lowering.kernels.group import KERNEL_TYPES
from terrace.machine import VectorMachine
from terrace.mlir import func, ir
from terrace.passes import Pass
from terrace.target import TARGETS, Target, registered

if TYPE_CHECKING:
    from terrace.compiler.request import Request

Source = Callable[[], np.ndarray]
"""The value of a parameter, computed or found when it is asked for."""


@dataclasses.dataclass(frozen=True)
class Backend:
    """A resolved target. A subclass fills in what differs."""

    target: Target

    level: ClassVar[str]
    """The level below "loop", whose text becomes the program."""
    legal: ClassVar[tuple[str, ...]]
    """The names of the ops that are legal there, or the prefixes of their names up to the dot."""
    families: ClassVar[tuple[str, ...]] = ()
    """The kernel families that it uses."""
    element_types: ClassVar[tuple[str, ...]] = KERNEL_TYPES
    """The element types that its kernels compute with."""
    reduced_types: ClassVar[tuple[str, ...]] = ()
    """The element types that its reductions take beside f32."""
    apart: ClassVar[tuple[str, ...]] = ()
    """The ops that join no contraction."""
    has_views: ClassVar[bool] = False
    """Whether parts of a tensor that are runs of memory cost nothing in its programs."""
    takes_entries: ClassVar[bool] = True
    """Whether a program of it may have several functions that are called."""
    checks_indices: ClassVar[bool] = True
    """Whether its programs can say that an index is out of range."""
    has_assembly: ClassVar[bool] = False
    """Whether `assembly` gives any."""

    @classmethod
    def reads(cls, text: str) -> bool:
        """Whether a text is one of its programs, which our MLIR cannot read."""
        return False

    @classmethod
    def interface(cls, text: str, name: str | None = None) -> str:
        """Such a program's globals and functions, in terms that our MLIR reads; `name` is the file that it is of."""
        raise NotImplementedError

    @classmethod
    def is_program(cls, module: ir.Operation) -> bool:
        """Whether a module that our MLIR has read is one of its programs, or the interface of one."""
        return False

    @classmethod
    def program_types(cls, main: func.FuncOp) -> tuple[Sequence[ir.Type], Sequence[ir.Type]]:
        """What @main of such a module takes and gives."""
        return main.type.inputs, main.type.results

    @classmethod
    def program_parameters(cls, module: ir.Operation) -> dict[str, ir.Type]:
        """What such a module reads from outside, by name."""
        raise NotImplementedError

    @property
    def machine(self) -> VectorMachine | None:
        """The cores whose numbers its cost model compares schedules by; None where there are none."""
        return None

    def precision(self, request: Request) -> str:
        """What operands of float32 products by weights are rounded to, by MLIR's name, or the parts that they are split
        into (`split_contractions.PARTS`); sums stay float32.

        Requests for which that is one have one program.
        """
        return "f32"

    def schedule(self, request: Request | None = None) -> list[Pass]:
        """The passes that choose schedules, as a request asks for them."""
        return []

    def rest(self) -> list[Pass]:
        """The passes that prepare, at the level "loop", what is no kernel."""
        raise NotImplementedError

    def lower(self) -> list[Pass]:
        """The passes from the level "loop" to its own."""
        raise NotImplementedError

    def kernel_passes(self) -> list[Pass] | None:
        """The passes that make the last code of ours of a kernel's loops; None if the text of its level shows that."""
        return None

    def assembly(self, text: str, flags: Sequence[str]) -> str:
        """The assembly of all functions in a text of its level."""
        raise NotImplementedError

    def iree_flags(self, module: ir.Operation | None = None) -> list[str]:
        """What iree-compile is told of the target, for the program that a module becomes; None for any."""
        return []

    def text(self, module: ir.Operation) -> str:
        """The text of a module at its level."""
        raise NotImplementedError

    def link(self, text: str, flags: Sequence[str], parameters: Mapping[str, Source]) -> tuple[bytes, set[str]]:
        """The program, and the names of the parameters that it reads at run time."""
        raise NotImplementedError


@functools.cache
def find_backend(name: str) -> type[Backend]:
    """The class of a target's backend. Raises TargetError if it cannot be had."""
    found = registered(name)
    if found is None:
        raise TargetError(f"there is no target '{name}'")
    place = found.backend
    module, _, attribute = place.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TargetError(f"target '{name}', {place}, cannot be imported: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Backend)):
        raise TargetError(f"target '{name}', {place}, is no subclass of {Backend.__module__}.Backend")
    return kind


def backends(names: Iterable[str] = ()) -> Iterable[type[Backend]]:
    """The classes of these targets' backends, or of all of Terrace's; each is imported when it is come to."""
    return map(find_backend, dict.fromkeys(names) or TARGETS)


def backend_of(target: Target) -> Backend:
    """What compiles for a resolved target."""
    return find_backend(target.name)(target)
