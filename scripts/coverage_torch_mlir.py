#!/usr/bin/env python3
"""Compile torch-mlir's end-to-end programs, and compare what they compute with what eager PyTorch does.

    git clone --depth 1 https://github.com/llvm/torch-mlir /tmp/torch-mlir
    scripts/coverage_torch_mlir.py --checkout /tmp/torch-mlir --json build/torch_mlir.jsonl

Each program runs eagerly with the inputs of its test, and is compiled at the same; results are held to the suite's own
tolerances. Programs that eager cannot run, and those that draw random numbers, are counted apart. A worker runs one
program after the other; another one takes its place after a crash, or once a program has used up its CPU seconds.

Results are appended to the file of --json, a line each. Programs that it holds already are not run again: stop and
start as you like, and delete the file, or the lines of those that failed, to run them anew.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import importlib
import json
import os
import re
import resource
import select
import signal
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import terrace
import torch
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.kernels.registry import families_by_root
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

SECONDS = 120
"""The CPU seconds that a program may take, and what it starts."""
HANG = 1200
"""The seconds after which a program hangs that takes no CPU time; a process that is stopped for a while does not."""
MOVES = {"alias", "as_strided", "clone", "copy_", "detach", "empty", "empty_strided", "lift_fresh", "view"}
SEED = {"randint", "_local_scalar_dense"}
"""What a call may do besides running compiled code: hand tensors over, and draw its seed from PyTorch's generator."""
Result = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkout", metavar="DIR", required=True, help="a checkout of llvm/torch-mlir")
    parser.add_argument("--only", metavar="PATTERN", default="", help="run the programs whose name has this in it")
    parser.add_argument("--json", metavar="FILE", help="keep results in this file, and skip what it holds")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    suite = load_suite(arguments.checkout)
    if arguments.worker:
        work(suite)
        return 0
    names = [name for name in sorted(suite) if re.search(arguments.only, name)]
    path = Path(arguments.json) if arguments.json else None
    kept = path.read_text().splitlines() if path is not None and path.exists() else []
    results = {result["name"]: result for result in map(json.loads, kept)}
    for result in run_all([name for name in names if name not in results]):
        results[result["name"]] = result
        if path is not None:
            with path.open("a") as file:
                file.write(json.dumps(result) + "\n")
        print(f"{result['outcome']:8} {result['name']} {result.get('why', '')}", file=sys.stderr, flush=True)
    print(summary([results[name] for name in names if name in results]))
    return 0


def load_suite(checkout: str) -> dict[str, Any]:
    """The suite's tests by name. What is not installed is stood in for: programs that use it fail in eager."""
    sys.path.append(str(Path(checkout, "projects", "pt1", "python")))
    # The suite starts no processes here; the standard library's module has the same names.
    sys.modules.setdefault("multiprocess", importlib.import_module("multiprocessing"))
    with contextlib.suppress(ImportError):
        importlib.import_module("torchvision")
    for name in ("torchvision", "torchvision.models", "torchvision.ops"):
        sys.modules.setdefault(name, types.ModuleType(name))
    for name in ("models", "ops"):
        setattr(sys.modules["torchvision"], name, sys.modules[f"torchvision.{name}"])
    importlib.import_module("torch_mlir_e2e_test.test_suite").register_all_tests()
    registry = importlib.import_module("torch_mlir_e2e_test.registry").GLOBAL_TEST_REGISTRY
    return {test.unique_name: test for test in registry}


# -- the parent -------------------------------------------------------------------------------------------------------


def run_all(names: Iterable[str]) -> Iterator[Result]:
    """The result of each program, by a worker that is replaced when it dies."""
    worker: subprocess.Popen[bytes] | None = None
    for name in names:
        if worker is None or worker.poll() is not None:
            # Without a buffer, in which an answer would lie while `ask` waits for more.
            command = [sys.executable, *sys.argv, "--worker"]
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        yield ask(worker, name)
    if worker is not None:
        worker.kill()
        worker.wait()


def ask(worker: subprocess.Popen[bytes], name: str) -> Result:
    """What the worker says of a program, or that it died of it, and in which stage."""
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(f"{name}\n".encode())
    stage = "start"
    while True:
        if not select.select([worker.stdout], [], [], HANG)[0]:
            worker.kill()
        line = worker.stdout.readline()
        if not line:
            code = worker.wait()
            died = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            why = {"SIGXCPU": f"more than {SECONDS} s of CPU time", "SIGKILL": "hangs"}.get(died, f"crash, {died}")
            return {"name": name, "outcome": "eager" if stage == "eager" else "failed", "why": f"{stage}: {why}"}
        answer: Result = json.loads(line)
        if "outcome" in answer:
            return answer
        stage = answer["stage"]


def summary(results: list[Result]) -> str:
    """The score, as text, and the failures by class."""
    by_outcome = collections.Counter(result["outcome"] for result in results)
    passed, ran = by_outcome["passed"], by_outcome["passed"] + by_outcome["failed"]
    generated = [result for result in results if result["outcome"] == "passed" and result["generated"]]
    ours = sum(result["ours"] for result in generated)
    seconds = sorted(result["seconds"] for result in results if "seconds" in result) or [0.0]
    lines = [
        f"{len(results)} programs, {by_outcome['eager']} that eager does not run, {by_outcome['random']} random",
        f"passed: {passed} of {ran} ({passed / max(ran, 1):.1%})",
        f"with a kernel of ours: {ours} of {len(generated)} that pass and hold an op that we generate for"
        f" ({ours / max(len(generated), 1):.1%})",
        f"compile time: median {statistics.median(seconds):.2f} s, maximum {seconds[-1]:.1f} s",
    ]
    failures = collections.defaultdict(list)
    for result in results:
        if result["outcome"] == "failed":
            failures[result["why"]].append(result["name"])
    for why, names in sorted(failures.items(), key=lambda item: -len(item[1])):
        lines.append(f"{len(names):4} {why}: {', '.join(names)}")
    return "\n".join(lines)


