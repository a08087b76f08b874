"""Which module belongs to which of the two distributions, `mlir-terrace-runtime` and `mlir-terrace`.

Both put modules into the package `terrace`, and no module is in both: what loads and runs a model is the runtime's, all
else is the compiler's, which depends on it.
"""

from __future__ import annotations

from setuptools.command.build_py import build_py

RUNTIME = {
    "terrace": {
        *(
            "__init__",
            "artifact",
            "checks",
            "collector",
            "element_types",
            "errors",
            "guards",
            "installed",
            "levels",
            "loaded_code",
            "logging",
        ),
        *("fpga", "machine", "number_format", "processes", "progress", "signature", "structure", "supervision"),
        *("target", "texts"),
    },
    "terrace.storage": {"__init__", "artifact", "files", "manifest", "mapped_file", "parameter_archive", "stored_zip"},
    "terrace.tools": {"__init__", "run", "written"},
}
"""The runtime's modules, of packages that both distributions share."""

RUNTIME_PACKAGES = ("terrace.report", "terrace.runtime")
"""The packages that are the runtime's alone."""


def is_runtime(package: str, module: str) -> bool:
    """Whether a module is the runtime's."""
    return package in RUNTIME_PACKAGES or module in RUNTIME.get(package, set())


class BuildRuntime(build_py):
    """Takes the runtime's modules."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Those in `package_dir`, as (package, module, file)."""
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return [part for part in found if is_runtime(*part[:2])]


class BuildCompiler(build_py):
    """Takes all other modules."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Those in `package_dir`, as (package, module, file)."""
        found: list[tuple[str, str, str]] = super().find_package_modules(package, package_dir)
        return [part for part in found if not is_runtime(*part[:2])]
