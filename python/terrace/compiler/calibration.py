"""Calibration: the ranges of a model's values, observed on sample calls, written where quantisation reads them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from terrace import progress
from terrace.errors import CompileError, InputError
from terrace.lowering.quantization.observed import observed_values
from terrace.lowering.quantization.ranges import describe, set_range
from terrace.lowering.transforms.observe_ranges import ObserveRanges
from terrace.mlir import func, ir, operation_of, parse_module
from terrace.passes import describe_location, run_stage
from terrace.runtime.model import CompiledModel
from terrace.signature import Leaf, Signature
from terrace.structure import Tree


def calibrate(
    module: ir.Module,
    main: func.FuncOp,
    signature: Signature,
    samples: Sequence[Any],
    compile_observed: Callable[[ir.Module, Signature], CompiledModel],
) -> None:
    """Set `graph.range` of the values of @main to the largest magnitudes in `samples`, calls of `signature`.

    A sample is a tuple of arguments, a dict of keyword arguments, or the only argument. `compile_observed` compiles
    the module that gives the magnitudes. Raises CompileError, naming the value and the sample, for a NaN, and for an
    infinity among the arguments, and naming the sample for one that is no call of the model. Where nothing may be int8,
    nothing is observed.
    """
    values = observed_values(main)
    if not values:
        return
    observed = parse_module(module.operation.get_asm(enable_debug_info=True), module.context)
    run_stage([ObserveRanges()], observed.operation, "observe")
    outputs = [Leaf("tensor", [], "float32") for _ in values]
    tree = Tree("tuple", [Tree("leaf") for _ in values])
    inputs = dataclasses.replace(signature, outputs=tree, output_leaves=outputs, written=[], checks=[])
    model = compile_observed(observed, inputs)
    largest = np.full(len(values), 0.0)
    with progress.stage("calibrate"):
        for number, sample in enumerate(samples):
            magnitudes = np.array([float(magnitude) for magnitude in _call(model, sample, number)])
            for value, magnitude in zip(values, magnitudes, strict=True):
                # An infinity inside may be a mask's: what it meets then stays in float.
                if math.isnan(magnitude) or (magnitude == math.inf and operation_of(value) is None):
                    raise CompileError(_explain(value, magnitude, number))
            largest = np.maximum(largest, magnitudes)  # a tensor without elements has magnitude -inf
    for value, magnitude in zip(values, largest, strict=True):
        set_range(value, float(magnitude))


def _call(model: CompiledModel, sample: Any, number: int) -> Any:
    try:
        if isinstance(sample, Mapping):
            return model(**sample)
        return model(*sample) if isinstance(sample, (tuple, list)) else model(sample)
    except InputError as error:
        raise CompileError(f"option 'calibration', sample {number}: {error}") from error


def _explain(value: ir.Value, magnitude: float, number: int) -> str:
    owner = operation_of(value)
    place = "" if owner is None else f" at {describe_location(owner.location)}"
    kind = "NaN" if math.isnan(magnitude) else "an infinity"
    return (
        f"calibration sample {number} makes {describe(value)}{place} {kind}, and no scale covers that; leave the sample"
        " out, or compile the model without 'quantize'"
    )
