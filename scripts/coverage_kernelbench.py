#!/usr/bin/env python3
"""Compile KernelBench's problems, levels 1 to 3, and compare what they compute with what eager PyTorch does.

    git clone --depth 1 https://github.com/ScalingIntelligence/KernelBench /tmp/KernelBench
    pip install einops
    scripts/coverage_kernelbench.py --checkout /tmp/KernelBench --json build/kernelbench.jsonl

A problem is its `Model(*get_init_inputs())`, in eval mode, at `get_inputs()`, with sizes that `kernelbench_sizes.py`
makes smaller: the results have each beside the original. No number may be further from eager's than 1e-4 of the largest
of its tensor. Where one is, both are compared with float64, from which ours may be as far as eager's, or 1e-4. NaN,
infinities and integers have to be the same. No op of PyTorch's may run at the call.

Results are kept as `program_workers.py` says.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

import torch
from compiled_calls import Operators, compile_noted
from kernelbench_sizes import Problem
from program_workers import Result, Say, add_arguments, describe, run_suite
from torch.utils._pytree import tree_leaves, tree_map

TOLERANCE = 1e-4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--checkout", metavar="DIR", required=True, help="a checkout of ScalingIntelligence/KernelBench"
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    paths = Path(arguments.checkout, "KernelBench").glob("level[123]/*.py")
    problems = {f"{path.parent.name}/{path.stem}": path for path in paths}

    def run_one(name: str, answer: Result, say: Say) -> None:
        run(problems[name], answer, say)

    run_suite(arguments, problems, run_one)
    return 0


def run(path: Path, answer: Result, say: Say) -> None:
    """Run a problem eagerly, compile it, call it and compare."""
    say({"stage": "eager"})
    problem = Problem(path)
    sizes = problem.smaller()
    answer["sizes"] = {name: [problem.original[name], size] for name, size in sizes.items()}
    try:
        torch.manual_seed(0)
        namespace = problem.load(sizes)
        model = namespace["Model"](*namespace["get_init_inputs"]()).eval()
        inputs = tuple(namespace["get_inputs"]())
        expected = called(model, inputs)
    # What eager does not run is no matter of ours, whatever it raises.
    except Exception as error:
        answer.update(outcome="eager", why=describe(error))
        return
    say({"stage": "compile"})
    compiled = compile_noted(model, inputs, None, answer)
    say({"stage": "call"})
    given = copy.deepcopy(inputs)
    with Operators() as operators:
        results = compiled(*given)
    errors = [error_of(*pair) for pair in zip(tree_leaves(results), tree_leaves(expected), strict=True)]
    if max(errors) > TOLERANCE:
        exact = called(copy.deepcopy(model).double(), tree_map(doubled, inputs))
        errors = [error_of(*pair) for pair in zip(tree_leaves(results), tree_leaves(exact), strict=True)]
        eager = [error_of(*pair) for pair in zip(tree_leaves(expected), tree_leaves(exact), strict=True)]
        answer["eager_error"] = max(eager)
        if any(ours > max(TOLERANCE, theirs) for ours, theirs in zip(errors, eager, strict=True)):
            answer.update(outcome="failed", why="wrong result", message=f"errors {errors}, eager's {eager}")
    answer["error"] = max(errors)
    if operators.names:
        answer.update(outcome="failed", why=f"PyTorch ops at the call: {', '.join(sorted(operators.names))}")
    answer.setdefault("outcome", "passed")


def called(model: torch.nn.Module, inputs: tuple[Any, ...]) -> Any:
    with torch.no_grad():
        return copy.deepcopy(model)(*copy.deepcopy(inputs))


def doubled(value: Any) -> Any:
    return value.double() if torch.is_tensor(value) and value.is_floating_point() else value


def error_of(value: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest error relative to the largest number expected; infinite where shape, type or NaN differ."""
    is_float = expected.is_floating_point()
    if value.shape != expected.shape or value.is_floating_point() != is_float:
        return float("inf")
    if not is_float:
        return 0.0 if torch.equal(value, expected) else float("inf")
    finite, value, expected = torch.isfinite(expected), value.double(), expected.double()
    same = torch.equal(value[~finite].nan_to_num(), expected[~finite].nan_to_num())
    if not same or not torch.equal(torch.isfinite(value), finite) or not torch.equal(value.isnan(), expected.isnan()):
        return float("inf")
    if not finite.any():
        return 0.0
    difference = float((value - expected)[finite].abs().max())
    return difference / max(float(expected[finite].abs().max()), torch.finfo(torch.float32).tiny)


if __name__ == "__main__":
    sys.exit(main())
