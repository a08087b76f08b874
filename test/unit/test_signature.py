"""Signatures: structure in and out, and errors that say what, where and what to do."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import OrderedDict, namedtuple
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from terrace.errors import ArtifactError, InputError
from terrace.signature import DTYPES, Leaf, Signature
from terrace.structure import Tree, describe

Point = namedtuple("Point", ["x", "y"])


@dataclasses.dataclass
class Encoding:
    """An output such as Hugging Face's models give."""

    logits: Any
    hidden: Any = None


def signature_of(
    args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Leaf], result: Any = 0, **ranges: Any
) -> Signature:
    """A signature of the structure of these values."""
    inputs, _ = describe((args, kwargs))
    outputs, out_leaves = describe(result)
    return Signature(inputs, leaves, outputs, [Leaf("tensor") for _ in out_leaves], ranges)


def round_trip(signature: Signature) -> Signature:
    return Signature.from_json(json.loads(json.dumps(signature.to_json(), allow_nan=False)))


def test_json_keeps_everything() -> None:
    result = {"a": [1, Point(2, None)], "b": (Encoding(3, OrderedDict(z=4, a=5)), [], {})}
    leaves = [
        Leaf("tensor", ["batch", 3], "bfloat16"),
        Leaf("constant", value=math.inf),
        Leaf("constant", value=None),
        Leaf("constant", value=-0.1),
        Leaf("scalar", dtype="int64"),
    ]
    signature = signature_of((0, 0, 0), {"k": [0, 0]}, leaves, result, batch=[1, None])
    assert round_trip(signature) == signature


@pytest.mark.parametrize(
    "result",
    [
        1,
        None,
        (),
        [1, [2, (3,)]],
        {"b": 1, "a": {"c": None}},
        OrderedDict(b=1, a=2),
        Point(1, [2, 3]),
        Encoding(1, None),
        {"deep": [Encoding(Point(1, 2), (3, None))]},
    ],
)
def test_unflatten_rebuilds_the_structure(result: Any) -> None:
    tree, leaves = describe(result)
    empty = Tree("tuple", [Tree("tuple"), Tree("dict")])
    signature = round_trip(Signature(empty, [], tree, [Leaf("tensor") for _ in leaves]))
    rebuilt = signature.unflatten(leaves)
    assert rebuilt == result
    assert type(rebuilt) is type(result)
    assert signature.flatten_result(rebuilt) == leaves


def test_classes_that_are_not_imported_are_not_imported() -> None:
    tree = Tree(
        "tuple",
        [
            Tree("namedtuple", [Tree("leaf")], ["x"], "no.such.module:Thing"),
            Tree("dataclass", [Tree("leaf")], ["x"], "antigravity:Thing"),
            # In sys.modules, and no such class: never called.
            Tree("dataclass", [Tree("leaf")], ["command"], "os:system"),
        ],
    )
    empty = Tree("tuple", [Tree("tuple"), Tree("dict")])
    signature = Signature(empty, [], tree, [Leaf("tensor")] * 3)
    plain, named, harmless = signature.unflatten([1, 2, 3])
    assert plain == (1,) and type(plain) is tuple
    assert named == SimpleNamespace(x=2)
    assert harmless == SimpleNamespace(command=3)


def test_keywords_come_in_any_order() -> None:
    leaves = [Leaf("tensor", [2]), Leaf("tensor", [3])]
    signature = signature_of((), {"a": 0, "b": 0}, leaves)
    two, three = np.zeros(2, np.float32), np.zeros(3, np.float32)
    found = signature.flatten((), {"b": three, "a": two})
    assert found[0] is two and found[1] is three
    args, kwargs = signature.unflatten_arguments(found)
    assert args == () and list(kwargs) == ["a", "b"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: str) -> None:
    numpy_dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    signature = signature_of((0,), {}, [Leaf("tensor", [2], dtype)])
    signature.flatten((np.zeros(2, numpy_dtype),), {})
    wrong = np.zeros(2, np.int16 if dtype != "int16" else np.int32)
    with pytest.raises(InputError, match=rf"args\[0\]: expected {dtype}\[2\], found int"):
        signature.flatten((wrong,), {})


