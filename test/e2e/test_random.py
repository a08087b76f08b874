"""Random ops: the numbers follow the seed of a call, and have the distribution that the op names."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from torch import nn

MASK = 0xFFFFFFFF
COUNT = 40_000
"""Numbers drawn of each distribution. Bounds are five standard errors, of a fixed seed."""


class Model(nn.Module):
    """`function` as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10, as its paper says."""
    for number in range(10):
        if number:
            key = [(key[0] + 0x9E3779B9) & MASK, (key[1] + 0xBB67AE85) & MASK]
        left, right = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(right >> 32) ^ counter[1] ^ key[0], right & MASK, (left >> 32) ^ counter[3] ^ key[1], left & MASK]
    return counter


def test_the_specification_passes_the_known_answers() -> None:
    """Those of Random123, the authors' own code."""
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox([MASK] * 4, [MASK] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    digits = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]
    assert philox(*digits) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


BITS = """
func.func @main(%n: tensor<?xf32>, %seed: tensor<i64>) -> (tensor<2x3xi64>, tensor<?xi64>) {
  %c0 = arith.constant 0 : index
  %d = tensor.dim %n, %c0 : tensor<?xf32>
  %0 = "graph.random_bits"(%seed) {stream = 7 : i64} : (tensor<i64>) -> tensor<2x3xi64>
  %1 = "graph.random_bits"(%seed, %d) {stream = 8589934593 : i64} : (tensor<i64>, index) -> tensor<?xi64>
  return %0, %1 : tensor<2x3xi64>, tensor<?xi64>
}
"""


@pytest.mark.parametrize("seed", [0, 1, -1, 0x123456789ABCDEF])
def test_random_bits_are_philox(seed: int) -> None:
    compiled = terrace.compile_mlir(BITS)
    key = [seed & MASK, seed >> 32 & MASK]
    static, dynamic = compiled(np.zeros(5, np.float32), np.array(seed))
    for found, stream in ((static, 7), (dynamic, 8589934593)):
        words = [philox([number, 0, stream & MASK, stream >> 32], key) for number in range(found.size)]
        expected = np.array([word[0] | word[1] << 32 for word in words], np.uint64).view(np.int64)
        np.testing.assert_array_equal(found.reshape(-1), expected)


def draw(function: Callable[..., Any], x: torch.Tensor | None = None, seed: int = 0) -> Any:
    given = torch.zeros(COUNT) if x is None else x
    return terrace.compile(Model(function), (given,))(given, seed=seed)


LIKE = {
    # Mean, variance, least and greatest value, and the function.
    "rand": (1 / 2, 1 / 12, 0, 1, torch.rand_like),
    "rand_f64": (1 / 2, 1 / 12, 0, 1, lambda x: torch.rand(COUNT, dtype=torch.float64)),
    "randn": (0, 1, -6, 6, torch.randn_like),
    "randn_f64": (0, 1, -9, 9, lambda x: torch.randn(COUNT, dtype=torch.float64)),
    "uniform": (1, 4 / 3, -1, 3, lambda x: x.clone().uniform_(-1, 3)),
    "normal": (2, 9, -16, 20, lambda x: torch.normal(2.0 + x, 3.0)),
    "bernoulli": (0.3, 0.21, 0, 1, lambda x: torch.bernoulli(x + 0.3)),
    "dropout": (1, 1 / 3, 0, 1.34, lambda x: nn.functional.dropout(x + 1, 0.25, True)),
    "alpha_dropout": (0, 1, -9, 9, lambda x: nn.functional.alpha_dropout(torch.randn_like(x), 0.5, True)),
    "randint": (5.5, 33 / 12 + 1.5, 2, 9, lambda x: torch.randint(2, 10, (COUNT,)).float()),
    "exponential": (1 / 2, 1 / 4, 0, 99, lambda x: x.clone().exponential_(2.0)),
    "geometric": (4, 12, 1, 99, lambda x: x.clone().geometric_(0.25)),
    "log_normal": (math.exp(0.125), math.exp(0.5) - math.exp(0.25), 0, 99, lambda x: x.clone().log_normal_(0.0, 0.5)),
    "rrelu": (-0.2, 0.2**2 / 12, -0.3, -0.1, lambda x: nn.functional.rrelu(x - 1, 0.1, 0.3, True)),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, torch.Tensor]:
    """All of `LIKE`, by one program."""
    return dict(zip(LIKE, draw(lambda x: tuple(function(x) for *_, function in LIKE.values())), strict=True))


