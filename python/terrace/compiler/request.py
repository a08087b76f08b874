"""How to compile: target, precision and options, checked before anything is exported or read."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from terrace.errors import CompileError, PipelineError
from terrace.lowering.pipeline.user_passes import UserPasses, user_passes
from terrace.lowering.transforms.encode_weights import EncodeWeights
from terrace.lowering.transforms.quantize_graph import QuantizeGraph
from terrace.runtime.cpu_features import usable_features
from terrace.target import GpuDescription, Target

Precision = Literal["highest", "high", "medium"]
"""torch.set_float32_matmul_precision's names."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
WEIGHTS = {"int4": EncodeWeights(bits=4, group=32), "int8": EncodeWeights(bits=8, group=0)}
"""How weights may be stored, and what that is where nothing more is said."""


@dataclasses.dataclass(frozen=True)
class Tuning:
    """How kernels are tuned: the `file` of the records; for each kernel at most so many `trials`, the cost model's
    choice among them; for at most so many `seconds`, but for the kernel at work. `size` is what a size that is known at
    run time only is taken for (None: what the kernel's family assumes).
    """

    file: str
    trials: int = 8
    seconds: float = math.inf
    size: int | None = None

    def __post_init__(self) -> None:
        if type(self.trials) is not int or self.trials < 1:
            raise CompileError(f"'trials' of option 'tune' must be 1 or more, got {self.trials!r}")
        if type(self.seconds) not in (int, float) or not self.seconds >= 0:
            raise CompileError(f"'seconds' of option 'tune' must be 0 or more, got {self.seconds!r}")
        if self.size is not None and (type(self.size) is not int or self.size < 1):
            raise CompileError(f"'size' of option 'tune' must be 1 or more, got {self.size!r}")


