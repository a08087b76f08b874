"""The callable that compiling gives and loading gives back."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from terrace.checks import CODE_DTYPE
from terrace.errors import InputError, TerraceError
from terrace.installed import needing_compiler
from terrace.levels import TEXTS
from terrace.report.words import escape
from terrace.runtime.buffers import Layouts
from terrace.runtime.open_program import open_program
from terrace.runtime.plain_calls import PlainCalls
from terrace.runtime.profile import Profile
from terrace.runtime.report import Report, report_of
from terrace.runtime.written import check_writable, write_back
from terrace.signature import COMPLEX, Leaf, Signature
from terrace.storage.artifact import (
    Artifact,
    artifact_bytes,
    artifact_of_bytes,
    read_artifact,
    verify_archive,
    write_artifact,
)
from terrace.storage.parameter_archive import BITS, Array, MappedParameters, ParameterSource, aligned, numpy_dtype
from terrace.structure import dtype_name
from terrace.target import registered_as, targets_with
from terrace.texts import plain

if TYPE_CHECKING:
    import torch

    from terrace.runtime.cosim import CosimReport


LITTLE_BYTES = 16 << 10
"""Up to here, a result is copied to torch's memory: that takes less time than an owner of IREE's memory."""


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
        # What every call needs of the signature, which never changes.
        self._input_paths = artifact.signature.input_paths()
        self._returned = artifact.signature.returned_leaves()
        inputs = artifact.signature.input_leaves
        self._passed = [index for index, leaf in enumerate(inputs) if leaf.kind != "constant"]
        self._written = artifact.signature.written
        self._given = [*self._returned, *(inputs[index] for index in self._written)]
        self._gives_one_tensor = artifact.signature.outputs.kind == "leaf" and len(self._returned) == 1
        self._checks = artifact.signature.checks
        self._result_count = len(self._given) + bool(self._checks)
        self._gives_little = not self._checks and all(map(_is_little, self._given))
        self._plain = PlainCalls(artifact.signature) if self._program.reads_in_place else None

    def __str__(self) -> str:
        """What it takes and gives, how large it is, and whose code runs it."""
        signature, report = self.signature, self.report()
        places = [
            *zip(signature.input_paths(), signature.input_leaves, strict=True),
            *zip(signature.output_paths(), signature.output_leaves, strict=True),
        ]
        lines = [
            f"compiled model for {report.subtitle}",
            *(f"  {path}: {leaf}" for path, leaf in places),
            f"  parameters: {len(self._artifact.parameters)}; state: {', '.join(self._states) or 'none'}",
            f"  {report.summary()}",
        ]
        return "\n".join(map(plain, lines))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{escape(str(self))}</pre>{self.report()._repr_html_()}"

    @property
    def signature(self) -> Signature:
        """What the model takes and gives."""
        return self._artifact.signature

    @property
    def target(self) -> dict[str, Any]:
        """What the program was compiled for."""
        return dict(self._artifact.target)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model.

        Raises `InputError`, before anything runs, if the arguments do not fit `signature`, and `CheckError` if a check
        in the program fails (an index is out of range, an integer divided by zero): the state and the arguments are
        then as they were.

        A model that draws random numbers takes the keyword `seed`, an int, too, unless it has an argument of that name:
        the same seed gives the same numbers. Without it the seed is drawn from PyTorch's generator, so that
        `torch.manual_seed` decides, or from NumPy's in a process without torch.
        """
        plain = None if kwargs or self._plain is None else self._plain.find(args)
        if plain is not None:
            addresses, layouts, wants_torch = plain
            values = self._program.in_turn(lambda: self._run_at(addresses, layouts, wants_torch))
            return self._outputs(values, args)
        seed = self._take_seed(kwargs)
        leaves = self.signature.flatten(args, kwargs)
        wants_torch = _wants_torch(leaves)
        arrays = self._arrays(leaves)
        if not kwargs and self._plain is not None:
            self._plain.remember(args, arrays)
        if self._written:
            check_writable(self._written, leaves, dict(zip(self._passed, arrays, strict=True)), self._input_paths)
        passed = [*map(_to_parts, arrays), *seed]
        values = self._program.in_turn(lambda: self._run(passed, wants_torch))
        for index, value in zip(self._written, values[len(self._returned) :], strict=True):
            write_back(leaves[index], value, self._input_paths[index])
        return self._outputs(values, leaves)

    def _outputs(self, values: list[Any], leaves: Sequence[Any]) -> Any:
        """What a call gives of the program's results and its arguments' leaves."""
        if self._gives_one_tensor:
            return values[0]
        return self.signature.unflatten(_fill_outputs(self.signature.output_leaves, values, leaves))

    def _take_seed(self, kwargs: dict[str, Any]) -> list[Array]:
        """The seed of a call, which is taken from `kwargs`, as the program's last argument; nothing if it has none."""
        if not self.signature.is_seeded:
            return []
        is_given = "seed" in kwargs and not self.signature.takes("seed")
        seed = kwargs.pop("seed") if is_given else None
        if seed is None:
            torch = sys.modules.get("torch")
            word = np.iinfo(np.int64)
            seed = np.random.randint(word.min, word.max) if torch is None else int(torch.randint(2**63 - 1, ()))
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise InputError(f"seed: expected an int, found {type(seed).__name__}; pass a number of up to 64 bits")
        return [np.asarray(int(seed) % 2**64, np.uint64).view(np.int64)]

    def _run(self, arrays: Sequence[Array], wants_torch: bool) -> list[Any]:
        """The program's results for the arguments, in turn: state must not change before they are copied."""
        arguments = [self._program.put(value) for value in arrays]
        results = self._program.invoke(self._artifact.entry, arguments, self._result_count)
        return self._take_results(results, [argument.addresses for argument in arguments], wants_torch)

    def _run_at(self, addresses: tuple[int, ...], layouts: Layouts, wants_torch: bool) -> list[Any]:
        """`_run` for plain arguments."""
        results = self._program.invoke_at(self._artifact.entry, addresses, layouts, self._result_count)
        if wants_torch and self._gives_little:
            return [self._program.take_tensor(results.pop(0)) for _ in self._given]
        borrowed = [
            range(address, address + layout.length) for address, layout in zip(addresses, layouts.items, strict=True)
        ]
        return self._take_results(results, borrowed, wants_torch)

    def _take_results(self, results: list[Any], borrowed: list[range], wants_torch: bool) -> list[Any]:
        """Results as tensors and Python numbers, none of which shares memory with an input or another result."""
        try:
            if self._checks:
                self._raise_failure(self._program.take(results.pop(), CODE_DTYPE, []).item())
            values = [self._take(leaf, result, borrowed) for leaf, result in zip(self._given, results, strict=True)]
            return (
                [_to_torch(value) if isinstance(value, np.ndarray) else value for value in values]
                if wants_torch
                else values
            )
        finally:
            results.clear()  # A traceback keeps the names of this frame, and may outlive the device.

    def _raise_failure(self, number: int) -> None:
        """Raise the error of the check that failed, if one did; `number` is the program's last result."""
        if not 0 <= number <= len(self._checks):
            raise TerraceError(
                f"the program's check {number} failed, of which the signature knows nothing; compile again"
            )
        if number:
            raise self._checks[number - 1].error()

    def _arrays(self, leaves: Sequence[Any]) -> list[Array]:
        """What the program takes of the arguments' leaves."""
        arrays: list[Array] = []
        for leaf, value, path in zip(self.signature.input_leaves, leaves, self._input_paths, strict=True):
            if leaf.kind == "constant":
                continue
            is_number = leaf.kind == "scalar" or isinstance(value, (bool, int, float, complex))
            arrays.append(np.asarray(value, numpy_dtype(leaf.dtype)) if is_number else _to_numpy(value, path))
        return arrays

    def _take(self, leaf: Leaf, result: Any, borrowed: list[range]) -> Any:
        if leaf.kind == "scalar":
            return self._program.take(result, leaf.dtype, []).item()
        value = self._program.take(result, COMPLEX.get(leaf.dtype, leaf.dtype), borrowed)
        if self._states and value.base is not None:
            # Whether a result is the state's own buffer cannot be seen from outside, and state changes in place.
            value = value.copy()
        return _from_parts(value, leaf.dtype) if leaf.dtype in COMPLEX else value

    def ir(self, level: str) -> str:
        """The model's text at a level: "graph", "kernel", "loop", and the last, of which the program was made."""
        if level not in self._artifact.ir:
            known = ", ".join(name for name in TEXTS if name in self._artifact.ir) or "none"
            raise TerraceError(f"no IR of level {level!r} in this model; it has: {known}")
        return self._artifact.ir[level]

    def report(self) -> Report:
        """A row per kernel; prints as a table, and `to_html` draws it."""
        return report_of(self._artifact.report, self._artifact.layers, self.signature, self._artifact.target)

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """Call the model many times, in a process of its own, and time every kernel. Prints as a table.

        `Profile` says what the times mean; `save_trace` writes them for Perfetto. Takes a few seconds. The state of
        this model is not touched. Raises `InputError` as a call does, and `TerraceError` if the target has no profiler.
        """
        # It costs a call nothing.
        from terrace.runtime.profiling import profile_program
        from terrace.runtime.program import worker_count

        seed = self._take_seed(kwargs)
        arrays = [*map(_to_parts, self._arrays(self.signature.flatten(args, kwargs))), *seed]
        return profile_program(self._artifact, arrays, worker_count(self._artifact, self._given_threads))

    def cosim(self, vectors: int = 100, seed: int = 0) -> CosimReport:
        """Run each kernel of a hardware design as SystemVerilog in Verilator, and compare with its C++ on vectors.

        The report has the cycles that were predicted and simulated, and why a kernel has no SystemVerilog. Raises
        TargetError if Verilator, CIRCT or a C++ compiler is missing, and TerraceError if the design is from a file and
        was not loaded with `simulate=True`: what it says is built and run.
        """
        target = registered_as(self._artifact.target)
        if not target.cosimulates:
            known = targets_with("cosimulates")
            raise TerraceError(f"only a hardware design can be co-simulated; compile with target='{known}'")
        if not self._may_simulate:
            raise TerraceError(
                "co-simulation builds and runs what the design's file says: if you trust where it comes from, load it"
                " with terrace.load(path, simulate=True)"
            )
        with needing_compiler("co-simulation"):
            from terrace.runtime.cosim import cosim
        return cosim(self._artifact.ir[target.level], vectors, seed, self._artifact.parameters)

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
            arrays[name] = array = _to_numpy(value, f"state[{name!r}]")
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


