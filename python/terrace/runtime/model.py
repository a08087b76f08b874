"""The callable that compiling gives and loading gives back."""

from __future__ import annotations

import dataclasses
import os
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from terrace.errors import InputError, TerraceError
from terrace.installed import needing_compiler
from terrace.levels import TEXTS
from terrace.report.words import escape
from terrace.runtime.entry_point import EntryPoint
from terrace.runtime.open_program import open_program
from terrace.runtime.profile import Profile
from terrace.runtime.report import Report
from terrace.runtime.values import to_numpy
from terrace.signature import Signature
from terrace.storage.artifact import (
    Artifact,
    artifact_bytes,
    artifact_of_bytes,
    find_entry,
    read_artifact,
    verify_archive,
    write_artifact,
)
from terrace.storage.files import new_files
from terrace.storage.parameter_archive import Array, MappedParameters, ParameterSource, aligned
from terrace.structure import dtype_name
from terrace.target import describe, registered_as, targets_with
from terrace.texts import plain

if TYPE_CHECKING:
    from terrace.runtime.cosim import CosimReport
    from terrace.runtime.network_cosim import NetworkCosim
    from terrace.runtime.network_resources import NetworkResources


def load(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    simulate: bool = False,
    verify: bool = False,
    in_memory: bool = False,
) -> CompiledModel:
    """Load a `.terrace` file. Its parameters are mapped, not copied; only the program in it is run, nothing is written.

    The program is native code: load models from those only whose programs you would run (docs/artifact.md).
    `threads`: the number of worker threads; None takes what the model was compiled for, which is all cores by default.
    `simulate`: build the C++ of a hardware design, so that it can be called. `verify`: read all parameters and check
    that they are undamaged. `in_memory`: read the file into memory of this process, in pages of 2 MB where the system
    has such; large weights are read faster from there where a mapped file has smaller ones (docs/deployment.md).
    Raises `ArtifactError` for a truncated, damaged or foreign file, `TargetError` for a program that this machine
    cannot run, OSError if the file cannot be opened.
    """
    model = CompiledModel(read_artifact(path, in_memory=in_memory), threads=threads, simulate=simulate)
    if verify:
        model.verify()
    return model


