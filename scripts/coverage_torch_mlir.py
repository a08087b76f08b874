#!/usr/bin/env python3
"""Compile torch-mlir's end-to-end programs, and compare what they compute with what eager PyTorch does.

    git clone --depth 1 https://github.com/llvm/torch-mlir /tmp/torch-mlir
    scripts/coverage_torch_mlir.py --checkout /tmp/torch-mlir --json build/torch_mlir.jsonl

Each program runs eagerly with the inputs of its test, and is compiled at the same; results are held to the suite's own
tolerances, and no op of PyTorch's may run at the call. Programs that eager cannot run, and those that draw random
numbers, are counted apart. With --dynamic, the sizes that the suite's annotations leave open are so when a program is
exported; it runs at the sizes of its test and at others, by one larger, where eager does.

Results are kept as `program_workers.py` says.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import re
import resource
import sys
import time
import types
from pathlib import Path
from typing import Any

import terrace
import torch
from program_workers import Result, Say, add_arguments, describe, run_suite
from terrace.dialects.graph import ELEMENTWISE_OPS
from terrace.lowering.kernels.registry import families_by_root
from torch.export import Dim
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MOVES = {"alias", "as_strided", "clone", "copy_", "detach", "empty", "empty_strided", "lift_fresh", "resize_", "view"}
SEED = {"randint", "_local_scalar_dense"}
"""What a call may do besides running compiled code: hand tensors over, and draw its seed from PyTorch's generator."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkout", metavar="DIR", required=True, help="a checkout of llvm/torch-mlir")
    parser.add_argument("--dynamic", action="store_true", help="leave the annotated sizes open")
    add_arguments(parser)
    arguments = parser.parse_args()
    suite = load_suite(arguments.checkout)

    def run_one(name: str, answer: Result, say: Say) -> None:
        Trial(suite[name], answer, say, arguments.dynamic).run()

    run_suite(arguments, suite, run_one)
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