_NAMES_OF_TUNING = tuple(field.name for field in dataclasses.fields(Tuning))


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of a compilation, beside its source. `of` makes one of what a user gives.

    `target` has nothing left open; None is the one that a text names, or else the default. `precision` is what float32
    may be computed in; a backend says what that is (`Backend.precision`). All other fields are the `options`:

    `iree_flags`: more flags for iree-compile. `reproducer_dir`: where what fails is written: a path, or "off" (None:
    $TERRACE_REPRODUCER_DIR, or a temporary folder). Without `check_indices`, an index that is out of range reads or
    writes foreign memory, and nobody is told. `quantize`: "int8" to compute in int8, or a dict that has this as its
    "type", and "multiplier_bits" (docs/quantization.md), with scales of the samples of `calibration`: calls to observe,
    each a tuple of arguments, or a dict of keyword arguments. `quantize_weights`: how weights of linear layers are
    stored: "int4" (a scale for 32 neighbours), "int8" (one for an output channel), or a dict that has one of these as
    its "type", and "group" (0: an output channel), "zero_points". `passes` of the user's own: points
    (docs/add_a_pass.md), each with a list of passes or pipeline text. Without `winograd`, convolutions add the products
    of their definition only (docs/numerics.md). `tune`: a file of measured schedules, where what is missing is measured
    first (docs/tuning.md), or a dict of `Tuning`'s fields.
    """

    target: Target | None = None
    precision: Precision = "highest"
    iree_flags: Sequence[str] = ()
    reproducer_dir: str | None = None
    check_indices: bool = True
    quantize: str | Mapping[str, Any] | None = None
    quantize_weights: str | Mapping[str, Any] | None = None
    calibration: Sequence[Any] = ()
    passes: UserPasses = dataclasses.field(default_factory=dict)
    winograd: bool = True
    tune: str | os.PathLike[str] | Mapping[str, Any] | None = None

    @staticmethod
    def of(
        target: str | Target | None = None,
        precision: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Request:
        """The request that these make; no `precision` follows PyTorch's setting. Raises CompileError or TargetError."""
        if options is not None and not isinstance(options, Mapping):
            raise CompileError(f"options must be a dict of {', '.join(OPTIONS)}; got {type(options).__name__}")
        given = dict(options or {})
        for name in given:
            if name not in OPTIONS:
                raise CompileError(f"unknown option {name!r}; known are {', '.join(OPTIONS)}")
        if "passes" in given:
            given["passes"] = user_passes(given["passes"])
        if isinstance(given.get("reproducer_dir"), os.PathLike):
            given["reproducer_dir"] = os.fspath(given["reproducer_dir"])
        resolved = None if target is None else _resolved(Target.of(target))
        return Request(resolved, _followed(precision), **given)  # type: ignore[arg-type]  # Checked below.

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise CompileError(f"unknown precision {self.precision!r}; known are {', '.join(PRECISIONS)}")
        if not isinstance(self.iree_flags, (list, tuple)) or not all(isinstance(flag, str) for flag in self.iree_flags):
            raise CompileError(f"option 'iree_flags' must be a list of str, got {self.iree_flags!r}")
        if self.reproducer_dir is not None and not isinstance(self.reproducer_dir, str):
            raise CompileError(f"option 'reproducer_dir' must be a path, got {self.reproducer_dir!r}")
        for name in ("check_indices", "winograd"):
            if not isinstance(getattr(self, name), bool):
                raise CompileError(f"option '{name}' must be a bool, got {getattr(self, name)!r}")
        _ = self.tuning, self.quantization
        if self.encode is not None and self.quantize is not None:
            raise CompileError("options 'quantize' and 'quantize_weights' exclude each other")
        if not isinstance(self.calibration, Sequence) or isinstance(self.calibration, (str, bytes)):
            raise CompileError(f"option 'calibration' must be a list of calls, got {type(self.calibration).__name__}")
        if self.calibration and self.quantize is None:
            raise CompileError("option 'calibration' needs option 'quantize': \"int8\"")

    @functools.cached_property
    def tuning(self) -> Tuning | None:
        """How kernels are tuned, if they are. Raises CompileError for what says no way."""
        given = self.tune
        if given is None:
            return None
        more = dict(given) if isinstance(given, Mapping) else {"file": given}
        if not isinstance(more.get("file"), (str, os.PathLike)) or not more.keys() <= set(_NAMES_OF_TUNING):
            raise CompileError(
                f"option 'tune' must be the path of a file of records, or a dict of {', '.join(_NAMES_OF_TUNING)}"
                f" with a 'file', got {given!r}"
            )
        return Tuning(**{**more, "file": os.fspath(more["file"])})

    @property
    def quantization(self) -> QuantizeGraph | None:
        """What makes integers of floats as asked for. Raises CompileError if nothing does."""
        given = self.quantize
        if given is None:
            return None
        more = dict(given) if isinstance(given, Mapping) else {"type": given}
        is_known = more.pop("type", None) == "int8" and more.keys() <= {"multiplier_bits"}
        if not is_known or not all(type(value) is int for value in more.values()):
            raise CompileError(
                f"option 'quantize' must be \"int8\", or {{'type': \"int8\", 'multiplier_bits': int}}, got {given!r}"
            )
        try:
            return QuantizeGraph(**more)
        except PipelineError as error:
            raise CompileError(f"option 'quantize': {error}") from error

    @property
    def encode(self) -> EncodeWeights | None:
        """What stores weights as they were asked for. Raises CompileError if nothing does."""
        given = self.quantize_weights
        if given is None:
            return None
        more = dict(given) if isinstance(given, Mapping) else {"type": given}
        usual = WEIGHTS.get(more.pop("type", ""))
        types = {"group": int, "zero_points": bool}
        if usual is None or not all(name in types and type(value) is types[name] for name, value in more.items()):
            known = " or ".join(f'"{name}"' for name in WEIGHTS)
            raise CompileError(
                f"option 'quantize_weights' must be {known}, or {{'type': {known}, 'group': int, 'zero_points': bool}},"
                f" got {given!r}"
            )
        try:
            return dataclasses.replace(usual, **more)
        except PipelineError as error:
            raise CompileError(f"option 'quantize_weights': {error}") from error

    def resolved(self, named: Target | None = None) -> Target:
        """The target with nothing left open: the one that is asked for, the one that a text names, or the default."""
        return self.target or _resolved(named or Target())

    def check_calibration(self) -> None:
        """Raise CompileError if int8 is asked for without samples, which only a text that has ranges can do without."""
        if self.quantize is not None and not self.calibration:
            raise CompileError(
                "option 'quantize' needs option 'calibration': a list of sample calls, such as [(x,)], which show how"
                " large the values get"
            )


OPTIONS = tuple(field.name for field in dataclasses.fields(Request) if field.name not in ("target", "precision"))
"""What `options` may hold."""


def _followed(precision: str | None) -> str:
    """A precision, or PyTorch's setting; a process without PyTorch has not set any."""
    torch = sys.modules.get("torch")
    if precision is not None or torch is None:
        return Request.precision if precision is None else precision
    setting: str = torch.get_float32_matmul_precision()
    return setting


def _resolved(target: Target) -> Target:
    return target.resolve(sorted(usable_features()), len(os.sched_getaffinity(0)), _read_gpu)


def _read_gpu(driver: str) -> GpuDescription:
    from terrace.runtime.gpu import describe_gpu

    return describe_gpu(driver)
