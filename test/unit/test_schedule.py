"""The cost models as functions: what they choose fits the hardware that the description tells of."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from terrace.dialects.base import Attributes
from terrace.dialects.context import create_context
from terrace.element_types import F32
from terrace.lowering.kernels.conv2d import schedule as conv2d
from terrace.lowering.kernels.conv2d.schedule import WIDEST_IN_PLACE
from terrace.lowering.kernels.conv2d.space import conv2d_space
from terrace.lowering.kernels.elementwise import schedule as elementwise
from terrace.lowering.kernels.iteration_space import IterationSpace
from terrace.lowering.kernels.matmul import schedule as matmul
from terrace.lowering.kernels.matmul.chunk import FEW_RESULTS, SHORT_CHUNK
from terrace.lowering.kernels.packing import Pack, Pad
from terrace.lowering.kernels.register_tile import (
    RegisterTile,
    best_tile,
    candidates,
    cover_cycles,
    fits_registers,
    ranked_tiles,
    step_cycles,
)
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.type_rule import TypeRule
from terrace.lowering.kernels.work_division import WORKGROUPS_PER_WORKER, block_size, wanted_workgroups
from terrace.mlir import DYNAMIC, ir
from terrace.target import CpuDescription

FLOATS = TypeRule(("f32", "f32"), "f32", ("f32",))
CPUS = [
    CpuDescription(),
    CpuDescription(workers=8),
    CpuDescription(vector_bits=256, vector_registers=16, workers=4),
    CpuDescription(vector_bits=128, vector_registers=16, fma_per_cycle=1, local_bytes=48 << 10),
]
SIZES = (1, 3, 8, 33, 64, 384, 3072, DYNAMIC)


def matmul_space(m: int, n: int, k: int, batch: int | None = None) -> IterationSpace:
    sizes = (m, n, k) if batch is None else (batch, m, n, k)
    names = ("m", "n", "k") if batch is None else ("b", "m", "n", "k")
    return IterationSpace(names, ("parallel",) * (len(names) - 1) + ("reduction",), sizes)


def conv(image: list[int], weight: list[int], cpu: CpuDescription, constant: bool = True, **attrs: Any) -> Schedule:
    """The schedule of a convolution of this NHWC image; all attributes not given are neutral."""
    given = {"strides": [1, 1], "padding": [0, 0, 0, 0], "dilations": [1, 1], "groups": 1, **attrs}
    kh, kw = weight[2:]
    top, bottom, left, right = given["padding"]
    rows, columns = (
        DYNAMIC if size == DYNAMIC else (size + pad - d * (k - 1) - 1) // s + 1
        for size, pad, k, s, d in zip(
            image[1:3], (top + bottom, left + right), (kh, kw), given["strides"], given["dilations"], strict=True
        )
    )
    space = conv2d_space(Attributes(given), weight, (image[0], rows, columns, weight[0]))
    return conv2d.schedule_for_vectors(space, Attributes(given), image, (False, constant), F32, cpu)


def check(schedule: Schedule, cpu: CpuDescription) -> None:
    """What holds for any schedule: blocks of whole tiles, and no more parallel dimensions than workgroups have.

    In one workgroup, blocks of rows may follow each other."""
    local = schedule.cut("local")
    for name, block in local.sizes.items():
        assert block > 0 and block % schedule.tile(name) == 0, name
    in_turn = {"k"} if local.parallel else {"k", "m"}
    assert set(local.parallel) == set(local.sizes) - in_turn and len(local.parallel) <= 3


# -- tiles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpu", CPUS)
def test_candidates_are_all_tiles_that_fit(cpu: CpuDescription) -> None:
    tiles = candidates(range(1, 40), cpu)
    assert all(fits_registers(tile, cpu) for tile in tiles)
    assert RegisterTile(1, cpu.lanes) in tiles
    assert not fits_registers(RegisterTile(cpu.vector_registers, cpu.lanes), cpu)


def test_the_tile_of_a_large_product_hides_the_latency() -> None:
    cpu = CpuDescription()
    tile = best_tile(4096, 4096, range(1, 15), cpu)
    accumulators = tile.rows * tile.columns // cpu.lanes
    assert accumulators >= cpu.fma_latency * cpu.fma_per_cycle
    assert step_cycles(tile.rows, tile.columns, cpu) == accumulators / cpu.fma_per_cycle


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("rows", "columns"), list(itertools.product((1, 2, 7, 56), (1, 5, 17, 64))))
def test_no_candidate_covers_in_fewer_cycles(cpu: CpuDescription, rows: int, columns: int) -> None:
    chosen = best_tile(rows, columns, range(1, 15), cpu)
    assert chosen.rows <= rows and fits_registers(chosen, cpu)
    fewest = min(cover_cycles(rows, columns, t, cpu) for t in candidates(range(1, rows + 1), cpu) if t.rows <= 14)
    assert cover_cycles(rows, columns, chosen, cpu) == fewest


# -- work -------------------------------------------------------------------------------------------------------------


def test_numbers_of_a_core_follow_from_its_features() -> None:
    """Zen 4 works on 512 bits in two steps; Zen 5, and Intel's cores, on two vectors at once."""
    of = CpuDescription.of_features
    assert of(["avx2", "fma", "avx512f", "sse4a"]).fma_per_cycle == 1
    assert of(["avx2", "fma", "avx512f", "sse4a", "avxvnni"]).fma_per_cycle == 2
    assert of(["avx2", "fma", "avx512f"]).fma_per_cycle == of(["avx2", "fma"]).fma_per_cycle == 2


