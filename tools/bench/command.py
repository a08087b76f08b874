"""`terrace-bench`: kernels and models of Terrace against other engines, in interleaved rounds of one process.

With --compile it measures the compiler instead (`terrace.tools.bench.compiling`).
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
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from terrace.errors import TerraceError
from terrace.tools.bench import compiling
from terrace.tools.bench.cases import CASES, select

MALLOC = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "68719476736"}
"""What makes glibc keep freed memory: without it, all engines spend part of their time in page faults."""

_EPILOG = (
    """\
Cells are the medians of CPU time (of all threads) and, in brackets, of wall time, per call. `ratio` is Terrace's time
over that of the best peer: by CPU time on one thread, by wall time on several. `of the limit` is the part of the
machine's multiply-adds, or dot products, that Terrace reaches, or of its memory's bandwidth, measured in the same
rounds. `error` is against float64.

"""
    + compiling.EPILOG
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code. As a program (`arguments` None) it first restarts itself under `MALLOC`."""
    options = _parser().parse_args(arguments)
    if options.list:
        for case in CASES:
            print(f"{case.name:26}{case.group:14}{case.what}")
        return 0
    keeps_malloc = options.default_malloc or options.compile or arguments is not None
    if not keeps_malloc and any(os.environ.get(key) != value for key, value in MALLOC.items()):
        command = [sys.executable, "-m", "terrace.tools.bench.command", *sys.argv[1:]]
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
        description="Measure Terrace's kernels and models against PyTorch and, with --peers, other engines.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="list the cases, and run nothing")
    parser.add_argument(
        "--case", action="append", default=[], metavar="NAME", help="a case, a group, or a pattern (conv*); repeatable"
    )
    parser.add_argument(
        "--peers", nargs="?", const="all", metavar="NAMES",
        help="compare with all engines that are installed, or some: onnxruntime,openvino,inductor,iree",
    )  # fmt: skip
    parser.add_argument("--compile", action="store_true", help="measure compile time and memory; --case names examples")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds (default 15, with --compile 3)")
    parser.add_argument("--threads", type=_positive, default=1, metavar="N", help="threads of all sides (default 1)")
    parser.add_argument("--default-malloc", action="store_true", help="leave glibc's allocator as it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the times of all contestants as SVG")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a positive number, found {text!r}")
    return int(text)


def _run_compiler(options: argparse.Namespace) -> None:
    """Measure the compiler."""
    from terrace.tools.bench.report import described, table

    names, rounds = options.case or compiling.MODELS, options.rounds or 3
    load = _load()
    measured = {}
    for name in names:
        print(f"terrace-bench: {name} ...", file=sys.stderr)
        measured[name] = compiling.measure(name, rounds)
    command = " ".join(["terrace-bench --compile", *(f"--case {name}" for name in options.case), f"--rounds {rounds}"])
    where = {"machine": _machine(), "other load": load}
    description = {**where, "date": _today(), "command": command, "versions": _versions()}
    if options.json is not None:
        pairs = {name: [list(map(dataclasses.asdict, pair)) for pair in found] for name, found in measured.items()}
        _write(options.json, {**description, "models": pairs})
    rows = [compiling.HEADER, *(compiling.row(name, found) for name, found in measured.items())]
    print("\n".join([*described(description), "", *table(rows, options.markdown)]))


def _run(options: argparse.Namespace) -> None:
    import torch
    from terrace.tools.bench.limits import empty_call, limits
    from terrace.tools.bench.measure import Settings, measure
    from terrace.tools.bench.peers import missing, named
    from terrace.tools.bench.plot import draw
    from terrace.tools.bench.report import tables

    # What is measured is compiling, too.
    os.environ["TERRACE_CACHE_DIR"] = "off"
    options.rounds = options.rounds or 15
    cases = select(options.case)
    peers = named(options.peers)
    there = [peer for peer in peers if not missing(peer)]
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    measured = {**_describe(options, peers), "cases": []}
    with torch.no_grad():
        settings = Settings(options.rounds, options.threads, there, limits(), empty_call(options.threads))
        for case in cases:
            print(f"terrace-bench: {case.name} ...", file=sys.stderr)
            measured["cases"].append(measure(case, settings))
            if options.json is not None:  # After each case: a run may take an hour.
                _write(options.json, measured)
    if options.plot is not None:
        options.plot.write_text(draw(measured), encoding="utf-8")
    print(tables(measured, options.markdown))


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _describe(options: argparse.Namespace, peers: Sequence[Any]) -> dict[str, Any]:
    """The machine, the date and the settings that belong to every figure."""
    from terrace.tools.bench.peers import missing, version

    malloc = " ".join(f"{key}={os.environ[key]}" for key in MALLOC if key in os.environ) or "glibc's default"
    arguments = [f"--case {shlex.quote(name)}" for name in options.case] + [f"--rounds {options.rounds}"]
    wanted = {None: [], "all": ["--peers"]}.get(options.peers, [f"--peers {options.peers}"])
    command = ["terrace-bench", *wanted, *arguments, f"--threads {options.threads}"]
    found = [version(peer) for peer in peers if not missing(peer)]
    absent = [f"{peer.name} ({', '.join(missing(peer))})" for peer in peers if missing(peer)]
    return {
        "machine": _machine(),
        "other load": _load(),
        "date": _today(),
        "command": " ".join(command + ["--default-malloc"] * options.default_malloc),
        "threads": options.threads,
        "malloc": malloc,
        "versions": ", ".join(dict.fromkeys(", ".join([_versions(), *filter(None, found)]).split(", "))),
        **({"absent": f"{', '.join(absent)}: pip install 'mlir-terrace[peers]'"} if absent else {}),
    }


def _machine() -> str:
    return f"{_cpu_name()}, {len(os.sched_getaffinity(0))} cores"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f} when it began"


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


if __name__ == "__main__":
    sys.exit(main())
