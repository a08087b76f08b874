"""Relations of sizes that torch.export found: a call that does not meet them is refused, in the user's names."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
from terrace.errors import ArtifactError
from terrace.guards import text_of
from terrace.signature import Signature
from torch import Tensor, nn
from torch.export import Dim

AUTO = Dim.AUTO


def pairs(a: Tensor) -> Tensor:
    return a.view(a.shape[0] // 2, 2, 8).sum(1)


def nested(x: Tensor, y: dict[str, list[Tensor]]) -> Tensor:
    return x.view(-1, 3).sum() + y["q"][0].view(-1, 5).sum()


def window(x: Tensor, k: int) -> Tensor:
    torch._check(k != 3)
    return x.narrow(0, k, 2)


def rest(x: Tensor, *more: Tensor) -> Tensor:
    return x.sum() + more[1].view(-1, 5).sum()


def sized(*sizes: int) -> tuple[Tensor, ...]:
    return tuple(torch.ones(size, 8) for size in sizes)


def row(size: int) -> Tensor:
    return torch.ones(size)


CASES: list[tuple[Callable[..., Tensor], Any, tuple[Any, ...], dict[str, tuple[Any, ...]], tuple[Any, ...]]] = [
    # Function, dynamic shapes, the example, what is refused by which words, what is not.
    (pairs, ({0: 2 * Dim("b", max=10)},), sized(4), {r"\(2\*b\) % 2 == 0.*2\*b = 7 \(size 0": sized(7)}, sized(8)),
    (pairs, ({0: AUTO},), sized(4), {r"a\.shape\[0\].*found a\.shape\[0\] = 7": sized(7)}, sized(8)),
    (
        lambda a, b: a + b[1:],
        ({0: Dim("n")}, {0: Dim("n") + 1}),
        sized(4, 5),
        {r"n == -1 \+ \(n \+ 1\)": sized(4, 4)},
        sized(6, 7),
    ),
    (
        nested,
        ({0: AUTO}, {"q": [{0: AUTO}]}),
        (row(6), {"q": [row(10)]}),
        {
            r"y\['q'\]\[0\]\.shape\[0\] % 5 == 0": (row(9), {"q": [row(11)]}),
            r"x.shape\[0\] % 3": (row(8), {"q": [row(15)]}),
        },
        (row(9), {"q": [row(15)]}),
    ),
    (
        window,
        ({0: AUTO}, AUTO),
        (row(6), 2),
        {r"k <= -2 \+ x\.shape\[0\]": (row(6), 5), "k != 3": (row(9), 3), "k >= 0": (row(9), -1)},
        (row(9), 4),
    ),
    (
        rest,
        {"x": {0: AUTO}, "more": (None, {0: AUTO})},
        (row(6), row(2), row(10)),
        {r"\.shape\[0\] % 5 == 0": (row(6), row(2), row(11))},
        (row(4), row(2), row(15)),
    ),
]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("form", ["model", "exported", "loaded"])
def test_guards(case: int, form: str) -> None:
    function, dynamic, example, refused, accepted = CASES[case]

    class Model(nn.Module):
        forward = staticmethod(function)

    # torch.export cannot load programs with sizes like 2*b.
    if form == "loaded" and case in (0, 2):
        form = "exported"
    if form == "model":
        model = terrace.compile(Model(), example, dynamic_shapes=dynamic)
    else:
        exported = torch.export.export(Model(), example, dynamic_shapes=dynamic)
        if form == "loaded":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                file = io.BytesIO()
                torch.export.save(exported, file)
                file.seek(0)
                exported = torch.export.load(file)
        model = terrace.compile(exported)
    torch.testing.assert_close(model(*accepted), function(*accepted))
    for words, arguments in refused.items():
        # Without the Dim's name, the size of the argument is named.
        named = words if form == "model" or "n ==" not in words else r"a\.shape\[0\] == -1 \+ "
        with pytest.raises(terrace.InputError, match=named) as error:
            model(*arguments)
        assert " s7" not in str(error.value)


def test_sizes_of_a_model_that_dynamo_reads() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor, values: list[Tensor]) -> Tensor:
            return x.scatter(1, values[0], float(values[1]))

    dynamic = ({0: AUTO}, [{0: AUTO}, None])
    x, places, value = torch.rand(6, 4), torch.tensor([[3], [1]]), torch.tensor(2.0)
    model = terrace.compile(Model(), (x, [places, value]), dynamic_shapes=dynamic)
    for size in (6, 2):
        torch.testing.assert_close(model(x[-size:], [places, value]), x[-size:].scatter(1, places, 2.0))
    with pytest.raises(terrace.InputError, match=r"values\[0\]\.shape\[0\] <= x\.shape\[0\]"):
        model(x[:1], [places, value])


def test_a_size_without_a_dim_may_be_one_and_none() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x + 1).softmax(1)

    model = terrace.compile(Model(), (torch.rand(4, 8),), dynamic_shapes=({0: AUTO},))
    for size in (4, 1, 0):
        x = torch.rand(size, 8)
        torch.testing.assert_close(model(x), (x + 1).softmax(1))


def test_names_of_dimensions_stand_in_the_signature() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x.sum() + y.sum()

    dynamic = {"y": {1: Dim("length", min=3, max=9)}, "x": (Dim("batch"), AUTO)}
    signature = terrace.compile(Model(), (torch.ones(4, 5), torch.ones(2, 6)), dynamic_shapes=dynamic).signature
    assert [str(leaf) for leaf in signature.input_leaves] == ["float32[batch, x.shape[1]]", "float32[2, length]"]
    assert signature.ranges["length"] == [3, 9]


GOOD = ["==", ["%", ["+", "n", 1], 2], ["min", 0, "n"]]
BAD: list[Any] = [
    None, True, [], ["n"], ["==", "n"], ["==", "n", "m"], ["import", "n", 1], ["==", "n", {"n": 1}], [["=="], 1, 2],
    ["neg", 1, 2], ["max"], ["**", "n", 2], "m",
]  # fmt: skip


def of_guard(guard: Any) -> dict[str, Any]:
    """The JSON of a signature with that guard."""
    leaf = {"kind": "leaf"}
    inputs = {"kind": "tuple", "items": [{"kind": "tuple", "items": [leaf]}, {"kind": "dict"}]}
    tensor = {"kind": "tensor", "dtype": "float32", "shape": ["n"]}
    signature = {"inputs": inputs, "input_leaves": [tensor], "outputs": leaf, "output_leaves": [tensor], "ranges": {}}
    return json.loads(json.dumps({**signature, "guards": [guard]}))


def test_a_dynamic_size_of_one_value_is_that_value() -> None:
    """PyTorch's max_pool1d holds the length; the message says it, and names no symbol `8`."""
    shapes = ({0: AUTO, 2: AUTO},)
    compiled = terrace.compile(nn.MaxPool1d(3, 2, 1), (torch.ones(2, 3, 8),), dynamic_shapes=shapes)
    assert compiled.signature.input_leaves[0].shape[1:] == [3, 8]
    assert compiled(torch.ones(5, 3, 8)).shape == (5, 3, 4)
    with pytest.raises(terrace.InputError, match="size 2 must be 8"):
        compiled(torch.ones(5, 3, 7))


