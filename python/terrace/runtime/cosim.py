"""Co-simulation: each kernel of a design runs as SystemVerilog in Verilator and as C++, on the same vectors.

The two are made from the same module, at the level "hls"; they must give the same results, and the SystemVerilog must
take the cycles that the schedule says.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from terrace.dialects.context import create_context
from terrace.errors import PassError, TargetError, TerraceError
from terrace.lowering.analysis.loop_kernels import loop_kernels
from terrace.lowering.target.hls.expressions import c_type, needs_ap_int
from terrace.lowering.target.hls.numbers import Floats
from terrace.lowering.target.hls.printer import identifier, print_kernel
from terrace.lowering.target.hls.project import print_array
from terrace.lowering.target.hls.report import multiply_adds
from terrace.lowering.target.hls.verify_hardware_attributes import VerifyHardwareAttributes
from terrace.lowering.target.rtl.circuit import pipelines
from terrace.lowering.target.rtl.design import Design, design_kernel
from terrace.lowering.target.rtl.testbench import Argument, arguments_of, csim_program, rtl_program
from terrace.lowering.target.rtl.values import span_of
from terrace.lowering.target.rtl.weights import note_ranges, shifting_arguments, tables_of, weights_of
from terrace.mlir import func, ir, parse_module
from terrace.passes import run_passes
from terrace.processes import find_program, run_program
from terrace.runtime.csim import FLAGS, find_ap_types, find_compiler
from terrace.storage.files import folder_for
from terrace.storage.parameter_archive import Array
from terrace.texts import plain

BUILD_SECONDS, RUN_SECONDS = 300, 300
_SHOWN = 2000
_SIMULATOR_FLAGS = ("-O1", "-std=c++17", "-w", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TRACE=0", "-DVERILATOR=1")
_RUNTIME_SOURCES = ("verilated.cpp", "verilated_threads.cpp")


@dataclasses.dataclass(frozen=True)
class KernelCosim:
    """What came of one kernel. `refused` says why it has no SystemVerilog; then the rest is empty.

    `macs` are the multiply-adds of a run, None where a trip count is not known. `cycles` are those of the fastest and
    the slowest vector, `intervals` the label of each pipelined loop and its initiation interval. `inputs` are the
    arguments before a run, `results` what the SystemVerilog made of those that it writes, by number; their first
    dimension counts the vectors.
    """

    kernel: str
    vectors: int = 0
    mismatches: int = 0
    predicted: int = 0
    cycles: tuple[int, int] = (0, 0)
    intervals: Mapping[str, int] = dataclasses.field(default_factory=dict)
    refused: str = ""
    macs: int | None = 0
    inputs: Sequence[Array] = dataclasses.field(default=(), repr=False)
    results: Mapping[int, Array] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def passed(self) -> bool:
        """Whether all results are those of the C++, in the cycles that were predicted."""
        return not self.refused and self.mismatches == 0 and self.cycles == (self.predicted, self.predicted)


@dataclasses.dataclass(frozen=True)
class CosimReport:
    """The kernels of a design; prints as a table."""

    rows: Sequence[KernelCosim]

    @property
    def passed(self) -> bool:
        """Whether there are kernels that have SystemVerilog, all of them passed, and they do all multiply-adds."""
        simulated = self.simulated
        return bool(simulated) and all(row.passed for row in simulated) and not self.is_partial

    @property
    def is_partial(self) -> bool:
        """Whether multiply-adds are left, or may be, that no SystemVerilog does."""
        return any(row.macs != 0 for row in self.rows if row.refused)

    @property
    def simulated(self) -> list[KernelCosim]:
        """The rows of the kernels that have SystemVerilog."""
        return [row for row in self.rows if not row.refused]

    def __str__(self) -> str:
        table = [("kernel", "vectors", "mismatches", "predicted cycles", "simulated cycles", "II", "status")]
        for row in self.simulated:
            low, high = row.cycles
            simulated = str(low) if low == high else f"{low} to {high}"
            intervals = " ".join(f"{name}:{ii}" for name, ii in row.intervals.items())
            counts = (str(row.vectors), str(row.mismatches), str(row.predicted), simulated, intervals)
            table.append((row.kernel, *counts, "pass" if row.passed else "FAIL"))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in table]
        lines = lines if self.simulated else []
        lines += [f"{row.kernel}: not simulated: {row.refused}" for row in self.rows if row.refused]
        if len(self.simulated) < len(self.rows):
            partial = "partial, " if self.is_partial else ""
            lines.append(f"simulated: {partial}{len(self.simulated)} of {len(self.rows)} kernels, {self._share()}")
        return "\n".join(map(plain, lines))

    def _share(self) -> str:
        """How much of the work the simulated kernels do."""
        ran, all_ = ([row.macs for row in rows] for rows in (self.simulated, self.rows))
        if None in all_:
            return "an unknown part of the multiply-adds"
        return f"{sum(filter(None, ran)):,} of {sum(filter(None, all_)):,} multiply-adds"


Weights = Mapping[str, Array | Callable[[], Array]]
"""The elements of weights by their symbols, or what gives them."""


def cosim(text: str, vectors: int = 100, seed: int = 0, weights: Weights | None = None) -> CosimReport:
    """Co-simulate the kernels of a module at the level "hls" (`CompiledModel.ir("hls")`) on `vectors` vectors.

    The first are the extremes (all elements least, all greatest, a mix of both, zero), the rest random. An argument
    that @main gives a weight has the elements of that weight, if `weights` has it. Raises TargetError if Verilator,
    CIRCT or a C++ compiler is missing, TerraceError if one of them fails, and for amounts of shifts that are not known:
    most numbers mean nothing there.
    """
    if vectors < 1:
        raise TerraceError(f"co-simulation needs at least one vector, got {vectors}")
    context = create_context()
    module = parse_module(text, context).operation
    with context, ir.Location.unknown():
        # An edited text may have attributes that contradict its loops, which would be other circuits than the C++ is.
        run_passes([VerifyHardwareAttributes()], module)
        note_ranges(module, lambda symbol: _elements_of(symbol, weights or {}))
        symbols = weights_of(module)
        return CosimReport([_cosim_kernel(k, symbols, weights or {}, vectors, seed) for k in loop_kernels(module)])


def _cosim_kernel(
    function: func.FuncOp, symbols: Mapping[tuple[str, int], str | Array], weights: Weights, count: int, seed: int
) -> KernelCosim:
    name, macs = function.name.value, multiply_adds(function)
    try:
        design = design_kernel(function)
    except PassError as error:
        return KernelCosim(name, refused=str(error), macs=macs)
    types = [ir.MemRefType(a.type).element_type for a in function.entry_block.arguments]
    fixed = {number: _elements_of(symbols.get((name, number)), weights) for number in range(len(types))}
    _check_shifts(function, symbols, fixed)
    arguments = arguments_of(design.circuit, design.times)
    inputs = make_vectors(arguments, types, count, seed, fixed)
    with tempfile.TemporaryDirectory(prefix="terrace-cosim-") as folder:
        path = Path(folder)
        (path / "vectors").write_bytes(joined(inputs).tobytes())
        kinds = [c_type(type_) or "" for type_ in types]
        numbers = Floats(needs_ap_int(function.operation))
        kernel = print_with_tables(function, numbers)
        build_csim(path, csim_program(name, kernel, arguments, kinds), numbers)
        build_verilated(path, design.circuit.name, design.verilog(), rtl_program(name, arguments, design.latency))
        execute([str(path / "csim"), str(count), "vectors", "expected"], path, RUN_SECONDS)
        printed = execute([str(path / "rtl"), str(count), "vectors", "found"], path, RUN_SECONDS)
        expected, found = (np.fromfile(path / file, np.uint8).reshape(count, -1) for file in ("expected", "found"))
    cycles = [int(line) for line in printed.split()]
    written = {number: inputs[number] for number, argument in enumerate(arguments) if argument.written_banks}
    return KernelCosim(
        name,
        macs=macs,
        vectors=count,
        mismatches=int((expected != found).any(axis=1).sum()),
        predicted=design.latency,
        cycles=(min(cycles), max(cycles)),
        intervals=_intervals(design),
        inputs=inputs,
        results=split(found, written),
    )


def print_with_tables(function: func.FuncOp, numbers: Floats) -> list[str]:
    """The C++ of a kernel, below the tables that it reads."""
    tables = tables_of(function)
    names = {symbol: f"w_{identifier(symbol)}" for symbol in tables}
    arrays = [print_array(table, names[symbol], numbers, _no_weight) for symbol, table in tables.items()]
    return [line for array in arrays for line in array] + print_kernel(function, names, numbers, has_queues=False)


def _no_weight(symbol: str) -> Array:
    raise TerraceError(f"@{symbol} is no table of constants")


def _check_shifts(
    function: func.FuncOp, symbols: Mapping[tuple[str, int], str | Array], fixed: Mapping[int, Array | None]
) -> None:
    """Refuse to draw amounts of shifts at random."""
    name = function.name.value
    for number in shifting_arguments(function):
        if fixed[number] is None:
            symbol = symbols.get((name, number))
            what = f"the weight @{symbol}" if isinstance(symbol, str) else f"argument {number}"
            raise TerraceError(
                f"@{name} shifts by {what}, and a vector of random amounts would mean nothing; give its elements in"
                " `weights`" + ("" if isinstance(symbol, str) else ", by a symbol that @main passes as this argument")
            )


def joined(arrays: Sequence[Array]) -> Array:
    """Arrays as the programs read them: the bytes of each vector's elements, one array after the other."""
    return np.concatenate([a.reshape(len(a), -1).view(np.uint8) for a in arrays], axis=1)


