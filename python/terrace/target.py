"""What a model is compiled for: the name of a target and the numbers of its hardware.

No pass reads the machine it runs on; `terrace.compile` resolves a target once (`resolve`), and everything that depends
on hardware is a function of what stands here. Tests pretend to be another machine with `dataclasses.replace`.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from terrace.errors import TargetError
from terrace.fpga import PARTS
from terrace.machine import CircuitMachine, VectorMachine, WorkgroupMachine
from terrace.number_format import FLOAT, FixedPoint

if TYPE_CHECKING:
    from importlib import metadata

COMPUTE_FEATURES = frozenset({
    "adx", "aes", "amx-bf16", "amx-int8", "amx-tile", "avx", "avx2", "avx512bf16", "avx512bitalg", "avx512bw",
    "avx512cd", "avx512dq", "avx512f", "avx512fp16", "avx512ifma", "avx512vbmi", "avx512vbmi2", "avx512vl",
    "avx512vnni",
    "avx512vpopcntdq", "avxvnni", "bmi", "bmi2", "crc32", "cx16", "f16c", "fma", "gfni", "lzcnt", "mmx", "movbe",
    "pclmul", "popcnt", "sse", "sse2", "sse3", "sse4.1", "sse4.2", "sse4a", "ssse3", "vaes", "vpclmulqdq",
})  # fmt: skip
"""The features, by LLVM's names, that generated code may use; a machine has others that matter to its system only."""


def _check_types(description: CpuDescription | GpuDescription | HlsDescription | Target) -> None:
    """Refuse a description that has a value of another type than its field: threads="2", features="avx2"."""
    for name, type_ in typing.get_type_hints(type(description)).items():
        value = getattr(description, name)
        if not _is_one_of(value, type_):
            raise TargetError(f"{name} of a target cannot be {value!r:.60}")


def _is_one_of(value: Any, type_: Any) -> bool:
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if origin is tuple:
        return isinstance(value, (tuple, list, set, frozenset)) and all(
            isinstance(item, arguments[0]) for item in value
        )
    if origin is Literal:
        return isinstance(value, type(arguments[0]))
    if origin is types.UnionType:
        return any(_is_one_of(value, choice) for choice in arguments)
    return isinstance(value, type_) and not isinstance(value, bool)


WORKER_BYTES = 8 << 20
"""The memory that a worker of a CPU gets for itself when a program runs."""


@dataclasses.dataclass(frozen=True)
class CpuDescription(VectorMachine):
    """The numbers of a CPU core that cost models use, and how many cores share the work."""

    def __post_init__(self) -> None:
        _check_types(self)
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise TargetError(f"{field.name} of a CPU must be positive, got {getattr(self, field.name)}")
        if self.vector_bits & (self.vector_bits - 1) or self.vector_bits < 32:
            raise TargetError(f"vector_bits must be a power of two of 32 or more, got {self.vector_bits}")
        if self.local_bytes > WORKER_BYTES:
            raise TargetError(f"local_bytes of a CPU must be at most {WORKER_BYTES}, got {self.local_bytes}")

    @property
    def machine(self) -> VectorMachine:
        """What its kernels run on."""
        return self

    @staticmethod
    def of_features(features: Sequence[str], workers: int = 1) -> CpuDescription:
        """The description that a set of LLVM's CPU features implies."""
        if "avx512f" in features:
            # AMD's first cores with AVX-512 (Zen 4) work on 512 bits in two steps; later ones have AVX-VNNI.
            halves = "sse4a" in features and "avxvnni" not in features
            return CpuDescription(fma_per_cycle=1 if halves else 2, workers=workers)
        if "avx2" in features and "fma" in features:
            return CpuDescription(vector_bits=256, vector_registers=16, workers=workers)
        return CpuDescription(vector_bits=128, vector_registers=16, fma_per_cycle=1, workers=workers)


