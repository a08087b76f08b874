"""The elementwise ops as reference cases: values that hurt in each float type, integers, broadcasts, casts."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import torch
import torch.nn.functional as F
from reference_cases import Case, both, randn
from terrace.dialects import graph

INF, NAN = float("inf"), float("nan")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, -3.0, 7.0, 1e-40, -1e-40, 80.0, -80.0, INF, -INF, NAN]
FLOATS = (torch.float32, torch.float16, torch.bfloat16)

# Absolute tolerances around results of 0, where IREE's polynomials cancel; the rest is exact to RTOL.
ATOL = {"erf": 3e-7, "gelu": 3e-7, "hardsigmoid": 1e-7, "hardswish": 3e-7, "sin": 3e-7, "tanh": 3e-7}
# IREE reduces the argument of cos less carefully than that of sin: 2.2e-6 at 80.
ATOL["cos"] = 3e-6

UNARY = {
    "abs": torch.abs,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "erf": torch.erf,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "floor": torch.floor,
    "gelu": F.gelu,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "log": torch.log,
    "log1p": torch.log1p,
    "neg": torch.neg,
    "relu": torch.relu,
    "round": torch.round,
    "rsqrt": torch.rsqrt,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "sin": torch.sin,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
}
BINARY = {
    "add": torch.add,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mul": torch.mul,
    "pow": torch.pow,
    "sub": torch.sub,
}
INTEGER_UNARY = ("abs", "neg", "relu")
INTEGER_BINARY = ("add", "maximum", "minimum", "mul", "sub")
COMPARE = {"eq": torch.eq, "ge": torch.ge, "gt": torch.gt, "le": torch.le, "lt": torch.lt, "ne": torch.ne}


def given(result: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    """What is expected whatever the operand: one whose denormals are no zeros."""
    return result


def op_class(name: str) -> Any:
    """The class of elementwise op `name`."""
    return graph.ELEMENTWISE_OPS[f"graph.{name}"]


def short(dtype: torch.dtype) -> str:
    """`float32` for torch.float32."""
    return str(dtype).removeprefix("torch.")


def special(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The values that hurt, and random ones, 33 in all: an odd number, longer than any vector."""
    return torch.cat([torch.tensor(SPECIAL), 3 * randn(33 - len(SPECIAL))]).to(dtype)


