"""What is asked of a compilation: target, precision and options, checked before anything is exported or read."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from terrace.compiler.calibration import QUANTIZATION_OPTIONS, check_quantization
from terrace.errors import CompileError
from terrace.lowering.pipeline.user_passes import user_passes
from terrace.runtime.cpu_features import host_features
from terrace.target import GpuDescription, Target

PRECISIONS = ("highest", "high", "medium")
"""torch.set_float32_matmul_precision's names. All are computed in float32 throughout, which is "highest"."""

OPTIONS = {
    "iree_flags": "more flags for iree-compile, a list of str",
    "reproducer_dir": "where what fails is written: a path, or 'off' (default: $TERRACE_REPRODUCER_DIR, or temporary)",
    "check_indices": "False: an index that is out of range reads or writes foreign memory, and nobody is told",
    **QUANTIZATION_OPTIONS,
    "passes": "passes of your own: a dict of points (docs/add_a_pass.md) to lists of passes or pipeline text",
}
"""What `options` may hold."""


def check_request(
    target: str | Target | None, precision: str | None, options: Mapping[str, Any] | None
) -> tuple[Target, dict[str, Any]]:
    """The target with nothing left open, and the options with their defaults. Raises CompileError or TargetError."""
    resolved, checked = resolve_target(target), check_options(options)
    check_precision(precision)
    return resolved, checked


def resolve_target(target: str | Target | None) -> Target:
    """The target with nothing left open; None is the CPU. Raises TargetError."""
    return (Target() if target is None else Target.of(target)).resolve(
        sorted(host_features()), len(os.sched_getaffinity(0)), _read_gpu
    )


def _read_gpu(driver: str) -> GpuDescription:
    from terrace.runtime.gpu import describe_gpu

    return describe_gpu(driver)


def check_options(options: Mapping[str, Any] | None, *, is_text: bool = False) -> dict[str, Any]:
    """The options with their defaults; a text may bring the ranges of int8 with it. Raises CompileError."""
    if options is not None and not isinstance(options, Mapping):
        raise CompileError(f"options must be a dict of {', '.join(OPTIONS)}; got {type(options).__name__}")
    checked = dict(options or {})
    for name in checked:
        if name not in OPTIONS:
            raise CompileError(f"unknown option {name!r}; known are {', '.join(OPTIONS)}")
    flags = checked.setdefault("iree_flags", [])
    if not isinstance(flags, (list, tuple)) or not all(isinstance(flag, str) for flag in flags):
        raise CompileError(f"option 'iree_flags' must be a list of str, got {flags!r}")
    if not isinstance(checked.setdefault("check_indices", True), bool):
        raise CompileError(f"option 'check_indices' must be a bool, got {checked['check_indices']!r}")
    checked["reproducer_dir"] = _reproducer_folder(checked.get("reproducer_dir"))
    checked["passes"] = user_passes(checked.get("passes", {}))
    check_quantization(checked, may_have_ranges=is_text)
    return checked


def _reproducer_folder(option: Any) -> str | None:
    if option is not None and not isinstance(option, (str, os.PathLike)):
        raise CompileError(f"option 'reproducer_dir' must be a path, got {option!r}")
    return None if option is None else os.fspath(option)


def check_precision(precision: str | None) -> None:
    """Raise CompileError for a precision that has another name."""
    if precision is not None and precision not in PRECISIONS:
        raise CompileError(f"unknown precision {precision!r}; known are {', '.join(PRECISIONS)}")


def followed_precision(precision: str | None) -> str:
    """A precision, or PyTorch's setting."""
    setting: str = precision or importlib.import_module("torch").get_float32_matmul_precision()
    return setting