@dataclasses.dataclass(frozen=True)
class GpuDescription:
    """The numbers of a GPU that schedules and code generation use. `name` is what IREE calls the chip.

    `features` says what its shaders may use beyond 32-bit numbers: the names are those of `GPU_FEATURES`.
    """

    name: str = ""
    subgroup_size: int = 32
    max_invocations: int = 1024
    local_bytes: int = 32 << 10
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_types(self)
        for field in ("subgroup_size", "max_invocations", "local_bytes"):
            if getattr(self, field) < 1:
                raise TargetError(f"{field} of a GPU must be positive, got {getattr(self, field)}")
        if self.subgroup_size & (self.subgroup_size - 1):
            raise TargetError(f"subgroup_size must be a power of two, got {self.subgroup_size}")
        object.__setattr__(self, "features", tuple(self.features))
        for feature in self.features:
            if feature not in GPU_FEATURES:
                raise TargetError(f"unknown GPU feature '{feature}'; known are {', '.join(GPU_FEATURES)}")

    @property
    def workgroup_size(self) -> int:
        """Invocations of a workgroup: several subgroups, so that some compute while others wait for memory."""
        return 1 << (min(MAX_WORKGROUP, 8 * self.subgroup_size, self.max_invocations).bit_length() - 1)

    @property
    def machine(self) -> WorkgroupMachine:
        """What its kernels run on."""
        return WorkgroupMachine(self.workgroup_size, self.local_bytes)


MAX_WORKGROUP = 256
"""More invocations than this leave too few registers to each on most GPUs."""

GPU_FEATURES = ("dot8", "float16", "float64", "int64", "storage8", "storage16")
"""8-bit dot products, arithmetic of these widths, and 8- and 16-bit numbers in memory."""

_COMMON = ("dot8", "float16", "storage8", "storage16")

GPUS = {
    gpu.name: gpu
    for gpu in (
        GpuDescription("adreno", 64, 1024, 32 << 10, ("dot8", "float16", "storage16")),
        GpuDescription("ampere", 32, 1024, 163 << 10, (*_COMMON, "float64", "int64")),
        GpuDescription("gfx1100", 32, 1024, 64 << 10, (*_COMMON, "float64", "int64")),
        GpuDescription("llvmpipe", 8, 1024, 32 << 10, (*_COMMON, "float64", "int64")),
        GpuDescription("rdna3", 32, 1024, 64 << 10, (*_COMMON, "float64", "int64")),
        GpuDescription("sm_80", 32, 1024, 163 << 10, (*_COMMON, "float64", "int64")),
        GpuDescription("turing", 32, 1024, 64 << 10, (*_COMMON, "float64", "int64")),
        GpuDescription("valhall4", 16, 512, 32 << 10, _COMMON),
        GpuDescription("vp_android_baseline_2022", 64, 128, 16 << 10),
    )
}
"""GPUs by IREE's names, with the numbers that IREE 3.13 states of them, so that code for one needs none here."""


ALL_OF_PART = -1
"""A number that is left to the part of a design."""


@dataclasses.dataclass(frozen=True)
class HlsDescription:
    """The budget of a hardware design: copies of an unrolled body, DSP blocks, blocks of RAM (36 Kb) up to which arrays
    are multiplied for speed, bytes of a staged array, and elements of a weight that is kept on chip.

    `part` is one of `terrace.fpga.PARTS`; what is left out of `dsp` and `bram` is all that it has. `clock_mhz` is the
    clock that the design is made for.

    `dsp` are those of a loop of floats; of integers it is the multipliers of the whole design, which kernels share so
    that frames follow each other as fast as can be, or `target_fps` times in a second, if that is not 0, with as few
    multipliers as can be.

    `interface` is how inputs and outputs come that are gone through in order: "m_axi", memory of the host, or "axis",
    queues.

    `number_format` is what float32 models are computed in: "float", or a type of Vitis HLS such as
    "ap_fixed<16,6,AP_RND,AP_SAT>" (see `terrace.number_format`).
    """

    max_unroll: int = 16
    dsp: int = ALL_OF_PART
    bram: int = ALL_OF_PART
    local_bytes: int = 64 << 10
    rom_elements: int = 1 << 16
    number_format: str = FLOAT
    interface: Literal["m_axi", "axis"] = "m_axi"
    target_fps: int = 0
    part: str = "xc7z020"
    clock_mhz: int = 200

    def __post_init__(self) -> None:
        _check_types(self)
        if self.part not in PARTS:
            raise TargetError(f"unknown part '{self.part}'; known are {', '.join(PARTS)}")
        for name in ("dsp", "bram"):
            if getattr(self, name) == ALL_OF_PART:
                object.__setattr__(self, name, getattr(PARTS[self.part], name))
        none = dict.fromkeys(("dsp", "bram", "rom_elements", "target_fps"), 0)
        for name, number in {**none, "max_unroll": 1, "local_bytes": 1, "clock_mhz": 1}.items():
            if getattr(self, name) < number:
                raise TargetError(f"{name} of a design is too small, got {getattr(self, name)}")
        FixedPoint.parse(self.number_format)
        if self.interface not in ("m_axi", "axis"):
            raise TargetError(f"interface must be m_axi or axis, got '{self.interface}'")

    @property
    def machine(self) -> CircuitMachine:
        """What its kernels run on."""
        return CircuitMachine(self.local_bytes, widest=self.max_unroll)