@pytest.mark.parametrize("name", LIKE)
def test_distribution(drawn: dict[str, torch.Tensor], name: str) -> None:
    mean, variance, least, greatest, _ = LIKE[name]
    values = drawn[name].double()
    assert values.numel() == COUNT and least <= values.min() and values.max() <= greatest
    assert abs(values.mean() - mean) < 5 * math.sqrt(variance / COUNT)
    fourth = ((values - mean) ** 4).mean()
    if name != "randint":
        assert abs(((values - mean) ** 2).mean() - variance) < 5 * math.sqrt(max(fourth - variance**2, 1e-9) / COUNT)


def test_ops_are_independent(drawn: dict[str, torch.Tensor]) -> None:
    names = ["rand", "randn", "uniform", "normal", "exponential", "dropout"]
    correlations = torch.corrcoef(torch.stack([drawn[name].double() for name in names]))
    assert (correlations - torch.eye(len(names))).abs().max() < 5 / math.sqrt(COUNT)
    successive = torch.corrcoef(torch.stack([drawn["rand"][:-1], drawn["rand"][1:]]))
    assert successive[0, 1].abs() < 5 / math.sqrt(COUNT)


def test_permutations_and_choices() -> None:
    weights = torch.tensor([[1.0, 2.0, 0.0, 1.0], [0.0, 0.0, 5.0, 0.0]])
    order, few, many = draw(
        lambda w: (torch.randperm(257), torch.multinomial(w[:1], 3), torch.multinomial(w, COUNT, True)), weights
    )
    assert torch.equal(order.sort().values, torch.arange(257)) and not torch.equal(order, torch.arange(257))
    assert sorted(few[0].tolist()) == [0, 1, 3]
    shares = torch.bincount(many[0], minlength=4) / COUNT
    assert (shares - weights[0] / 4).abs().max() < 5 * math.sqrt(0.25 / COUNT) and shares[2] == 0
    assert (many[1] == 2).all()


def test_the_seed_decides(tmp_path: Path) -> None:
    x = torch.ones(64)
    compiled = terrace.compile(Model(lambda x: x + torch.rand(64)), (x,))
    assert torch.equal(compiled(x, seed=3), compiled(x, seed=3))
    assert not torch.equal(compiled(x, seed=3), compiled(x, seed=4))
    torch.manual_seed(5)
    first, second = compiled(x), compiled(x)
    torch.manual_seed(5)
    assert torch.equal(compiled(x), first) and not torch.equal(first, second)
    compiled.save(tmp_path / "m.terrace")
    assert torch.equal(terrace.load(tmp_path / "m.terrace")(x, seed=3), compiled(x, seed=3))
    again = terrace.compile_mlir(compiled.ir("kernel"))
    assert torch.equal(again(x, seed=3), compiled(x, seed=3))
    with pytest.raises(terrace.InputError, match="seed: expected an int, found str"):
        compiled(x, seed="3")


def test_an_argument_called_seed_is_the_models() -> None:
    class Named(nn.Module):
        def forward(self, seed: torch.Tensor) -> torch.Tensor:
            return seed + torch.rand(3)

    x = torch.full((3,), 5.0)
    assert ((terrace.compile(Named(), (x,))(seed=x) - 5) < 1).all()


def test_a_model_without_random_ops_takes_no_seed() -> None:
    with pytest.raises(terrace.InputError, match="argument 'seed' is none of the model's"):
        terrace.compile(nn.ReLU(), (torch.ones(3),))(torch.ones(3), seed=1)


def test_dynamic_sizes() -> None:
    dynamic = ({0: torch.export.Dim("n", min=0)},)
    compiled = terrace.compile(Model(torch.rand_like), (torch.ones(4, 3),), dynamic_shapes=dynamic)
    for n in (0, 1, 7):
        found = compiled(torch.ones(n, 3), seed=0)
        assert found.shape == (n, 3) and torch.equal(found, compiled(torch.ones(9, 3), seed=0)[:n])


def test_attention_that_drops() -> None:
    q = torch.randn(1, 2, 8, 4)
    attend = nn.functional.scaled_dot_product_attention
    compiled = terrace.compile(Model(lambda x: attend(x, x, torch.ones_like(x), dropout_p=0.5)), (q,))
    results = torch.stack([compiled(q, seed=seed) for seed in range(200)])
    assert (results.mean(0) - 1).abs().max() < 0.25 and results.std() > 0.1


def test_what_has_no_decomposition_is_refused_with_its_line() -> None:
    with pytest.raises(terrace.ModelImportError, match=r"random numbers by aten.poisson.default at .*test_random\.py"):
        terrace.compile(Model(torch.poisson), (torch.ones(3),))
