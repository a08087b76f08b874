"""A function of a compiled model: call it like the model that it was made from."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from terrace.checks import CODE_DTYPE
from terrace.errors import InputError, TerraceError
from terrace.runtime.buffers import Layouts
from terrace.runtime.plain_calls import PlainCalls
from terrace.runtime.profile import Profile
from terrace.runtime.report import Report, report_of
from terrace.runtime.values import from_parts, gives_torch, to_numpy, to_parts, to_torch
from terrace.runtime.written import check_writable, write_back
from terrace.signature import COMPLEX, Leaf
from terrace.storage.artifact import Artifact
from terrace.storage.parameter_archive import Array, numpy_dtype

if TYPE_CHECKING:
    from terrace.runtime.open_program import RunnableProgram

LITTLE_BYTES = 16 << 10
"""Up to here, a result is copied to torch's memory: that takes less time than an owner of IREE's memory."""


class EntryPoint:
    """A function of the program of `artifact`, called `name`; `CompiledModel` says whose memory is whose.

    `threads` is the number of workers that was asked for.
    """

    def __init__(self, artifact: Artifact, name: str, program: RunnableProgram, threads: int | None) -> None:
        entry = artifact.entries[name]
        self.name, self.signature = name, entry.signature
        self._artifact, self._entry, self._program, self._given_threads = artifact, entry, program, threads
        # What every call needs of the signature, which never changes.
        self._input_paths = entry.signature.input_paths()
        self._returned = entry.signature.returned_leaves()
        inputs = entry.signature.input_leaves
        self._passed = [index for index, leaf in enumerate(inputs) if leaf.kind != "constant"]
        self._written = entry.signature.written
        self._given = [*self._returned, *(inputs[index] for index in self._written)]
        self._gives_one_tensor = entry.signature.outputs.kind == "leaf" and len(self._returned) == 1
        self._checks = entry.signature.checks
        self._result_count = len(self._given) + bool(self._checks)
        self._may_give_little = all(map(_may_be_little, self._given))
        self._plain = PlainCalls(entry.signature) if program.reads_in_place else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model.

        Raises `InputError`, before anything runs, if the arguments do not fit `signature`, and `CheckError` if a check
        in the program fails (an index is out of range, an integer divided by zero): the state and the arguments are
        then as they were.

        A model that draws random numbers takes the keyword `seed`, an int, too, unless it has an argument of that name:
        the same seed gives the same numbers. Without it the seed is drawn from PyTorch's generator, so that
        `torch.manual_seed` decides, or from NumPy's in a process without torch.
        """
        placed = None if self._plain is None else self._plain.by_position(args, kwargs)
        plain = None if self._plain is None or placed is None else self._plain.find(placed)
        if placed is not None and plain is not None:
            addresses, layouts, wants_torch = plain
            values = self._program.in_turn(lambda: self._run_at(addresses, layouts, wants_torch))
            return self._outputs(values, placed)
        seed = self._take_seed(kwargs)
        leaves = self.signature.flatten(args, kwargs)
        wants_torch = gives_torch(leaves)
        arrays = self._arrays(leaves)
        if self._plain is not None:
            self._plain.remember(leaves, arrays)
        if self._written:
            check_writable(self._written, leaves, dict(zip(self._passed, arrays, strict=True)), self._input_paths)
        passed = [*map(to_parts, arrays), *seed]
        values = self._program.in_turn(lambda: self._run(passed, wants_torch))
        for index, value in zip(self._written, values[len(self._returned) :], strict=True):
            write_back(leaves[index], value, self._input_paths[index])
        return self._outputs(values, leaves, self.signature.registered_arguments(args, kwargs))

    def _outputs(self, values: list[Any], leaves: Sequence[Any], registered: Sequence[Any] = ()) -> Any:
        """What a call gives of the program's results, its arguments' leaves, and those of registered classes."""
        if self._gives_one_tensor:
            return values[0]
        return self.signature.unflatten(_fill_outputs(self.signature.output_leaves, values, leaves), registered)

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
        results = self._program.invoke(self.name, arguments, self._result_count)
        return self._take_results(results, [argument.addresses for argument in arguments], wants_torch)

    def _run_at(self, addresses: tuple[int, ...], layouts: Layouts, wants_torch: bool) -> list[Any]:
        """`_run` for plain arguments."""
        results = self._program.invoke_at(self.name, addresses, layouts, self._result_count)
        if wants_torch and self._may_give_little and all(0 < result.byte_length <= LITTLE_BYTES for result in results):
            return self._take_little(results)
        borrowed = [
            range(address, address + layout.length) for address, layout in zip(addresses, layouts.items, strict=True)
        ]
        return self._take_results(results, borrowed, wants_torch)

    def _take_little(self, results: list[Any]) -> list[Any]:
        """`_take_results`, for results of a few KB."""
        try:
            if self._checks:
                self._raise_failure(self._program.take_tensor(results.pop()).item())
            return [self._program.take_tensor(result) for result in results]
        finally:
            results.clear()

    def _take_results(self, results: list[Any], borrowed: list[range], wants_torch: bool) -> list[Any]:
        """Results as tensors and Python numbers, none of which shares memory with an input or another result."""
        try:
            if self._checks:
                self._raise_failure(self._program.take(results.pop(), CODE_DTYPE, []).item())
            values = [self._take(leaf, result, borrowed) for leaf, result in zip(self._given, results, strict=True)]
            return (
                [to_torch(value) if isinstance(value, np.ndarray) else value for value in values]
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
            arrays.append(np.asarray(value, numpy_dtype(leaf.dtype)) if is_number else to_numpy(value, path))
        return arrays

    def _take(self, leaf: Leaf, result: Any, borrowed: list[range]) -> Any:
        if leaf.kind == "scalar":
            return self._program.take(result, leaf.dtype, []).item()
        value = self._program.take(result, COMPLEX.get(leaf.dtype, leaf.dtype), borrowed)
        if self._artifact.states and value.base is not None:
            # Whether a result is the state's own buffer cannot be seen from outside, and state changes in place.
            value = value.copy()
        return from_parts(value, leaf.dtype) if leaf.dtype in COMPLEX else value

    def report(self) -> Report:
        """A row per kernel; prints as a table, and `to_html` draws it."""
        return report_of(self._entry, self._artifact.target)

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """Call the model many times, in a process of its own, and time every kernel. Prints as a table.

        `Profile` says what the times mean; `save_trace` writes them for Perfetto. Takes a few seconds. The state of
        this model is not touched. Raises `InputError` as a call does, and `TerraceError` if the target has no profiler.
        """
        # It costs a call nothing.
        from terrace.runtime.profiling import profile_program
        from terrace.runtime.program import worker_count

        seed = self._take_seed(kwargs)
        arrays = [*map(to_parts, self._arrays(self.signature.flatten(args, kwargs))), *seed]
        return profile_program(self._artifact, self.name, arrays, worker_count(self._artifact, self._given_threads))


def _may_be_little(leaf: Leaf) -> bool:
    """Whether a result is a tensor of a type that IREE has, too, and little as far as its sizes are known."""
    sizes = [size for size in leaf.shape if isinstance(size, int)]
    is_iree_type = leaf.dtype not in COMPLEX and not leaf.dtype.startswith(("uint", "float8"))
    is_tensor = leaf.kind == "tensor" and is_iree_type
    return is_tensor and math.prod(sizes) * numpy_dtype(leaf.dtype).itemsize <= LITTLE_BYTES


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