class CompiledModel:
    """A compiled model: call it like the model it was made from.

    - Torch tensors in, torch tensors out; NumPy arrays in, NumPy arrays out; with both, torch. A call without any
      tensor gives torch tensors if the process has imported torch, else NumPy arrays.
    - Tensors must be on the CPU. Those that require a gradient are detached: a compiled model has no backward.
    - Calls from several threads are safe and take turns; other Python threads run meanwhile. A forked child has the
      model, and its state as it was at the fork (docs/processes.md, also on signal handlers and the interpreter's end).

    Who owns which memory, until when:

    - An input belongs to the caller. A contiguous, 64-byte aligned one is read in place until the call returns, and
      must not be written to by another thread before that; any other is copied first. After the call nothing refers to
      it. No input is written to but those that the model itself writes to, which get their new values when the program
      has ended, as in eager; such an input shares memory with no other.
    - A result belongs to the caller. It stays valid when the model is deleted, and no later call changes it. Results
      share memory with no input, parameter or state, and with each other only where eager returns one tensor twice.
    - Parameters belong to the file's mapping, which lives as long as the model.

    `copy.copy`, `copy.deepcopy` and `pickle` give a model of its own with the state of the moment, which shares no
    state with this one. A pickled model is its `.terrace` file, and as safe to load as one, if nothing else is in the
    pickle.
    """

    def __init__(self, artifact: Artifact, *, threads: int | None = None, simulate: bool = False) -> None:
        """Make `artifact` ready to be called. A hardware design from a file is not, unless `simulate` is True."""
        # Whoever compiled the model may change its weights later: what is saved is what runs.
        artifact = dataclasses.replace(artifact, parameters=_held(artifact.parameters))
        self._artifact = artifact
        self._given_threads, self._may_simulate = threads, simulate or not artifact.is_from_file
        self._program = open_program(artifact, threads, simulate=self._may_simulate)
        self._states = {state.name: state for state in artifact.states}
        self._entries = {name: EntryPoint(artifact, name, self._program, threads) for name in artifact.entries}
        self._only = next(iter(self._entries.values())) if len(self._entries) == 1 else None

    def __str__(self) -> str:
        """What it takes and gives, how large it is, and whose code runs it."""
        names = {name: f"{name}: " if len(self._entries) > 1 else "" for name in self._entries}
        lines = [f"compiled model for {describe(self._artifact.target)}"]
        for name, entry in self._entries.items():
            signature = entry.signature
            inputs = zip(signature.input_paths(), signature.input_leaves, strict=True)
            outputs = zip(signature.output_paths(), signature.output_leaves, strict=True)
            lines += (f"  {names[name]}{path}: {leaf}" for path, leaf in (*inputs, *outputs))
        lines.append(f"  parameters: {len(self._artifact.parameters)}; state: {', '.join(self._states) or 'none'}")
        for name, entry in self._entries.items():
            lines += (f"  {names[name]}{line}" for line in entry.report().summary().splitlines())
        return "\n".join(map(plain, lines))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        reports = (entry.report()._repr_html_() for entry in self._entries.values())
        return f"<pre>{escape(str(self))}</pre>{''.join(reports)}"

    @property
    def entries(self) -> Mapping[str, EntryPoint]:
        """The functions of the model by name; "main" alone where one model was compiled."""
        return types.MappingProxyType(self._entries)

    def __getitem__(self, name: str) -> EntryPoint:
        """The function of this name. They share parameters and state."""
        return self._entries[find_entry(self._entries, name)]

    def _sole(self) -> EntryPoint:
        """The only function. Raises InputError if there are several."""
        return self._entries[find_entry(self._entries, None)]

    @property
    def signature(self) -> Signature:
        """What the model takes and gives; of one with several entries, ask an entry."""
        return self._sole().signature

    @property
    def target(self) -> dict[str, Any]:
        """What the program was compiled for."""
        return dict(self._artifact.target)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model, which has one entry: see `EntryPoint`."""
        return (self._only or self._sole())(*args, **kwargs)

    def ir(self, level: str) -> str:
        """The model's text at a level: "graph", "kernel", "loop", and the last, of which the program was made."""
        if level not in self._artifact.ir:
            known = ", ".join(name for name in TEXTS if name in self._artifact.ir) or "none"
            raise TerraceError(f"no IR of level {level!r} in this model; it has: {known}")
        return self._artifact.ir[level]

    def report(self) -> Report:
        """That of the only entry: see `EntryPoint.report`."""
        return self._sole().report()

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """That of the only entry: see `EntryPoint.profile`."""
        return self._sole().profile(*args, **kwargs)

    def cosim(self, vectors: int = 100, seed: int = 0) -> CosimReport:
        """Run each kernel of a hardware design as SystemVerilog in Verilator, and compare with its C++ on vectors.

        The report has the cycles that were predicted and simulated, and why a kernel has no SystemVerilog. Raises
        TargetError if Verilator, CIRCT or a C++ compiler is missing, and TerraceError if the design is from a file and
        was not loaded with `simulate=True`: what it says is built and run.
        """
        text = self._cosimulated_text()
        with needing_compiler("co-simulation"):
            from terrace.runtime.cosim import cosim
        return cosim(text, vectors, seed, self._artifact.parameters)

    def cosim_network(self, frames: Sequence[Sequence[Any]], stalls: int = 0, seed: int = 0) -> NetworkCosim:
        """Run the whole network of a hardware design as one module of SystemVerilog in Verilator.

        `frames` are the arguments of so many calls. They follow each other through streams, which stall in `stalls`
        percent of the cycles, drawn by `seed`. The results are compared with those of the C++, bit for bit, and without
        stalls the cycles of each frame with the predicted ones. Raises what `cosim` raises, and PassError if a kernel
        between the first and the last has no SystemVerilog.
        """
        text = self._cosimulated_text()
        if not frames:
            raise TerraceError("a network needs at least one frame")
        with needing_compiler("co-simulation"):
            from terrace.runtime.network_cosim import Disturbance, cosim_network
        arrays = [[to_numpy(v, f"frame {n}, argument {m}") for m, v in enumerate(f)] for n, f in enumerate(frames)]
        inputs = [np.stack(column) for column in zip(*arrays, strict=True)]
        return cosim_network(text, inputs, self._artifact.parameters, Disturbance(stalls, seed))

    def write_verilog(self, folder: str | os.PathLike[str]) -> None:
        """Write the network of a hardware design to a folder: `model.sv`, and a file of hexadecimal numbers for each
        memory of weights, which it reads from where it is elaborated. Nothing is left of a folder that fails.

        Raises PassError if a kernel between the first and the last has no SystemVerilog, TargetError without CIRCT.
        """
        text = self._cosimulated_text()
        with needing_compiler("SystemVerilog"):
            from terrace.runtime.network_cosim import network_files
        files = network_files(text, self._artifact.parameters)
        os.makedirs(folder, exist_ok=True)
        with new_files(folder) as create:
            for name, contents in files.items():
                create(name).write(contents.encode())

    def resources(self, family: str | None = None) -> NetworkResources:
        """What the network of a hardware design takes of an FPGA, estimated, by process: lookup tables, registers,
        multipliers and blocks of memory of its part, or of a family: AMD's 7 series ("xc7"), Lattice's ECP5 ("ecp5").

        Raises what `write_verilog` raises.
        """
        text = self._cosimulated_text()
        with needing_compiler("SystemVerilog"):
            from terrace.runtime.network_resources import network_resources
        return network_resources(text, self._artifact.parameters, family)

    def _cosimulated_text(self) -> str:
        """The design, if it may be built and run."""
        target = registered_as(self._artifact.target)
        if not target.cosimulates:
            known = targets_with("cosimulates")
            raise TerraceError(f"only a hardware design can be co-simulated; compile with target='{known}'")
        if not self._may_simulate:
            raise TerraceError(
                "co-simulation builds and runs what the design's file says: if you trust where it comes from, load it"
                " with terrace.load(path, simulate=True)"
            )
        return self._artifact.ir[target.level]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to `path` as a `.terrace` file, all of it or nothing. State is saved as it was initially."""
        write_artifact(path, self._artifact)

    def verify(self) -> None:
        """Read all parameters of a model that was loaded, and raise `ArtifactError` if they are damaged.

        Loading checks everything else. A model that was compiled in this process has nothing to check.
        """
        verify_archive(self._artifact)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (artifact_bytes(self._artifact), self._given_threads, self.state())

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledModel:
        copied = CompiledModel(self._artifact, threads=self._given_threads, simulate=self._may_simulate)
        copied.load_state(self.state())
        return copied

    def __copy__(self) -> CompiledModel:
        return self.__deepcopy__({})

    def state(self) -> dict[str, Array]:
        """Copies of the mutable buffers, by name."""
        return self._program.in_turn(self._read_state)

    def _read_state(self) -> dict[str, Array]:
        values = {}
        for name, state in self._states.items():
            (view,) = self._program.invoke(f"state.get.{name}", [], 1)
            values[name] = self._program.take(view, state.dtype, []).copy()
        return values

    def load_state(self, values: Mapping[str, Any]) -> None:
        """Set mutable buffers to copies of `values`, arrays or torch tensors by name; the others keep theirs.

        All are checked before any is set. Raises `InputError` for an unknown name or a wrong shape or dtype.
        """
        arrays: dict[str, Array] = {}
        for name, value in values.items():
            if name not in self._states:
                raise InputError(f"no state named {name!r}; the model's state: {', '.join(self._states) or 'none'}")
            state = self._states[name]
            arrays[name] = array = to_numpy(value, f"state[{name!r}]")
            if array.shape != state.shape or dtype_name(array) != state.dtype:
                expected = f"{state.dtype}{list(state.shape)}"
                raise InputError(
                    f"state[{name!r}]: expected {expected}, found {dtype_name(array)}{list(array.shape)}; convert it"
                )
        self._program.in_turn(lambda: self._write_state(arrays))

    def _write_state(self, arrays: Mapping[str, Array]) -> None:
        for name, array in arrays.items():
            # A copy that IREE owns: the program keeps it.
            self._program.invoke(f"state.set.{name}", [self._program.copy(array)], 0)

    def reset(self) -> None:
        """Set all mutable buffers to what they were when the model was loaded."""
        if self._states:
            self._program.in_turn(lambda: self._program.invoke("state.reset", [], 0))


def _restored(contents: bytes, threads: int | None, state: Mapping[str, Array]) -> CompiledModel:
    """A model that was pickled."""
    model = CompiledModel(artifact_of_bytes(contents), threads=threads)
    model.load_state(state)
    return model


def _held(parameters: Mapping[str, ParameterSource]) -> Mapping[str, ParameterSource]:
    """The parameters as they are now, where IREE uses them in place; those in a file stay there."""
    if isinstance(parameters, MappedParameters):
        return parameters
    return {name: aligned(source() if callable(source) else source) for name, source in parameters.items()}
