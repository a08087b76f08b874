"""lit configuration. `lit test` works from a checkout: the tools come from the interpreter that runs lit."""

# ruff: noqa: F821 (lit defines `config`)

import os
import shutil
import sys
from pathlib import Path

import lit.formats

ROOT = Path(__file__).resolve().parent

config.name = "terrace"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "e2e", "csim", "Inputs", "lit.cfg.py"]
config.test_source_root = str(ROOT)
config.test_exec_root = os.environ.get("TERRACE_LIT_OUTPUT", str(ROOT.parent / "build" / "test"))

bin_dir = str(Path(sys.executable).absolute().parent)
config.environment["PATH"] = os.pathsep.join([bin_dir, os.environ.get("PATH", "")])
# A test that wants a reproducer says where.
config.environment["TERRACE_REPRODUCER_DIR"] = "off"
# Tests must not depend on the user's settings, nor leave files in the user's cache.
for name in ("HOME", "TMPDIR", "VK_ICD_FILENAMES", "VK_DRIVER_FILES"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
config.environment["TERRACE_CACHE_DIR"] = "off"

config.substitutions.append((r"\bFileCheck\b", "filecheck"))
config.substitutions.append((r"%python", f"'{sys.executable}'"))

FEATURE_TOOLS = {
    "gxx": ("g++",),
    "spirv-val": ("spirv-val",),
    "verilator": ("verilator",),
}


def cpu_flags() -> set[str]:
    """The feature flags of this CPU as Linux names them, such as avx512f and amx_tile."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))


def has_vulkan() -> bool:
    """Whether a Vulkan driver is installed: lavapipe counts."""
    folders = (Path("/usr/share/vulkan/icd.d"), Path("/etc/vulkan/icd.d"))
    return any(any(folder.glob("*.json")) for folder in folders if folder.is_dir())


for feature, tools in FEATURE_TOOLS.items():
    if any(shutil.which(tool, path=config.environment["PATH"]) for tool in tools):
        config.available_features.add(feature)
if has_vulkan():
    config.available_features.add("vulkan")
config.available_features |= cpu_flags()
