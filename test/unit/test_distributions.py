"""The two distributions hold every module once, and the runtime's alone loads and runs a model."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import iree.runtime
import ml_dtypes
import numpy as np
import pytest
import terrace
from test_conventions import ROOT, sources

PROJECTS = {"mlir_terrace": ROOT, "mlir_terrace_runtime": ROOT / "packaging" / "runtime"}

MODEL = """
func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.neg"(%a) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""

RUN = """
import sys
import numpy as np, terrace

model = terrace.load("m.terrace")
print(model(np.arange(4, dtype=np.float32)).tolist())
assert not {"torch", "torch_mlir", "iree.compiler"} & set(sys.modules)
for use in (lambda: terrace.compile, lambda: terrace.compile_mlir, lambda: model.profile(np.zeros(4, np.float32))):
    try:
        use()
    except terrace.MissingPackageError as error:
        print(error)
"""


def settings(name: str) -> dict[str, list[str]]:
    """What setuptools is told for a distribution."""
    found: dict[str, list[str]] = tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text())["tool"]["setuptools"]
    return found


def test_declared_packages_equal_the_folders() -> None:
    on_disk = {name if path.name == "__init__.py" else name.rpartition(".")[0] for name, path in sources().items()}
    lacking = [path.parent for path in sources().values() if not (path.parent / "__init__.py").exists()]
    assert not lacking, "these folders lack an __init__.py"
    declared = [settings(name)["packages"] for name in PROJECTS]
    assert all(packages == sorted(packages) for packages in declared)
    assert {package for packages in declared for package in packages} == on_disk


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both distributions, built from a copy: setuptools would reuse what an earlier build left in build/."""
    folder = tmp_path_factory.mktemp("wheels")
    copy = folder / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "setup.py", "packaging", "README.md", "python", "dialects", "lowering", "tools"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(copy)], check=True)
    subprocess.run(["rm", "-rf", str(copy / "packaging/runtime/build")], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    built = [str(copy / project.relative_to(ROOT)) for project in PROJECTS.values()]
    done = subprocess.run([*command, *built], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {wheel.name.partition("-")[0]: wheel for wheel in folder.glob("*.whl")}


def files_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if ".dist-info/" not in name]


def test_the_wheels_hold_every_module_once(wheels: dict[str, Path]) -> None:
    shipped = [name for wheel in wheels.values() for name in files_of(wheel)]
    expected = [
        f"{name.replace('.', '/')}/__init__.py" if path.name == "__init__.py" else f"{name.replace('.', '/')}.py"
        for name, path in sources().items()
    ]
    assert sorted(shipped) == sorted([*expected, "terrace/py.typed"])


def test_the_runtime_alone_runs_a_model_and_says_what_it_lacks(wheels: dict[str, Path], tmp_path: Path) -> None:
    terrace.compile_mlir(MODEL).save(tmp_path / "m.terrace")
    with zipfile.ZipFile(wheels["mlir_terrace_runtime"]) as archive:
        archive.extractall(tmp_path / "site")
    # Its dependencies, and no other package: -S leaves site-packages out.
    (tmp_path / "site" / "iree").mkdir()
    libraries = Path(iree.runtime.__file__).parents[1]
    for package in libraries.iterdir():
        if package.name.startswith(("runtime", "_runtime")):
            (tmp_path / "site" / "iree" / package.name).symlink_to(package)
    for module in (np, ml_dtypes):
        package = Path(module.__file__).parent  # type: ignore[arg-type]
        (tmp_path / "site" / package.name).symlink_to(package)
    done = subprocess.run(
        [sys.executable, "-S", "-c", RUN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ran, *lacks = done.stdout.splitlines()
    assert ran == "[-0.0, -1.0, -2.0, -3.0]"
    assert [line.partition(" needs the compiler, which is not installed")[0] for line in lacks] == [
        "terrace.compile",
        "terrace.compile_mlir",
        "profiling, which compares with the machine's limits,",
    ]
    assert all(line.endswith("pip install mlir-terrace") for line in lacks)