def _is_little(leaf: Leaf) -> bool:
    """Whether a result is a tensor of a few KB for sure, and of a type that IREE has, too."""
    sizes = [size for size in leaf.shape if isinstance(size, int)]
    is_iree_type = leaf.dtype not in COMPLEX and not leaf.dtype.startswith(("uint", "float8"))
    is_static_tensor = leaf.kind == "tensor" and len(sizes) == len(leaf.shape)
    return is_static_tensor and is_iree_type and math.prod(sizes) * numpy_dtype(leaf.dtype).itemsize <= LITTLE_BYTES


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


def _fill_outputs(leaves: Sequence[Leaf], values: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    """All output leaves: what the program gave, constants, aliases of earlier leaves, and arguments themselves."""
    given = iter(values)
    filled: list[Any] = []
    for leaf in leaves:
        if leaf.kind == "constant":
            filled.append(leaf.value)
        elif leaf.argument is not None:
            filled.append(arguments[leaf.argument])
        else:
            filled.append(next(given) if leaf.alias is None else filled[leaf.alias])
    return filled


def _torch_tensor_type() -> Any:
    """torch.Tensor if the process has imported torch; an empty tuple, which nothing is an instance of, if not."""
    return getattr(sys.modules.get("torch"), "Tensor", ())


def _wants_torch(leaves: Sequence[Any]) -> bool:
    tensor_type = _torch_tensor_type()
    if any(isinstance(leaf, tensor_type) for leaf in leaves):
        return True
    return bool(tensor_type) and not any(isinstance(leaf, (np.ndarray, np.generic)) for leaf in leaves)


def _to_numpy(value: Any, path: str) -> Array:
    """A tensor as an array on the same memory. Raises `InputError` for one that NumPy cannot see."""
    if not isinstance(value, _torch_tensor_type()):
        return np.asarray(value)
    if value.device.type == "meta":
        raise InputError(
            f"{path}: expected a tensor on the CPU, found one on meta, which has no values; pass its values"
        )
    if value.device.type != "cpu":
        raise InputError(f"{path}: expected a tensor on the CPU, found one on {value.device}; call .cpu() on it")
    torch = sys.modules["torch"]
    if value.layout != torch.strided:
        raise InputError(f"{path}: expected a dense tensor, found {value.layout}; call .to_dense() on it")
    if value.is_neg():
        raise InputError(
            f"{path}: expected a plain tensor, found a view with the negative bit; call .resolve_neg() on it"
        )
    value = value.detach().resolve_conj()
    name = dtype_name(value)
    if name in BITS:
        return _seen_by_numpy(value.view(getattr(torch, BITS[name])), path).view(numpy_dtype(name))
    return _seen_by_numpy(value, path)


def _seen_by_numpy(value: torch.Tensor, path: str) -> Array:
    try:
        array = np.asarray(value.numpy())
    except (RuntimeError, TypeError) as error:  # Of a fake, nested or quantised tensor, or another class of the user's.
        raise InputError(f"{path}: expected a plain tensor, found {type(value).__name__}: {error}") from error
    if array.size and not value.data_ptr():  # Within torch.func.functionalize NumPy gets memory that holds anything.
        raise InputError(f"{path}: expected a plain tensor, found one without memory; pass it outside of a transform")
    return array


def _to_parts(value: Array) -> Array:
    """A complex array as a real one with a last axis of size 2, on the same memory if contiguous; a real one itself."""
    if value.dtype.kind != "c":
        return value
    whole = np.asarray(value, order="C")
    return whole.reshape(-1).view(whole.real.dtype).reshape(*whole.shape, 2)


def _from_parts(value: Array, dtype: str) -> Array:
    """The inverse of `_to_parts`."""
    return value.reshape(-1).view(numpy_dtype(dtype)).reshape(value.shape[:-1])


def _to_torch(value: Array) -> Any:
    torch = sys.modules["torch"]
    name = value.dtype.name
    if name in BITS:
        return torch.from_numpy(value.view(BITS[name])).view(getattr(torch, name))
    return torch.from_numpy(value)
