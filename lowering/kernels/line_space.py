"""The iteration space of kernels that work along one axis of a tensor."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.lowering.kernels.iteration_space import Axis, IterationSpace, along, numbered


def line_space(axis: int, shape: Sequence[int]) -> IterationSpace:
    """Rows m along n, the last axis; or lines along n, with l behind them. Before the first axis m has size 1.

    The only operand is read, and the result written, as a whole.
    """
    outer, behind = numbered("m", max(1, axis)), len(shape) - axis - 1
    inner = numbered("l", behind) if behind else ()
    whole = (*(Axis({name: int(axis > 0)}) for name in outer), *along("n", *inner))
    names = (*outer, "n", *inner)
    kinds = ("parallel",) * len(outer) + ("reduction",) + ("parallel",) * len(inner)
    return IterationSpace(names, kinds, (1, *shape)[-len(names) :], (whole, whole))
