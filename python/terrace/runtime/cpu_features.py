"""What this machine's CPU can do, in LLVM's names, from /proc/cpuinfo."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

from terrace.errors import TargetError

_RENAMED = {
    "lm": ("64bit",),
    "pni": ("sse3",),
    "sse4_1": ("sse4.1",),
    "sse4_2": ("sse4.2", "crc32"),
    "abm": ("lzcnt",),
    "bmi1": ("bmi",),
    "lahf_lm": ("sahf",),
    "pclmulqdq": ("pclmul",),
    "sha_ni": ("sha",),
    "rdrand": ("rdrnd",),
    "3dnowprefetch": ("prfchw",),
    "ospke": ("pku",),
    "user_shstk": ("shstk",),
    "avx_vnni": ("avxvnni",),
    "avx_ifma": ("avxifma",),
    "avx_vnni_int8": ("avxvnniint8",),
    "avx_ne_convert": ("avxneconvert",),
    "avx512_vnni": ("avx512vnni",),
    "avx512_bf16": ("avx512bf16",),
    "avx512_fp16": ("avx512fp16",),
    "avx512_vbmi2": ("avx512vbmi2",),
    "avx512_bitalg": ("avx512bitalg",),
    "avx512_vpopcntdq": ("avx512vpopcntdq",),
    "avx512_vp2intersect": ("avx512vp2intersect",),
    "amx_tile": ("amx-tile",),
    "amx_int8": ("amx-int8",),
    "amx_bf16": ("amx-bf16",),
    "amx_fp16": ("amx-fp16",),
    "asimd": ("neon", "fp-armv8"),
    "asimddp": ("dotprod",),
    "asimdhp": ("fullfp16",),
    "atomics": ("lse",),
    "lrcpc": ("rcpc",),
}
"""Linux's flags whose LLVM names differ; the others are the same (avx2, fma, f16c, avx512f, avx512vbmi, sve, ...)."""

_AVX10 = frozenset({
    "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx512ifma", "avx512vbmi", "avx512vbmi2", "avx512vnni",
    "avx512bf16", "avx512bitalg", "avx512vpopcntdq", "avx512fp16", "vaes", "vpclmulqdq",
})  # fmt: skip
"""What AVX10.1 is made of (Intel, 355989): LLVM finds it by a leaf of CPUID that Linux does not show."""

_SYSTEM_FEATURES = frozenset({
    "cldemote", "clflushopt", "clwb", "clzero", "cmov", "cx16", "cx8", "enqcmd", "fsgsbase", "fxsr", "hreset",
    "invpcid", "kl", "lwp", "movdir64b", "movdiri", "mwaitx", "pku", "prefetchi", "prfchw", "ptwrite", "rdpid",
    "rdpru", "rdseed", "rtm", "sahf", "serialize", "sgx", "shstk", "tsxldtrk", "uintr", "waitpkg", "wbnoinvd",
    "widekl", "x87", "xsave", "xsavec", "xsaveopt", "xsaves",
})  # fmt: skip
"""Features that LLVM finds by itself where Linux may hide them (in a virtual machine), and no kernel uses."""

_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_ARCH_PRCTL = 158
_ARCH_GET_XCOMP_SUPP, _ARCH_REQ_XCOMP_PERM = 0x1021, 0x1023
_XFEATURE_XTILEDATA = 18
"""Linux, Documentation/arch/x86/xstate.rst: large registers are allowed to a process, all its threads, that asks."""


@functools.cache
def host_features() -> frozenset[str]:
    """The features of this CPU, those that Linux has no room for left out; empty where /proc/cpuinfo does not exist or
    lists none.
    """
    path = Path("/proc/cpuinfo")
    features = parse_cpuinfo(path.read_text()) if path.exists() else frozenset()
    return features if linux_has_amx() else without_amx(features)


def usable_features() -> frozenset[str]:
    """The features of this CPU that Linux lets this process use, which asks for those that need it."""
    features = host_features()
    return features if not any(map(_is_amx, features)) or allow_amx() else without_amx(features)


def without_amx(features: Iterable[str]) -> frozenset[str]:
    """The other features."""
    return frozenset(name for name in features if not _is_amx(name))


def parse_cpuinfo(text: str) -> frozenset[str]:
    """The features that all CPUs listed in `text` have."""
    common: set[str] | None = None
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            names = {name for flag in value.split() for name in _RENAMED.get(flag, (flag,))}
            common = names if common is None else common & names
    found = frozenset(common or ())
    return found | {"avx10.1"} if found >= _AVX10 else found


def host_architecture() -> str:
    """The architecture of this machine as LLVM calls it: "x86_64", "aarch64"."""
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def missing_features(required: Iterable[str]) -> list[str]:
    """Those of `required` (a leading + is ignored) that Linux does not report for this CPU.

    Features of the operating system's concern, which compute code does not use, are taken for granted.
    """
    names = {name.removeprefix("+") for name in required}
    return sorted(names - _SYSTEM_FEATURES - host_features())


def check_host(architecture: str | None, required: Iterable[str]) -> None:
    """Raise `TargetError` if a program for that architecture and those features would die on this machine."""
    if architecture is not None and architecture != host_architecture():
        raise TargetError(
            f"the model was compiled for {architecture}, this machine is {host_architecture()}; "
            f"compile it for this machine"
        )
    missing = missing_features(required)
    if missing:
        raise TargetError(
            f"the model was compiled for CPU features that this machine lacks: {', '.join(missing)}; "
            f"compile it here, or for a target without them"
        )
    if any(map(_is_amx, required)) and not allow_amx():
        raise TargetError("the model was compiled for AMX, which Linux refuses to this process; compile it without")


def _is_amx(feature: str) -> bool:
    return feature.removeprefix("+").startswith("amx-")


def linux_has_amx() -> bool:
    """Whether Linux has the registers of AMX to give."""
    mask = ctypes.c_uint64()
    done = _arch_prctl(_ARCH_GET_XCOMP_SUPP, ctypes.addressof(mask))
    return done and bool(mask.value >> _XFEATURE_XTILEDATA & 1)


@functools.cache
def allow_amx() -> bool:
    """Ask Linux to let this process use AMX, before a program does; whether it may. Nothing else needs it."""
    return _arch_prctl(_ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA)


def _arch_prctl(code: int, argument: int) -> bool:
    """Call Linux; whether it did as told."""
    if sys.platform != "linux" or host_architecture() != "x86_64":
        return False
    number, *arguments = (ctypes.c_long(value) for value in (_ARCH_PRCTL, code, argument))
    return ctypes.CDLL(None).syscall(number, *arguments) == 0
