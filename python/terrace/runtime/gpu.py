"""IREE's GPU devices, shared by all models of the process, and what their drivers tell of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from iree.runtime._binding import create_hal_driver

from terrace.errors import TargetError
from terrace.runtime.device import Device, Devices
from terrace.runtime.vulkan_limits import read_limits
from terrace.target import GPUS, GpuDescription

_ADVICE = {
    "cuda": "install NVIDIA's driver",
    "hip": "install AMD's ROCm runtime",
    "vulkan": "install a Vulkan driver (Debian: apt-get install mesa-vulkan-drivers libvulkan1; it has a software one)",
}

_devices = Devices()


def gpu_device(driver: str) -> Device:
    """The default device of a driver of IREE. Raises `TargetError` if this machine has none."""
    return _devices.get(driver, lambda: _driver(driver).create_default_device())


def describe_gpu(driver: str) -> GpuDescription:
    """The GPU of this machine. Raises `TargetError` if there is none."""
    hal = _driver(driver)
    text = hal.dump_device_info(hal.query_available_devices()[0]["device_id"])
    return _described(_fields(text), *read_limits())


def _driver(name: str) -> Any:
    try:
        driver = create_hal_driver(name)
        available = driver.query_available_devices()
    except (RuntimeError, ValueError) as error:
        raise TargetError(_no_device(name)) from error
    if not available:
        raise TargetError(_no_device(name))
    return driver


def _no_device(name: str) -> str:
    return (
        f"target {name} finds no device on this machine; {_ADVICE[name]}. To compile for a device that is elsewhere, "
        f'name it: terrace.Target("{name}", gpu=...), one of {", ".join(GPUS)}'
    )


def _fields(text: str) -> dict[str, str]:
    """The `name=value` and `name: value` entries of a device's description."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, rest = line.partition(": ")
        fields[key.strip()] = rest.strip()
        fields.update((name, value) for name, equals, value in (w.partition("=") for w in rest.split()) if equals)
    return fields


_FEATURES = {
    "shaderIntegerDotProduct": "dot8",
    "shaderFloat16": "float16",
    "storageBuffer8BitAccess": "storage8",
    "storageBuffer16BitAccess": "storage16",
}


def _described(fields: dict[str, str], local_bytes: int, invocations: int) -> GpuDescription:
    """The named GPU that IREE generates code for, with the numbers of this one; unknown chips get the least."""
    known = GPUS.get(fields.get("driver", ""), GPUS["vp_android_baseline_2022"])
    features = {feature for name, feature in _FEATURES.items() if fields.get(name) == "yes"}
    return dataclasses.replace(
        known,
        subgroup_size=int(fields.get("size", known.subgroup_size)),
        max_invocations=min(invocations, known.max_invocations),
        local_bytes=min(local_bytes, known.local_bytes),
        features=tuple(name for name in known.features if name in features or name in ("float64", "int64")),
    )
