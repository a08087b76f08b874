"""Several models as one program: entries that share parameters and state, called, saved, cached, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from e2e_models import assert_close
from terrace.artifact import read_artifact
from terrace.errors import CheckError, CompileError, InputError, ModelImportError
from terrace.runtime.model import CompiledModel
from terrace.tools.compile import main as compile_main
from terrace.tools.run import main as run_main
from torch import nn


class Decoder(nn.Module):
    """A row of attention over a cache of keys that knows how far it is filled."""

    def __init__(self, capacity: int = 8, width: int = 16) -> None:
        super().__init__()
        self.project = nn.Linear(width, width)
        self.register_buffer("cache", torch.zeros(1, capacity, width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        key = self.project(x)
        places = self.filled + torch.arange(x.shape[1])
        self.cache.index_copy_(1, places, key)
        self.filled += x.shape[1]
        return key @ self.cache.transpose(1, 2)


class Peek(nn.Module):
    """Reads what a decoder keeps, and has a parameter of a name that the decoder has, too."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder, self.project = decoder, nn.Linear(16, 2)

    def forward(self, scale: torch.Tensor) -> torch.Tensor:
        return self.project(self.decoder.cache.sum(1) * scale) + self.decoder.project.bias[:2]


def entries(decoder: Decoder, peek: Peek) -> dict[str, Any]:
    return {
        "prefill": (decoder, (torch.randn(1, 3, 16),)),
        "decode": {"model": decoder, "args": (torch.randn(1, 1, 16),)},
        "peek": torch.export.export(peek, (torch.ones(()),)),
    }


@pytest.fixture(scope="module")
def models() -> tuple[Decoder, Peek, CompiledModel]:
    torch.manual_seed(0)
    decoder = Decoder().eval()
    peek = Peek(decoder).eval()
    return decoder, peek, terrace.compile(entries(decoder, peek))


def check(compiled: CompiledModel) -> None:
    """A prompt, two tokens, and a look at the cache, beside eager."""
    torch.manual_seed(0)
    decoder = Decoder().eval()
    peek, x = Peek(decoder).eval(), torch.randn(1, 5, 16)
    compiled.reset()
    with torch.no_grad():
        for name, part in (("prefill", x[:, :3]), ("decode", x[:, 3:4]), ("decode", x[:, 4:])):
            assert_close(compiled[name](part), decoder(part))
        scale = torch.tensor(2.0)
        assert_close(compiled["peek"](scale), peek(scale))
    assert_close(torch.from_numpy(compiled.state()["cache"]), decoder.cache)
    assert compiled.state()["filled"] == 5


def test_entries_share_what_they_have_in_common(models: tuple[Decoder, Peek, CompiledModel], tmp_path: Path) -> None:
    decoder, _, compiled = models
    assert list(compiled.entries) == ["prefill", "decode", "peek"]
    check(compiled)
    assert not decoder.cache.any(), "the module is not written"
    compiled.save(tmp_path / "m.terrace")
    names = list(read_artifact(tmp_path / "m.terrace").parameters)
    # One packing of the weight, whoever reads it; the other one of that name has its entry's before it.
    assert len([name for name in names if name.startswith("project.weight")]) == 1
    assert len([name for name in names if name.startswith("peek.project.weight")]) == 1
    check(terrace.load(tmp_path / "m.terrace"))


def test_texts_of_all_levels_have_them(models: tuple[Decoder, Peek, CompiledModel]) -> None:
    decoder, peek, compiled = models
    parameters = {**decoder.state_dict(), **{f"peek.{name}": value for name, value in peek.state_dict().items()}}
    parameters |= {"cache.initial": decoder.cache, "filled.initial": decoder.filled}
    check(terrace.compile_mlir(compiled.ir("graph"), parameters))
    check(terrace.compile_mlir(compiled.ir("loop"), parameters))


def test_a_report_for_each(models: tuple[Decoder, Peek, CompiledModel]) -> None:
    compiled = models[2]
    kernels = {name: {row["kernel"] for row in entry.report().rows} for name, entry in compiled.entries.items()}
    assert any("3x16" in name for name in kernels["prefill"]) and any("1x16" in name for name in kernels["decode"])
    assert not kernels["prefill"] & {name for name in kernels["decode"] if "matmul" in name}
    assert "int8" not in compiled["decode"].report().summary(), "a check is no model in int8"
    text = str(compiled)
    assert "prefill: args[0]: float32[1, 3, 16]" in text and "state: cache, filled" in text
    timed = {kernel.kernel for kernel in compiled["decode"].profile(torch.randn(1, 1, 16)).kernels}
    assert timed <= kernels["decode"]