def split(joined: Array, like: Mapping[int, Array]) -> dict[int, Array]:
    """The arrays of which `joined` holds the bytes, with the shapes and types of `like`."""
    found, start = {}, 0
    for number, array in like.items():
        size = array[0].nbytes
        found[number] = np.ascontiguousarray(joined[:, start : start + size]).view(array.dtype).reshape(array.shape)
        start += size
    return found


def _intervals(design: Design) -> dict[str, int]:
    found = pipelines(design.circuit.steps)
    return {p.name: design.times[p.body].interval for p in found if p.body in design.times}


def _elements_of(weight: str | Array | None, weights: Weights) -> Array | None:
    """The elements of an argument that is a weight, if they are known."""
    if not isinstance(weight, str):
        return weight
    found = weights.get(weight)
    return found() if callable(found) else found


# -- vectors ----------------------------------------------------------------------------------------------------------


def make_vectors(
    arguments: Sequence[Argument], types: Sequence[ir.Type], count: int, seed: int, fixed: Mapping[int, Array | None]
) -> list[Array]:
    """The elements of each argument in `count` vectors."""
    generator = np.random.default_rng(seed)
    made = []
    for position, (argument, type_) in enumerate(zip(arguments, types, strict=True)):
        value, shape = fixed.get(position), argument.memory.shape
        if value is not None:
            elements = np.asarray(value, f"int{8 * argument.bytes}") if argument.is_padded else value
            made.append(np.broadcast_to(np.reshape(elements, shape), (count, *shape)).copy())
        else:
            made.append(np.stack([_elements(argument, type_, number, generator) for number in range(count)]))
    return made


