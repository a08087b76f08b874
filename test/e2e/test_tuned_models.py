"""Models that are tuned as users do it: by the option, by `terrace-tune`, and by `terrace-compile --tune`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import terrace
import torch
from terrace.compiler.tuning_trial import Trial
from terrace.tools import compile as compile_tool
from terrace.tools import tune as tune_tool
from torch import nn

MODEL = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 24, 3, padding=1)
        self.second = nn.Conv2d(24, 24, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.norm, self.last = nn.LayerNorm(24), nn.Linear(24, 40)

    def forward(self, x):
        x = torch.relu(self.depthwise(torch.relu(self.second(torch.relu(self.first(x))))))
        return torch.softmax(self.last(self.norm(x.flatten(2).transpose(1, 2))), -1).sum(1)


def build():
    torch.manual_seed(0)
    return Small().eval(), (torch.randn(2, 3, 20, 22),)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(MODEL)
    return tmp_path


def build() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    scope: dict[str, object] = {"__name__": "model"}
    exec(compile(MODEL, "model.py", "exec"), scope)
    return scope["build"]()  # type: ignore[operator]


def no_more(*_: object) -> None:
    raise AssertionError("something is measured")


def test_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """The records of one thread are not those of two."""
    model, args = build()
    options = {"tune": {"file": "records.json", "trials": 3}}
    compiled = terrace.compile(model, args, target=terrace.Target(threads=1), options=options)
    torch.testing.assert_close(compiled(*args), model(*args), rtol=0, atol=2e-5)
    records = json.loads(Path("records.json").read_text())["records"]
    assert len(records) >= 5
    assert all(1 < record["tried"] <= 3 and record["best_seconds"] <= record["chosen_seconds"] for record in records)
    monkeypatch.setattr(Trial, "run", no_more)
    again = terrace.compile(model, args, target=terrace.Target(threads=1), options={"tune": "records.json"})
    assert again.ir("kernel") == compiled.ir("kernel")
    with pytest.raises(AssertionError, match="something is measured"):
        terrace.compile(model, args, target=terrace.Target(threads=2), options=options)


def test_the_tools(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--threads", "1", "--no-winograd"]
    tune = ["model.py:build", "-o", "records.json", "--trials", "2", *flags]
    assert tune_tool.main([*tune, "--seconds", "0"]) == 0
    said = capsys.readouterr().out
    assert "0 measured now, 0 known before" in said and not Path("records.json").exists()
    assert tune_tool.main(tune) == 0
    first, *rows, counts, total = capsys.readouterr().out.splitlines()
    assert first.split() == ["kernel", "calls", "chosen", "us", "best", "us", "gain", "tried", "changed"]
    assert any(re.fullmatch(r"conv2d_\w+ +1 +[\d.]+ +[\d.]+ +[\d.]+x +2  .*", row) for row in rows)
    assert re.fullmatch(rf"{len(rows)} kernels, (\d+) measured now, 0 known before", counts)
    assert re.fullmatch(r"all calls: [\d.]+ us as chosen, [\d.]+ us now, [\d.]+x", total)
    monkeypatch.setattr(Trial, "run", no_more)
    assert tune_tool.main(tune) == 0
    assert "kernels, 0 measured now" in capsys.readouterr().out
    for output in (["-o", "model.terrace"], ["--emit", "kernel", "-o", "kernel.mlir"]):
        assert compile_tool.main(["model.py:build", "--tune", "records.json", *flags, *output]) == 0
    model, args = build()
    loaded = terrace.load("model.terrace", threads=1)
    torch.testing.assert_close(loaded(*args), model(*args), rtol=0, atol=2e-5)
    assert loaded.ir("kernel") == Path("kernel.mlir").read_text()


def test_what_goes_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("records.json").write_text("{}")
    arguments = ["model.py:build", "-o", "records.json"]
    assert tune_tool.main(arguments) == 1
    assert capsys.readouterr().err.startswith("terrace-tune: error: records.json holds no tuning records: it has no")
    assert tune_tool.main([*arguments, "--trials", "0"]) == 1
    assert "'trials' of option 'tune' must be 1 or more, got 0" in capsys.readouterr().err
    assert tune_tool.main([*arguments, "--target", "hls"]) == 1
    assert "option 'tune' is for target cpu, got 'hls'" in capsys.readouterr().err
    Path("records.json").unlink()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "run", interrupt)
    assert tune_tool.main(arguments) == 130
    assert "records.json holds what was measured: the same command goes on" in capsys.readouterr().err
