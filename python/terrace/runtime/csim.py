"""C simulation: a program that is a C++ project, built by the machine's compiler and run in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from terrace.errors import TargetError, TerraceError
from terrace.processes import find_program, run_program
from terrace.runtime.buffers import Imported
from terrace.runtime.project import BINARY, Project, read_project
from terrace.storage.artifact import Artifact
from terrace.storage.files import folder_for
from terrace.storage.parameter_archive import Array, numpy_dtype

COMPILERS = ("g++", "clang++", "c++")
# A product and a sum stay two roundings unless the program fuses them itself, and integers wrap around, as in hardware.
FLAGS = ("-O2", "-std=c++17", "-ffp-contract=off", "-fwrapv")
_SHOWN = 2000
T = TypeVar("T")


def find_compiler() -> str:
    """The C++ compiler: $CXX, or the first of `COMPILERS` that is installed. Raises TargetError."""
    wanted = os.environ.get("CXX")
    for name in (wanted,) if wanted else COMPILERS:
        path = find_program(name)
        if path is not None:
            return path
    missing = wanted or ", ".join(COMPILERS)
    raise TargetError(f"simulating a design needs a C++ compiler, found no {missing}; install g++ or set CXX")


def find_ap_types() -> Path:
    """The folder of ap_fixed.h and ap_int.h, which the package hls4ml has. Raises TargetError.

    The package is found and not imported: that takes seconds, and none of it is needed.
    """
    found = importlib.util.find_spec("hls4ml")
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        folder = Path(place) / "templates" / "vivado" / "ap_types"
        if (folder / "ap_fixed.h").exists():
            return folder
    raise TargetError(
        "simulating a design with fixed-point numbers, or with integers of other than 8, 16, 32 and 64 bits, needs the"
        " headers of Vitis HLS's types, which hls4ml brings; install them with `pip install mlir-terrace[hls]`"
    )


class CsimProgram:
    """A design built for simulation. Each call is a run of its test bench; inputs and outputs travel as files."""

    reads_in_place = False

    def __init__(self, artifact: Artifact, project: Project) -> None:
        self.path = folder_for(self, "terrace-csim-")
        self._ports = project.ports
        project.unpack(self.path)
        for port in self._ports:
            if port.role == "weight":
                source = artifact.parameters[port.symbol]
                value = source() if callable(source) else source
                np.ascontiguousarray(value).tofile(self.path / port.name)
        self._build([f"-isystem{find_ap_types()}"] if project.needs_ap_types else [])

    def _build(self, flags: Sequence[str]) -> None:
        command = [find_compiler(), *FLAGS, *flags, "model.cpp", "testbench.cpp", "-o", BINARY]
        done = run_program(command, self.path, folder=self.path)
        if done.returncode:
            said = done.stderr.decode(errors="replace")[:_SHOWN]
            raise TerraceError(f"{command[0]} failed on the C++ of the design:\n{said}")

    def in_turn(self, work: Callable[[], T]) -> T:
        """What `work` gives: calls do not disturb each other, not even those of a forked child."""
        return work()

    def put(self, value: Array) -> Imported:
        """An input for `invoke`: the array itself."""
        return Imported(value, value, range(0), is_copy=True)

    def copy(self, value: Array) -> Imported:
        """An input that nobody changes: a design keeps none."""
        return self.put(value.copy())

    def take(self, result: Array, dtype: str, foreign: list[range]) -> Array:
        """A result as an array, which is nobody else's."""
        del foreign
        array: Array = np.asarray(result)
        if array.dtype != numpy_dtype(dtype):
            raise TerraceError(f"the design gave {array.dtype}, the signature says {dtype}; compile the model again")
        return array

    def invoke(self, name: str, arguments: Sequence[Imported], result_count: int) -> list[Any]:
        """Run the design."""
        outputs = [port for port in self._ports if port.role == "output"]
        inputs = [port for port in self._ports if port.role == "input"]
        if (len(inputs), len(outputs)) != (len(arguments), result_count):
            raise TerraceError(f"the design has no function {name!r} of such arguments; compile the model again")
        with tempfile.TemporaryDirectory(dir=self.path) as folder:
            own = {port.name: Path(folder) / port.name for port in (*inputs, *outputs)}
            for port, argument in zip(inputs, arguments, strict=True):
                np.ascontiguousarray(argument.view).tofile(own[port.name])
            files = [str(own.get(port.name, port.name)) for port in self._ports]
            done = run_program([str(self.path / BINARY), *files], folder, folder=self.path)
            if done.returncode:
                said = done.stderr.decode(errors="replace")[:_SHOWN]
                raise TerraceError(f"the simulation failed with exit code {done.returncode}: {said}")
            return [np.fromfile(own[port.name], numpy_dtype(port.dtype)).reshape(port.shape) for port in outputs]


class UnbuiltDesign:
    """A design from a file whose simulation nobody asked for: all but running it can be done with it."""

    reads_in_place = False

    def in_turn(self, work: Callable[[], T]) -> T:
        raise _refusal()

    def put(self, value: Array) -> Imported:
        raise _refusal()

    def copy(self, value: Array) -> Imported:
        raise _refusal()

    def take(self, result: Any, dtype: str, foreign: list[range]) -> Array:
        raise _refusal()

    def invoke(self, name: str, arguments: Sequence[Imported], result_count: int) -> list[Any]:
        raise _refusal()


def _refusal() -> TerraceError:
    return TerraceError(
        "simulating a hardware design builds and runs C++ from its file: if you trust where it comes from, load it with"
        " terrace.load(path, simulate=True), or terrace-run --simulate"
    )


def open_design(artifact: Artifact, threads: int | None, simulate: bool) -> CsimProgram | UnbuiltDesign:
    """The design of an artifact, built to be called if it is to be simulated."""
    project = read_project(artifact)
    return CsimProgram(artifact, project) if simulate else UnbuiltDesign()