def _elements(argument: Argument, type_: ir.Type, number: int, generator: np.random.Generator) -> Array:
    """The elements of an argument in vector `number`."""
    shape, bits = argument.memory.shape, 8 * argument.bytes
    if isinstance(type_, ir.FloatType):
        return generator.integers(0, (1 << bits) - 1, shape, np.dtype(f"uint{bits}"), endpoint=True)
    if argument.memory.width == 1:
        return generator.integers(0, 2, shape, np.uint8)
    dtype = np.dtype(f"int{bits}")
    low, high = argument.memory.span or span_of(argument.memory.width)
    extremes: list[Callable[[], Array]] = [
        lambda: np.full(shape, low, dtype),
        lambda: np.full(shape, high, dtype),
        lambda: generator.choice(np.array([low, high], dtype), shape),
        lambda: np.zeros(shape, dtype),
    ]
    return extremes[number]() if number < len(extremes) else generator.integers(low, high, shape, dtype, endpoint=True)


# -- building and running ---------------------------------------------------------------------------------------------


def find_verilator() -> str:
    """Verilator: $VERILATOR, or the one that is installed. Raises TargetError."""
    path = find_program(os.environ.get("VERILATOR", "verilator"))
    if path is None:
        raise TargetError("co-simulation needs Verilator; install it (apt-get install verilator) or set VERILATOR")
    return path


