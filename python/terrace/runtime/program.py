"""A compiled program in IREE's virtual machine, with its parameters."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import iree.runtime as rt
import numpy as np

from terrace.artifact import Artifact
from terrace.errors import ArtifactError, TerraceError
from terrace.parameter_archive import Array, MappedParameters, aligned_copy
from terrace.runtime.buffers import Imported, copy_array, import_array, to_array
from terrace.runtime.cpu_features import check_host
from terrace.runtime.device import cpu_device

PARAMETER_SCOPE = "model"
"""The scope of the program's `#flow.parameter.named` symbols."""


class Program:
    """One VM context. Calls from several threads take turns: a context runs one call at a time.

    `threads` is the number of workers; None takes the target's, or all cores.
    """

    # IREE's workers drop what a call used a moment after its end, and without the GIL, which the last reference to a
    # parameter's memory needs. So that one is ours: parameters stay for a second after their program.
    _retired: ClassVar[collections.deque[tuple[float, Any]]] = collections.deque()
    _now = staticmethod(time.monotonic)

    def __init__(self, artifact: Artifact, threads: int | None = None) -> None:
        self._release_retired()
        self.device = self._open_device(artifact.target, threads)
        self._lock = threading.Lock()
        self._functions: dict[str, Any] = {}
        try:
            self._load(artifact)
        except (RuntimeError, ValueError) as error:
            raise ArtifactError(
                f"IREE cannot load the program ({_first_line(error)}); compile the model again with this version"
            ) from error

    def _open_device(self, target: Mapping[str, Any], threads: int | None) -> Any:
        check_host(target.get("arch"), target.get("cpu_features", ()))
        return cpu_device(threads if threads is not None else target.get("threads"))

    def _load(self, artifact: Artifact) -> None:
        instance = rt.VmInstance()
        self._index = index = _parameter_index(artifact)
        provider = index.create_provider(scope=PARAMETER_SCOPE)
        # IREE uses the program in place if it is aligned, as it is in a file, and copies it otherwise.
        module = rt.VmModule.from_buffer(instance, artifact.program, warn_if_copy=False)
        modules = [
            rt.create_io_parameters_module(instance, provider),
            rt.create_hal_module(instance, self.device),
            module,
        ]
        self._module = module
        self._context = rt.VmContext(instance, modules)
        # Dropped in this order when the program goes, whatever the garbage collector does: the device is the last.
        self._owned = [self._context, module, *modules, provider, index, artifact.program, instance]

    def __del__(self) -> None:
        self.__dict__.pop("_functions", None)
        self.__dict__.pop("_context", None)
        self.__dict__.pop("_module", None)
        self._retired.append((self._now() + 1, self.__dict__.pop("_index", None)))
        owned = self.__dict__.get("_owned", [])
        while owned:
            del owned[0]

    def _release_retired(self) -> None:
        """Let the parameters of programs that are long gone go, too."""
        while self._retired and self._retired[0][0] < self._now():
            self._retired.popleft()

    def put(self, value: Array) -> Imported:
        """An input for `invoke`, on the memory of `value` if that will do."""
        return import_array(self.device, value)

    def copy(self, value: Array) -> Imported:
        """A copy of `value` for `invoke`, which the program may keep."""
        return copy_array(self.device, value)

    def take(self, result: Any, dtype: str, foreign: Sequence[range]) -> Array:
        """A result of `invoke` as an array whose memory lies in none of `foreign`."""
        return to_array(self.device, result, dtype, foreign)

    def invoke(self, name: str, arguments: Sequence[Imported], result_count: int) -> list[Any]:
        """Call a function, waiting for its end with the GIL released. Results are buffer views.

        `arguments` stay alive until the call is over, which is what borrowed memory needs. Raises `TerraceError` if
        the program fails.
        """
        function = self._function(name)
        if function is None:
            raise TerraceError(f"the program exports no function {name!r}; compile the model again with this version")
        packed = rt.VmVariantList(len(arguments))
        for argument in arguments:
            packed.push_ref(argument.view)
        results = rt.VmVariantList(result_count)
        try:
            with self._lock:
                self._context.invoke(function, packed, results)
        except (RuntimeError, ValueError, IndexError) as error:
            raise TerraceError(f"the program's function {name!r} failed: {_first_line(error)}") from error
        if results.size != result_count:
            raise TerraceError(
                f"the program's function {name!r} gave {results.size} results, the signature has {result_count}; "
                f"compile the model again with this version"
            )
        return [results.get_as_object(index, rt.HalBufferView) for index in range(result_count)]

    def _function(self, name: str) -> Any:
        if name not in self._functions:
            self._functions[name] = self._module.lookup_function(name)
        return self._functions[name]


def _parameter_index(artifact: Artifact) -> Any:
    """Parameters in IREE's hands: a mapped archive as it is, arrays in memory as they are."""
    index = rt.ParameterIndex()
    parameters = artifact.parameters
    if isinstance(parameters, MappedParameters):
        if len(parameters):
            index.load_from_file_handle(rt.FileHandle.wrap_memory(parameters.archive), "irpa")
        return index
    for name, source in parameters.items():
        value = source() if callable(source) else source
        index.add_buffer(name, _aligned_bytes(value))
    return index


def _aligned_bytes(value: Array) -> Array:
    """The contents of an array, at an address that IREE's kernels accept: its own memory if that will do."""
    contiguous = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    return contiguous if contiguous.ctypes.data % 64 == 0 else aligned_copy(contiguous)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
