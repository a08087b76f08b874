"""examples/generate.py: greedy tokens are eager's, of streams of unequal length, with a window, whatever the prompt."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import terrace
import torch
from terrace.errors import CheckError, InputError
from terrace.runtime.model import CompiledModel

SIZES: dict[str, Any] = {"layers": 1, "width": 64, "heads": 4, "groups": 2, "hidden": 96, "capacity": 96, "streams": 2}


sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
example: Any = importlib.import_module("generate")


class Eager:
    """A decoder with the entries of a compiled one."""

    def __init__(self, decoder: torch.nn.Module) -> None:
        self.decoder = decoder

    def __getitem__(self, name: str) -> Callable[..., torch.Tensor]:
        return self.decoder


@pytest.fixture(scope="module")
def decoders() -> tuple[torch.nn.Module, CompiledModel]:
    torch.manual_seed(0)
    decoder = example.CachedDecoder(200, window=20, **SIZES).eval()
    eager = copy.deepcopy(decoder)
    # Computed as eager computes it, whatever the process has set.
    return eager, example.compile_decoder(decoder, precision="highest")


@torch.no_grad()
def test_greedy_tokens_are_those_of_eager(decoders: tuple[torch.nn.Module, CompiledModel]) -> None:
    eager, compiled = decoders
    for prompts, count in (([[3, 4, 5, 6, 7], [9, 8]], 64), ([list(range(90)), [5]], 6), ([[1], [2]], 3)):
        compiled.reset()
        eager.lengths.zero_()
        assert example.generate(compiled, prompts, count) == example.generate(Eager(eager), prompts, count)
    cache = eager.layers[0].attention.keys
    written = {row["kernel"]: row["written"] for row in compiled["decode"].report().rows}
    assert max(written.values()) < cache.nbytes, f"a step copies a cache: {written}"


@torch.no_grad()
def test_errors_leave_the_state_as_it_was(decoders: tuple[torch.nn.Module, CompiledModel], tmp_path: Path) -> None:
    _, compiled = decoders
    compiled.reset()
    example.generate(compiled, [[1] * 90, [2] * 90], 7)
    full = compiled.state()
    one = torch.ones(2, dtype=torch.int64)
    with pytest.raises(CheckError, match="expected -96 <= index < 96"):
        compiled["decode"](torch.tensor([[1], [2]]), one)
    with pytest.raises(InputError, match="expected 2 <= length <= 96, found 97"):
        compiled["prefill"](torch.zeros(2, 97, dtype=torch.int64), one)
    with pytest.raises(InputError, match=r"args\[0\]: expected"):
        compiled["decode"](torch.zeros(3, 1, dtype=torch.int64), one)
    with pytest.raises(InputError, match=r"no state named 'layers\.9\.attention\.keys'"):
        compiled.load_state(
            {"lengths": full["lengths"] * 0, "layers.9.attention.keys": full["layers.0.attention.keys"]}
        )
    assert all((value == compiled.state()[name]).all() for name, value in full.items())
    compiled.save(tmp_path / "m.terrace")
    other = terrace.load(tmp_path / "m.terrace")
    compiled.reset()
    example.generate(compiled, [[7, 8], [9]], 2)
    other.load_state(compiled.state())
    token = torch.tensor([[1], [2]])
    assert torch.equal(other["decode"](token, one), compiled["decode"](token, one))


def test_samples() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[0.0, 3.0, 2.0, 1.0]]).log_softmax(-1).expand(4000, 4)
    assert (example.sample(logits) == 1).all()
    assert set(example.sample(logits, 1.0, top_k=2).tolist()) == {1, 2}
    assert set(example.sample(logits, 1.0, top_p=0.5).tolist()) == {1}
    assert set(example.sample(logits, 1.0, top_p=0.7).tolist()) == {1, 2}
    share = (example.sample(logits, 2.0)[:, None] == torch.arange(4)).double().mean(0)
    torch.testing.assert_close(share, (logits[0] / 2).softmax(-1).double(), rtol=0, atol=0.03)
