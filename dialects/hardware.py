"""Discardable attributes of the loop dialect that say how hardware runs loops and keeps arrays.

They change speed and resources only: without them the same loops give the same result.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from terrace.dialects.base import to_attribute
from terrace.mlir import ir

WORKGROUP_SIZE = "loop.workgroup_size"
"""The attribute of a loop function lowered for a GPU: how many invocations a workgroup has, along x."""

SUBGROUP_SIZE = "loop.subgroup_size"
"""The attribute of a loop function lowered for a GPU: how many invocations run in step; absent if left open."""

PIPELINE = "loop.pipeline"
UNROLL = "loop.unroll"
PARTITION = "loop.partition"
COPIES = "loop.copies"
RANGE = "loop.range"
DATAFLOW = "loop.dataflow"
STREAM = "loop.stream"
HARDWARE_ATTRIBUTES = {
    PIPELINE: "on scf.for: an iteration starts every so many cycles (initiation interval); inner loops are unrolled",
    UNROLL: "on scf.for: so many iterations run at once; divides the trip count",
    PARTITION: "on memref.alloca, memref.alloc or an argument's attributes: {kind, factor, dim} makes banks of it:"
    " kind is cyclic, block or complete (no factor), dim counts from 1, and 0 with complete means every dimension",
    COPIES: "on memref.alloca, memref.alloc or an argument's attributes: so many memories with the same elements, each"
    " with a port to read; a write goes to all",
    RANGE: "on an argument's attributes: [low, high], between which all its elements are, as integers with a sign",
    DATAFLOW: "on func.func: its calls run at once, each on what those before it have finished",
    STREAM: "on memref.alloc between two calls of a dataflow function: a queue of this depth instead of an array",
}
"""What `verify-hardware-attributes` checks."""


class Partition(TypedDict):
    """The value of `loop.partition`, as Python has it."""

    kind: str
    dim: int
    factor: NotRequired[int]


PARTITION_KINDS = ("block", "complete", "cyclic")


def partition_attribute(kind: str, dim: int, factor: int | None = None) -> ir.Attribute:
    """The value of `loop.partition`."""
    return to_attribute({"kind": kind, "dim": dim, **({} if factor is None else {"factor": factor})})