def special_pairs(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Every pair of the values that hurt."""
    pairs = torch.tensor(list(itertools.product(SPECIAL, SPECIAL)))
    return pairs[:, 0].to(dtype), pairs[:, 1].to(dtype)


def unary_cases() -> list[Case]:
    """Every unary op on the values that hurt, in each float type."""
    cases = []
    for (name, reference), dtype in itertools.product(UNARY.items(), FLOATS):
        attributes = {"approximate": "none"} if name == "gelu" else {}
        # Results below the smallest number of the type (half of it in f16) may become 0.
        atol = max(ATOL.get(name, 1e-38), 3e-8 if dtype == torch.float16 else 0.0)
        cases.append(
            Case(f"{name}_{short(dtype)}", op_class(name), (special(dtype),), attributes, reference, atol=atol)
        )
    tanh = functools.partial(F.gelu, approximate="tanh")
    cases += both("gelu_tanh", graph.GeluOp, (special(),), {"approximate": "tanh"}, tanh, atol=3e-7)
    for name in ("sqrt", "exp", "neg", "abs"):
        cases.append(Case(f"{name}_float64", op_class(name), (special().double(),), {}, UNARY[name]))
    return cases


def binary_cases() -> list[Case]:
    """Every binary op on all pairs of the values that hurt, and comparisons and select."""
    cases = []
    for (name, reference), dtype in itertools.product(BINARY.items(), FLOATS):
        if name == "pow":
            continue  # below, with its own values and tolerance
        operands = special_pairs(dtype)
        cases.append(Case(f"{name}_{short(dtype)}", op_class(name), operands, {}, reference, atol=2e-38))
    for predicate, compare in COMPARE.items():
        for dtype, operands in (
            ("float32", special_pairs()),
            ("int32", integers(torch.int32)),
            ("bool", booleans()),
        ):
            attributes = {"predicate": predicate}
            cases.append(Case(f"{predicate}_{dtype}", graph.CompareOp, operands, attributes, compare))
    condition = (randn(5, 7) > 0, randn(5, 7, seed=1), randn(7, seed=2))
    cases += both("select", graph.SelectOp, condition, {}, torch.where)
    integers_ = (condition[0], torch.arange(35).reshape(5, 7), torch.tensor(-1))
    cases += both("select_int64", graph.SelectOp, integers_, {}, torch.where)
    # IREE takes a negative denormal base for negative, not for zero: no denormals here.
    pairs = [(x, y) for x, y in itertools.product(SPECIAL, SPECIAL) if 1e-40 not in (abs(x), abs(y))]
    base, exponent = torch.tensor(pairs).unbind(1)
    # exp(y * log(x)) errs by |y * log(x)| units in the last place, at most 88 of them.
    cases += both("pow", graph.PowOp, (base, exponent), {}, torch.pow, rtol=1e-5, atol=1e-38)
    cases += both("fmod", graph.FmodOp, (base, exponent), {}, torch.fmod)
    cases += both("copysign", graph.CopysignOp, special_pairs(), {}, torch.copysign, atol=2e-38)
    amounts = torch.arange(35, dtype=torch.int32).reshape(5, 7)
    numbers = torch.tensor([1, -1, 5, -8, 2**31 - 1, -(2**31), 0], dtype=torch.int32)
    cases += both("shift_left", graph.ShiftLeftOp, (numbers, amounts), {}, torch.bitwise_left_shift)
    cases += both("shift_right", graph.ShiftRightOp, (numbers, amounts), {}, torch.bitwise_right_shift)
    words = torch.tensor([0, 1, -1, 0x3F800000, 0x7F800000, -(2**31)], dtype=torch.int32)
    for value, name in ((words, "f32"), (words.view(torch.float32), "i32")):
        target = {"f32": torch.float32, "i32": torch.int32}[name]

        seen = value.view(target)
        bits = functools.partial(given, seen.double() if seen.is_floating_point() else seen)
        cases.append(Case(f"bitcast_{name}", graph.BitcastOp, (value,), {}, bits, result=([6], name)))
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        for dtype, operands in (("int8", integers(torch.int8)), ("int64", integers(torch.int64)), ("bool", booleans())):
            cases.append(Case(f"{name}_{dtype}", op_class(name), operands, {}, getattr(torch, name)))
    return cases


def integers(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Two integer tensors with the extremes of the type among them."""
    info = torch.iinfo(dtype)
    left = torch.tensor([info.min, info.max, 0, -1, 1, 5, -7, info.min], dtype=dtype)
    right = torch.tensor([1, 1, 0, -1, info.min, 3, 2, info.max], dtype=dtype)
    return left, right


def booleans() -> tuple[torch.Tensor, torch.Tensor]:
    """All pairs of booleans."""
    return torch.tensor([False, False, True, True]), torch.tensor([False, True, False, True])


def integer_cases() -> list[Case]:
    """Integer arithmetic wraps around, as in torch; on booleans add is or and mul is and."""
    cases = []
    for dtype in (torch.int8, torch.int32, torch.int64):
        left, right = integers(dtype)
        for name in INTEGER_UNARY:
            cases.append(Case(f"{name}_{short(dtype)}", op_class(name), (left,), {}, UNARY[name]))
        for name in INTEGER_BINARY:
            cases.append(Case(f"{name}_{short(dtype)}", op_class(name), (left, right), {}, BINARY[name]))
    for name in ("add", "maximum", "minimum", "mul"):
        cases.append(Case(f"{name}_bool", op_class(name), booleans(), {}, BINARY[name]))
    return cases


CAST_VALUES = torch.tensor([0.0, 1.0, -1.0, 2.7, -2.7, 100.49, -0.5])
CAST_TYPES = {
    "i1": torch.bool,
    "i8": torch.int8,
    "i32": torch.int32,
    "i64": torch.int64,
    "f32": torch.float32,
    "f64": torch.float64,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
}


def cast_cases() -> list[Case]:
    """Casts between all types; a half result comes out as f32 exactly."""
    cases = []
    for (source, dtype), (target, result) in itertools.product(CAST_TYPES.items(), CAST_TYPES.items()):

        def reference(x: torch.Tensor, dtype: torch.dtype = dtype, result: torch.dtype = result) -> torch.Tensor:
            y = x.to(dtype).to(result)
            return y.double() if y.is_floating_point() else y

        if (source, target) == ("f16", "bf16"):
            continue  # IREE 3.13 folds f16 -> f32 -> bf16 -> f32 to the first step and loses the rounding
        operand = CAST_VALUES.to(dtype)
        name = f"cast_{source}_{target}"
        cases.append(Case(name, graph.CastOp, (operand,), {}, reference, rtol=0.0, result=([7], target)))
    return cases


def shape_cases() -> list[Case]:
    """Broadcasts, and shapes that hurt: rank 0, sizes 0 and 1, rank 5, prime sizes, each static and dynamic."""
    pairs = [
        ((), ()),
        ((), (3, 5)),
        ((0, 4), (4,)),
        ((1,), (1, 1)),
        ((7, 1, 5), (3, 1)),
        ((2, 3, 1, 5, 1), (3, 7, 1, 2)),
        ((17, 31), (17, 31)),
        ((1, 64, 1, 1), (1, 64, 5, 5)),
    ]
    cases = []
    for i, (left, right) in enumerate(pairs):
        operands = (randn(*left), randn(*right, seed=1))
        cases += both(f"add_shapes_{i}", graph.AddOp, operands, {}, torch.add, atol=1e-7)
        cases += both(f"relu_shapes_{i}", graph.ReluOp, operands[:1], {}, torch.relu)
    return cases


FAMILIES = {
    "unary": unary_cases,
    "binary": binary_cases,
    "integer": integer_cases,
    "cast": cast_cases,
    "shape": shape_cases,
}
