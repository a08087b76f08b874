"""The clock of circuits: they are scheduled for the gates and multipliers of a part; their longest path is found."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import terrace
import torch
from terrace.circt import Cell, Module
from terrace.dialects.context import create_context
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.rtl.circuit import Load, Memory, Node, Register, Store, Write, behind
from terrace.lowering.target.rtl.elaborate import elaborate
from terrace.lowering.target.rtl.fabric import FABRICS
from terrace.lowering.target.rtl.print_verilog import _chosen
from terrace.lowering.target.rtl.schedule import Clock, schedule
from terrace.lowering.target.rtl.timing import joined, longest_path
from terrace.lowering.target.rtl.values import Values
from terrace.mlir import ir, parse_module
from terrace.target import HlsDescription, Target
from torch import nn

ECP5 = FABRICS["ecp5"]

# -- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "widths", "count"),
    [
        ("ecp5", (18, 18), 1),
        ("ecp5", (19, 18), 2),
        ("ecp5", (22, 31), 4),
        ("xc7", (18, 25), 1),
        ("xc7", (25, 18), 1),
        ("xc7", (18, 26), 2),
        ("xc7", (22, 31), 2),
        ("xc7", (40, 40), 5),
        ("xcup", (27, 18), 1),
        ("xcup", (27, 19), 2),
    ],
)
def test_a_wide_product_is_made_of_those_that_a_multiplier_takes(
    family: str, widths: tuple[int, int], count: int
) -> None:
    values = Values(FABRICS[family].product_bits)
    few, many = FABRICS[family].product_bits
    left, right = (
        values.extended(values.make("loaded", width, detail=number), 64) for number, width in enumerate(widths)
    )
    products = [node for node in behind(values.multiply(left, right), ()) if node.op == "multiply"]
    assert len(products) == count
    assert all(min(w) <= few and max(w) <= many for w in ([n.width for n in p.inputs] for p in products))
    assert len({product.detail for product in products}) == 1  # It counts once.


def test_an_accumulation_adds_what_it_holds_last() -> None:
    """Also where it begins with another number: the sum of the products does not wait for it."""
    values = Values(ECP5.product_bits)
    register = values.make("read", 32, detail=("r", None))
    first, second = (values.extended(values.make("loaded", 8, detail=n), 32) for n in range(2))
    begins = values.mux(values.make("loaded", 1, detail=3), values.constant(0, 32), register)
    total = values.add(values.add(begins, first), second)
    while total.op == "sext":
        (total,) = total.inputs
    held, products = total.inputs
    assert (held.op, products.op) == ("mux", "sext") and register not in behind(products, ())


# -- the longest path -------------------------------------------------------------------------------------------------


def cells_of(width: int, *ops: str) -> list[Cell]:
    """A register, some gates, a register."""
    made = Module("m", [("a", width), ("b", width)], [("y", width)])
    value = made.delayed("from", made.inputs["a"])
    other = made.delayed("beside", made.inputs["b"])
    for op in ops:
        value = made.comb(op, value, other)
    made.end({"y": made.delayed("to", value)})
    return made.cells()


def test_gates_between_registers() -> None:
    assert longest_path(cells_of(16), ECP5).delay == ECP5.register
    found = longest_path(cells_of(16, "add"), ECP5)
    assert found.delay == pytest.approx(ECP5.register + ECP5.sum(16))
    assert found.names[-1] == "add" and found.names[0] in ("from", "beside")
    more = longest_path(cells_of(16, "sub", "and"), ECP5)
    assert more.delay == pytest.approx(ECP5.register + ECP5.sum(16) + ECP5.gate / 2)
    assert more.clock_mhz == pytest.approx(1e3 / more.delay) and str(more).startswith(f"{more.clock_mhz:.0f} MHz: ")


@pytest.mark.parametrize(("depth", "time"), [(1024, ECP5.block), (16, ECP5.register)])
def test_what_a_memory_reads_comes_late_from_blocks(depth: int, time: float) -> None:
    made = Module("m", [("at", 10), ("to", 10), ("x", 8)], [("y", 8)])
    memory = made.memory("t", depth, 8)
    bits = (depth - 1).bit_length()
    at, to = (made.delayed(name, made.part(made.inputs[name], 0, bits)) for name in ("at", "to"))
    read = made.memory_read(memory, at, made.constant(1, 1), 8)
    made.memory_write(memory, to, made.inputs["x"], made.constant(1, 1))
    value = read
    for number in range(3):
        value = made.comb("sub", value, made.delayed(f"r{number}", made.inputs["x"]))
    made.end({"y": made.delayed("y", value)})
    found = longest_path(made.cells(), ECP5)
    assert found.delay == pytest.approx(time + 3 * ECP5.sum(8)) and found.names == ("t", "sub", "sub", "sub")


@pytest.mark.parametrize(("depth", "levels"), [(1024, 0), (16, 1), (64, 2)])
def test_a_small_memory_is_read_behind_its_address(depth: int, levels: int) -> None:
    bits = (depth - 1).bit_length()
    made = Module("m", [("at", bits), ("x", 8)], [("y", 8)])
    memory, at = made.memory("t", depth, 8), made.delayed("at", made.inputs["at"])
    address = made.comb("mux", made.part(at, 0, 1), made.comb("sub", at, made.constant(3, bits)), at)
    made.memory_write(memory, at, made.inputs["x"], made.constant(1, 1))
    made.end({"y": made.memory_read(memory, address, made.constant(1, 1), 8)})
    # An address that is written goes to all bits, which is shorter.
    expected = ECP5.register + ECP5.sum(bits) + (0.8 + levels) * ECP5.gate
    assert longest_path(made.cells(), ECP5).delay == pytest.approx(expected)


def test_a_table_in_logic_delays_its_address() -> None:
    made = Module("m", [("a", 6)], [("y", 8)])
    read = made.rom_read(made.rom("t", range(64), 8), "element", 6, 8)
    made.connect_address(read, made.delayed("at", made.inputs["a"]))
    made.end({"y": read})
    assert longest_path(made.cells(), ECP5).delay == pytest.approx(ECP5.register + ECP5.choice(4))


def test_a_path_goes_through_instances_and_wires() -> None:
    kernel = Module("k", [("go", 1), ("x", 8)], [("other", 8), ("z", 8)])
    plus = kernel.comb("add", kernel.inputs["x"], kernel.constant(3, 8))
    kernel.end({"z": plus, "other": kernel.delayed("held", kernel.inputs["x"])})
    top = Module("top", [("a", 8)], [("y", 8)])
    wire = top.wire("w", 8)
    made = top.instance("k", "k0", {"go": top.constant(1, 1), "x": wire}, [("other", 8), ("z", 8)])
    top.connect_wire(wire, top.comb("sub", top.delayed("from", top.inputs["a"]), top.constant(5, 8)))
    top.end({"y": top.delayed("to", top.comb("xor", made["z"], made["other"]))})
    found = longest_path(joined(top.cells(), [("k0", kernel.cells())]), ECP5)
    assert found.delay == pytest.approx(ECP5.register + 2 * ECP5.sum(8) + 0.3 * ECP5.gate)
    assert found.names[0] == "from" and len(found.names) == 4


@pytest.mark.parametrize("count", range(1, 7))
def test_the_last_of_those_that_hold_is_chosen(count: int) -> None:
    """By a tree: it is as deep as the number's logarithm."""
    made = Module("m", [(f"{name}{n}", 4) for n in range(count) for name in "ed"], [("any", 1), ("d", 4)])
    given = [(made.part(made.inputs[f"e{n}"], 0, 1), (made.inputs[f"d{n}"],)) for n in range(count)]
    enable, (data,) = _chosen(made, given)
    made.end({"any": enable, "d": data})
    cells = made.cells()
    for conditions in itertools.product((0, 1), repeat=count):
        inputs = {"clk": 0, "rst": 0} | {f"e{n}": c for n, c in enumerate(conditions)}
        inputs |= {f"d{n}": n + 1 for n in range(count)}
        numbers: list[int] = []
        for cell in cells:
            read = [numbers[place] for place in cell.reads]
            numbers.append(
                inputs[cell.names[0]] if cell.op == "input"
                else read[0] & 1 if cell.op == "comb.extract"
                else max(read) if cell.op == "comb.or"
                else read[1 if read[0] else 2] if cell.op == "comb.mux"
                else 0
            )  # fmt: skip
        found_enable, found = (numbers[place] for place in cells[-1].reads)
        last = max((n + 1 for n, c in enumerate(conditions) if c), default=0)
        assert found_enable == any(conditions) and (not last or found == last)


