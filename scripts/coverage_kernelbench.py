#!/usr/bin/env python3
"""Compile KernelBench's problems, levels 1 to 3, and compare what they compute with what eager PyTorch does.

    git clone --depth 1 https://github.com/ScalingIntelligence/KernelBench /tmp/KernelBench
    pip install einops
    scripts/coverage_kernelbench.py --checkout /tmp/KernelBench --json build/kernelbench.jsonl

A problem is its `Model(*get_init_inputs())`, in eval mode, at `get_inputs()`, with sizes that `kernelbench_sizes.py`
makes smaller: the results have each beside the original. `compared.py` says how far a result may be from eager's. No op
of PyTorch's may run at the call.

Results are kept as `program_workers.py` says.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import torch
from compared import Judge, called
from compiled_calls import Operators, compile_noted
from kernelbench_sizes import Problem
from program_workers import Result, Say, add_arguments, describe, run_suite


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
        called(model, inputs, {})
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
    Judge(model).check(results, inputs, {}, answer)
    if operators.names:
        answer.update(outcome="failed", why=f"PyTorch ops at the call: {', '.join(sorted(operators.names))}")
    answer.setdefault("outcome", "passed")


if __name__ == "__main__":
    sys.exit(main())