def build_csim(folder: Path, program: str, numbers: Floats) -> None:
    """Build `csim` of a program."""
    (folder / "terrace_math.h").write_text(numbers.header(), encoding="utf-8")
    (folder / "csim.cpp").write_text(program, encoding="utf-8")
    include = [f"-isystem{find_ap_types()}"] if numbers.needs_ap_types else []
    execute([find_compiler(), *FLAGS, *include, "csim.cpp", "-o", "csim"], folder, BUILD_SECONDS)


def build_verilated(folder: Path, name: str, verilog: str, program: str) -> None:
    """Build `rtl` of the module `name` and of a main that drives it."""
    verilator, compiler = find_verilator(), find_compiler()
    (folder / f"{name}.sv").write_text(verilog, encoding="utf-8")
    (folder / "bench.cpp").write_text(program, encoding="utf-8")
    # Its own makefiles (--build) want other flags than every compiler takes: its C++ is built here.
    options = ["--cc", "-O3", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--Mdir", "made", "--top-module", name]
    execute([verilator, *options, f"{name}.sv"], folder, BUILD_SECONDS)
    root, objects = _runtime_objects(verilator, compiler)
    # One translation unit: each one reads Verilator's headers, which takes longest.
    sources = ["bench.cpp", *sorted(f"made/{path.name}" for path in (folder / "made").glob("*.cpp"))]
    (folder / "all.cpp").write_text("".join(f'#include "{source}"\n' for source in sources), encoding="utf-8")
    include = [f"-I{root}/include", f"-I{root}/include/vltstd", "-Imade"]
    command = [compiler, *_SIMULATOR_FLAGS, *include, "all.cpp", *objects, "-pthread", "-o", "rtl"]
    execute(command, folder, BUILD_SECONDS)


@functools.cache
def _runtime_objects(verilator: str, compiler: str) -> tuple[str, tuple[str, ...]]:
    """Verilator's folder, and its own code as object files."""
    root = execute([verilator, "--getenv", "VERILATOR_ROOT"], Path.cwd(), BUILD_SECONDS).strip()
    # It stays as long as this module does: it is made once in a process.
    folder = folder_for(sys.modules[__name__], "terrace-verilator-")
    include = [f"-I{root}/include", f"-I{root}/include/vltstd"]
    objects = []
    for source in _RUNTIME_SOURCES:
        objects.append(str(folder / f"{source}.o"))
        command = [compiler, *_SIMULATOR_FLAGS, *include, "-c", f"{root}/include/{source}", "-o", objects[-1]]
        execute(command, folder, BUILD_SECONDS)
    return root, tuple(objects)


def execute(command: Sequence[str], folder: Path, seconds: int) -> str:
    """Run a program; what it printed. Raises TerraceError with what it said if it failed or took too long."""
    try:
        done = run_program(command, folder, folder=folder, seconds=seconds)
    except subprocess.TimeoutExpired as error:
        raise TerraceError(f"{command[0]} was stopped after {seconds} s; try fewer vectors") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")[:_SHOWN]
        raise TerraceError(f"{Path(command[0]).name} failed with exit code {done.returncode}:\n{said}")
    return done.stdout.decode()