X = np.zeros((2, 3), np.float32)
MASK = np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {"mask": [MASK, 3]}, "args: expected 1 positional arguments, found 0"),
        ((X, X), {"mask": [MASK, 3]}, "args: expected 1 positional arguments, found 2"),
        ((X,), {}, r"kwargs: expected keys \['mask'\], found keys \[\]; add 'mask'"),
        ((X,), {"mask": [MASK, 3], "m": 1}, "kwargs: .* remove 'm'"),
        ((X,), {"mask": (MASK, 3)}, r"kwargs\['mask'\]: expected a list of 2, found a tuple of 2"),
        ((X,), {"mask": [MASK]}, r"kwargs\['mask'\]: expected a list of 2, found a list of 1"),
        ((X,), {"mask": [None, 3]}, r"kwargs\['mask'\]\[0\]: expected a tensor float32\[b\], found None"),
        ((X,), {"mask": [[1.0, 2.0], 3]}, r"kwargs\['mask'\]\[0\]: expected a tensor"),
        ((X,), {"mask": [MASK, 4]}, r"kwargs\['mask'\]\[1\]: expected 3, found 4; .*recompile"),
        ((X,), {"mask": [MASK, 3.0]}, r"kwargs\['mask'\]\[1\]: expected 3, found float 3.0"),
        ((X,), {"mask": [MASK, np.array(3)]}, r"kwargs\['mask'\]\[1\]: expected 3, found int64\[\]"),
        ((X[0],), {"mask": [MASK, 3]}, r"args\[0\]: expected float32\[b, 3\], found float32\[3\]; reshape"),
        ((X.astype("f8"),), {"mask": [MASK, 3]}, "found float64.*convert it to float32"),
        ((X.astype(">f4"),), {"mask": [MASK, 3]}, "found >f4"),
        ((X[:, :2],), {"mask": [MASK, 3]}, "size 1 must be 3"),
        ((X,), {"mask": [MASK[:1], 3]}, r"size 0 of kwargs\['mask'\]\[0\]: expected b = 2, as in size 0 of args\[0\]"),
        ((X[:0],), {"mask": [MASK[:0], 3]}, "expected 1 <= b <= 8, found 0"),
        ((np.zeros((9, 3), "f4"),), {"mask": [np.zeros(9, "f4"), 3]}, "expected 1 <= b <= 8, found 9"),
    ],
)
def test_refusals(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    leaves = [Leaf("tensor", ["b", 3]), Leaf("tensor", ["b"]), Leaf("constant", value=3)]
    signature = signature_of((0,), {"mask": [0, 0]}, leaves, b=[1, 8])
    signature.flatten((X,), {"mask": [MASK, 3]})
    with pytest.raises(InputError, match=message):
        signature.flatten(args, kwargs)


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("int64", [0, -(2**63)], [True, 1.0, 2**63, np.int64(1), None]),
        ("float64", [0.5, 3, math.nan], [True, "1", 2**63]),
        ("bool", [True, False], [0, 1.0]),
    ],
)
def test_scalars(dtype: str, good: list[Any], bad: list[Any]) -> None:
    signature = signature_of((0,), {}, [Leaf("scalar", dtype=dtype)])
    for value in good:
        signature.flatten((value,), {})
    for value in bad:
        with pytest.raises(InputError, match=r"args\[0\]"):
            signature.flatten((value,), {})


def test_a_constant_nan_equals_itself() -> None:
    signature = signature_of((0,), {}, [Leaf("constant", value=math.nan)])
    round_trip(signature).flatten((math.nan,), {})


def test_none_must_stay_none() -> None:
    signature = signature_of((None,), {}, [])
    signature.flatten((None,), {})
    with pytest.raises(InputError, match=r"args\[0\]: expected None, found float32\[2, 3\]"):
        signature.flatten((X,), {})


