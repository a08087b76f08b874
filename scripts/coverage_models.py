#!/usr/bin/env python3
"""Compile models of `transformers`, torchvision and timm, and compare what they compute with what eager PyTorch does.

    scripts/coverage_models.py --zoo transformers --json build/transformers.jsonl
    pip install --no-deps --target build/vision torchvision==0.28.0 timm pillow
    PYTHONPATH=build/vision scripts/coverage_models.py --zoo vision --json build/vision.jsonl

`zoo_transformers.py` and `zoo_vision.py` say which models these are, and at which inputs. `compared.py` says how far a
result may be from eager's, with a floor of 1e-5; no op of PyTorch's may run at the call. With --dtype, model and inputs
are of that type. With --dynamic, batch and length are `Dim.AUTO`: the program is called at the sizes that it was
exported with, and at those others that the program of `torch.export` takes.

Counted apart: "unbuilt" (a small model cannot be made, or eager does not run it), "refused" (`torch.export` itself does
not export it), "fixed" (with --dynamic: it takes no other sizes). Results are kept as `program_workers.py` says.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import sys
from typing import Any

import torch
from compared import TOLERANCE, Judge
from compiled_calls import Operators, compile_noted
from program_workers import Result, Say, add_arguments, describe, run_suite
from terrace.errors import ModelImportError
from torch.export import Dim

TYPES = {"bfloat16": 4 * torch.finfo(torch.bfloat16).eps, "float16": 4 * torch.finfo(torch.float16).eps}
"""The tolerance of a type; that of float32 is `TOLERANCE`."""
LENGTHS = ("input_ids", "attention_mask", "bbox", "decoder_input_ids")
"""The inputs whose second dimension is a length."""
Inputs = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--zoo", choices=("transformers", "vision"), required=True)
    parser.add_argument("--dtype", choices=("float32", *TYPES), default="float32")
    parser.add_argument("--dynamic", action="store_true", help="leave batch and length open")
    add_arguments(parser)
    arguments = parser.parse_args()
    zoo = importlib.import_module(f"zoo_{arguments.zoo}")

    def run_one(name: str, answer: Result, say: Say) -> None:
        Trial(zoo, name, answer, say, arguments).run()

    run_suite(arguments, zoo.names(), run_one)
    return 0


class Trial:
    """A model: built, run eagerly, compiled, called and compared."""

    def __init__(self, zoo: Any, name: str, answer: Result, say: Say, arguments: argparse.Namespace) -> None:
        self.zoo, self.name, self.answer, self.say = zoo, name, answer, say
        self.type: torch.dtype = getattr(torch, arguments.dtype)
        self.tolerance = TYPES.get(arguments.dtype, TOLERANCE)
        self.dynamic: bool = arguments.dynamic

    def run(self) -> None:
        self.say({"stage": "eager"})
        try:
            model, inputs = self.zoo.build(self.name)
            model, inputs = model.to(self.type), {key: self.in_type(value) for key, value in inputs.items()}
            with torch.no_grad():
                copy.deepcopy(model)(**copy.deepcopy(inputs))
        # What cannot be made small, or does not run in eager, is no matter of ours, whatever it raises.
        except Exception as error:
            self.answer.update(outcome="unbuilt", why=describe(error))
            return
        self.answer["class"], self.answer["kind"] = type(model).__name__, self.zoo.kind_of(self.name)
        shapes = shapes_of(inputs) if self.dynamic else None
        self.say({"stage": "compile"})
        try:
            compiled = compile_noted(model, (), shapes, self.answer, inputs)
        except ModelImportError:
            why = why_refused(model, inputs, shapes)
            if why is None:
                raise
            self.answer.update(outcome="refused", why=why)
            return
        self.call(compiled, model, inputs)
        if self.dynamic:
            self.call_others(compiled, model, inputs)
        self.answer.setdefault("outcome", "passed")

    def in_type(self, value: Any) -> Any:
        return value.to(self.type) if torch.is_tensor(value) and value.is_floating_point() else value

    def call(self, compiled: Any, model: torch.nn.Module, inputs: Inputs) -> None:
        self.say({"stage": "call"})
        given = copy.deepcopy(inputs)
        with Operators() as operators:
            results = compiled(**given)
        judge = Judge(model, self.tolerance, 1e-5 / TOLERANCE, self.zoo.as_double)
        judge.check(results, (), inputs, self.answer)
        if operators.names:
            self.answer.update(outcome="failed", why=f"PyTorch ops at the call: {', '.join(sorted(operators.names))}")

    def call_others(self, compiled: Any, model: torch.nn.Module, inputs: Inputs) -> None:
        exported = export(model, inputs, shapes_of(inputs)).module()
        called = 0
        for batch, length in ((1, 0), (0, -3), (2, 7)):
            others = resized(inputs, batch, length)
            try:
                with torch.no_grad():
                    exported(**copy.deepcopy(others))
                    copy.deepcopy(model)(**copy.deepcopy(others))
            # The model is not ours, and says as it likes that it does not take a size.
            except Exception:
                continue
            self.call(compiled, model, others)
            called += 1
        self.answer["others"] = called
        if not called:
            self.answer.setdefault("outcome", "fixed")


def shapes_of(inputs: Inputs) -> dict[str, Any]:
    """The batch, and the length of what has one, as users leave them open."""
    return {
        name: {0: Dim.AUTO, 1: Dim.AUTO} if name in LENGTHS else {0: Dim.AUTO} if torch.is_tensor(value) else None
        for name, value in inputs.items()
    }


def resized(inputs: Inputs, batch: int, length: int) -> Inputs:
    """Inputs of a batch, and a length, that is larger by so much; numbers begin anew where they end."""

    def repeated(name: str, value: Any) -> Any:
        if not torch.is_tensor(value):
            return value
        value = value.index_select(0, torch.arange(len(value) + batch) % len(value))
        if name not in LENGTHS:
            return value
        return value.index_select(1, torch.arange(value.shape[1] + length) % value.shape[1])

    return {name: repeated(name, value) for name, value in inputs.items()}


def why_refused(model: torch.nn.Module, inputs: Inputs, shapes: Any) -> str | None:
    """What `torch.export` itself says of a model; None if it exports it."""
    try:
        export(model, inputs, shapes)
    # The model's own code runs here, and may raise anything.
    except Exception as error:
        return describe(error)
    return None


def export(model: torch.nn.Module, inputs: Inputs, shapes: Any) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(copy.deepcopy(model), (), copy.deepcopy(inputs), dynamic_shapes=shapes, strict=False)


if __name__ == "__main__":
    sys.exit(main())
