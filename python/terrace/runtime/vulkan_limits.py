"""The compute limits of this machine's first Vulkan device, read from the loader: IREE does not tell them."""

from __future__ import annotations

import ctypes

from terrace.errors import TargetError

_INSTANCE_CREATE_INFO = 1
# Of VkPhysicalDeviceProperties, by vulkan_core.h: where `limits` begins, and of two of its fields.
_LIMITS = 296
_SHARED_MEMORY_SIZE = 216
_WORKGROUP_INVOCATIONS = 232
_ROOM = 1024


class _InstanceCreateInfo(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    ]


def read_limits() -> tuple[int, int]:
    """Bytes of shared memory, and invocations, that a workgroup may have. Raises `TargetError` without a device."""
    vulkan = ctypes.CDLL("libvulkan.so.1")
    instance = ctypes.c_void_p()
    info = _InstanceCreateInfo(type=_INSTANCE_CREATE_INFO)
    if vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)):
        raise TargetError("Vulkan's loader makes no instance; check the installed driver with `vulkaninfo`")
    try:
        count, device = ctypes.c_uint32(1), ctypes.c_void_p()
        vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), ctypes.byref(device))
        if not device.value:
            raise TargetError("Vulkan's loader finds no device; check the installed driver with `vulkaninfo`")
        properties = ctypes.create_string_buffer(_ROOM)
        vulkan.vkGetPhysicalDeviceProperties(device, properties)
    finally:
        vulkan.vkDestroyInstance(instance, None)
    return _read(properties, _SHARED_MEMORY_SIZE), _read(properties, _WORKGROUP_INVOCATIONS)


def _read(properties: ctypes.Array[ctypes.c_char], offset: int) -> int:
    return ctypes.c_uint32.from_buffer(properties, _LIMITS + offset).value