# -- schedules --------------------------------------------------------------------------------------------------------


def network(clock_mhz: int) -> terrace.CompiledModel:
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 6), nn.Softmax(-1)
    image = torch.randn(1, 2, 8, 8)
    target = Target("hls", hls=HlsDescription(part="lfe5u-85f", dsp=20, clock_mhz=clock_mhz))
    options = {"quantize": "int8", "calibration": [(image,)]}
    return terrace.compile(nn.Sequential(*layers).eval(), (image,), target=target, options=options)


def test_a_design_meets_the_clock_that_it_is_scheduled_for() -> None:
    """By its longest path: what the scheduler cannot see is less than what it leaves free."""
    paths = [network(clock).resources().path for clock in (25, 60, 100)]
    for clock, path in zip((25, 60, 100), paths, strict=True):
        assert path.clock_mhz >= 0.95 * clock, path
    assert paths[0].clock_mhz < 80


def test_the_fuller_a_part_the_longer_are_wires(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = network(60)
    found = compiled.resources()
    monkeypatch.setitem(FABRICS, "ecp5", dataclasses.replace(ECP5, spread=0.0))
    near = compiled.resources()
    assert found.path.delay - near.path.delay == pytest.approx(ECP5.spread * found.total.dsp / 156)
    assert found.path.names == near.path.names and found.total == near.total


TURNED = """
func.func private @turned(%a: memref<16x8xi8>, %b: memref<8x16xi8>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %c16 = arith.constant 16 : index
  scf.for %i = %c0 to %c8 step %c1 {
    scf.for %j = %c0 to %c16 step %c1 {
      %x = memref.load %a[%j, %i] : memref<16x8xi8>
      memref.store %x, %b[%i, %j] : memref<8x16xi8>
    } {loop.pipeline = 1 : i64}
  }
  return
}
"""


@pytest.mark.parametrize(("clock_mhz", "reads", "writes"), [(20, 0, 1), (100, 0, 1), (140, 1, 2)])
def test_an_address_waits_before_a_memory_that_is_slow_to_read(clock_mhz: int, reads: int, writes: int) -> None:
    """128 elements in lookup tables: a sum of two counters, and what chooses among them, are too long for a cycle."""
    module = parse_module(TURNED, create_context())
    with module.context, ir.Location.unknown():
        (kernel,) = loop_kernels(module.operation)
        circuit = elaborate(kernel, ECP5.product_bits)
    (found,) = schedule(circuit, ECP5, clock_mhz).values()
    assert {type(action): cycle for action, cycle in found.at.items()} == {Load: reads, Store: writes}
    (address,) = (action.address for action in found.at if isinstance(action, Load))
    assert found.start[address] == 0


def test_a_register_that_is_written_in_many_places_chooses() -> None:
    register, value = Register("r", 8), Node("loaded", 8)
    once, often = (Clock(ECP5, 8.0, [Write(register, value, value)] * count) for count in (1, 9))
    assert once.choice(register) == 0 < often.choice(register) == ECP5.choice(9)


def test_memory_takes_time_to_read_and_to_write() -> None:
    small, large = Memory("s", (16,), 8), Memory("l", (1024,), 8)
    argument = Memory("a", (1024,), 8, argument=0)
    assert ECP5.memory(small) == 0 < ECP5.memory(large) < ECP5.memory(argument)
    assert ECP5.read_port(small, 1) > ECP5.read_port(large, 1) == 0
    assert ECP5.write_port(argument, 1) < ECP5.write_port(large, 1) < ECP5.write_port(large, 9)


def test_a_node_is_printed_without_all_that_is_behind_it() -> None:
    node = Node("loaded", 8)
    for _ in range(64):
        node = Node("add", 8, (node, node))
    assert len(repr(node)) < 100
