"""`terrace-bench`: kernels and models of Terrace against PyTorch, in interleaved rounds of one process.

With --compile it measures the compiler instead (`terrace.tools.bench_compile`).
Each case is compiled by `terrace.compile` as a user's module would be, compared with its peers' results, and called
through the runtime on aligned inputs. Exit codes: 0 done, 1 failed, 2 wrong command line.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from terrace.errors import TerraceError
from terrace.tools import bench_compile
from terrace.tools.bench_cases import CASES, Case, Contest, select
from terrace.tools.bench_timing import Call, Timing, interleave

ABSOLUTE_TOLERANCE = 1e-5
OURS, EMPTY, PEAK = "terrace", "empty call", "peak"
MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "68719476736"}
"""What makes glibc keep freed memory: without it, both sides spend part of their time in page faults."""

_EPILOG = (
    """\
Times are microseconds per call, of models milliseconds. Kernels on one thread are timed by the CPU time of that thread,
models and several threads by the wall clock. `speed` is the peer's median over ours. `less call` is ours without what a
call of a model costs that adds 1 to one number. `peak` is the part of the multiply-add peak of one core, measured in
the same rounds.

"""
    + bench_compile.EPILOG
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured of a case."""

    case: Case
    compile_seconds: float
    timings: dict[str, Timing]
    peak_flops: int

    @property
    def peers(self) -> list[str]:
        return [name for name in self.timings if name not in (OURS, EMPTY, PEAK)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. As a program (`arguments` None) it first restarts itself under `MALLOC`."""
    options = _parser().parse_args(arguments)
    if options.list:
        for case in CASES:
            print(f"{case.name:24}{case.group:13}{case.what}")
        return 0
    keeps_malloc = options.default_malloc or options.compile or arguments is not None
    if not keeps_malloc and any(os.environ.get(key) != value for key, value in MALLOC.items()):
        command = [sys.executable, "-m", "terrace.tools.bench", *sys.argv[1:]]
        sys.stdout.flush()
        os.execve(sys.executable, command, {**os.environ, **MALLOC})
    try:
        (_run_compiler if options.compile else _run)(options)
    except (TerraceError, OSError) as error:
        print(f"terrace-bench: error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="terrace-bench",
        description="Measure Terrace's kernels and models against PyTorch.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="list the cases, and run nothing")
    parser.add_argument("--case", action="append", default=[], metavar="NAME", help="a case or a group; repeatable")
    parser.add_argument("--compile", action="store_true", help="measure compile time and memory; --case names examples")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds (default 15, with --compile 3)")
    parser.add_argument("--threads", type=_positive, default=1, metavar="N", help="threads of both sides (default 1)")
    parser.add_argument("--default-malloc", action="store_true", help="leave glibc's allocator as it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text!r}")
    return int(text)


# ---------------------------------------------------------------------------------------------------------------------
# Measuring
# ---------------------------------------------------------------------------------------------------------------------


def _run_compiler(options: argparse.Namespace) -> None:
    """Measure the compiler."""
    names, rounds = options.case or bench_compile.MODELS, options.rounds or 3
    load = f"{os.getloadavg()[0]:.1f} when it began"
    measured = {}
    for name in names:
        print(f"terrace-bench: {name} ...", file=sys.stderr)
        measured[name] = bench_compile.measure(name, rounds)
    command = " ".join(["terrace-bench --compile", *(f"--case {name}" for name in options.case), f"--rounds {rounds}"])
    where = {"machine": _machine(), "other load": load}
    description = {**where, "date": _today(), "command": command, "versions": _versions()}
    if options.json is not None:
        pairs = {name: [list(map(dataclasses.asdict, pair)) for pair in found] for name, found in measured.items()}
        options.json.write_text(json.dumps({**description, "models": pairs}, indent=1) + "\n")
    rows = [bench_compile.HEADER, *(bench_compile.row(name, found) for name, found in measured.items())]
    print("\n".join([*_listed(description), "", *_table(rows, options.markdown)]))


def _run(options: argparse.Namespace) -> None:
    import torch

    # What is measured is compiling, too.
    os.environ["TERRACE_CACHE_DIR"] = "off"
    options.rounds = options.rounds or 15
    cases = select(options.case)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with torch.no_grad():
        references, peak_flops = _references(options.threads)
        results = []
        for case in cases:
            print(f"terrace-bench: {case.name} ...", file=sys.stderr)
            results.append(_measure(case, options, references, peak_flops))
    description = _describe(options)
    if options.json is not None:
        options.json.write_text(json.dumps(_to_json(description, results), indent=1) + "\n")
    print(_render(description, results, options))


def _references(threads: int) -> tuple[dict[str, Call], int]:
    """What every case's rounds hold besides: the call of a model that does nothing, and on one thread the peak."""
    import torch
    from terrace.compiler import compile as terrace_compile
    from terrace.runtime.cpu_features import host_features
    from terrace.target import CpuDescription, Target
    from terrace.tools.bench_peak import compile_peak, peak_flops
    from torch import nn

    class AddOne(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    one = torch.zeros(1)
    empty = terrace_compile(AddOne(), (one,), target=Target(threads=threads))
    calls: dict[str, Call] = {EMPTY: lambda: empty(one)}
    cpu = CpuDescription.of_features(sorted(host_features()))
    if threads == 1:
        peak, argument = compile_peak(cpu)
        calls[PEAK] = lambda: peak(argument)
    return calls, peak_flops(cpu)


def _measure(case: Case, options: argparse.Namespace, references: dict[str, Call], peak_flops: int) -> Result:
    from terrace.compiler import compile as terrace_compile
    from terrace.target import Target

    contest = case.build()
    contest.model.eval()
    started = time.perf_counter()
    compiled = terrace_compile(
        contest.model, contest.args, target=Target(threads=options.threads), options=contest.options
    )
    compile_seconds = time.perf_counter() - started
    calls: dict[str, Call] = {OURS: lambda: compiled(*contest.args), **contest.peers}
    _check(case, contest, calls)
    if case.group != "models":
        calls |= references
    return Result(case, compile_seconds, interleave(calls, options.rounds), peak_flops)


def _check(case: Case, contest: Contest, calls: dict[str, Call]) -> None:
    """All contestants compute the same, and their inputs lie where both sides read them in place."""
    if any(value.data_ptr() % 64 for value in contest.args):
        raise TerraceError(f"{case.name}: an input is not aligned to 64 bytes, so Terrace would copy it")
    expected: Any = contest.model(*contest.args)
    for name, call in calls.items():
        result: Any = call()
        error = (result - expected).abs().max().item()
        tolerance = contest.tolerance * expected.abs().max().item() + ABSOLUTE_TOLERANCE
        if not error <= tolerance:
            raise TerraceError(f"{case.name}: {name} is off by {error:.3e}, the tolerance is {tolerance:.3e}")


def _describe(options: argparse.Namespace) -> dict[str, str]:
    """The machine, the date and the settings that belong to every figure."""
    malloc = " ".join(f"{key}={os.environ[key]}" for key in MALLOC if key in os.environ) or "glibc's default"
    arguments = [f"--case {name}" for name in options.case] + [f"--rounds {options.rounds}"]
    command = ["terrace-bench", *arguments, f"--threads {options.threads}"]
    return {
        "machine": _machine(),
        "date": _today(),
        "command": " ".join(command + ["--default-malloc"] * options.default_malloc),
        "threads": str(options.threads),
        "clock": "kernels by CPU time of the thread, models by wall clock" if options.threads == 1 else "wall clock",
        "malloc": malloc,
        "versions": _versions(),
    }


def _machine() -> str:
    return f"{_cpu_name()}, {len(os.sched_getaffinity(0))} cores"


def _today() -> str:
    return datetime.date.today().isoformat()


def _versions() -> str:
    return f"torch {importlib.metadata.version('torch')}, Python {platform.python_version()}"


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    return f"{names[0] if names else platform.machine()} ({vectors})"


# ---------------------------------------------------------------------------------------------------------------------
# Reporting
# ---------------------------------------------------------------------------------------------------------------------


def _to_json(description: dict[str, str], results: list[Result]) -> dict[str, Any]:
    cases = [
        {
            "case": result.case.name,
            "what": result.case.what,
            "flops": result.case.flops,
            "bytes": result.case.bytes,
            "compile_seconds": result.compile_seconds,
            "timings": {name: dataclasses.asdict(timing) for name, timing in result.timings.items()},
        }
        for result in results
    ]
    return {**description, "peak_flops_per_call": results[0].peak_flops if results else 0, "cases": cases}


def _render(description: dict[str, str], results: list[Result], options: argparse.Namespace) -> str:
    """The text that is printed: what was measured where, a table of kernels and one of models."""
    on_cpu = options.threads == 1
    kernels = [row for r in results if r.case.group != "models" for row in _kernel_rows(r, on_cpu)]
    models = [row for r in results if r.case.group == "models" for row in _model_rows(r)]
    parts = [_listed(description)]
    if kernels:
        header = ["kernel", "terrace us", "min", "less call", "peer", "peer us", "min", "speed", "rate", "peak"]
        parts.append(_table([header, *kernels], options.markdown))
    if models:
        header = ["model", "compile s", "terrace ms", "min", "peer", "peer ms", "min", "speed"]
        parts.append(_table([header, *models], options.markdown))
    return "\n\n".join("\n".join(lines) for lines in parts)


def _listed(description: dict[str, str]) -> list[str]:
    return [f"- {key}: {value}" for key, value in description.items()]


def _seconds(timing: Timing, on_cpu: bool) -> tuple[float, float]:
    """Median and least time."""
    return (timing.cpu_median, timing.cpu_min) if on_cpu else (timing.wall_median, timing.wall_min)


def _kernel_rows(result: Result, on_cpu: bool) -> list[list[str]]:
    case = result.case
    ours, ours_min = _seconds(result.timings[OURS], on_cpu)
    less_call = ours - _seconds(result.timings[EMPTY], on_cpu)[0]
    rate = f"{case.flops / ours / 1e9:.1f} GFLOP/s" if case.flops else f"{case.bytes / ours / 1e9:.1f} GB/s"
    share = ""
    if case.flops and PEAK in result.timings:
        share = f"{case.flops / ours / (result.peak_flops / result.timings[PEAK].cpu_median):.0%}"
    rows = []
    for peer in result.peers:
        theirs, theirs_min = _seconds(result.timings[peer], on_cpu)
        own = [case.name, *(f"{1e6 * seconds:.1f}" for seconds in (ours, ours_min, less_call))]
        rows.append([*own, peer, f"{1e6 * theirs:.1f}", f"{1e6 * theirs_min:.1f}", f"{theirs / ours:.0%}", rate, share])
    return rows


def _model_rows(result: Result) -> list[list[str]]:
    """Whole calls by the wall clock."""
    ours, ours_min = _seconds(result.timings[OURS], on_cpu=False)
    rows = []
    for peer in result.peers:
        theirs, theirs_min = _seconds(result.timings[peer], on_cpu=False)
        own = [result.case.name, f"{result.compile_seconds:.1f}", f"{1e3 * ours:.2f}", f"{1e3 * ours_min:.2f}"]
        rows.append([*own, peer, f"{1e3 * theirs:.2f}", f"{1e3 * theirs_min:.2f}", f"{theirs / ours:.0%}"])
    return rows


def _table(rows: list[list[str]], markdown: bool) -> list[str]:
    """Aligned columns, numbers to the right; with bars between them as Markdown."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [any(row[i][:1].isdigit() or row[i][:1] == "-" for row in rows[1:]) for i in range(len(widths))]
    sides = [str.rjust if is_right else str.ljust for is_right in right]
    lines = [[side(text, width) for side, text, width in zip(sides, row, widths, strict=True)] for row in rows]
    rule = ["-" * (width - 1) + (":" if is_right else "-") for width, is_right in zip(widths, right, strict=True)]
    lines.insert(1, rule)
    if markdown:
        return [f"| {' | '.join(line)} |" for line in lines]
    return ["  ".join(line).replace(":", "-").rstrip() if line is rule else "  ".join(line).rstrip() for line in lines]


if __name__ == "__main__":
    sys.exit(main())
