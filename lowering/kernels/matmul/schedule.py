"""The schedule of matmul and batch_matmul kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from terrace.element_types import ELEMENT_TYPES
from terrace.lowering.kernels.circuit_tile import COLUMNS, divisor, divisors, parts_of_axis, tiles_of_circuit
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.matmul.chunk import FEW_RESULTS, SHORT_CHUNK, chunk_of
from terrace.lowering.kernels.packing import PLAIN, Pack, Packing, PackWithSums, Sums
from terrace.lowering.kernels.register_tile import RegisterTile, best_tile
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.work_division import (
    BYTES_PER_CYCLE,
    block_size,
    multiply_add_cycles,
    round_up,
    wanted_workgroups,
)
from terrace.lowering.kernels.workgroup_tile import ACCUMULATORS, block_of_tiles, power_of_two
from terrace.machine import Atom, CircuitMachine, VectorMachine, WorkgroupMachine
from terrace.mlir import DYNAMIC

ASSUMED_SIZE = 128
"""What an unknown (`?`) size is taken for when tiles and blocks are chosen."""

STAGED_DEPTH = 16
"""The block of k that a workgroup keeps in local memory."""

STAGED_ROWS = 128
"""Rows of lhs that pay for a copy of the columns of rhs that they are multiplied by."""

PACKED_ROWS = 2
"""Rows of lhs that pay for packing the columns of rhs that they are multiplied by, for an atom: of 64 products of
[2, 512] by [512, 64] at 0.20 ms against 0.25 without, of [1, 512] at 0.20 both (AMD EPYC, Zen 4).
"""

WIDEST = 4
"""The most vectors of a tile's row."""

STAGED_PITCH = 2048
"""Bytes between rows of rhs from which on its columns are copied: half a page, so that few rows share one."""

HEIGHTS = range(1, 15)
"""The rows that a tile may have."""

ALIASED_PITCH = 4096
"""Rows of lhs at a multiple of so many bytes all fall on the same sets of the nearest cache, which has 8 ways."""


NEAR_BYTES = 64 << 10
"""Results of a few rows, of all columns, that are made before the next rows': so that lines which are written, or read
by an epilogue, in parts as wide as a tile are still near when their next part is. 3136x256 with a residual, k = 64,
took 0.53 ms in bf16 and not 0.94 (Xeon with AMX), 0.74 in float32 and not 0.87.
"""


