"""`torch.compile(model, backend="terrace")` breaks graphs, guards, recompiles and takes sizes as with any backend.

What each graph then computes, and on which memory, is in test_torch_compile_graphs.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from e2e_models import assert_close, example
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters
from torch_compile_harness import assert_close_all, compile_strictly, no_graphs

__all__ = ["no_graphs"]


def graphs_of(
    backend: str, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], **settings: Any
) -> list[int]:
    """How many graphs `backend` has compiled after each of `calls`, which give what eager gives."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(function, backend=counter, **settings)
    counts = []
    for arguments in calls:
        found, expected = compiled(*arguments), function(*arguments)
        assert found.shape == expected.shape
        if expected.numel():
            assert_close(found, expected)
        counts.append(counter.frame_count)
    return counts


def test_it_is_listed() -> None:
    assert "terrace" in torch.compiler.list_backends()


def test_listing_backends_does_not_import_terrace() -> None:
    code = "import sys, torch; torch.compiler.list_backends(); assert 'terrace' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_graph_break_makes_two_graphs(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = nn.Linear(4, 8), nn.Linear(8, 3)

    def run(x: torch.Tensor) -> torch.Tensor:
        hidden = first(x).relu()
        print("between")
        return second(hidden)

    x = torch.randn(5, 4)
    assert_close(compile_strictly(run)(x), run(x))
    assert capsys.readouterr().out == "between\nbetween\n"
    assert counters["terrace"] == {"compiled": 2}


def test_a_branch_on_data() -> None:
    def run(x: torch.Tensor) -> torch.Tensor:
        y = x * 2 + 1
        return y.exp() if y.sum() > 0 else y.tanh() - 1

    compiled = compile_strictly(run)
    for x in (torch.ones(3), -torch.ones(3), torch.ones(3) * 2):
        assert_close(compiled(x), run(x))
    assert counters["terrace"] == {"compiled": 3}
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported):
        compile_strictly(run, fullgraph=True)(torch.ones(3))


def test_fullgraph() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8)).eval()
    x = torch.randn(2, 4)
    assert_close(compile_strictly(model, fullgraph=True)(x), model(x))


def scaled(x: torch.Tensor, flag: bool, by: int = 1, *, name: str = "a") -> torch.Tensor:
    """A function of which several arguments are guarded."""
    y = x.softmax(-1) * by if flag else x.sigmoid() + by
    return y.neg() if name == "b" else y


def test_guards_recompile_as_for_any_backend() -> None:
    x = torch.randn(3, 4)
    calls = [(x, True), (x, False), (x, True), (x, True, 2), (x, True, 3), (x, True, 4), (x.double(), True)]
    assert graphs_of("terrace", scaled, calls) == graphs_of("aot_eager", scaled, calls)
    compiled = compile_strictly(scaled)
    assert_close(compiled(x, True, name="b"), scaled(x, True, name="b"))


def test_sizes_recompile_as_for_any_backend() -> None:
    """One graph for the first size, one for all others; sizes 0 and 1 are special to PyTorch."""
    layer = nn.Linear(4, 3)

    def run(x: torch.Tensor) -> torch.Tensor:
        return layer(x).relu().reshape(-1, 3) + x.shape[0]

    calls = [(torch.randn(size, 4),) for size in (5, 7, 9, 1, 0, 33, 2)]
    counts = graphs_of("terrace", run, calls)
    assert counts == graphs_of("aot_eager", run, calls)
    assert counts[:3] == [1, 2, 2]


@pytest.mark.parametrize("how", ["dynamic", "mark_dynamic"])
def test_one_graph_for_all_sizes(how: str) -> None:
    model = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 6), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5)).eval()
    calls = [(torch.randn(size, 4, 8),) for size in (3, 8, 2, 65)]
    settings: dict[str, Any] = {"dynamic": True} if how == "dynamic" else {}
    if how == "mark_dynamic":
        for (value,) in calls:
            torch._dynamo.mark_dynamic(value, 0)
    counts = graphs_of("terrace", model, calls, **settings)
    assert counts == graphs_of("aot_eager", model, calls, **settings)
    assert counts[0] == counts[-1], "no size makes it compile again"


def test_options_reach_terrace(monkeypatch: pytest.MonkeyPatch) -> None:
    import terrace
    from terrace.compiler import Imported, Request
    from terrace.storage.artifact import Artifact
    from terrace.torch_compile import region

    seen = []
    real = region.build

    def spy(source: Imported, request: Request) -> Artifact:
        seen.append(request)
        return real(source, request)

    monkeypatch.setattr(region, "build", spy)
    target = terrace.Target(threads=1)
    options = {"target": target, "precision": "highest", "iree_flags": ["--iree-opt-level=O2"]}
    compiled = torch.compile(torch.sin, backend="terrace", options=options)
    assert_close(compiled(torch.ones(3)), torch.ones(3).sin())
    assert seen == [Request.of(target, "highest", {"iree_flags": ["--iree-opt-level=O2"]})]


def test_programs_are_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model of the same kind finds the program, and its own weights go in."""
    import terrace

    monkeypatch.setenv("TERRACE_CACHE_DIR", str(tmp_path))
    x = torch.randn(2, 4)
    for count in range(2):
        torch._dynamo.reset()
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        before = terrace.cache.info()
        assert_close(compile_strictly(model)(x), model(x))
        after = terrace.cache.info()
        assert (after.hits - before.hits, after.misses - before.misses) == (count, 1 - count)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"options": {"speed": 11}}, "unknown option 'speed' of the backend 'terrace'; known are target, precision"),
        ({"options": {"precision": "low"}}, "unknown precision 'low'"),
        ({"options": {"target": "abacus"}}, "unknown target 'abacus'"),
        ({"options": {"iree_flags": "-O3"}}, "option 'iree_flags' must be a list of str"),
        ({"options": {"parameters": "eaten"}}, "option 'parameters' must be one of watched, inputs, got 'eaten'"),
        ({"options": {"fallback": 1}}, "option 'fallback' must be a bool, got 1"),
        ({"mode": "max-autotune"}, "the backend 'terrace' has no modes, got mode='max-autotune'"),
    ],
)
def test_wrong_options_are_refused(settings: dict[str, Any], message: str) -> None:
    compiled = torch.compile(torch.sin, backend="terrace", **settings)
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match=message):
        compiled(torch.ones(3))


@pytest.mark.parametrize("name", ["resnet18", "bert_base"])
def test_example_models(name: str) -> None:
    model, arguments = example(name).build()
    assert_close_all(compile_strictly(model, fullgraph=True)(*arguments), model(*arguments))
    assert counters["terrace"] == {"compiled": 1}
