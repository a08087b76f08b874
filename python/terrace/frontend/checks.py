"""The checks that a graph makes while it runs, gathered from the passes over it and returned as its last result."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from terrace.checks import CODE_DTYPE, Check, CheckKind
from terrace.frontend.bodies import results_of
from terrace.frontend.inserter import Inserter
from terrace.frontend.size_names import SizeNames
from terrace.frontend.source import describe_frame, innermost_user_frame

aten = torch.ops.aten

CODE: torch.dtype = getattr(torch, CODE_DTYPE)

OP_NAMES: dict[Any, str] = {
    aten._assert_async.msg: "assert",
    aten._embedding_bag_forward_only.default: "embedding_bag",
    aten._local_scalar_dense.default: "item",
    aten.sym_size.int: "size",
}
"""What users call ops, where PyTorch has another name for them."""


MOST_FLAGS = 8
"""The checks whose results are looked at together: IREE makes one kernel of that and of what goes before, and binds no
more than 32 tensors to it."""


def first_of(insert: Inserter, numbered: list[tuple[int, torch.fx.Node]]) -> torch.fx.Node:
    """The number of the first flag that is true, or 0."""
    code: torch.fx.Node | None = None
    for number, flag in reversed(numbered):
        own = insert.call(aten.mul.Tensor, insert.call(aten._to_copy.default, flag, dtype=CODE), number)
        code = own if code is None else insert.call(aten.where.self, flag, own, code)
    assert code is not None
    return code


@dataclasses.dataclass
class Checks:
    """What the checks of a graph say, and for each the node of rank 0 that is true where it fails.

    `indexed` has the sizes that indices count in, and the indices' shapes: a size of 0 has no element to take in the
    place of one that is out of range, so there must be no index.
    """

    names: SizeNames
    checks: list[Check] = dataclasses.field(default_factory=list)
    flags: list[torch.fx.Node] = dataclasses.field(default_factory=list)
    indexed: list[tuple[Any, torch.Size]] = dataclasses.field(default_factory=list)

    def add(self, kind: CheckKind, has_failed: torch.fx.Node, message: str) -> None:
        """One check more; those that were added first are reported first."""
        self.checks.append(Check(kind, message))
        self.flags.append(has_failed)

    def return_code(self, graph: torch.fx.Graph) -> None:
        """Let `graph` return one value more, if there are checks: the number of the first that failed, from 1, or 0."""
        output = graph.output_node()
        insert = Inserter(graph, output)
        numbered = list(enumerate(self.flags, 1))
        codes = [first_of(insert, numbered[at : at + MOST_FLAGS]) for at in range(0, len(numbered), MOST_FLAGS)]
        if not codes:
            return
        code = codes[0]
        if len(codes) > 1:
            together = insert.call(aten.stack.default, codes)
            failed = insert.call(aten.ne.Scalar, together, 0)
            none = insert.call(aten.scalar_tensor.default, len(numbered) + 1, dtype=code.meta["val"].dtype)
            least = insert.call(aten.amin.default, insert.call(aten.where.self, failed, together, none))
            code = insert.call(aten.remainder.Scalar, least, len(numbered) + 1)
        output.args = ((*results_of(graph), code),)

    def place(self, node: torch.fx.Node) -> str:
        """`op at path:line` of a node, as the user knows it."""
        frame = innermost_user_frame(node.meta.get("stack_trace"))
        name = OP_NAMES.get(node.target) or getattr(node.target, "__name__", str(node.target)).partition(".")[0]
        return f"{name} at {describe_frame(frame)}" if frame else name