@dataclasses.dataclass(frozen=True)
class Target:
    """What to compile for.

    `threads` is how many threads run the program (None: all cores of the machine that loads it). `features` are the
    CPU features, by LLVM's names, that the code may use (None: those of this machine); a machine that lacks one
    refuses to load the program. `cpu` overrides the numbers that the features imply. `gpu`, for a GPU, is one of
    `GPUS` by name or a description (None: what the driver of this machine tells).
    """

    name: str = "cpu"
    threads: int | None = None
    features: tuple[str, ...] | None = None
    cpu: CpuDescription | None = None
    gpu: GpuDescription | str | None = None
    hls: HlsDescription | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        if isinstance(self.gpu, str):
            if self.gpu not in GPUS:
                raise TargetError(f"unknown GPU '{self.gpu}'; known are {', '.join(GPUS)}")
            object.__setattr__(self, "gpu", GPUS[self.gpu])
        if registered(self.name) is None:
            raise TargetError(f"unknown target '{self.name}'; known are {', '.join(target_names())}")
        if self.gpu is not None and self.name in TARGETS and self.name not in GPU_TARGETS:
            raise TargetError(f"target {self.name} has no GPU; those that have are {', '.join(sorted(GPU_TARGETS))}")
        if self.hls is not None and self.name in TARGETS and self.name != "hls":
            raise TargetError(f"target {self.name} is no hardware design, which has a part and a budget; that is hls")
        if self.threads is not None and self.threads < 1:
            raise TargetError(f"threads must be positive, got {self.threads}")
        if self.features is not None:
            object.__setattr__(self, "features", tuple(self.features))

    @staticmethod
    def of(target: str | Target) -> Target:
        """A target from its name, or unchanged."""
        if isinstance(target, Target):
            return target
        if not isinstance(target, str):
            raise TargetError(f"target must be a name or a terrace.Target, got {type(target).__name__}")
        return Target(target)

    def resolve(
        self, host_features: Sequence[str], host_cores: int, read_gpu: Callable[[str], GpuDescription] | None = None
    ) -> Target:
        """The same target with nothing left open: features and hardware numbers filled in.

        `read_gpu` asks the driver of a target for its GPU; it is called only if the target leaves it open.
        """
        if self.name in GPU_TARGETS:
            return self._with_gpu(read_gpu)
        if self.name not in TARGETS and (self.gpu or self.hls):
            return dataclasses.replace(self, features=())
        if self.name == "hls":
            return dataclasses.replace(self, features=(), hls=self.hls or HlsDescription())
        features = self.features if self.features is not None else tuple(sorted(COMPUTE_FEATURES & set(host_features)))
        cpu = self.cpu or CpuDescription.of_features(features, self.threads or host_cores)
        return dataclasses.replace(self, features=features, cpu=cpu)

    def _with_gpu(self, read_gpu: Callable[[str], GpuDescription] | None) -> Target:
        if self.gpu is not None:
            return dataclasses.replace(self, features=())
        usual = GPU_TARGETS[self.name]
        if usual is None and read_gpu is None:
            raise TargetError(f"target {self.name} needs a GPU by name, one of {', '.join(GPUS)}")
        gpu = GPUS[usual] if usual is not None else read_gpu(self.name)  # type: ignore[misc]
        return dataclasses.replace(self, features=(), gpu=gpu)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Target:
        """A target from `to_json`; what else `data` has is left out. Raises `TargetError` for what is no target."""
        fields = dict(data)
        for name, description in (("cpu", CpuDescription), ("gpu", GpuDescription), ("hls", HlsDescription)):
            if isinstance(fields.get(name), Mapping):
                fields[name] = _read(description, fields[name])
        return _read(Target, fields)


