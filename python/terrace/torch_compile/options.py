"""What `torch.compile(model, backend="terrace", options={...})` may say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from terrace.compiler.request import OPTIONS, Request
from terrace.errors import CompileError

PARAMETERS = ("watched", "inputs")

_NAMES = ("target", "precision", "parameters", "fallback")


@dataclasses.dataclass(frozen=True)
class BackendOptions:
    """The options of the backend; `target`, `precision` and those of `terrace.compile`'s `options` make the `request`.

    `parameters`: "watched" folds and packs parameters and buffers ahead of time, and does it anew when they change;
    "inputs" passes them at each call. `fallback`: let PyTorch run what does not compile, with a warning, instead of
    raising CompileError.
    """

    request: Request
    parameters: str = "watched"
    fallback: bool = True

    def __post_init__(self) -> None:
        if self.parameters not in PARAMETERS:
            raise CompileError(f"option 'parameters' must be one of {', '.join(PARAMETERS)}, got {self.parameters!r}")
        if self.request.tune is not None:
            raise CompileError("option 'tune' is for terrace.compile, not for the regions of torch.compile")
        if not isinstance(self.fallback, bool):
            raise CompileError(f"option 'fallback' must be a bool, got {self.fallback!r}")

    @staticmethod
    def of(given: Mapping[str, Any] | None) -> BackendOptions:
        """The options, checked. Raises CompileError, or TargetError for the target."""
        named = dict(given or {})
        for name in named:
            if name not in _NAMES and name not in OPTIONS:
                known = ", ".join((*_NAMES, *OPTIONS))
                raise CompileError(f"unknown option {name!r} of the backend 'terrace'; known are {known}")
        own = {name: named.pop(name) for name in _NAMES if name in named}
        request = Request.of(own.pop("target", None), own.pop("precision", None), named)
        request.check_calibration()
        return BackendOptions(request, **own)
