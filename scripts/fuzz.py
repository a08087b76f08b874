"""Give mutated texts and files to every entry of Terrace. None may end in a traceback, a signal, a hang, or in silence.

    python scripts/fuzz.py --seed 7 --count 5000

Each input runs in a process of its own, a fork of one that has imported all. Inputs that fail are kept, with the
command to run them by. The same seed gives the same inputs while the corpus is the same: the tests' `.mlir` files, and
every level of two models. Exit codes: 0 all well, 1 something failed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import terrace
from fuzz_mutations import mutate_artifact, mutate_bytes, mutate_text
from terrace.compiler import Request, Text, lower
from terrace.errors import TerraceError
from terrace.lowering.pipeline.registry import PASSES
from terrace.tools import compile as compile_tool
from terrace.tools import explain, opt, reduce, run, translate

ROOT = Path(__file__).resolve().parent.parent
HANG = 60.0
"""Seconds after which an input has hung. A pass gives up long before."""
ENVIRONMENT = {
    "TERRACE_CACHE_DIR": "off",
    "TERRACE_REPRODUCER_DIR": "off",
    "TERRACE_PASS_SECONDS": "10",
    "TERRACE_PASS_MEMORY_MIB": "4000",
}
PROGRAM = """\
"graph.parameter"() {sym_name = "w", type = tensor<4x8xf32>} : () -> ()
"graph.state"() {sym_name = "total", type = tensor<1x4xf32>, initial = @start} : () -> ()
"graph.parameter"() {sym_name = "start", type = tensor<1x4xf32>} : () -> ()
func.func @main(%x: tensor<?x8xf32>) -> tensor<?x4xf32> {
  %w = "graph.load"() {symbol = @w} : () -> tensor<4x8xf32>
  %s = "graph.load_state"() {symbol = @total} : () -> tensor<1x4xf32>
  %0 = "graph.matmul"(%x, %w) {transpose_rhs = true} : (tensor<?x8xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
  %1 = "graph.add"(%0, %s) : (tensor<?x4xf32>, tensor<1x4xf32>) -> tensor<?x4xf32>
  %2 = "graph.softmax"(%1) {axis = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  "graph.store_state"(%s) {symbol = @total} : (tensor<1x4xf32>) -> ()
  return %2 : tensor<?x4xf32>
}
"""
"""A program with a size that is open, and a state."""


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What is mutated."""

    texts: tuple[str, ...]
    artifacts: tuple[bytes, ...]
    archives: tuple[bytes, ...]


def make_corpus(folder: Path) -> Corpus:
    """The tests' texts, and the levels and files of two small models, made in `folder`."""
    texts = [part for path in sorted((ROOT / "test").rglob("*.mlir")) for part in path.read_text().split("// -----")]
    program, start = folder / "program.mlir", {"w": np.ones((4, 8), np.float32), "start": np.ones((1, 4), np.float32)}
    program.write_text(PROGRAM)
    terrace.compile_mlir(PROGRAM, start).save(folder / "program.terrace")
    texts += lower(Text(PROGRAM, start)).ir.values()
    lenet, dump = str(ROOT / "examples/models/lenet.py:build"), folder / "lenet"
    tool = [sys.executable, "-m", "terrace.tools.compile", lenet]
    for more in (
        ["--dump-dir", str(dump), "-o", str(folder / "lenet.terrace")],
        ["--target=hls", "--emit=hls", "-o", str(folder / "hls.mlir")],
    ):
        subprocess.run([*tool, *more], check=True, capture_output=True)
    texts += [path.read_text() for path in [*sorted(dump.glob("*.mlir")), folder / "hls.mlir"]]
    artifacts = tuple((folder / f"{name}.terrace").read_bytes() for name in ("program", "lenet"))
    return Corpus(tuple(texts), artifacts, ((dump / "parameters.irpa").read_bytes(),))


# -- entries ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Case:
    """An entry, and its input: the name and bytes of a file; `arguments` is the rest of the command line."""

    entry: str
    file: str
    data: bytes
    arguments: tuple[str, ...] = ()


def _command(main: Callable[[], int]) -> Callable[[Case], int]:
    """An entry that is a command, supervised as it is when typed."""

    def call(case: Case) -> int:
        sys.argv = [case.entry, case.file, *case.arguments]
        return main()

    return call


def _api(work: Callable[[Case], object]) -> Callable[[Case], int]:
    """An entry of the library: what Terrace raises by intention counts as an error told."""

    def call(case: Case) -> int:
        try:
            work(case)
        except (TerraceError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return 0

    return call


def _lower(case: Case) -> None:
    lower(Text(Path(case.file).read_bytes().decode(errors="replace")), Request.of(case.arguments[0]))


def _compile(case: Case) -> None:
    terrace.compile_mlir(Path(case.file).read_bytes().decode(errors="replace"))


def _load_and_call(case: Case) -> None:
    model = terrace.load(case.file)
    leaves = []
    for leaf in model.signature.input_leaves:
        shape = [3 if isinstance(size, str) else size for size in leaf.shape or ()]
        leaves.append(np.ones(shape, leaf.dtype) if leaf.kind == "tensor" and np.prod(shape) < 1e6 else 1)
    args, kwargs = model.signature.unflatten_arguments(leaves)
    model(*args, **kwargs)


ENTRIES: dict[str, Callable[[Case], int]] = {
    "terrace-opt": _command(opt.main),
    "terrace-compile": _command(compile_tool.main),
    "terrace-translate": _command(translate.main),
    "terrace-reduce": _command(reduce.main),
    "terrace-run": _command(run.main),
    "terrace-explain": _command(explain.main),
    "lower": _api(_lower),
    "compile_mlir": _api(_compile),
    "load": _api(_load_and_call),
}


def draw_case(draw: random.Random, corpus: Corpus) -> Case:
    """The next input, and what to do with it."""
    kind = draw.random()
    if kind < 0.75:
        return _text_case(
            draw, mutate_text(draw, draw.choice(corpus.texts), corpus.texts).encode(errors="surrogatepass")
        )
    if kind < 0.97:
        return _artifact_case(draw, mutate_artifact(draw, draw.choice(corpus.artifacts), corpus.texts))
    archive = mutate_bytes(draw, draw.choice(corpus.archives))
    return Case("terrace-compile", "in.irpa", archive, ("--parameters=in.irpa", "--emit=iree"))


def _text_case(draw: random.Random, data: bytes) -> Case:
    kind = draw.random()
    if kind < 0.35:
        passes = [f"--{draw.choice(sorted(PASSES))}" for _ in range(draw.randrange(4))]
        more = ["--allow-unregistered-dialect"] * (draw.random() < 0.5) + ["--split-input-file"] * (draw.random() < 0.2)
        return Case("terrace-opt", "in.mlir", data, tuple(passes + more))
    if kind < 0.65:
        target, level = draw.choice(("cpu", "cpu", "vulkan", "hls")), draw.choice(("kernel", "loop", "iree"))
        level = "hls" if target == "hls" and level == "iree" else level
        gpu = ("--gpu=lavapipe",) if target == "vulkan" else ()
        return Case("terrace-compile", "in.mlir", data, (f"--target={target}", f"--emit={level}", *gpu))
    if kind < 0.90:
        return Case("lower", "in.mlir", data, (draw.choice(("cpu", "hls")),))
    if kind < 0.97:
        return Case("terrace-translate", "in.mlir", data, ("--to=spirv", "--gpu=lavapipe", "--output-dir=kernels"))
    if kind < 0.99:
        return Case("terrace-reduce", "in.mlir", data, ("--seconds=1", "--", "terrace-opt", "in.mlir"))
    return Case("compile_mlir", "in.mlir", data)


def _artifact_case(draw: random.Random, data: bytes) -> Case:
    kind = draw.random()
    if kind < 0.5:
        return Case("load", "in.terrace", data)
    if kind < 0.8:
        more = draw.choice((("--random=0",), ("--signature",), ("--random=0", "--report=report.html")))
        return Case("terrace-run", "in.terrace", data, more)
    return Case("terrace-explain", "in.terrace", data, draw.choice(((), ("matmul_4x8",), ("--level=kernel",))))


# -- running ----------------------------------------------------------------------------------------------------------


def run_case(case: Case, folder: Path) -> str:
    """What went wrong, or nothing. `folder` is fresh; the command runs three levels down, so that `..` stays inside."""
    box = folder / "a" / "b" / "box"
    box.mkdir(parents=True)
    (folder / "tmp").mkdir()
    (box / case.file).write_bytes(case.data)
    if case.entry == "terrace-compile" and case.file == "in.irpa":
        (box / "program.mlir").write_text(PROGRAM)
        case = dataclasses.replace(case, file="program.mlir")
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _in_child(case, box, folder)
    status = _wait(child, began + HANG)
    said = (folder / "stderr").read_text(errors="replace") if (folder / "stderr").exists() else ""
    return _verdict(status, said) or _written_outside(folder, box)


def _in_child(case: Case, box: Path, folder: Path) -> None:
    """Run the entry in this process and end it."""
    code = 70
    try:
        os.setsid()
        os.chdir(box)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
        for number, name in ((0, os.devnull), (1, os.devnull), (2, str(folder / "stderr"))):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
        code = ENTRIES[case.entry](case)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(child: int, until: float) -> int | None:
    """The exit status, or None if the time is over."""
    with contextlib.ExitStack() as stack:
        descriptor = os.pidfd_open(child)
        stack.callback(os.close, descriptor)
        ended = select.select([descriptor], [], [], max(until - time.monotonic(), 0))[0]
        if not ended:
            os.killpg(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        return status if ended else None


def _verdict(status: int | None, said: str) -> str:
    if status is None:
        return "hang"
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    if "Traceback (most recent call last)" in said:
        return "traceback"
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if code and not said.strip():
        return "fails without a word"
    if "a defect of its verifier" in said or " raised " in said:
        return "internal error"
    return "contained crash" if "crashed with SIG" in said else ""


def _written_outside(folder: Path, box: Path) -> str:
    known = {folder / "tmp", folder / "stderr", folder / "a", folder / "a" / "b", box}
    inside = [path for path in folder.rglob("*") if path not in known and not path.is_relative_to(box)]
    outside = [path for path in inside if not path.is_relative_to(folder / "tmp")]
    return f"writes outside: {outside[0]}" if outside or Path("/tmp/terrace-fuzz-escaped").exists() else ""


TOLD = ("contained crash", "internal error")
"""What is counted and kept, but is no failure: it ended as one located error."""


def work(seed: int, numbers: Sequence[int], corpus: Corpus, kept: Path) -> Iterator[tuple[str, str]]:
    """Entry and verdict of each input."""
    for number in numbers:
        case = draw_case(random.Random(f"{seed}:{number}"), corpus)
        folder = Path(tempfile.mkdtemp(prefix="case-", dir=kept.parent))
        verdict = run_case(case, folder)
        if verdict:
            place = kept / f"{seed}-{number}"
            place.mkdir(parents=True, exist_ok=True)
            (place / case.file).write_bytes(case.data)
            (place / "verdict").write_text(f"{verdict}\n{case.entry} {case.file} {' '.join(case.arguments)}\n")
            with contextlib.suppress(OSError):
                shutil.copy(folder / "stderr", place)
        shutil.rmtree(folder, ignore_errors=True)
        yield case.entry, verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--count", type=int, default=5000, metavar="N", help="inputs (default: 5000)")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="default: all cores"
    )
    parser.add_argument("--only", type=int, metavar="NUMBER", help="only the input of this number")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), metavar="DIR", help="for inputs that fail")
    options = parser.parse_args(arguments)
    os.environ.update(ENVIRONMENT)
    numbers = range(options.count) if options.only is None else range(options.only, options.only + 1)
    with tempfile.TemporaryDirectory(prefix="terrace-fuzz-") as scratch:
        corpus = _corpus_of_a_child(Path(scratch))
        began = time.monotonic()
        counts = _run_jobs(options.seed, numbers, options.jobs, corpus, Path(scratch) / "kept")
        seconds = time.monotonic() - began
        if (Path(scratch) / "kept").exists():
            shutil.copytree(Path(scratch) / "kept", options.keep, dirs_exist_ok=True)
    return _report(counts, options, seconds)


def _corpus_of_a_child(scratch: Path) -> Corpus:
    """The corpus, made where threads may start: this process has to fork."""
    folder = scratch / "corpus"
    folder.mkdir()
    child = os.fork()
    if child == 0:
        try:
            corpus = make_corpus(folder)
            for number, text in enumerate(corpus.texts):
                (folder / f"{number:04}.text").write_text(text)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("fuzz: the corpus could not be made")
    texts = tuple(path.read_text() for path in sorted(folder.glob("*.text")))
    artifacts = tuple(path.read_bytes() for path in sorted(folder.glob("*.terrace")))
    return Corpus(texts, artifacts, ((folder / "lenet" / "parameters.irpa").read_bytes(),))


def _run_jobs(
    seed: int, numbers: Sequence[int], jobs: int, corpus: Corpus, kept: Path
) -> collections.Counter[tuple[str, str]]:
    """How often each entry had each verdict; every job is a process that takes each `jobs`-th input."""
    readers = []
    for job in range(jobs):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            with os.fdopen(writing, "w") as out:
                for entry, verdict in work(seed, numbers[job::jobs], corpus, kept):
                    out.write(f"{entry}\t{verdict}\n")
            os._exit(0)
        os.close(writing)
        readers.append(os.fdopen(reading))
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for reader in readers:
        for line in reader:
            entry, _, verdict = line.rstrip("\n").partition("\t")
            counts[entry, verdict] += 1
    return counts


def _report(counts: collections.Counter[tuple[str, str]], options: argparse.Namespace, seconds: float) -> int:
    total = sum(counts.values())
    failed = {key: count for key, count in counts.items() if key[1] and key[1] not in TOLD}
    print(f"seed {options.seed}: {total} inputs in {seconds:.0f} s, {sum(failed.values())} failed")
    for entry in ENTRIES:
        verdicts = ", ".join(
            f"{count} {verdict}" for (e, verdict), count in sorted(counts.items()) if e == entry and verdict
        )
        runs = sum(count for (e, _), count in counts.items() if e == entry)
        print(f"  {entry:18} {runs:6} runs  {verdicts or 'all well'}")
    if failed:
        print(f"what failed is in {options.keep}")
    return 1 if failed or (total < options.count and options.only is None) else 0


if __name__ == "__main__":
    sys.exit(main())
