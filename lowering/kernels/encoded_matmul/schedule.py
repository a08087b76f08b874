"""The schedule of encoded_matmul kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from terrace.dialects.base import attributes_of, element_type_of
from terrace.dialects.encodings import IntegerGroups, encoding_of
from terrace.lowering.kernels.alternatives import other_tiles
from terrace.lowering.kernels.matmul.schedule import ASSUMED_SIZE, HEIGHTS
from terrace.lowering.kernels.matmul.schedule import schedule_for_vectors as schedule_for_floats
from terrace.lowering.kernels.packing import Pack, Packing
from terrace.lowering.kernels.register_tile import RegisterTile, ranked_tiles
from terrace.lowering.kernels.schedule import Cut, Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.view import KernelView
from terrace.lowering.kernels.work_division import block_size, multiply_add_cycles, wanted_workgroups
from terrace.machine import VectorMachine
from terrace.mlir import DYNAMIC

UNIT = 16
"""Codes along k that are decoded together at the least, all of one group."""

DIRECT_ROWS = 8
"""So many rows at most are multiplied by columns as they are decoded; for more these go through a worker's memory."""

UNKNOWN_ROWS = 2
"""Rows at a time of a number that is known at run time only. One row, if there are no more, takes 1.4 times as long as
alone, and 128 rows 1.1 times as long as by way of a worker's memory (2048x2048, AMD EPYC 9005).
"""

LONGEST = 1 << 16
"""The longest row that a worker keeps, with the sums of its groups."""

WORD = 4
"""Bytes of a column that stand beside each other, where each is two codes."""

DEPTH = 8
"""Codes along k that a step decodes in registers: those of a word."""

FLOATS = TypeRule(("f32", "f32"), "f32", ("f32",))


def schedule_for_vectors(
    kernel: KernelView,
    machine: VectorMachine,
    direct_rows: int = DIRECT_ROWS,
    share: int = 4,
    tile: RegisterTile | None = None,
    block: int | None = None,
) -> Schedule:
    """Few rows meet columns that are decoded in registers; many, columns in a worker's memory, as a matmul's do.

    Sums of a group take one of so many shares of the registers. The `tile` of a matmul may be given, or the `block` of
    columns that are stored together.
    """
    space = kernel.space
    rows, columns = space.size("m"), space.size("n")
    if rows > direct_rows:
        if block is not None:
            ranked = ranked_tiles(space.known(ASSUMED_SIZE)["m"], columns, HEIGHTS, machine)
            tile = next((tile for tile in ranked if block % tile.columns == 0), tile)
        floats = schedule_for_floats(space, True, (False, False), FLOATS, machine, tile)
        if floats.staged:
            return dataclasses.replace(floats, cuts=(*_packed(kernel, block or floats.tile("n")), *floats.cuts))
    # Of float32 rows, and of the sums of groups, of which each has 16 elements or more.
    fitting = max(1, machine.near_bytes // (5 * space.size("k")))
    tile_rows = min(UNKNOWN_ROWS if rows == DYNAMIC else max(rows, 1), DIRECT_ROWS, fitting)
    # As many registers again for the sums of all groups.
    vectors = max(1, machine.vector_registers // share // tile_rows)
    width = block or machine.lanes * min(vectors, -(-columns // machine.lanes))
    tile_rows = min(tile_rows, max(1, machine.lanes * machine.vector_registers // share // width))
    cycles = multiply_add_cycles(tile_rows * columns * space.size("k"), machine)
    parts = wanted_workgroups(cycles, machine.workers)
    blocks = {"n": block_size(columns, width, parts), "m": tile_rows}
    tiles = {"m": tile_rows, "n": width, "k": DEPTH}
    direct = Schedule.of(tiles, blocks, ("n",) if blocks["n"] else (), staged=("lhs",))
    types = [str(element_type_of(value)) for value in kernel.root.operands]
    atom = machine.best_atom(("bf16", "bf16", "f32")) if types[0] == "bf16" and _has_words(kernel) else None
    return Schedule((*_packed(kernel, width), *direct.cuts), atom.name if atom else None)


def alternatives(kernel: KernelView, machine: VectorMachine) -> Iterator[Schedule]:
    """Columns decoded in the other place; fewer or more of them at a time; a matmul's other tiles."""
    rows, columns = kernel.space.size("m"), kernel.space.size("n")
    yield schedule_for_vectors(kernel, machine, 0 if rows <= DIRECT_ROWS else rows)
    for share in (8, 16, 3, 32):
        yield schedule_for_vectors(kernel, machine, share=share)
    if rows > DIRECT_ROWS:
        own = schedule_for_vectors(kernel, machine)
        ranked = ranked_tiles(rows, columns, HEIGHTS, machine)
        for tile in other_tiles(ranked, RegisterTile(own.tile("m"), own.tile("n"))):
            yield schedule_for_vectors(kernel, machine, tile=tile)


def _has_words(kernel: KernelView) -> bool:
    """Whether a byte holds several codes."""
    encoding = encoding_of(attributes_of(kernel.root).encoding)
    return isinstance(encoding, IntegerGroups) and encoding.per_byte > 1


def _packed(kernel: KernelView, width: int) -> tuple[Cut, ...]:
    """What is stored, in blocks of so many columns."""
    attrs = attributes_of(kernel.root)
    n_axis, k_axis = (0, 1) if attrs.transpose_rhs else (1, 0)
    order = (n_axis, k_axis)
    packed: dict[str, Packing] = {name: Pack(order, (n_axis,), (width,)) for name in kernel.operands[1:]}
    if _has_words(kernel):
        packed["rhs"] = Pack(order, order, (width, WORD))
    stored = kernel.operands[1 : len(kernel.root.operands)]
    return (Cut("device", enters={name: packed[name] for name in stored}),)
