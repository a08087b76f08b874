"""What is known at a place of a kernel while its circuit is made."""

from __future__ import annotations

from typing import Any

from terrace.lowering.target.rtl.circuit import Linear, Load, Memory, Node, Register, RegisterArray, Segment


class Work:
    """The segment that is being filled, and what its registers and memories hold at this place of the program."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.written: dict[Register, tuple[Node, Node]] = {}
        self.stores: dict[RegisterArray, list[tuple[Linear, Node, Node]]] = {}
        """Where, what and if of each store to registers."""
        self.versions: dict[Memory, int] = {}
        self.loaded: dict[Any, Load] = {}
        self.private: set[Register] = set()
        """Registers that each iteration has for itself: what they hold before a write is of no matter."""