# -- the worker -------------------------------------------------------------------------------------------------------


def work(suite: dict[str, Any]) -> None:
    """Run the programs that are named on standard input; what they print themselves goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer: Result) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        answer: Result = {"name": line.strip()}
        try:
            Trial(suite[line.strip()], answer, lambda stage: say({"stage": stage})).run()
        # A program may raise whatever it likes; all of it is a result.
        except Exception as error:
            answer["outcome"], answer["why"] = "failed", describe(error)
            answer["message"] = str(error)[:4000]
        say(answer)


def describe(error: Exception) -> str:
    """The class of an error: its type and its first lines, or the first that says "error:"."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return f"{type(error).__name__}: {' | '.join(told[:1] or lines[:2])[:300]}"


class Recorder:
    """Stands for the module that a test calls; keeps the arguments and results of each call.

    `seed` is what random numbers follow inside the module. Those of the test go on as if nothing had been drawn.
    """

    def __init__(self, module: torch.nn.Module, seed: int) -> None:
        self.module = module
        self.seed = seed
        self.calls: list[tuple[tuple[Any, ...], Any, tuple[Any, ...]]] = []

    def forward(self, *args: Any) -> Any:
        before = copy.deepcopy(args)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.seed)
            result = self.module.forward(*args)
        self.calls.append((before, copy.deepcopy(as_plain(result)), copy.deepcopy(args)))
        return result

    __call__ = forward


class Trial:
    """A test of the suite: run eagerly, compiled, called and compared."""

    def __init__(self, test: Any, answer: Result, enter: Any) -> None:
        self.test, self.answer, self.enter = test, answer, enter
        self.framework = importlib.import_module("torch_mlir_e2e_test.framework")
        self.reporting = importlib.import_module("torch_mlir_e2e_test.reporting")

    def run(self) -> None:
        self.enter("eager")
        try:
            torch.manual_seed(0)
            module = self.test.program_factory()
            calls, again = (self.record(module, seed) for seed in (1, 2))
            if any(self.differs(call[1], call[1]) for call in calls):
                raise ValueError("the suite finds that the results differ from themselves")
        except Exception as error:
            self.answer.update(outcome="eager", why=describe(error))
            return
        if any(not is_same(one[1], other[1]) for one, other in zip(calls, again, strict=True)):
            self.answer["outcome"] = "random"
            return
        self.enter("compile")
        began = time.process_time() + children_seconds()
        compiled = terrace.compile(copy.deepcopy(module), copy.deepcopy(calls[0][0]))
        self.answer["seconds"] = round(time.process_time() + children_seconds() - began, 2)
        self.note_kernels(compiled.report().rows)
        self.enter("call")
        for args, expected, after in calls:
            self.check(compiled, copy.deepcopy(args), expected, after)
        self.answer.setdefault("outcome", "passed")

    def record(self, module: torch.nn.Module, seed: int) -> list[tuple[Any, ...]]:
        recorder = Recorder(copy.deepcopy(module), seed)
        self.test.program_invoker(recorder, self.framework.TestUtils())
        return recorder.calls

    def differs(self, value: Any, expected: Any) -> list[str]:
        """Why the suite takes `value` for another one than `expected`; nothing if it does not."""
        report = self.reporting.ValueReport(value, expected, self.reporting.ErrorContext.empty())
        return list(report.failure_reasons)

    def check(self, compiled: Any, args: tuple[Any, ...], expected: Any, after: tuple[Any, ...]) -> None:
        with Operators() as operators:
            result = compiled(*args)
        wrong = self.differs(as_plain(result), expected)
        leaves = zip(tree_flatten(args)[0], tree_flatten(after)[0], strict=True)
        wrong_inputs = [reason for leaf, wanted in leaves for reason in self.differs(leaf, wanted)]
        if wrong or wrong_inputs:
            kind = "wrong result" if wrong else "wrong input after the call"
            said = re.sub(r"\s+", " ", (wrong or wrong_inputs)[0]).partition("ERROR: ")[2]
            why = f"{kind}: {'value' if said.startswith('value (Tensor') else said}"
            self.answer.update(outcome="failed", why=why, message=said)
        elif operators.names:
            self.answer.update(outcome="failed", why=f"PyTorch ops at the call: {', '.join(sorted(operators.names))}")

    def note_kernels(self, rows: list[dict[str, Any]]) -> None:
        known = {"graph.fusion", *families_by_root(), *ELEMENTWISE_OPS}
        self.answer["ours"] = any(row["by"] == "terrace" for row in rows)
        self.answer["generated"] = self.answer["ours"] or any(row["kernel"] in known for row in rows)
        self.answer["left"] = sorted({f"{row['kernel']}: {row['why']}" for row in rows if row["by"] != "terrace"})


class Operators(TorchDispatchMode):
    """Notes the ops that PyTorch runs, but for those that a call may."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ not in MOVES | SEED:
            self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def is_same(value: Any, other: Any) -> bool:
    """Whether all numbers are the same; those of random programs may be near each other, as means are."""
    pairs = zip(tree_flatten(value)[0], tree_flatten(other)[0], strict=True)
    return all(
        torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) if torch.is_tensor(a) else a == b for a, b in pairs
    )


def as_plain(value: Any) -> Any:
    """A value with PyTorch's named tuples as tuples, which is what the suite compares."""
    if isinstance(value, (tuple, list)):
        return (list if type(value) is list else tuple)(map(as_plain, value))
    return value.detach() if isinstance(value, torch.Tensor) else value


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
