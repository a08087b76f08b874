"""Co-simulation of a whole network: frames run through its SystemVerilog in Verilator, and through its C++."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from terrace.dialects.base import shape_of, to_python
from terrace.dialects.context import create_context
from terrace.errors import TerraceError
from terrace.lowering.target.hls.calls import callee_of, callee_writes, root_of
from terrace.lowering.target.hls.convert_loop_to_hls import INPUTS
from terrace.lowering.target.hls.expressions import c_type, file_type, needs_ap_int
from terrace.lowering.target.hls.numbers import Floats
from terrace.lowering.target.hls.project import DTYPES
from terrace.lowering.target.hls.report import multiply_adds
from terrace.lowering.target.hls.verify_hardware_attributes import VerifyHardwareAttributes
from terrace.lowering.target.rtl.circuit import Memory
from terrace.lowering.target.rtl.network import TOP, Network, interval_of, network_of
from terrace.lowering.target.rtl.network_testbench import network_program
from terrace.lowering.target.rtl.print_network import print_network
from terrace.lowering.target.rtl.testbench import Argument, csim_program
from terrace.lowering.target.rtl.weights import note_ranges, weight_of
from terrace.mlir import ir, parse_module
from terrace.passes import run_passes
from terrace.runtime.cosim import (
    RUN_SECONDS,
    Weights,
    build_csim,
    build_verilated,
    execute,
    joined,
    print_with_tables,
    split,
)
from terrace.storage.parameter_archive import Array

EXTRA_CYCLES = 1000
"""Cycles beyond those that are expected, after which a simulation is given up."""


@dataclasses.dataclass(frozen=True)
class NetworkCosim:
    """What came of the frames. `cycles` are those of each frame's first element in and last one out.

    `predicted` are the same from the schedule, for streams that never stall; `stalls` is the percentage of cycles in
    which they did. `macs` are the multiply-adds of the hardware, `all_macs` those of the model. `results` are the
    outputs of the model, computed by the hardware and, behind it, the host; frames are their first dimension.
    """

    frames: int
    mismatches: int
    stalls: int
    predicted: Sequence[tuple[int, int]]
    cycles: Sequence[tuple[int, int]]
    macs: int | None
    all_macs: int | None
    results: Sequence[Array] = dataclasses.field(repr=False)

    @property
    def passed(self) -> bool:
        """Whether all results are those of the C++; without stalls, in the cycles that were predicted, too."""
        return self.mismatches == 0 and (self.stalls > 0 or list(self.cycles) == list(self.predicted))

    @property
    def latency(self) -> int:
        """Cycles of the first frame."""
        first, last = self.cycles[0]
        return last - first + 1

    @property
    def interval(self) -> int | None:
        """Cycles between frames, on average over the later half; None if there was one only."""
        return interval_of([end for _, end in self.cycles]) if self.frames > 1 else None

    def __str__(self) -> str:
        (first, last), share = self.predicted[0], f"{self.macs:,} of {self.all_macs:,} multiply-adds"
        return (
            f"network: {'pass' if self.passed else 'FAIL'}: {self.frames} frames, {self.mismatches} mismatches, "
            f"{self.stalls} % stalls, latency {self.latency} cycles (predicted {last - first + 1}), "
            f"a frame every {self.interval} cycles; {share}"
        )


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """What a network meets that a person would rather not see.

    Streams stall in `stalls` percent of the cycles, drawn by `seed`. In cycle `reset_at` the network is reset, and all
    frames begin anew. Of element `wrong_last` of each input, counted from the first frame's first, `tlast` is the
    opposite of what it should be. -1 stands for never.
    """

    stalls: int = 0
    seed: int = 0
    reset_at: int = -1
    wrong_last: int = -1


def cosim_network(
    text: str, inputs: Sequence[Array], weights: Weights | None = None, disturbance: Disturbance | None = None
) -> NetworkCosim:
    """Run frames through the network of a module at the level "hls".

    `inputs` are those of @main, each with a first dimension more, that of the frames. Raises PassError for a network
    that is no hardware, TargetError if Verilator, CIRCT or a C++ compiler is missing, TerraceError if one of them fails
    or the hardware stands still.
    """
    disturbance = disturbance or Disturbance()
    if not 0 <= disturbance.stalls < 100:
        raise TerraceError(f"streams stall in 0 to 99 percent of the cycles, got {disturbance.stalls}")
    module = parse_module(text, create_context()).operation
    with module.context, ir.Location.unknown():
        run_passes([VerifyHardwareAttributes()], module)
        note_ranges(module, lambda symbol: elements_of(symbol, weights or {}))
        return _Run(module, inputs, weights or {}, disturbance).run()


def network_files(text: str, weights: Weights | None = None) -> dict[str, str]:
    """The SystemVerilog of the network of a module at the level "hls", and the files of its weights, by name."""
    module = parse_module(text, create_context()).operation
    with module.context, ir.Location.unknown():
        run_passes([VerifyHardwareAttributes()], module)
        note_ranges(module, lambda symbol: elements_of(symbol, weights or {}))
        printed, files = print_network(network_of(module), lambda symbol: elements_of(symbol, weights or {}))
    return {f"{TOP}.sv": printed, **files}


def elements_of(symbol: str, weights: Weights) -> Array:
    """The elements of a weight. Raises TerraceError for one that is not there."""
    found = weights.get(symbol)
    if found is None:
        raise TerraceError(f"the network reads the weight @{symbol}; give its elements in `weights`")
    return found() if callable(found) else found


class _Run:
    """One co-simulation."""

    def __init__(
        self, module: ir.Operation, inputs: Sequence[Array], weights: Weights, disturbance: Disturbance
    ) -> None:
        self.module, self.weights, self.disturbance = module, weights, disturbance
        self.network: Network = network_of(module)
        self.main = self.network.main
        self.arguments = list(self.main.entry_block.arguments)
        self.count = to_python(self.main.attributes[INPUTS])
        if len(inputs) != self.count or not all(len(array) == len(inputs[0]) for array in inputs):
            raise TerraceError(f"@main has {self.count} inputs, got {len(inputs)}; each needs as many frames")
        self.frames = len(inputs[0])
        self.inputs = {a: np.asarray(i) for a, i in zip(self.arguments[: self.count], inputs, strict=True)}

    def run(self) -> NetworkCosim:
        calls = [v.operation for v in self.main.entry_block.operations if v.operation.name == "func.call"]
        expected = self.start()
        with tempfile.TemporaryDirectory(prefix="terrace-cosim-") as folder:
            path = Path(folder)
            for call in calls:
                self.call(call, expected, path)
            found = self.start()
            for call in self.network.before:
                self.call(call, found, path)
            cycles = self.simulate(found, path)
            for call in self.network.after:
                self.call(call, found, path)
        results = self.arguments[self.count :]
        differ = [(expected[r].view(np.uint8) != found[r].view(np.uint8)).any(axis=1) for r in results]
        return NetworkCosim(
            self.frames,
            int(np.logical_or.reduce(differ).sum()),
            self.disturbance.stalls,
            self.network.timeline(self.frames),
            cycles,
            _total(
                [multiply_adds(callee_of(c)) for c in calls if c not in [*self.network.before, *self.network.after]]
            ),
            _total([multiply_adds(callee_of(c)) for c in calls]),
            [found[r].reshape(self.frames, *shape_of(r)) for r in results],
        )

    def start(self) -> dict[ir.Value, Array]:
        """The memories of @main before a run: flat, a row for each frame."""
        return {a: np.ascontiguousarray(i, dtype_of(a)).reshape(self.frames, -1) for a, i in self.inputs.items()}

    def call(self, call: ir.Operation, memories: dict[ir.Value, Array], folder: Path) -> None:
        """Run a kernel's C++ on all frames."""
        function, arguments, kinds, columns = callee_of(call), [], [], []
        for number, operand in enumerate(call.operands):
            is_written, type_ = callee_writes(call, number), ir.MemRefType(operand.type).element_type
            memory = Memory(f"a{number}", tuple(shape_of(operand)), type_.width, number)
            arguments.append(Argument(memory, ((0, 0),), (0,) if is_written else ()))
            kinds.append(c_type(type_) or "")
            columns.append(self.elements(call, operand, memories))
        numbers = Floats(needs_ap_int(function.operation))
        program = csim_program(function.name.value, print_with_tables(function, numbers), arguments, kinds)
        build_csim(folder, program, numbers)
        (folder / "vectors").write_bytes(joined(columns).tobytes())
        execute([str(folder / "csim"), str(self.frames), "vectors", "expected"], folder, RUN_SECONDS)
        given = np.fromfile(folder / "expected", np.uint8).reshape(self.frames, -1)
        written = {number: columns[number] for number, argument in enumerate(arguments) if argument.written_banks}
        for number, array in split(given, written).items():
            memories[root_of(call.operands[number])] = array

    def elements(self, call: ir.Operation, operand: ir.Value, memories: Mapping[ir.Value, Array]) -> Array:
        """What a kernel's argument holds for each frame."""
        weight, size = weight_of(self.main, operand), math.prod(shape_of(operand))
        if weight is None:
            found = memories.get(root_of(operand))
            return np.zeros((self.frames, size), dtype_of(operand)) if found is None else found
        elements = np.ascontiguousarray(self.lookup(weight) if isinstance(weight, str) else weight, dtype_of(operand))
        return np.ascontiguousarray(np.broadcast_to(elements.reshape(1, size), (self.frames, size)))

    def lookup(self, symbol: str) -> Array:
        """The elements of a weight."""
        return elements_of(symbol, self.weights)

    def simulate(self, memories: dict[ir.Value, Array], folder: Path) -> list[tuple[int, int]]:
        """Run the hardware on what its inputs hold; the cycles of each frame."""
        text, files = print_network(self.network, self.lookup)
        for name, contents in files.items():
            (folder / name).write_text(contents, encoding="utf-8")
        build_verilated(folder, TOP, text, network_program(self.network))
        streams = sorted(self.network.streams, key=lambda stream: not stream.is_input)
        for stream in streams:
            if stream.is_input:
                (folder / stream.name).write_bytes(memories[self.network.ports[stream]].tobytes())
        how = self.disturbance
        most = (self.network.timeline(self.frames)[-1][1] + EXTRA_CYCLES) * 100 // (100 - how.stalls) ** 2 * 100
        most += max(how.reset_at, 0)
        arguments = [str(n) for n in (self.frames, most, how.stalls, how.seed, how.reset_at, how.wrong_last)]
        command = [str(folder / "rtl"), *arguments, *(stream.name for stream in streams)]
        printed = execute(command, folder, RUN_SECONDS)
        for stream in streams:
            if not stream.is_input:
                root = self.network.ports[stream]
                memories[root] = np.fromfile(folder / stream.name, dtype_of(root)).reshape(self.frames, -1)
        return [(int(first), int(last)) for first, last in (line.split() for line in printed.splitlines())]


def dtype_of(memory: ir.Value) -> np.dtype:
    """NumPy's type for the elements of a memory in files."""
    kind = file_type(ir.MemRefType(memory.type).element_type) or ""
    return np.dtype(DTYPES.get(kind, kind.removesuffix("_t")))


def _total(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(count or 0 for count in counts)
