"""A program in IREE's virtual machine: one context of this process, on one device, with its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import iree.runtime as rt

from terrace.errors import TerraceError
from terrace.runtime.buffers import Imported, Layouts, view_at
from terrace.runtime.device import Device
from terrace.runtime.lent import LENT
from terrace.runtime.lifetime import Owned
from terrace.storage.parameter_archive import Array

PARAMETER_SCOPE = "model"
"""The scope of the program's `#flow.parameter.named` symbols."""

CALLS_OF_KEPT_MEMORY = 1000
"""After so many calls a session trims its device, which may keep memory of sizes that no call asks for any more."""

MOST_ADDRESSES = 100
"""How many combinations of addresses a session keeps arguments of."""

Parameters = memoryview | Mapping[str, Array]
"""An IREE parameter archive, or arrays of bytes by name, at addresses that IREE's kernels accept."""


class Session(Owned):
    """One VM context. It runs one call at a time. Raises RuntimeError or ValueError if IREE cannot load the program."""

    _take_back = staticmethod(LENT.take_back)

    def __init__(self, program: bytes | memoryview, parameters: Parameters, device: Device) -> None:
        instance = rt.VmInstance()
        index = _parameter_index(parameters)
        provider = index.create_provider(scope=PARAMETER_SCOPE)
        # IREE uses the program in place if it is aligned, as it is in a file, and copies it otherwise.
        module = rt.VmModule.from_buffer(instance, program, warn_if_copy=False)
        modules = [
            rt.create_io_parameters_module(instance, provider),
            rt.create_hal_module(instance, device.hal),
            module,
        ]
        context = rt.VmContext(instance, modules)
        # The device goes last: with its last session it closes, which waits for its workers.
        self._at: dict[tuple[tuple[int, ...], Layouts], Any] = {}
        super().__init__(self._at, context, module, *modules, provider, index, program, instance, device)
        self.device = device
        self._context = context
        self._module = module
        self._functions: dict[str, Any] = {}
        self._calls = 0

    def __del__(self) -> None:
        device = self.__dict__.get("device")
        super().__del__()
        if device is not None and not self.__dict__:
            device.trim()  # What is left belonged to this program, or another asks for it again.
        self._take_back()

    def invoke(self, name: str, arguments: Sequence[Imported], result_count: int) -> list[Any]:
        """Call a function, waiting for its end with the GIL released. Results are buffer views.

        `arguments` stay alive until the call is over, which is what borrowed memory needs. Raises `TerraceError` if
        the program fails.
        """
        return self._invoke(name, _packed(argument.view for argument in arguments), result_count)

    def invoke_at(self, name: str, addresses: tuple[int, ...], layouts: Layouts, result_count: int) -> list[Any]:
        """`invoke` on memory of the caller's, which must stay until the call is over, at aligned addresses.

        Their views are kept for the next call with the same ones: a view is the name of an address, and owns nothing.
        """
        packed = self._at.get((addresses, layouts))
        if packed is None:
            if len(self._at) >= MOST_ADDRESSES:
                self._at.clear()
            views = (view_at(self.device, *pair) for pair in zip(addresses, layouts.items, strict=True))
            self._at[addresses, layouts] = packed = _packed(views)
        return self._invoke(name, packed, result_count)

    def _invoke(self, name: str, packed: Any, result_count: int) -> list[Any]:
        self._calls += 1
        if self._calls % CALLS_OF_KEPT_MEMORY == 0:
            self.device.trim()
        function = self._functions.get(name) or self._function(name)
        if function is None:
            raise TerraceError(f"the program exports no function {name!r}; compile the model again with this version")
        results = rt.VmVariantList(result_count)
        try:
            self._context.invoke(function, packed, results)
            if results.size != result_count:
                raise TerraceError(
                    f"the program's function {name!r} gave {results.size} results, the signature has {result_count}; "
                    f"compile the model again with this version"
                )
            return [results.get_as_object(index, rt.HalBufferView) for index in range(result_count)]
        except (RuntimeError, ValueError, IndexError) as error:
            raise TerraceError(f"the program's function {name!r} failed: {first_line(error)}") from error
        finally:
            # A traceback keeps the names of this frame, and may outlive the device.
            packed = results = None

    def _function(self, name: str) -> Any:
        if name not in self._functions:
            self._functions[name] = self._module.lookup_function(name)
        return self._functions[name]


def _packed(views: Iterable[Any]) -> Any:
    """A list of arguments."""
    views = list(views)
    packed = rt.VmVariantList(len(views))
    for view in views:
        packed.push_ref(view)
    return packed


def _parameter_index(parameters: Parameters) -> Any:
    """Parameters in IREE's hands: a mapped archive as it is, arrays in memory as they are."""
    index = rt.ParameterIndex()
    if isinstance(parameters, memoryview):
        index.load_from_file_handle(rt.FileHandle.wrap_memory(LENT.lend(parameters)), "irpa")
        return index
    for name, value in parameters.items():
        index.add_buffer(name, LENT.lend(value))
    return index


def first_line(error: Exception) -> str:
    """The first line of what an exception says, or its type."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
