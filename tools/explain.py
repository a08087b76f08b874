"""`terrace-explain`: show one kernel of a compiled model at every level, and why its schedule is what it is.

Exit codes: 0 done, 1 failed, 2 wrong command line.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from terrace.compiler.kernel_texts import ASSEMBLY, KernelLevels
from terrace.errors import CompileError, TerraceError
from terrace.lowering.pipeline.registry import suggestion
from terrace.storage.artifact import Artifact, read_artifact
from terrace.supervision import enter_supervised
from terrace.target import Target

REASONS = "reasons"
"""What `--level` calls the cost model's reasons."""

_EPILOG = """\
Levels, from the top: graph (the ops that became the kernel), kernel (its function, with the schedule), reasons (why
this schedule), loop (the loops of its generator), the target's name, as cpu (the last code that Terrace makes), and
assembly (what LLVM makes of it; compiled for this)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. argparse exits with 2 by itself."""
    if arguments is None:
        enter_supervised("terrace-explain")
    options = _parser().parse_args(arguments)
    try:
        _run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # The reader has seen enough, as `head` has; Python must not flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TerraceError, OSError) as error:
        print(f"terrace-explain: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="terrace-explain",
        description="Show one kernel of a compiled model at every level, and why it was cut that way.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL.terrace", help="a model that terrace-compile wrote")
    parser.add_argument("kernel", nargs="?", metavar="KERNEL", help="its name; without one, all are listed")
    parser.add_argument("--level", metavar="LEVEL", help="print this level only, and nothing but it")
    parser.add_argument(
        "--iree-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="for iree-compile, as the model was compiled with; repeatable",
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    artifact = read_artifact(options.model)
    if "loop" not in artifact.ir:
        raise CompileError(f"{options.model} has no text of the level 'loop': it was compiled from IREE's level")
    target = Target.from_json(artifact.target)
    kernels = KernelLevels(artifact.ir, target, options.iree_flag)
    if options.kernel is None:
        _list(artifact, kernels)
        return
    if options.kernel not in kernels.names:
        near = suggestion(options.kernel, kernels.names)
        raise CompileError(f"no kernel named {options.kernel!r}{near}; `terrace-explain {options.model}` lists them")
    levels = list(kernels.levels)
    if kernels.has_reasons:
        levels.insert(levels.index("kernel") + 1, REASONS)
    if options.level is None:
        _explain(artifact, kernels, options.kernel, levels)
        return
    if options.level not in levels:
        near = suggestion(options.level, levels)
        raise CompileError(f"no level {options.level!r}{near}; this model has {', '.join(levels)}")
    print(_text(kernels, options.kernel, options.level), end="")


def _list(artifact: Artifact, kernels: KernelLevels) -> None:
    """A line per kernel: what it is, and how often it runs."""
    rows = {row.get("kernel"): row for row in artifact.rows()}
    width = max((len(name) for name in kernels.names), default=0)
    for name in kernels.names:
        row = rows.get(name, {})
        calls = row.get("calls")
        what = f"  {row.get('op')}, {calls} call{'s' if calls != 1 else ''}, {row.get('why')}" if row else ""
        print(f"{name:<{width}}{what}")


def _explain(artifact: Artifact, kernels: KernelLevels, name: str, levels: Sequence[str]) -> None:
    graphs = [entry.layers.get("layers", []) for entry in artifact.entries.values()]
    layers = [layer for graph in graphs for layer in graph if layer["kernel"] == name]
    print(f"// {name}, compiled for {artifact.target.get('name')}")
    for layer in layers:
        print(f"// {_place(layer)}")
    for level in levels:
        text = _text(kernels, name, level)
        print(f"\n// {'-' * 20} {level} {'-' * (90 - len(level))}")
        if level == ASSEMBLY and text:
            print(f"// {_instructions(text)}")
        print(text or "// nothing was found at this level\n", end="")


def _place(layer: Mapping[str, Any]) -> str:
    """Where in the model a launch stands: its submodule and the line of the user's source."""
    parts = [f"layer {layer['id']}", layer["module"], layer["source"]]
    macs = "?" if layer["macs"] is None else f"{layer['macs']:,}"
    return f"{', '.join(part for part in parts if part)}: {macs} MACs, {layer['bytes'] or '?'} bytes"


def _text(kernels: KernelLevels, name: str, level: str) -> str:
    if level == REASONS:
        return "".join(f"{line}\n" for line in kernels.reasons(name))
    return kernels.text(name, level)


def _instructions(text: str) -> str:
    """How many instructions there are, and the vector ones among them by name."""
    names = [line.split()[0] for line in text.splitlines() if line.startswith("\t") and not line.startswith("\t#")]
    fused = sum(name.startswith("vfmadd") for name in names)
    wide = (text.count("%zmm") and "zmm") or (text.count("%ymm") and "ymm") or "xmm"
    return f"{len(names)} instructions, {fused} of them fused multiply-adds; the widest registers are {wide}"


if __name__ == "__main__":
    sys.exit(main())
