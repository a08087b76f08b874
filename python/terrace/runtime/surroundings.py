"""Where and when a report was drawn, as words: the machine, the time, the packages."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
from pathlib import Path

_PACKAGES = {
    "mlir-terrace-runtime": "Terrace",
    "torch": "PyTorch",
    "torch-mlir": "torch-mlir",
    "iree-base-compiler": "IREE compiler",
    "iree-base-runtime": "IREE runtime",
}


def describe_surroundings() -> list[str]:
    """The time (UTC), the machine's CPU and how many cores this process may use, the versions of what is installed."""
    now = datetime.datetime.now(datetime.UTC)
    cores = len(os.sched_getaffinity(0))
    return [
        f"{now:%Y-%m-%d %H:%M} UTC",
        f"{cpu_model()}, {cores} core{'' if cores == 1 else 's'}",
        ", ".join(f"{name} {version}" for name, version in _versions().items()),
    ]


def cpu_model() -> str:
    """What the CPU calls itself, else its architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name")
    return next(names, platform.machine())


def _versions() -> dict[str, str]:
    found = {}
    for package, name in _PACKAGES.items():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(package)
    return found