def test_workgroups() -> None:
    assert wanted_workgroups(10**9, workers=1) == 1
    assert wanted_workgroups(10, workers=8) == 1
    assert wanted_workgroups(10**12, workers=8) == 8 * WORKGROUPS_PER_WORKER


def test_block_size_cuts_whole_tiles() -> None:
    assert block_size(100, 8, 1) == 0
    assert block_size(7, 8, 4) == 0
    for size, tile, parts in itertools.product((9, 64, 1000), (1, 7, 8), (2, 3, 100)):
        block = block_size(size, tile, parts)
        assert block % tile == 0 and math.ceil(size / block) <= parts


# -- families ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("transposed", [False, True])
def test_matmul(cpu: CpuDescription, transposed: bool) -> None:
    for m, n, k, batch, weight in itertools.product(SIZES, SIZES, (1, 64, 5000, DYNAMIC), (None, 12), (True, False)):
        schedule = matmul.schedule_for_vectors(matmul_space(m, n, k, batch), transposed, [False, weight], FLOATS, cpu)
        check(schedule, cpu)
        tile = RegisterTile(schedule.tile("m"), schedule.tile("n"))
        assert fits_registers(tile, cpu)
        if schedule.staged:
            assert k != DYNAMIC
            depth, rows = (schedule.block("k"), schedule.block("m")) if schedule.leaving else (k, 0)
            assert 4 * (depth + rows) * schedule.block("n") <= cpu.local_bytes
        # Of few results k is summed in blocks, too.
        is_short = DYNAMIC not in (m, n) and m * n <= FEW_RESULTS and (k == DYNAMIC or k > SHORT_CHUNK)
        assert bool(schedule.block("k")) == (bool(schedule.leaving) or is_short)
        if schedule.packed:
            assert weight and batch is None and DYNAMIC not in (n, k)
            packing = schedule.packed["rhs"]
            assert isinstance(packing, Pack) and packing.inner_tiles == (tile.columns,)


CONVS: list[tuple[list[int], list[int], dict[str, Any]]] = [
    ([1, 56, 56, 64], [64, 64, 3, 3], {"padding": [1, 1, 1, 1]}),
    ([8, 224, 224, 3], [64, 3, 7, 7], {"padding": [3, 3, 3, 3], "strides": [2, 2]}),
    ([1, 7, 7, 512], [512, 512, 3, 3], {"padding": [1, 1, 1, 1]}),
    ([1, 512, 512, 64], [64, 64, 3, 3], {"padding": [1, 1, 1, 1]}),
    ([1, 512, 512, 256], [8, 256, 5, 5], {"padding": [2, 2, 2, 2]}),
    ([1, 112, 112, 96], [96, 1, 3, 3], {"padding": [1, 1, 1, 1], "groups": 96}),
    ([1, 7, 7, 2048], [2048, 1, 31, 31], {"padding": [15, 15, 15, 15], "groups": 2048}),
    ([1, 28, 28, 64], [128, 16, 3, 3], {"groups": 4}),
    ([DYNAMIC, 56, 56, 64], [64, 64, 3, 3], {"padding": [1, 1, 1, 1]}),
    ([1, DYNAMIC, DYNAMIC, 16], [16, 16, 3, 3], {"padding": [1, 1, 1, 1]}),
    ([1, 8, 1, 16], [1, 16, 1, 1], {}),
]


def staged_bytes(schedule: Schedule, image: list[int], weight: list[int], attrs: dict[str, Any]) -> int:
    """What the generator allocates: the rows of a block and all columns that the windows span, 32 bits each."""
    strides, (top, bottom, left, right) = attrs.get("strides", [1, 1]), attrs["padding"]
    rows = schedule.block("oh") or (image[1] + top + bottom - weight[2]) // strides[0] + 1
    columns = (image[2] + left + right - weight[3]) // strides[1] + 1
    return 4 * ((rows - 1) * strides[0] + weight[2]) * ((columns - 1) * strides[1] + weight[3]) * image[3]


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize(("image", "weight", "attrs"), CONVS)
def test_conv2d(cpu: CpuDescription, image: list[int], weight: list[int], attrs: dict[str, Any]) -> None:
    schedule = conv(image, weight, cpu, **attrs)
    check(schedule, cpu)
    if "groups" not in attrs or weight[1] > 1:
        rows = schedule.tile("oh") * schedule.tile("ow")
        assert fits_registers(RegisterTile(rows, schedule.tile("oc")), cpu)
    if schedule.staged:
        assert staged_bytes(schedule, image, weight, attrs) <= cpu.local_bytes
    top, bottom, left, right = attrs.get("padding", [0, 0, 0, 0])
    padding = Pad((0, top, left, 0), (0, bottom, right, 0))
    pads_in_place = weight[1] == 1 and attrs.get("groups", 1) > 1 and weight[3] <= WIDEST_IN_PLACE
    needs_padding = any(attrs.get("padding", [])) and not pads_in_place
    assert bool(schedule.staged) + (schedule.packed.get("input") == padding) == needs_padding