def schedule_for_vectors(
    space: IterationSpace,
    transpose_rhs: bool,
    constant: Sequence[bool],
    rule: TypeRule,
    machine: VectorMachine,
    tile: RegisterTile | None = None,
    stages: bool | None = None,
) -> Schedule:
    """Choose tile, blocks, the packing of rhs and the step that multiplies.

    `constant` says for each argument whether it is a weight. `tile`, and whether it `stages` columns, may be given.
    """
    size = space.known(ASSUMED_SIZE)
    stages = stages_columns(space, transpose_rhs, constant, rule) if stages is None else stages
    aliased = stages and operand_bytes(rule) * size["k"] % ALIASED_PITCH == 0
    tile = tile or best_tile(size["m"], size["n"], range(1, 9) if aliased else HEIGHTS, machine)
    work = size.get("b", 1) * size["m"] * size["n"] * size["k"]
    is_ahead, types = is_packed(space, constant), (*rule.operands, rule.accumulator)
    atom = machine.best_atom(types, size["m"]) if is_ahead else _atom_of_workers(space, types, machine)
    if atom is not None and atom.block is not None:
        tile = _tile_of_blocks(size, atom.block)
    # Products of a few rows take as long as it takes to read the columns.
    read = operand_bytes(rule) * size.get("b", 1) * size["n"] * size["k"] / BYTES_PER_CYCLE
    cycles = max(read, multiply_add_cycles(work, machine, atom.speed if atom else 1.0))
    parts = wanted_workgroups(cycles, machine.workers)
    blocks: dict[str, int] = {}
    if "b" in size:
        blocks["b"] = 1
        parts = -(-parts // size["b"])
    near = rows_that_stay_near(space, tile, rule, machine) if is_ahead else 0
    # Columns first: each workgroup then reads its own part of the weights, once.
    columns = 0 if near else block_size(size["n"], tile.columns, parts)
    column_blocks = -(-size["n"] // columns) if columns else 1
    rows = max(near, block_size(size["m"], tile.rows, -(-parts // column_blocks)))
    blocks |= {name: block for name, block in (("n", columns), ("m", rows)) if block}
    packed = packed_rhs(space, transpose_rhs, constant, tile.columns, atom)
    staged: dict[str, Packing] = {}
    if stages or (atom is not None and not is_ahead):
        how = PLAIN if atom is None else _pack_for(atom, space, transpose_rhs, tile.columns)
        column = _held_bytes(rule) * size["k"] if atom is None else _packed_bytes(atom, size["k"])
        limit = machine.near_bytes // column // tile.columns * tile.columns
        if limit:
            wanted = blocks.get("n", 0) or (size["n"] if space.size("n") != DYNAMIC else limit)
            staged, blocks["n"] = {"rhs": how}, min(limit, round_up(wanted, tile.columns))
        else:
            cut = blocks_of_k(size, tile, rule, machine)
            staged = {"rhs": how} if cut else {}
            blocks |= {name: min(block, blocks.get(name, 0) or block) for name, block in cut.items()}
    shared = ("b", "m", "n") if parts > 1 or not near else ("b", "n")
    parallel = tuple(name for name in shared if blocks.get(name))
    depth = atom.block[2] if atom and atom.block else atom.depth if atom else 1
    tiles = {"n": tile.columns, "m": tile.rows, "k": depth}
    leaves = {"result": Sums()} if "k" in blocks else {}
    if atom is None and not leaves:
        blocks |= _short_sums(space, rule)
    return Schedule.of(tiles, blocks, parallel, packed, staged, leaves, atom.name if atom else None)


def schedule_for_workgroups(
    space: IterationSpace,
    transpose_rhs: bool,
    constant: Sequence[bool],
    rule: TypeRule,
    machine: WorkgroupMachine,
) -> Schedule:
    """A tile of the result per workgroup; blocks of both operands along k pass through local memory."""
    size = space.known(ASSUMED_SIZE)
    area = ACCUMULATORS * machine.workgroup_size
    rows = min(power_of_two(size["m"]), 1 << (area.bit_length() - 1) // 2)
    # Of a few rows a tile is narrow: the weights are what is read, by as many workgroups as there can be.
    columns = min(power_of_two(size["n"]), area // rows, machine.workgroup_size)
    depth = STAGED_DEPTH
    while depth > 1 and _held_bytes(rule) * depth * (rows + columns) > machine.local_bytes:
        depth //= 2
    blocks = {"m": rows, "n": columns, "k": depth}
    blocks |= {"b": block_of_tiles(1, space.size("b"))} if "b" in size else {}
    parallel = tuple(name for name in ("b", "m", "n") if name in blocks)
    packed = packed_rhs(space, transpose_rhs, constant, columns)
    return Schedule.of({"n": columns, "m": rows, "k": 1}, blocks, parallel, packed, ("lhs", "rhs"))


def schedule_for_circuit(space: IterationSpace, transpose_rhs: bool, constant: Sequence[bool]) -> Schedule:
    """Of floats: one row by some columns, whose weights for a step of k lie beside each other."""
    tiles = {"m": 1, "n": divisor(space.size("n"), COLUMNS), "k": 1}
    return Schedule.of(tiles, packed=packed_rhs(space, transpose_rhs, constant, tiles["n"]))


def schedules_for_circuit(
    space: IterationSpace, transpose_rhs: bool, constant: Sequence[bool], machine: CircuitMachine
) -> Iterator[Schedule]:
    """Of integers: some rows by some columns by some steps of k at once."""
    choices = {name: parts_of_axis(space.size(name), machine.widest) for name in ("n", "k")}
    choices["m"] = divisors(space.size("m"), machine.widest)
    for tile in tiles_of_circuit(space, choices):
        yield Schedule.of(tile, packed=packed_rhs(space, transpose_rhs, constant, tile["n"]))


def _tile_of_blocks(size: dict[str, int], block: tuple[int, int, int]) -> RegisterTile:
    """Two blocks by two, each of which is loaded once for two products; one where there is no more."""
    rows, columns, _ = block
    return RegisterTile(min(2, -(-size["m"] // rows)) * rows, min(2, -(-size["n"] // columns)) * columns)


def rows_that_stay_near(space: IterationSpace, tile: RegisterTile, rule: TypeRule, machine: VectorMachine) -> int:
    """The rows of a block that goes over all columns before the next one; 0 where weights or results are too many or
    too few: weights that the second cache holds are read again for each block.
    """
    rows, columns, depth = (space.size(name) for name in ("m", "n", "k"))
    if DYNAMIC in (rows, columns, depth) or columns <= tile.columns:
        return 0
    row_bytes = ELEMENT_TYPES[rule.accumulator].bytes * columns
    weights, block = operand_bytes(rule) * columns * depth, max(NEAR_BYTES // row_bytes // tile.rows, 1) * tile.rows
    pays = weights <= machine.l2_bytes // 2 and rows * row_bytes > machine.l2_bytes // 4
    return block if pays and block < rows else 0


def _short_sums(space: IterationSpace, rule: TypeRule) -> dict[str, int]:
    """The block of k that is summed at a time where results are few; none where that is all of it."""
    rows, columns, depth = (space.size(name) for name in ("m", "n", "k"))
    are_few = DYNAMIC not in (rows, columns) and rows * columns <= FEW_RESULTS
    if not are_few or ELEMENT_TYPES[rule.accumulator].kind != "float" or 0 <= depth <= SHORT_CHUNK:
        return {}
    return {"k": SHORT_CHUNK if depth == DYNAMIC else chunk_of(depth, longest=SHORT_CHUNK)}


def stages_columns(space: IterationSpace, transpose_rhs: bool, constant: Sequence[bool], rule: TypeRule) -> bool:
    """Whether a worker copies the columns of rhs that it multiplies by, once for all rows.

    It does where a column lies along memory, so that neighbours are apart, and where rows of the columns of a tile are
    on pages of their own, if there are rows enough.
    """
    if is_packed(space, constant) or space.size("k") == DYNAMIC:
        return False
    size = space.known(ASSUMED_SIZE)
    apart = "b" not in size and size["m"] >= STAGED_ROWS and operand_bytes(rule) * size["n"] >= STAGED_PITCH
    return transpose_rhs or apart


def blocks_of_k(size: dict[str, int], tile: RegisterTile, rule: TypeRule, machine: VectorMachine) -> dict[str, int]:
    """The blocks of a product whose columns, as long as k, exceed a worker's memory; none if it is too small for any.

    It holds the columns of two tiles for a chunk of k, and the sums of as many rows as there is room for.
    """
    chunk, sum_bytes = chunk_of(size["k"]), ELEMENT_TYPES[rule.accumulator].bytes
    for columns in (2 * tile.columns, tile.columns):
        room = machine.near_bytes // columns - _held_bytes(rule) * chunk
        most = room // sum_bytes // tile.rows * tile.rows
        if most > 0 and chunk < size["k"]:
            parts = -(-size["m"] // most)
            return {"n": columns, "m": round_up(-(-size["m"] // parts), tile.rows), "k": chunk}
    return {}


def operand_bytes(rule: TypeRule) -> int:
    """What an element of an operand takes."""
    return ELEMENT_TYPES[rule.operands[0]].bytes


def _held_bytes(rule: TypeRule) -> int:
    """What an element of an operand takes in local memory."""
    return ELEMENT_TYPES[rule.operands[0]].held.bytes


def is_packed(space: IterationSpace, constant: Sequence[bool]) -> bool:
    """Whether rhs is a weight that can be packed ahead."""
    return constant[1] and "b" not in space.names and DYNAMIC not in (space.size("n"), space.size("k"))


def packed_rhs(
    space: IterationSpace, transpose_rhs: bool, constant: Sequence[bool], columns: int, atom: Atom | None = None
) -> dict[str, Packing]:
    """Weights in blocks of as many columns as a tile has, with the neighbours along k that an atom takes together."""
    if not is_packed(space, constant):
        return {}
    if atom is not None:
        return {"rhs": _pack_for(atom, space, transpose_rhs, columns)}
    n_axis, k_axis = (0, 1) if transpose_rhs else (1, 0)
    return {"rhs": Pack((n_axis, k_axis), (n_axis,), (columns,))}


def _pack_for(atom: Atom, space: IterationSpace, transpose_rhs: bool, columns: int) -> Pack:
    """Blocks of so many columns in which the neighbours along k that an atom takes stand together."""
    rank = len([name for name in space.names if name.startswith("b")])
    n_axis, k_axis = (rank, rank + 1) if transpose_rhs else (rank + 1, rank)
    kind = PackWithSums if atom.unsigned_lhs else Pack
    return kind((*range(rank), n_axis, k_axis), (n_axis, k_axis), (columns, atom.depth))


def _atom_of_workers(space: IterationSpace, types: tuple[str, ...], machine: VectorMachine) -> Atom | None:
    """The step for which workers pack columns of rhs themselves, at every call; None where that does not pay, or the
    columns of a tile exceed a worker's memory.
    """
    n, k, rows = space.size("n"), space.size("k"), space.known(ASSUMED_SIZE)["m"]
    atom = machine.best_atom(types)
    if atom is None or not atom.unsigned_lhs or min(n, k) < 1 or rows < PACKED_ROWS:
        return None
    return atom if WIDEST * machine.lanes * _packed_bytes(atom, k) <= machine.near_bytes else None


def _packed_bytes(atom: Atom, k: int) -> int:
    """What a column takes in the memory of a worker that packs it, with its sum."""
    operand, _, total = atom.types
    return ELEMENT_TYPES[operand].bytes * round_up(k, atom.depth) + ELEMENT_TYPES[total].bytes
