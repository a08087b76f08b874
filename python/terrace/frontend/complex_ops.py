"""Which nodes of a graph have complex tensors, and by which rule each becomes real ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

import torch
from torch.fx.node import Argument, Target

from terrace.frontend.complex_pairs import Pair
from terrace.frontend.complex_rules import RULES
from terrace.frontend.fourier import FOURIER

COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd


def is_complex(value: Argument | Pair) -> TypeGuard[torch.Tensor]:
    return isinstance(value, torch.Tensor) and value.is_complex()


def leaves_of(value: Argument | Pair | Sequence[Argument | Pair]) -> Iterator[Any]:
    """The elements of nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves_of(item)
    else:
        yield value


def gives_complex(node: torch.fx.Node) -> bool:
    return any(is_complex(value) for value in leaves_of(node.meta.get("val")))


def touches_complex(node: torch.fx.Node) -> bool:
    """Whether an operand or result of a node is a complex tensor."""
    return any(gives_complex(value) for value in (node, *node.all_input_nodes))


def rule_of(target: Target) -> Callable[..., Any] | None:
    """What makes real ops of an op on complex tensors: a rule for the overload, or for all of them."""
    tables = FOURIER, RULES
    packet = getattr(target, "overloadpacket", target)
    return next((table[key] for key in (target, packet) for table in tables if key in table), None)


def composite_ops_of_complex(graph: torch.fx.Graph) -> set[Any]:
    """The composite ops of complex tensors that have no rule, but may consist of ops that have one.

    A Fourier transform may have complex tensors inside alone.
    """
    ops = {
        node.target
        for node in graph.nodes
        if isinstance(node.target, torch._ops.OpOverload)
        and (touches_complex(node) or node.target.overloadpacket.__name__.startswith("fft_"))
    }
    return {op for op in ops if op.has_kernel_for_dispatch_key(COMPOSITE) and rule_of(op) is None}