def _read(kind: Any, data: Mapping[str, Any]) -> Any:
    return kind(**{field.name: data[field.name] for field in dataclasses.fields(kind) if field.name in data})


@dataclasses.dataclass(frozen=True)
class Registered:
    """What all of Terrace knows of a target: where its backend and runtime are, as module:name, what its programs are
    called in an artifact, and their level.

    `profiles`: IREE's profiler times its kernels. `cosimulates`: they are compared with their SystemVerilog. `texts`:
    what else can be made of a text of its level, by name.
    """

    backend: str
    runtime: str = "terrace.runtime.program:open_on_cpu"
    program: str = "program.vmfb"
    level: str = "iree"
    profiles: bool = False
    cosimulates: bool = False
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)


_GPU = "terrace.runtime.gpu_program:open_on_gpu"

TARGETS = {
    "cpu": Registered("terrace.lowering.target.cpu.backend:CpuBackend", profiles=True),
    "cuda": Registered("terrace.lowering.target.gpu.backend:CudaBackend", _GPU),
    "hip": Registered("terrace.lowering.target.gpu.backend:HipBackend", _GPU),
    "hls": Registered(
        "terrace.lowering.target.hls.backend:HlsBackend",
        "terrace.runtime.csim:open_design",
        "program.zip",
        "hls",
        cosimulates=True,
        texts={"verilog": "terrace.lowering.target.rtl.design:verilog"},
    ),
    "vulkan": Registered("terrace.lowering.target.gpu.backend:VulkanBackend", _GPU),
}
"""The targets by name. Other packages add backends by entry points of `ENTRY_POINTS`; IREE runs their programs."""

ENTRY_POINTS = "terrace.targets"


def registered(name: str) -> Registered | None:
    """The target of this name, or None."""
    return TARGETS.get(name) or next((Registered(e.value) for e in _entry_points() if e.name == name), None)


def registered_as(data: Mapping[str, Any]) -> Registered:
    """The target of an artifact (its `Target.to_json`); IREE runs the programs of those that nobody knows."""
    return TARGETS.get(str(data.get("name")), Registered(""))


def targets_with(part: str) -> str:
    """The names of Terrace's targets for which a field of `Registered` holds, in words."""
    return " or ".join(name for name, target in TARGETS.items() if getattr(target, part))


def describe(data: Mapping[str, Any]) -> str:
    """An artifact's target in words: its name, and what else tells it from others of the name."""
    name, threads, gpu = str(data.get("name", "unknown target")), data.get("threads"), data.get("gpu")
    if isinstance(data.get("cpu"), Mapping):
        name += f", {threads or 'all'} thread{'' if threads == 1 else 's'}"
    return f"{name}, {gpu.get('name', '')}" if isinstance(gpu, Mapping) else name


def target_names() -> list[str]:
    """All targets, those of other packages too, sorted."""
    return sorted({*TARGETS, *(entry.name for entry in _entry_points())})


@functools.cache
def _entry_points() -> tuple[metadata.EntryPoint, ...]:
    from importlib import metadata  # Slow to import, and rarely needed.

    return tuple(metadata.entry_points(group=ENTRY_POINTS))


GPU_TARGETS = {"cuda": "sm_80", "hip": "gfx1100", "vulkan": None}
"""The targets that are GPUs, and the one of `GPUS` that is meant where none is named; None asks the driver."""
