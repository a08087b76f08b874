#!/usr/bin/env python3
"""Compile every op of `type_programs.py` in every element type, and compare with eager PyTorch: who runs what.

    scripts/coverage_types.py --json build/types.jsonl

prints the table of docs/coverage.md: `ours` where all that computes is in kernels of ours, `IREE` where IREE runs some
of it, `refused` with an error, `wrong`, and nothing where eager has no such op or type. `compared.py` says how far a
result may be from eager's. Results are kept as `program_workers.py` says.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
from compared import Judge, called
from compiled_calls import compile_noted
from program_workers import Result, Say, add_arguments, describe, run_suite
from type_programs import OPS

TYPES = (
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "complex64",
    "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "bool",
)  # fmt: skip
EPSILONS = 4
"""The rounding errors of a type that a result may be from eager's."""


class Module(torch.nn.Module):
    """An op as a model."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, *args: torch.Tensor) -> Any:
        return OPS[self.name].function(*args)


def run_one(name: str, answer: Result, say: Say) -> None:
    op, type_name = name.rsplit(" ", 1)
    dtype = getattr(torch, type_name)
    model = Module(op).eval()
    say({"stage": "eager"})
    try:
        args = OPS[op].inputs(dtype)
        called(model, args, {})
    # Whatever eager raises, the type is none of the op's.
    except Exception as error:
        answer.update(outcome="eager", why=describe(error))
        return
    say({"stage": "compile"})
    compiled = compile_noted(model, args, None, answer)
    say({"stage": "call"})
    exact = dtype if dtype.is_floating_point or dtype.is_complex else torch.float32
    Judge(model, EPSILONS * torch.finfo(exact).eps, 1e-30).check(compiled(*args), args, {}, answer)
    answer.setdefault("outcome", "passed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_arguments(parser)
    arguments = parser.parse_args()
    run_suite(arguments, [f"{op} {type_}" for op in OPS for type_ in TYPES], run_one)
    if arguments.json and not arguments.worker:
        results = map(json.loads, Path(arguments.json).read_text().splitlines())
        print("\n".join(table({result["name"]: result for result in results})))
    return 0


def table(results: dict[str, Result]) -> list[str]:
    """A row for all ops with the same words, in Markdown."""
    heads = [re.sub("^(bf|[ficu])[a-z]+(\\d+).*", r"\1\2", name) for name in TYPES]
    rows: dict[tuple[str, ...], list[str]] = {}
    for op in OPS:
        rows.setdefault(tuple(word(results.get(f"{op} {name}")) for name in TYPES), []).append(op)
    lines = [(", ".join(ops), *words) for words, ops in rows.items()]
    return [f"| {' | '.join(line)} |" for line in [("op", *heads), ("---",) * (1 + len(heads)), *lines]]


def word(result: Result | None) -> str:
    """Who runs it."""
    if result is None:
        return "?"
    if result["outcome"] == "eager":
        return ""
    if result["outcome"] != "passed":
        return "wrong" if "wrong result" in result.get("why", "") else "refused"
    return "IREE" if result["left"] else "ours"


if __name__ == "__main__":
    sys.exit(main())
