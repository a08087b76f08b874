"""Integers of widths that C++ has no type for, as `ap_int`: simulated, against integers of Python that wrap."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest
from terrace.compiler import Request, Text, compile_mlir, lower
from terrace.errors import CompileError, PassError, TargetError
from terrace.runtime.cosim import cosim
from terrace.runtime.model import CompiledModel

needs_simulation = pytest.mark.skipif(
    shutil.which("g++") is None or importlib.util.find_spec("hls4ml") is None, reason="needs g++ and hls4ml"
)
needs_cosim = pytest.mark.skipif(
    shutil.which("verilator") is None or importlib.util.find_spec("circt") is None, reason="needs verilator and circt"
)

WIDTHS = (2, 3, 7, 12, 20, 31, 33, 63)
COUNT = 64


def signed(number: int, width: int) -> int:
    """The number that the lowest bits are."""
    return (number + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))


def unsigned(number: int, width: int) -> int:
    return number % (1 << width)


def mask(width: int) -> int:
    """What keeps the bits of an amount to shift by that is less than the width."""
    return (1 << (width.bit_length() - 1)) - 1


def quotient(x: int, y: int) -> int:
    """Towards zero."""
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


Exact = Callable[[int, int, int], int]


def divisor(y: int) -> int:
    """Neither 0 nor -1, by which the smallest number cannot be divided."""
    return 1 if y | 1 == -1 else y | 1


PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")

OPERATIONS: dict[str, Exact] = {
    "arith.addi %x, %y": lambda x, y, w: x + y,
    "arith.subi %x, %y": lambda x, y, w: x - y,
    "arith.muli %x, %y": lambda x, y, w: x * y,
    "arith.andi %x, %y": lambda x, y, w: x & y,
    "arith.ori %x, %y": lambda x, y, w: x | y,
    "arith.xori %x, %y": lambda x, y, w: x ^ y,
    "arith.maxsi %x, %y": lambda x, y, w: max(x, y),
    "arith.minsi %x, %y": lambda x, y, w: min(x, y),
    "arith.maxui %x, %y": lambda x, y, w: max(x, y, key=lambda v: unsigned(v, w)),
    "arith.minui %x, %y": lambda x, y, w: min(x, y, key=lambda v: unsigned(v, w)),
    "arith.shli %x, %s": lambda x, y, w: x << (y & mask(w)),
    "arith.shrsi %x, %s": lambda x, y, w: x >> (y & mask(w)),
    "arith.shrui %x, %s": lambda x, y, w: unsigned(x, w) >> (y & mask(w)),
    "arith.shli %x, %last": lambda x, y, w: x << (w - 1),
    "arith.shrsi %x, %last": lambda x, y, w: x >> (w - 1),
    "arith.shrui %x, %last": lambda x, y, w: unsigned(x, w) >> (w - 1),
    # What wraps in between shows in what is made of it.
    "arith.shrsi %sum, %one": lambda x, y, w: signed(x + y, w) >> 1,
    "arith.minsi %product, %y": lambda x, y, w: min(signed(x * y, w), y),
    "arith.select %slt, %x, %one": lambda x, y, w: x if x < y else 1,
} | {
    f"arith.select %{predicate}, %x, %y": choose
    for predicate, choose in {
        "eq": lambda x, y, w: x if x == y else y,
        "ne": lambda x, y, w: x if x != y else y,
        "slt": lambda x, y, w: x if x < y else y,
        "sle": lambda x, y, w: x if x <= y else y,
        "sgt": lambda x, y, w: x if x > y else y,
        "sge": lambda x, y, w: x if x >= y else y,
        "ult": lambda x, y, w: x if unsigned(x, w) < unsigned(y, w) else y,
        "ule": lambda x, y, w: x if unsigned(x, w) <= unsigned(y, w) else y,
        "ugt": lambda x, y, w: x if unsigned(x, w) > unsigned(y, w) else y,
        "uge": lambda x, y, w: x if unsigned(x, w) >= unsigned(y, w) else y,
    }.items()
}
"""What is computed of `x` and `y`, as text and as an integer that may have more bits."""

IN_CPP_ONLY: dict[str, Exact] = {
    "arith.divsi %x, %d": lambda x, y, w: quotient(x, divisor(y)),
    "arith.remsi %x, %d": lambda x, y, w: x - quotient(x, divisor(y)) * divisor(y),
    "arith.divui %x, %d": lambda x, y, w: unsigned(x, w) // unsigned(divisor(y), w),
    "arith.remui %x, %d": lambda x, y, w: unsigned(x, w) % unsigned(divisor(y), w),
    "math.absi %x": lambda x, y, w: abs(x),
}

CASTS: dict[str, Exact] = {
    "%c{n} = arith.extsi %x : {t} to i64": lambda x, y, w: x,
    "%c{n} = arith.extui %x : {t} to i64": lambda x, y, w: unsigned(x, w),
    "%a{n} = arith.extsi %product : {t} to i64\n%c{n} = arith.addi %a{n}, %a{n} : i64": (
        lambda x, y, w: 2 * signed(x * y, w)
    ),
    "%a{n} = arith.trunci %x : {t} to i1\n%c{n} = arith.extui %a{n} : i1 to i64": lambda x, y, w: x & 1,
    "%a{n} = arith.extsi %slt : i1 to {t}\n%c{n} = arith.extsi %a{n} : {t} to i64": lambda x, y, w: -(x < y),
    "%a{n} = arith.extsi %x : {t} to i64\n%b{n} = arith.constant 12345 : i64\n"
    "%d{n} = arith.muli %a{n}, %b{n} : i64\n%e{n} = arith.trunci %d{n} : i64 to {t}\n"
    "%c{n} = arith.extsi %e{n} : {t} to i64": lambda x, y, w: signed(12345 * x, w),
}
"""Statements of which the last defines %c, an integer of 64 bits."""

IN_CPP_CASTS: dict[str, Exact] = {
    "%f{n} = arith.uitofp %x : {t} to f64\n%h{n} = arith.constant 0.5 : f64\n"
    "%g{n} = arith.mulf %f{n}, %h{n} : f64\n%c{n} = arith.fptosi %g{n} : f64 to i64": (
        lambda x, y, w: int(float(unsigned(x, w)) * 0.5)
    ),
    "%f{n} = arith.sitofp %x : {t} to f64\n%h{n} = arith.constant -0.375 : f64\n"
    "%g{n} = arith.mulf %f{n}, %h{n} : f64\n%e{n} = arith.fptosi %g{n} : f64 to {t}\n"
    "%c{n} = arith.extsi %e{n} : {t} to i64": lambda x, y, w: int(float(x) * -0.375),
}


def kernel(width: int, operations: Sequence[str], casts: Sequence[str], *, divides: bool) -> str:
    """A kernel that stores the results of each pair of elements."""
    t, own = f"i{width}", [f"memref<{n}x{COUNT}x{e}>" for n, e in ((len(operations), f"i{width}"), (len(casts), "i64"))]
    rows = max(len(operations), len(casts))
    lines = [
        f"func.func private @k{width}(%xs: memref<{COUNT}x{t}>, %ys: memref<{COUNT}x{t}>, %out: {own[0]},"
        f" %cast: {own[1]}) attributes {{loop.kernel}} {{",
        f"%count = arith.constant {COUNT} : index",
        *(f"%r{n} = arith.constant {n} : index" for n in range(rows)),
        *(
            f"%{name} = arith.constant {number} : {t}"
            for name, number in (("one", 1), ("minus", -1), ("mask", mask(width)), ("last", width - 1))
        ),
        "scf.for %i = %r0 to %count step %r1 {",
        *(f"%{name} = memref.load %{name}s[%i] : memref<{COUNT}x{t}>" for name in "xy"),
        f"%sum = arith.addi %x, %y : {t}\n%product = arith.muli %x, %y : {t}\n%s = arith.andi %y, %mask : {t}",
        *(f"%{p} = arith.cmpi {p}, %x, %y : {t}" for p in PREDICATES),
    ]
    if divides:
        lines += [
            f"%odd = arith.ori %y, %one : {t}\n%bad = arith.cmpi eq, %odd, %minus : {t}",
            f"%d = arith.select %bad, %one, %odd : {t}",
        ]
    for n, text in enumerate(operations):
        lines += [f"%o{n} = {text} : {t}", f"memref.store %o{n}, %out[%r{n}, %i] : {own[0]}"]
    for n, text in enumerate(casts):
        lines += [text.format(t=t, n=n), f"memref.store %c{n}, %cast[%r{n}, %i] : {own[1]}"]
    return "\n".join([*lines, "} {loop.pipeline = 1 : i64}", "return", "}"])


def pairs(width: int) -> np.ndarray:
    """Extremes with each other, then random numbers."""
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    ends = [low, low + 1, -1, 0, 1, high - 1, high]
    found = [(x, y) for x in ends for y in ends]
    generator = np.random.default_rng(width)
    found += generator.integers(low, high, (COUNT - len(found), 2), endpoint=True).tolist()
    bits = next(b for b in (8, 16, 32, 64) if width <= b)
    return np.array(found, f"int{bits}").T.copy()


def exact(functions: Iterable[Exact], x: np.ndarray, y: np.ndarray, width: int, bits: int) -> np.ndarray:
    """The results in integers of `bits` bits, of numbers of `width` bits."""
    values = list(zip(x.tolist(), y.tolist(), strict=True))
    return np.array([[signed(f(a, b, width), bits) for a, b in values] for f in functions], np.int64)


@needs_simulation
def test_all_operators_wrap_at_their_width() -> None:
    """Every op on ports of every width, the extremes against each other."""
    operations, casts = {**OPERATIONS, **IN_CPP_ONLY}, {**CASTS, **IN_CPP_CASTS}
    kernels = [kernel(width, list(operations), list(casts), divides=True) for width in WIDTHS]
    inputs, outputs, calls = [], [], []
    for w in WIDTHS:
        kinds = [f"memref<{COUNT}xi{w}>"] * 2 + [
            f"memref<{len(operations)}x{COUNT}xi{w}>",
            f"memref<{len(casts)}x{COUNT}xi64>",
        ]
        names = [f"%{name}{w}" for name in ("x", "y", "out", "cast")]
        typed = [f"{name}: {kind}" for name, kind in zip(names, kinds, strict=True)]
        inputs += typed[:2]
        outputs += typed[2:]
        calls.append(f"call @k{w}({', '.join(names)}) : ({', '.join(kinds)}) -> ()")
    main = main_text(inputs, outputs, calls)
    compiled = compile_mlir("\n".join([*kernels, main]), target="hls")
    given = [pairs(width) for width in WIDTHS]
    results = compiled(*(array for both in given for array in both))
    for number, (width, (x, y)) in enumerate(zip(WIDTHS, given, strict=True)):
        found = results[2 * number : 2 * number + 2]
        for own, array, bits in zip((operations, casts), found, (width, 64), strict=True):
            expected = exact(own.values(), x, y, width, bits)
            for text, row, right in zip(own, np.asarray(array), expected, strict=True):
                np.testing.assert_array_equal(row, right, f"i{width}: {text}")


def main_text(inputs: Sequence[str], outputs: Sequence[str], body: Sequence[str]) -> str:
    arguments = ", ".join([*inputs, *outputs])
    return "\n".join(
        [f"func.func @main({arguments}) attributes {{hls.inputs = {len(inputs)} : i64}} {{", *body, "return", "}"]
    )


DATAFLOW = """
memref.global "private" constant @table : memref<8xi12> = dense<[-2048, 2047, -1, 0, 1, 1234, -1234, 77]>
memref.global "private" constant @same : memref<8xi12> = dense<-3>
memref.global "private" constant @weight : memref<8xi12> = uninitialized
func.func private @products(%x: memref<8xi12>, %t: memref<8xi12>, %w: memref<8xi12>, %p: memref<8xi14>,
                            %s: memref<8xi12>, %out: memref<8xi20>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %c8 step %c1 {
    %a = memref.load %x[%i] : memref<8xi12>
    %b = memref.load %t[%i] : memref<8xi12>
    %c = memref.load %w[%i] : memref<8xi12>
    %d = memref.load %p[%i] : memref<8xi14>
    %e = memref.load %s[%i] : memref<8xi12>
    %f = arith.muli %a, %b : i12
    %g = arith.addi %f, %e : i12
    %h = arith.extsi %g : i12 to i20
    %j = arith.extsi %c : i12 to i20
    %k = arith.extui %d : i14 to i20
    %l = arith.muli %h, %j : i20
    %m = arith.addi %l, %k : i20
    memref.store %m, %out[%i] : memref<8xi20>
  } {loop.pipeline = 1 : i64}
  return
}
func.func private @sums(%x: memref<8xi20>, %out: memref<8xi20>) attributes {loop.kernel} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %start = arith.constant 500000 : i20
  %sum = memref.alloca() : memref<i20>
  memref.store %start, %sum[] : memref<i20>
  scf.for %i = %c0 to %c8 step %c1 {
    %a = memref.load %x[%i] : memref<8xi20>
    %b = memref.load %sum[] : memref<i20>
    %c = arith.addi %a, %b : i20
    memref.store %c, %sum[] : memref<i20>
    memref.store %c, %out[%i] : memref<8xi20>
  } {loop.pipeline = 1 : i64}
  return
}
func.func @main(%x: memref<8xi12> {loop.stream = 1 : i64}, %p: memref<8xi14> {hls.port = "port"},
                %out: memref<8xi20> {loop.stream = 1 : i64}) attributes {hls.inputs = 1 : i64, loop.dataflow} {
  %t = memref.get_global @table : memref<8xi12>
  %w = memref.get_global @weight : memref<8xi12>
  %s = memref.get_global @same : memref<8xi12>
  %q = memref.alloc() {loop.stream = 2 : i64} : memref<8xi20>
  call @products(%x, %t, %w, %p, %s, %q) : (memref<8xi12>, memref<8xi12>, memref<8xi12>, memref<8xi14>, memref<8xi12>,
                                            memref<8xi20>) -> ()
  call @sums(%q, %out) : (memref<8xi20>, memref<8xi20>) -> ()
  return
}
"""
TABLE = (-2048, 2047, -1, 0, 1, 1234, -1234, 77)
WEIGHTS = {
    "weight": np.array([2047, -2048, 5, -7, 1000, -1000, 0, 1], np.int16),
    "port": np.array([8191, -8192, -1, 0, 1, 99, -99, 1234], np.int16),
}


@needs_simulation
def test_queues_weights_and_ports_hold_them() -> None:
    x = np.array([-2048, 2047, 1000, -1000, 2047, -2048, 3, -1], np.int16)
    found = np.asarray(compile_mlir(DATAFLOW, WEIGHTS, target="hls")(x))
    total, expected = 500000, []
    for a, b, c, d in zip(x.tolist(), TABLE, *(WEIGHTS[name].tolist() for name in ("weight", "port")), strict=True):
        total = signed(total + signed(a * b - 3, 12) * c + unsigned(d, 14), 20)
        expected.append(total)
    assert found.dtype == np.int32 and found.tolist() == expected


def test_weights_out_of_range_are_refused() -> None:
    weights = {**WEIGHTS, "weight": np.full(8, 2048, np.int16)}
    with pytest.raises(CompileError, match="'weight' has elements from 2048 to 2048, and i12 holds -2048 to 2047"):
        compile_mlir(DATAFLOW, weights, target="hls")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered = lower(Text(DATAFLOW, WEIGHTS), Request.of("hls"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match=r"integers of other than .* `pip install mlir-terrace\[hls\]"):
        CompiledModel(lowered.artifact())


@needs_cosim
@needs_simulation
@pytest.mark.parametrize("width", [2, 12, 33])
def test_circuits_agree(width: int) -> None:
    """The same kernel as SystemVerilog: its results are those of the C++ and of Python."""
    report = cosim(kernel(width, list(OPERATIONS), list(CASTS), divides=False), vectors=6)
    (row,) = report.rows
    assert row.passed, str(report)
    for number, x in enumerate(row.inputs[0]):
        y = row.inputs[1][number]
        for own, argument, bits in ((OPERATIONS, 2, width), (CASTS, 3, 64)):
            np.testing.assert_array_equal(row.results[argument][number], exact(own.values(), x, y, width, bits))


@pytest.mark.parametrize(
    ("port", "inside", "message"),
    [
        ("i65", "i20", r"-:7:1: error: 'func.func' op has memory of type memref<4xi65>, whose elements have no C\+\+"),
        ("i20", "i65", r"-:2:8: error: 'memref.alloca' op has a value of type i65, which has no C\+\+ here"),
    ],
)
def test_more_than_64_bits_are_refused_with_the_line(port: str, inside: str, message: str) -> None:
    text = f"""func.func private @copy(%a: memref<4x{port}>, %b: memref<4x{port}>) attributes {{loop.kernel}} {{
  %t = memref.alloca() : memref<4x{inside}>
  %c0 = arith.constant 0 : index
  %x = memref.load %a[%c0] : memref<4x{port}>
  memref.store %x, %b[%c0] : memref<4x{port}>
  return }}
func.func @main(%a: memref<4x{port}>, %b: memref<4x{port}>) attributes {{hls.inputs = 1 : i64}} {{
  call @copy(%a, %b) : (memref<4x{port}>, memref<4x{port}>) -> ()
  return
}}"""
    with pytest.raises(PassError, match=message):
        compile_mlir(text, target="hls")
