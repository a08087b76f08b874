"""A compiled program on a GPU: memory of its own, so inputs and results are always copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iree.runtime import HalBufferView

from terrace.errors import TerraceError
from terrace.runtime.buffers import Imported
from terrace.runtime.device import Device
from terrace.runtime.device_memory import DeviceMemory
from terrace.runtime.gpu import gpu_device
from terrace.runtime.program import Program
from terrace.storage.artifact import Artifact
from terrace.storage.parameter_archive import Array

_EMPTY = "resolved to an empty buffer range"


class GpuProgram(Program):
    """A `Program` whose device is the default one of a GPU driver. Raises TargetError where there is none."""

    reads_in_place = False

    def _open_device(self, target: Mapping[str, Any]) -> Device:
        device = gpu_device(target["name"])
        self._memory = DeviceMemory(device)
        return device

    def invoke(self, name: str, arguments: Sequence[Imported], result_count: int) -> list[Any]:
        try:
            return super().invoke(name, arguments, result_count)
        except TerraceError as error:
            if _EMPTY not in str(error):
                raise
            raise TerraceError(
                "a size is 0 in this call, in an input or within the program: IREE's vulkan driver takes no empty"
                " buffers; such a call needs another target, or shapes without `?`"
            ) from error

    def put(self, value: Array) -> Imported:
        return self._memory.import_array(value)

    def copy(self, value: Array) -> Imported:
        return self._memory.import_array(value)

    def take(self, result: HalBufferView, dtype: str, foreign: list[range]) -> Array:
        return self._memory.to_array(result, dtype)


def open_on_gpu(artifact: Artifact, threads: int | None, simulate: bool) -> GpuProgram:
    """The program of an artifact, on the default device of its target's driver."""
    return GpuProgram(artifact)
