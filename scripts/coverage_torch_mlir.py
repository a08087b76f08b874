#!/usr/bin/env python3
"""Compile torch-mlir's end-to-end programs, and compare what they compute with what eager PyTorch does.

    git clone --depth 1 https://github.com/llvm/torch-mlir /tmp/torch-mlir
    scripts/coverage_torch_mlir.py --checkout /tmp/torch-mlir --json build/torch_mlir.jsonl

Each program runs eagerly with the inputs of its test, and is compiled at the same; results are held to the suite's own
tolerances, and no op of PyTorch's may run at the call. Programs that eager cannot run, and those that draw random
numbers, are counted apart. With --dynamic, the sizes that the suite's annotations leave open are so when a program is
exported; `other_sizes.py` says at which sizes that is, and at which it is called.

Results are kept as `program_workers.py` says.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import re
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from compiled_calls import Operators, compile_noted
from other_sizes import REFUSED, Args, Axes, plan, shapes_of
from program_workers import Result, Say, add_arguments, describe, run_suite
from terrace.errors import ModelImportError
from torch.utils._pytree import tree_leaves

Call = tuple[Args, Any, Args]
"""The arguments of a call, the result, and the arguments after it."""


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
        self.calls: list[Call] = []

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
        axes = open_axes(module, calls[0][0])
        if self.dynamic and not any(axes):
            self.answer["outcome"] = "static"
            return
        if self.dynamic:
            self.run_dynamic(module, axes, calls)
        else:
            self.run_calls(self.compile(module, calls[0][0], None), calls)
        self.answer.setdefault("outcome", "passed")

    def run_dynamic(self, module: torch.nn.Module, axes: Axes, calls: list[Call]) -> None:
        """Compile at other sizes than the test's where that is possible, and call at the test's and at more."""
        args = calls[0][0]
        found = plan(module, args, axes, lambda other: self.record_other(module, other) is not None)
        self.answer["sizes"] = found.word
        if found.apart:
            self.run_calls(self.compile(module, args, shapes_of(axes)), calls)
        try:
            compiled = self.compile(module, found.example, shapes_of(axes))
        except ModelImportError:
            if found.word != REFUSED:
                raise
            self.answer["outcome"] = "refused"
            return
        if not found.apart:
            self.run_calls(compiled, calls)
        self.run_calls(compiled, self.record(module, 1, [*found.others, found.example])[len(calls) :])

    def record(self, module: torch.nn.Module, seed: int, others: Sequence[Args] = ()) -> list[Call]:
        """The calls that the test makes of a copy of `module`, then those with the arguments `others`."""
        recorder = Recorder(copy.deepcopy(module), seed)
        self.test.program_invoker(recorder, self.framework.TestUtils())
        for other in others:
            recorder.forward(*other)
        return recorder.calls

    def record_other(self, module: torch.nn.Module, args: Args) -> list[Call] | None:
        """The calls with these arguments after the test's; None if eager refuses them, whatever it raises."""
        try:
            return self.record(module, 1, [args])
        except Exception:
            return None

    def compile(self, module: torch.nn.Module, args: Args, shapes: Any) -> Any:
        """The compiled program; notes its compile time and what its kernels are."""
        self.say({"stage": "compile"})
        return compile_noted(module, args, shapes, self.answer)

    def run_calls(self, compiled: Any, calls: Sequence[Call]) -> None:
        self.say({"stage": "call"})
        for call in calls:
            self.check(compiled, *call)

    def differs(self, value: Any, expected: Any) -> list[str]:
        """Why the suite takes `value` for another one than `expected`; nothing if it does not."""
        report = self.reporting.ValueReport(value, expected, self.reporting.ErrorContext.empty())
        return list(report.failure_reasons)

    def check(self, compiled: Any, args: Args, expected: Any, after: Args) -> None:
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


def open_axes(module: torch.nn.Module, args: Args) -> Axes:
    """For each argument, the dimensions that its annotation gives as -1; none where it has another rank."""
    annotations = getattr(module.forward, "_torch_mlir_arg_annotations", [])[1:]
    sizes = [annotation[0] if annotation is not None else [] for annotation in annotations]
    sizes += [[]] * (len(args) - len(sizes))
    return tuple(
        tuple(axis for axis, size in enumerate(one) if size == -1 and len(one) == getattr(value, "ndim", -1))
        for value, one in zip(args, sizes, strict=False)
    )


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


if __name__ == "__main__":
    sys.exit(main())