def test_fields_are_enough_for_a_dataclass() -> None:
    signature = signature_of((Encoding(0, 0),), {}, [Leaf("tensor", [2, 3]), Leaf("tensor", [2])])
    assert signature.input_paths() == ["args[0].logits", "args[0].hidden"]
    signature.flatten((SimpleNamespace(logits=X, hidden=MASK),), {})
    with pytest.raises(InputError, match=r"args\[0\]: expected a dataclass like .*Encoding .*give it hidden"):
        signature.flatten((SimpleNamespace(logits=X),), {})


NAMED = (X, MASK, 3)
LEAVES = [Leaf("tensor", [2, 3]), Leaf("tensor", [2]), Leaf("constant", value=3)]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((X, MASK), {"k": 3}),
        ((X,), {"mask": MASK, "k": 3}),
        ((), {"k": 3, "mask": MASK, "x": X}),
        ((X, MASK, 3), {}),
    ],
)
def test_arguments_bind_by_position_or_by_name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    signature = dataclasses.replace(signature_of((0, 0), {"k": 0}, LEAVES), parameters=["x", "mask", "k", "other"])
    assert [id(leaf) for leaf in round_trip(signature).flatten(args, kwargs)] == [id(leaf) for leaf in NAMED]


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((X,), {"x": X, "mask": MASK, "k": 3}, "argument 'x' is given twice"),
        ((X,), {"mask": MASK}, r"argument 'k' is missing; the model was compiled with \(x, mask, k\)"),
        ((X, MASK), {"k": 3, "m": 1}, "argument 'm' is none of the model's"),
        ((X, MASK, 3, 4), {}, "argument 'other' was left out when the model was compiled"),
        ((X, MASK, 3, 4, 5), {}, "args: expected 2 positional arguments, found 5"),
    ],
)
def test_arguments_that_do_not_bind(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    signature = dataclasses.replace(signature_of((0, 0), {"k": 0}, LEAVES), parameters=["x", "mask", "k", "other"])
    with pytest.raises(InputError, match=message):
        signature.flatten(args, kwargs)


def test_an_argument_without_a_name_goes_by_position() -> None:
    signature = dataclasses.replace(signature_of((0, 0), {}, LEAVES[:2]), parameters=["", "mask"])
    assert signature.flatten((X,), {"mask": MASK})[1] is MASK
    with pytest.raises(InputError, match="argument 'x' is none of the model's"):
        signature.flatten((), {"mask": MASK, "x": X})


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("float32", [0.5, 3, math.inf], [True, "1"]),
        ("int8", [127, -128], [128, -129, 1.0, True]),
        ("uint16", [0, 65535], [-1, 65536]),
        ("bool", [True], [0, 1.0]),
    ],
)
def test_a_number_is_a_tensor_of_rank_0(dtype: str, good: list[Any], bad: list[Any]) -> None:
    signature = signature_of((0,), {}, [Leaf("tensor", [], dtype)])
    for value in good:
        assert signature.flatten((value,), {}) == [value]
    for value in bad:
        with pytest.raises(InputError, match=rf"args\[0\]: expected (a tensor )?{dtype}\[\]"):
            signature.flatten((value,), {})
    with pytest.raises(InputError, match="expected a tensor"):
        signature_of((0,), {}, [Leaf("tensor", [1], dtype)]).flatten((good[0],), {})


@pytest.mark.parametrize(
    "damage",
    [
        {"inputs": {"kind": "leaf"}},
        {"inputs": {"kind": "what"}},
        {"outputs": {"kind": "tuple", "items": [3]}},
        {"input_leaves": []},
        {"input_leaves": [{"kind": "tensor", "shape": [-1]}]},
        {"input_leaves": [{"kind": "tensor", "dtype": "object"}]},
        {"input_leaves": None},
        {"output_leaves": [{"kind": "tensor", "alias": 0}]},
        {"ranges": []},
    ],
)
def test_malformed_json_is_an_artifact_error(damage: dict[str, Any]) -> None:
    good = signature_of((0,), {}, [Leaf("tensor", [2])]).to_json()
    with pytest.raises(ArtifactError, match="malformed"):
        Signature.from_json({**good, **damage})
    with pytest.raises(ArtifactError, match="malformed"):
        Signature.from_json({})