class Recorder:
    """Stands for the module that a test calls; keeps the arguments of each call, the result, and what became of them.

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

    def __init__(self, test: Any, answer: Result, say: Say, dynamic: bool) -> None:
        self.test, self.answer, self.say, self.dynamic = test, answer, say, dynamic
        self.framework = importlib.import_module("torch_mlir_e2e_test.framework")
        self.reporting = importlib.import_module("torch_mlir_e2e_test.reporting")

    def run(self) -> None:
        self.say({"stage": "eager"})
        try:
            torch.manual_seed(0)
            module = self.test.program_factory()
            calls, again = (self.record(module, seed) for seed in (1, 2))
            if any(self.differs(call[1], call[1]) for call in calls):
                raise ValueError("the suite finds that the results differ from themselves")
        # What eager does not run is no matter of ours, whatever it raises.
        except Exception as error:
            self.answer.update(outcome="eager", why=describe(error))
            return
        if any(not is_same(one[1], other[1]) for one, other in zip(calls, again, strict=True)):
            self.answer["outcome"] = "random"
            return
        shapes = open_sizes(module, calls[0][0]) if self.dynamic else None
        if self.dynamic and not any(shapes or ()):
            self.answer["outcome"] = "static"
            return
        compiled = self.compile(copy.deepcopy(module), copy.deepcopy(calls[0][0]), shapes)
        self.say({"stage": "call"})
        for call in [*calls, *self.larger(compiled, module, calls[0][0])]:
            self.check(compiled, *call)
        self.answer.setdefault("outcome", "passed")

    def record(self, module: torch.nn.Module, seed: int) -> list[tuple[Any, ...]]:
        recorder = Recorder(copy.deepcopy(module), seed)
        self.test.program_invoker(recorder, self.framework.TestUtils())
        return recorder.calls

    def compile(self, module: torch.nn.Module, args: tuple[Any, ...], shapes: Any) -> Any:
        """The compiled program; notes its compile time and what its kernels are."""
        self.say({"stage": "compile"})
        began = cpu_seconds()
        compiled = terrace.compile(module, args, dynamic_shapes=shapes)
        self.answer["seconds"] = round(cpu_seconds() - began, 2)
        rows, known = compiled.report().rows, {"graph.fusion", *families_by_root(), *ELEMENTWISE_OPS}
        self.answer["ours"] = any(row["by"] == "terrace" for row in rows)
        self.answer["generated"] = self.answer["ours"] or any(row["kernel"] in known for row in rows)
        self.answer["left"] = sorted({f"{row['kernel']}: {row['why']}" for row in rows if row["by"] != "terrace"})
        return compiled

    def larger(self, compiled: Any, module: torch.nn.Module, args: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """A call with each size that is open larger by one, if there is one and eager takes it."""
        leaves = compiled.signature.input_leaves
        grown = tuple(grow(value, leaf.shape or ()) for value, leaf in zip(copy.deepcopy(args), leaves, strict=True))
        changed = any(getattr(a, "shape", ()) != getattr(b, "shape", ()) for a, b in zip(args, grown, strict=True))
        self.answer["open"] = changed
        recorder = Recorder(copy.deepcopy(module), 1)
        if changed:
            # What eager refuses at other sizes, whatever it raises, no compiled program has to take.
            with contextlib.suppress(Exception):
                recorder.forward(*grown)
        return recorder.calls

    def differs(self, value: Any, expected: Any) -> list[str]:
        """Why the suite takes `value` for another one than `expected`; nothing if it does not."""
        report = self.reporting.ValueReport(value, expected, self.reporting.ErrorContext.empty())
        return list(report.failure_reasons)

    def check(self, compiled: Any, args: tuple[Any, ...], expected: Any, after: tuple[Any, ...]) -> None:
        """Call the program, and note what is wrong."""
        args = copy.deepcopy(args)
        with Operators() as operators:
            result = compiled(*args)
        wrong = self.differs(as_plain(result), expected)
        leaves = zip(tree_leaves(args), tree_leaves(after), strict=True)
        wrong_inputs = [reason for leaf, wanted in leaves for reason in self.differs(leaf, wanted)]
        if wrong or wrong_inputs:
            kind = "wrong result" if wrong else "wrong input after the call"
            said = re.sub(r"\s+", " ", (wrong or wrong_inputs)[0]).partition("ERROR: ")[2]
            why = f"{kind}: {'value' if said.startswith('value (Tensor') else said}"
            self.answer.update(outcome="failed", why=why, message=said)
        elif operators.names:
            self.answer.update(outcome="failed", why=f"PyTorch ops at the call: {', '.join(sorted(operators.names))}")


class Operators(TorchDispatchMode):
    """Notes the ops that PyTorch runs, but for those that a call may."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ not in MOVES | SEED:
            self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def open_sizes(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[dict[int, Any] | None, ...]:
    """For each argument, the dimensions that its annotation gives as -1."""
    annotations = getattr(module.forward, "_torch_mlir_arg_annotations", [None] * (1 + len(args)))[1:]
    sizes = [annotation[0] if annotation is not None else () for annotation in annotations]
    return tuple({axis: Dim.AUTO for axis, size in enumerate(one) if size == -1} or None for one in sizes)


def grow(value: Any, shape: tuple[int | str, ...]) -> Any:
    """A tensor with its first slice once more along each axis whose size has a name."""
    for axis, size in enumerate(shape):
        if isinstance(size, str):
            value = torch.cat([value, value.narrow(axis, 0, 1)], axis)
    return value


def is_same(value: Any, other: Any) -> bool:
    """Whether all numbers are the same; those of random programs may be near each other, as means are."""
    pairs = zip(tree_leaves(value), tree_leaves(other), strict=True)
    plain = [(torch.nan_to_num(a), torch.nan_to_num(b)) if torch.is_tensor(a) else (a, b) for a, b in pairs]
    return all(torch.equal(a, b) if torch.is_tensor(a) else a == b for a, b in plain)


def as_plain(value: Any) -> Any:
    """A value with PyTorch's named tuples as tuples, which is what the suite compares."""
    if isinstance(value, (tuple, list)):
        return (list if type(value) is list else tuple)(map(as_plain, value))
    return value.detach() if isinstance(value, torch.Tensor) else value


def cpu_seconds() -> float:
    """The CPU time of this process and of those that it waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