def test_padding_is_staged_where_it_fits() -> None:
    cpu = CpuDescription()
    assert conv([1, 56, 56, 64], [64, 64, 3, 3], cpu, padding=[1, 1, 1, 1]).staged == ("input",)
    assert conv([1, 512, 512, 256], [8, 256, 3, 3], cpu, padding=[1, 1, 1, 1]).staged == ()
    assert conv([1, DYNAMIC, 56, 8], [8, 8, 3, 3], cpu, padding=[1, 1, 1, 1]).staged == ()


@pytest.mark.parametrize(
    ("m", "n", "k", "workers", "block", "parallel"),
    [
        (3136, 256, 64, 1, 56, ()),  # 64 KB of results at a time
        (3136, 256, 64, 4, 196, ("m",)),  # several workgroups a worker, each of all columns
        (3136, 32, 256, 1, 0, ()),  # one panel of columns
        (128, 256, 64, 1, 0, ()),  # results that stay near as they are
        (3136, 768, 768, 1, 0, ()),  # weights that do not
        (DYNAMIC, 256, 64, 1, 0, ()),
    ],
)
def test_rows_of_a_product_stay_near(
    m: int, n: int, k: int, workers: int, block: int, parallel: tuple[str, ...]
) -> None:
    cpu = CpuDescription(workers=workers)
    local = matmul.schedule_for_vectors(matmul_space(m, n, k), False, (False, True), FLOATS, cpu).cut("local")
    assert local.sizes.get("m", 0) == block and local.parallel == parallel and "n" not in local.sizes


def test_large_weights_are_split_by_channels() -> None:
    cpu = CpuDescription(workers=8)
    schedule = conv([1, 7, 7, 512], [512, 512, 3, 3], cpu, padding=[1, 1, 1, 1])
    parallel = schedule.cut("local").parallel
    assert "oc" in parallel and "oh" not in parallel


@pytest.mark.parametrize("cpu", CPUS)
def test_elementwise(cpu: CpuDescription) -> None:
    for sizes in itertools.product((1, 3, 1000, DYNAMIC), (1, 17, 4096, DYNAMIC)):
        space = IterationSpace(("d0", "d1"), ("parallel",) * 2, sizes)
        schedule = elementwise.schedule_for_vectors(space, (F32,) * 3, cpu)
        check(schedule, cpu)
        assert set(schedule.cut("register").sizes) == {"d1"}
        assert sizes[1] == DYNAMIC or schedule.tile("d1") <= sizes[1]


def test_more_workers_mean_more_blocks() -> None:
    space = IterationSpace(("d0",), ("parallel",), (1 << 22,))
    blocks = [
        elementwise.schedule_for_vectors(space, (F32,) * 2, CpuDescription(workers=w)).block("d0") for w in (1, 2, 8)
    ]
    assert blocks[0] == 0 and blocks[1] > blocks[2] > 0


def test_schedules_survive_the_attribute() -> None:
    space = matmul_space(3, DYNAMIC, 5)
    packed = {"rhs": Pack((1, 0), (1,), (16,)), "lhs": Pad((0, 1), (2, 0))}
    schedule = Schedule.of({"n": 16, "m": 3, "k": 1}, {"m": 0, "n": 32}, ("n",), packed, ("lhs",))
    with create_context(), ir.Location.unknown():
        back = Schedule.from_attribute(schedule.to_attribute())
        assert back == schedule and list(back.cut("register").sizes) == ["n", "m", "k"], "in the order of the loops"
        assert IterationSpace.from_attribute(space.to_attribute()) == space
        assert Schedule.from_attribute(Schedule().to_attribute()) == Schedule.of({}) == Schedule()


def test_of_equal_tiles_the_one_without_tails() -> None:
    """Each tail is loops of its own: 128 rows are 16 times 8, and 14 has a rest that costs no more cycles."""
    cpu = CpuDescription()
    first, *others = ranked_tiles(128, 3072, range(1, 15), cpu)
    equal = [t for t in others if cover_cycles(128, 3072, t, cpu) == cover_cycles(128, 3072, first, cpu)]
    assert first == RegisterTile(8, 48) and any(t.rows * t.columns > 8 * 48 for t in equal)