def test_a_guard_is_data() -> None:
    signature = Signature.from_json(of_guard(GOOD))
    assert Signature.from_json(json.loads(json.dumps(signature.to_json()))) == signature
    assert text_of(GOOD) == "(n + 1) % 2 == min(0, n)"
    signature.flatten((row(3),), {})
    with pytest.raises(
        terrace.InputError, match=r"`\(n \+ 1\) % 2 == min\(0, n\)`.*found n = 4 \(size 0 of args\[0\]\)"
    ):
        signature.flatten((row(4),), {})


@pytest.mark.parametrize("guard", BAD, ids=str)
def test_a_malformed_guard_is_refused(guard: Any) -> None:
    with pytest.raises(ArtifactError, match="malformed"):
        Signature.from_json(of_guard(guard))


def test_a_guard_that_is_nested_too_deep_is_refused() -> None:
    guard: Any = "n"
    for _ in range(500):
        guard = ["neg", guard]
    with pytest.raises(ArtifactError, match="malformed"):
        Signature.from_json(of_guard(guard))


def test_what_is_divided_by_zero_does_not_hold() -> None:
    signature = Signature.from_json(of_guard(["==", ["%", 4, "n"], 0]))
    signature.flatten((row(2),), {})
    with pytest.raises(terrace.InputError):
        signature.flatten((row(0),), {})