def test_the_cache_finds_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By all that they are made of: who shares what, too."""
    monkeypatch.setenv("TERRACE_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    decoder = Decoder().eval()
    peek = Peek(decoder).eval()
    for _ in range(2):
        check(terrace.compile(entries(decoder, peek)))
    assert len(list(tmp_path.rglob("*.terrace"))) == 1
    other = Decoder().eval()  # A decoder of its own: no state is shared.
    apart = terrace.compile({**entries(decoder, peek), "decode": (other, (torch.randn(1, 1, 16),))})
    assert sorted(apart.state()) == ["cache", "decode.cache", "decode.filled", "filled"]
    assert len(list(tmp_path.rglob("*.terrace"))) == 2


def test_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(
        "import torch\n"
        "class Scale(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.w = torch.nn.Parameter(torch.ones(4))\n"
        "    def forward(self, x):\n        return x * self.w\n"
        "def build():\n    model = Scale()\n"
        "    return {'one': (model, (torch.ones(1, 4),)), 'two': (model, (torch.ones(2, 4),))}\n"
    )
    assert compile_main(["model.py:build", "-o", "m.terrace", "--report"]) == 0
    assert "one:\n" in capsys.readouterr().out
    assert compile_main(["model.py:build", "--report", "r.html"]) == 1
    assert "name one: one, two" in capsys.readouterr().err
    assert compile_main(["model.py:build", "--report", "r.html", "--entry", "two"]) == 0
    assert run_main(["m.terrace", "--random", "1"]) == 1
    assert "the model has several entries; name one: one, two" in capsys.readouterr().err
    assert run_main(["m.terrace", "--random", "1", "--entry", "two", "--output", "y.npy"]) == 0
    assert np.load("y.npy").shape == (2, 4)
    capsys.readouterr()
    assert run_main(["m.terrace", "--signature"]) == 0
    assert capsys.readouterr().out.count("entry ") == 2


def test_what_is_refused(models: tuple[Decoder, Peek, CompiledModel]) -> None:
    decoder, _, compiled = models
    x = torch.randn(1, 1, 16)
    for call, message in (
        (lambda: compiled(x), "several entries; name one: prefill, decode, peek"),
        (lambda: compiled.signature, "several entries"),
        (lambda: compiled["encode"], "no entry 'encode'; it has prefill, decode, peek"),
        (lambda: compiled["decode"](torch.randn(2, 1, 16)), r"args\[0\]"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    compiled.reset()
    before = compiled.state()
    for _ in range(2):
        compiled["prefill"](torch.randn(1, 3, 16))
    filled = compiled.state()
    with pytest.raises(CheckError, match="expected 0 <= index < 8"):
        compiled["prefill"](torch.randn(1, 3, 16))
    assert all((value == compiled.state()[name]).all() for name, value in filled.items())
    with pytest.raises(InputError, match=r"state\['cache'\]: expected float32\[1, 8, 16\], found float32\[1, 4, 16\]"):
        compiled.load_state({"filled": np.array(0), "cache": np.zeros((1, 4, 16), np.float32)})
    assert compiled.state()["filled"] == 6
    compiled.load_state(before)
    for given, message in (
        ({}, "no entry is given"),
        ({"a b": (decoder, (x,))}, "an entry is called 'a b'"),
        ({"decode": 3}, "entry 'decode' is no model: .* got int"),
        ({"decode": {"model": decoder, "arguments": (x,)}}, "got a dict of model, arguments"),
    ):
        with pytest.raises(CompileError, match=message):
            terrace.compile(given)
    with pytest.raises(CompileError, match="each has arguments of its own"):
        terrace.compile({"decode": (decoder, (x,))}, (x,))
    with pytest.raises(CompileError, match="target 'hls' takes models with one entry, not a, b"):
        linear = nn.Linear(16, 2)
        terrace.compile({"a": (linear, (x,)), "b": (linear, (x,))}, target="hls")
    with pytest.raises(CompileError, match="option 'quantize' is for models with one entry, not a, b"):
        options = {"quantize": "int8", "calibration": [(x,)]}
        terrace.compile({"a": (decoder, (x,)), "b": (decoder, (x,))}, options=options)


class Holds(nn.Module):
    """Adds to what it holds, or reads it."""

    def __init__(self, row: torch.Tensor, writes: bool) -> None:
        super().__init__()
        self.register_buffer("row", row)
        self.writes = writes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.writes:
            self.row += x
        return self.row * 2


def test_state_that_overlaps_is_refused() -> None:
    """One entry writes to a part of what another reads as a whole."""
    whole, x = torch.zeros(2, 3), torch.ones(3)
    given = {"write": (Holds(whole[0], writes=True), (x,)), "read": (Holds(whole, writes=False), (x,))}
    with pytest.raises(ModelImportError, match=r"writes to its buffer 'row', which shares memory with 'read\.row'"):
        terrace.compile(given)
    apart = {**given, "read": (Holds(whole[1], writes=False), (x,))}
    compiled = terrace.compile(apart)
    compiled["write"](x)
    assert compiled["read"](x).tolist() == [0, 0, 0] and compiled.state()["row"].tolist() == [1, 1, 1]


class Branches(nn.Module):
    """Branches on a buffer, as on a number of Python."""

    def __init__(self, count: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("count", count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if self.count == 0 else x - 1


def test_a_branch_on_another_entry_s_state_is_refused() -> None:
    """It would be decided when the model is compiled."""
    count, x = torch.zeros((), dtype=torch.int64), torch.ones(())
    counter = Holds(count, writes=True)
    assert terrace.compile({"branch": (Branches(count), (x,))})["branch"](x) == 2
    with pytest.raises(ModelImportError, match="entry 'branch' branches on its integer buffer 'count'"):
        terrace.compile({"count": (counter, (torch.ones((), dtype=torch.int64),)), "branch": (Branches(count), (x,))})
    with pytest.raises(ModelImportError, match="a tensor called 'row', as an entry is"):
        terrace.compile({"row": (counter, (torch.ones((), dtype=torch.int64),))})
