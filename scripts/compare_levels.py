#!/usr/bin/env python3
"""Compare the kernels that this tree makes of the example models with those of another revision.

    scripts/compare_levels.py REV [--target cpu] [--level loop] [--model lenet] [--diff]

Both trees write the text of a level, by `terrace-compile --emit`, for fixed targets, so that the machine does not
count. Functions are compared by name. What a commit made is kept in build/levels, with the CPU seconds it took; this
tree's text is made anew each time. Exits with 1 if a kernel differs.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "levels"
FEATURES = "avx,avx2,avx512bw,avx512cd,avx512dq,avx512f,avx512vl,f16c,fma,popcnt,sse3,sse4.1,sse4.2,ssse3"
TARGETS = {
    "cpu": ("--target=cpu", f"--cpu-features={FEATURES}", "--threads=1"),
    "vulkan": ("--target=vulkan", "--gpu=ampere"),
    "hls": ("--target=hls",),
}
FAILED = "// failed: "

_DUMP = """
import contextlib, io, json, os, sys, time
from pathlib import Path
from terrace.tools.compile import main
folder, level, models, flags = json.loads(sys.argv[1])
seconds = json.loads(Path(folder, "seconds.json").read_text()) if Path(folder, "seconds.json").exists() else {}
for model in models:
    name, began, errors = Path(model).stem, time.process_time(), io.StringIO()
    with contextlib.redirect_stderr(errors):
        place = ["-o", f"{folder}/{name}.mlir", "--reproducer-dir=off"]
        code = main([f"{model}:build", f"--emit={level}", *place, *flags])
    if code:
        said = [line for line in errors.getvalue().splitlines() if "error: " in line] or ["?"]
        Path(folder, f"{name}.mlir").write_text(f"// failed: {said[-1]}\\n")
    seconds[name] = round(time.process_time() - began, 2)
Path(folder, "seconds.json").write_text(json.dumps(seconds, indent=1))
"""
"""Runs in either tree, on its public tools alone."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revision", metavar="REV", help="what to compare with, a commit")
    parser.add_argument("--target", action="append", choices=TARGETS, help="repeatable; all by default")
    parser.add_argument("--level", default="loop", help="graph, kernel, loop (default), iree or hls")
    parser.add_argument(
        "--model", action="append", metavar="NAME", help="of examples/models; repeatable; all by default"
    )
    parser.add_argument("--diff", action="store_true", help="show the first lines of each difference")
    options = parser.parse_args()
    revision = _git("rev-parse", "--verify", f"{options.revision}^{{commit}}").strip()
    models = sorted(ROOT.glob("examples/models/*.py"))
    models = [path for path in models if options.model is None or path.stem in options.model]
    differing = 0
    for target in options.target or TARGETS:
        before = _texts_of(revision, target, options.level, models)
        after = _texts_of(None, target, options.level, models)
        differing += _compare(target, before, after, models, options.diff)
    print(f"{differing} differing kernels")
    return 1 if differing else 0


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _texts_of(revision: str | None, target: str, level: str, models: list[Path]) -> Path:
    """The folder with a tree's texts; this tree's if `revision` is None."""
    place = KEPT / (revision or "tree")
    folder = place / f"{target}-{level}"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [path for path in models if revision is None or not (folder / f"{path.stem}.mlir").exists()]
    if missing:
        packages = _packages(_source_of(revision, place), place / "packages")
        # A cache would answer for code that did not run.
        environment = {**os.environ, "PYTHONPATH": str(packages), "TERRACE_CACHE_DIR": "off"}
        request = json.dumps([str(folder), level, [str(path) for path in missing], TARGETS[target]])
        subprocess.run([sys.executable, "-P", "-c", _DUMP, request], check=True, env=environment, cwd=place)
    return folder


def _source_of(revision: str | None, place: Path) -> Path:
    if revision is None:
        return ROOT
    source = place / "source"
    if not source.exists():
        source.mkdir()
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
    return source


def _packages(source: Path, folder: Path) -> Path:
    """A folder to import a tree's packages from, made of links as its pyproject.toml maps them."""
    mapping = tomllib.loads((source / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    top = folder / "terrace"
    top.mkdir(parents=True, exist_ok=True)
    links = {path.name: path for path in (source / mapping["terrace"]).iterdir()}
    links |= {name.partition(".")[2]: source / place for name, place in mapping.items() if name.count(".") == 1}
    for stale in top.iterdir():
        stale.unlink()
    for name, path in links.items():
        (top / name).symlink_to(path)
    return folder


def _functions(path: Path) -> dict[str, str]:
    """The functions of a text by name, attributes of the module aside, and under "" what stands between them."""
    found: dict[str, str] = {"": ""}
    name = ""
    for line in path.read_text().splitlines():
        start = re.match(r"  func\.func (?:private )?@([\w.$]+)", line)
        if start:
            name = start[1]
            found[name] = ""
        found[name] += "" if line.startswith(("module {", "module attributes")) else f"{line}\n"
        if line == "  }":
            name = ""
    return found


def _compare(target: str, before: Path, after: Path, models: list[Path], shown: bool) -> int:
    times = [json.loads((folder / "seconds.json").read_text()) for folder in (before, after)]
    total, compiled = 0, 0
    for model in models:
        name = model.stem
        old, new = (_functions(folder / f"{name}.mlir") for folder in (before, after))
        differing = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
        failed = new[""].startswith(FAILED)
        compiled += not failed
        seconds = "  ".join(f"{own.get(name, 0):6.1f}" for own in times)
        said = new[""].removeprefix(FAILED).strip()[:90] if failed else f"{len(new) - 1} functions"
        print(f"{target:7} {name:26} {seconds} s  {len(differing)} differ  {said}")
        for key in differing if shown else ():
            lines = difflib.unified_diff(old.get(key, "").splitlines(), new.get(key, "").splitlines(), lineterm="", n=1)
            print(f"  @{key}", *list(lines)[2:22], sep="\n    ")
        total += len(differing)
    print(f"{target}: {compiled} of {len(models)} models compile, {total} kernels differ")
    return total


if __name__ == "__main__":
    sys.exit(main())
