#!/usr/bin/env python3
"""Compile the cases of `onnx.backend.test` and hold what they compute to that suite's own tolerances.

    pip install onnx
    scripts/coverage_onnx.py --json build/onnx.jsonl

All kinds but `real`, which needs a network. Counted apart: cases that take or give strings, sequences, optional values
or maps, and those of an opset above 24. A case's inputs are the example that it is compiled with. Results are kept as
`program_workers.py` says; no op of PyTorch's may run at the call.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from compiled_calls import Operators, compile_noted
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from program_workers import Result, Say, add_arguments, run_suite
from terrace.frontend.onnx.values import tensor_of_proto

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
LAST_OPSET = 24


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_arguments(parser)
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of the values that cases are made with.
        cases = {case.name: case for kind in KINDS for case in load_model_tests(kind=kind)}

    def run_one(name: str, answer: Result, say: Say) -> None:
        run(cases[name], answer, say)

    run_suite(arguments, cases, run_one)
    return 0


def model_of(case: TestCase) -> ModelProto:
    return case.model if case.model is not None else onnx.load(Path(case.model_dir, "model.onnx"))


def apart(model: ModelProto) -> str:
    """Why a case is counted apart, or nothing."""
    values = [*model.graph.input, *model.graph.output]
    if any(value.type.WhichOneof("value") != "tensor_type" for value in values):
        return "no tensors"
    if any(value.type.tensor_type.elem_type == TensorProto.STRING for value in values):
        return "strings"
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    return f"opset above {LAST_OPSET}" if opset > LAST_OPSET else ""


def run(case: TestCase, answer: Result, say: Say) -> None:
    """Compile a case at its first inputs, call it with all, compare."""
    model = model_of(case)
    answer["ops"] = sorted({f"{node.domain}::{node.op_type}".removeprefix("::") for node in model.graph.node})
    answer.update(ours=False, generated=False, left=[])
    if word := apart(model):
        answer["outcome"] = word
        return
    sets = list(data_of(case))
    say({"stage": "compile"})
    compiled = compile_noted(model, tuple(map(tensor_of, sets[0][0])), None, answer)  # type: ignore[arg-type]
    say({"stage": "call"})
    for inputs, expected in sets:
        given = list(map(tensor_of, inputs))
        with Operators() as operators:
            results = list(compiled(*given).values())
        for value, wanted in zip(results, expected, strict=True):
            if fault := difference(value, tensor_of(wanted), case.rtol, case.atol):
                answer.update(outcome="failed", why=fault.partition(":")[0], message=fault)
        if operators.names:
            answer.update(outcome="failed", why=f"PyTorch ops at the call: {', '.join(sorted(operators.names))}")
    answer.setdefault("outcome", "passed")


def data_of(case: TestCase) -> Iterator[tuple[list[Any], list[Any]]]:
    """The inputs and results of a case: arrays or protos."""
    if case.data_sets is not None:
        yield from case.data_sets
        return
    for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
        yield protos(folder, "input"), protos(folder, "output")


def protos(folder: Path, prefix: str) -> list[TensorProto]:
    paths = sorted(folder.glob(f"{prefix}_*.pb"), key=lambda path: int(re.findall(r"\d+", path.stem)[-1]))
    return [onnx.load_tensor(path) for path in paths]


def tensor_of(value: Any) -> torch.Tensor:
    return tensor_of_proto(value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value)))


def difference(value: torch.Tensor, wanted: torch.Tensor, rtol: float, atol: float) -> str:
    """What is wrong with a result, as the suite's runner compares them; nothing if it is right."""
    if value.dtype != wanted.dtype or value.shape != wanted.shape:
        return f"wrong type or shape: {value.dtype}{list(value.shape)}, not {wanted.dtype}{list(wanted.shape)}"
    if value.dtype.is_floating_point and value.dtype.itemsize < 4:
        value, wanted = value.float(), wanted.float()
    try:
        np.testing.assert_allclose(value.numpy(), wanted.numpy(), rtol=rtol, atol=atol)
    except AssertionError as error:
        return f"wrong result: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
