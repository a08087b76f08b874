"""What `torch.compile(model, backend="terrace", options={...})` may say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from terrace.compiler.request import OPTIONS, check_request
from terrace.errors import CompileError
from terrace.target import Target

PARAMETERS = ("watched", "inputs")


@dataclasses.dataclass(frozen=True)
class BackendOptions:
    """The options of the backend; those of `terrace.compile`'s `options` are in `options`.

    `parameters`: "watched" folds and packs parameters and buffers ahead of time, and does it anew when they change;
    "inputs" passes them at each call. `fallback`: let PyTorch run what does not compile, with a warning, instead of
    raising CompileError.
    """

    target: str | Target = "cpu"
    precision: str | None = None
    parameters: str = "watched"
    fallback: bool = True
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @staticmethod
    def of(given: Mapping[str, Any] | None) -> BackendOptions:
        """The options, checked. Raises CompileError, or TargetError for the target."""
        own = [field.name for field in dataclasses.fields(BackendOptions) if field.name != "options"]
        named = dict(given or {})
        for name in named:
            if name not in own and name not in OPTIONS:
                known = ", ".join((*own, *OPTIONS))
                raise CompileError(f"unknown option {name!r} of the backend 'terrace'; known are {known}")
        rest = {name: value for name, value in named.items() if name not in own}
        options = BackendOptions(**{name: named[name] for name in own if name in named}, options=rest)
        if options.parameters not in PARAMETERS:
            raise CompileError(
                f"option 'parameters' must be one of {', '.join(PARAMETERS)}, got {options.parameters!r}"
            )
        if not isinstance(options.fallback, bool):
            raise CompileError(f"option 'fallback' must be a bool, got {options.fallback!r}")
        check_request(options.target, options.precision, options.options)
        return options
