"""Settings of all tests: none reads or fills the user's compile cache, nor leaves files when a compile fails."""

from __future__ import annotations

import functools
import os
import signal

import pytest
import random_numbers

os.environ["TERRACE_CACHE_DIR"] = "off"
os.environ["TERRACE_REPRODUCER_DIR"] = "off"

# A shell starts what runs in the background with Ctrl-C ignored, which all processes of the tests would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST = (
    "test_network_cosim", "test_ops", "test_quantization", "test_frontend_models", "test_complex_ops",
    "test_attention_kernels", "test_cpu_atoms", "test_reference", "test_implicit_gemm", "test_frontend_integers",
    "test_random_schedules", "test_cosim", "test_encodings", "test_zoo", "test_checks", "test_permute",
    "test_frontend_numerics", "test_frontend_data_dependent", "test_complex", "test_cache", "test_docs",
)  # fmt: skip
"""Files that take a minute and more. They come first: no core waits at the end for another one's long file."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@functools.cache
def _missing_vulkan() -> str:
    """Why there is no Vulkan device; nothing if there is one."""
    from terrace.errors import TargetError
    from terrace.runtime.gpu import describe_gpu

    try:
        describe_gpu("vulkan")
    except TargetError as error:
        return str(error)
    return ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    random_numbers.seed()
    if item.get_closest_marker("vulkan") is not None and _missing_vulkan():
        pytest.skip(f"REQUIRES: vulkan ({_missing_vulkan()})")
