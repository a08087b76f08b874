"""The compile cache: what is found again, what is not, what stays within bounds, and who may break it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import terrace
import torch
from terrace import loaded_code
from terrace.compiler import PyTorch, Request, Text, build, lower
from terrace.lowering.target.cpu.backend import CpuBackend
from terrace.lowering.target.iree import backend
from terrace.runtime.cpu_features import missing_features
from terrace.storage import cache, cache_key
from terrace.storage.artifact import read_artifact, write_artifact
from terrace.target import TARGETS, Registered, Target
from torch import nn

X = torch.linspace(-1, 1, 12).reshape(3, 4)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty cache."""
    monkeypatch.setenv("TERRACE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_process", cache._Process())
    return tmp_path / "cache"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that iree-compile gets."""
    given: list[str] = []
    really_compile = backend.compile_program

    def compile_program(text: str, flags: Any) -> bytes:
        given.append(text)
        return really_compile(text, flags)

    monkeypatch.setattr(backend, "compile_program", compile_program)
    return given


class Net(nn.Module):
    """Folded, packed, tied and plain weights, and a buffer that is written."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.first, self.second, self.third = nn.Linear(36, 36), nn.Linear(36, 36), nn.Linear(36, 5)
        self.second.weight = self.first.weight
        nn.init.uniform_(self.norm.running_var, 0.5, 1.5)
        self.register_buffer("total", torch.full((5,), float(seed)))
        self.register_buffer("scale", torch.rand(5), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.conv(x))).reshape(-1, 36)
        self.total += self.third(self.second(self.first(y))).sum(0) * self.scale
        return self.total + torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])


def net(seed: int = 0) -> tuple[nn.Module, torch.Tensor]:
    return Net(seed).eval(), torch.linspace(-1, 1, 36).reshape(2, 2, 3, 3)


def saved(artifact: terrace.storage.artifact.Artifact, path: Path) -> bytes:
    write_artifact(path, artifact)
    return path.read_bytes()


def counts() -> tuple[int, int]:
    """Hits and misses."""
    return cache.info().hits, cache.info().misses


# ---------------------------------------------------------------------------------------------------------------------
# What is found
# ---------------------------------------------------------------------------------------------------------------------


def test_a_model_is_compiled_once(programs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached result is the fresh one, byte for byte."""
    model, x = net()
    first, again = (saved(build(PyTorch(model, (x,))), tmp_path / "m.terrace") for _ in range(2))
    monkeypatch.setenv("TERRACE_CACHE_DIR", "off")
    fresh = saved(build(PyTorch(model, (x,))), tmp_path / "m.terrace")
    assert first == again == fresh
    assert len(programs) == 2 and counts() == (1, 1)


def test_weights_and_state_come_from_the_model_at_hand(programs: list[str]) -> None:
    """An entry holds no value of a parameter."""
    for seed in range(3):
        model, x = net(seed)
        compiled = terrace.compile(model, (x,))
        for _ in range(2):
            torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
        compiled.reset()
        assert compiled.state()["total"][0] == seed
    assert len(programs) == 1
    (entry,) = cache.entries()
    assert not read_artifact(entry.path).parameters


@pytest.mark.parametrize("level", ["graph", "kernel", "loop", "iree"])
def test_texts_of_all_levels(level: str, programs: list[str], tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    made = build(PyTorch(model, (X,)))
    weights = model.state_dict()
    if level == "iree":
        weights = {name: source() for name, source in made.parameters.items()}  # type: ignore[operator]
    first, again = (saved(build(Text(made.ir[level], weights)), tmp_path / "m.terrace") for _ in range(2))
    assert first == again
    assert len(programs) == 2 and counts() == (1, 2)
    result = terrace.compile_mlir(made.ir[level], weights)(X)
    torch.testing.assert_close(result, model(X), rtol=1e-4, atol=1e-5)


def test_an_exported_program_is_the_model_that_it_came_from(programs: list[str]) -> None:
    model = nn.Linear(4, 2).eval()
    terrace.compile(torch.export.export(model, (X,)), ())
    terrace.compile(torch.export.export(model, (X,)), ())
    assert len(programs) == 1


def test_regions_of_torch_compile(programs: list[str]) -> None:
    """What the next process compiles, which has forgotten all graphs; other weights, the same program."""
    for seed in range(2):
        torch._dynamo.reset()
        torch.manual_seed(seed)
        model = nn.Linear(4, 2).eval()
        compiled = torch.compile(model, backend="terrace")
        with torch.no_grad():
            torch.testing.assert_close(compiled(X), model(X), rtol=1e-4, atol=1e-5)
    assert len(programs) == 1 and counts() == (1, 1)


class Applied(nn.Module):
    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        return self.function(*args)


BY_TORCH_MLIR: dict[str, tuple[Callable[..., torch.Tensor], tuple[torch.Tensor, ...]]] = {
    "scan": (lambda x: x.cumsum(1), (X,)),
    "sort": (lambda x: x.sort(1)[0], (X,)),
    "scatter": (lambda x, i: x.scatter(1, i, 1.0), (X, torch.tensor([[0, 2]]))),
    "topk": (lambda x: x.topk(2, 1)[0], (X,)),
    "attention": (lambda x: nn.functional.scaled_dot_product_attention(x, x, x), (X.reshape(1, 1, 3, 4),)),
    "indices": (lambda x, i: x.index_put((i,), x[:2]), (X, torch.tensor([2, 0]))),
}
"""What torch-mlir lowers to ops of a dialect of its own, without a kernel or a parameter beside it."""


@pytest.mark.parametrize("name", BY_TORCH_MLIR)
def test_programs_with_ops_of_torch_mlir_are_found(name: str, programs: list[str]) -> None:
    function, args = BY_TORCH_MLIR[name]
    for _ in range(2):
        torch.testing.assert_close(
            terrace.compile(Applied(function), args)(*args), function(*args), rtol=1e-4, atol=1e-5
        )
    assert len(programs) == 1 and counts() == (1, 1)
    texts = build(PyTorch(Applied(function), args)).ir
    for level in ("graph", "kernel", "loop", "iree"):
        for _ in range(2):
            torch.testing.assert_close(terrace.compile_mlir(texts[level])(*args), function(*args), rtol=1e-4, atol=1e-5)
    # The texts of two levels may be the same.
    assert len(programs) <= 5 and counts()[0] >= 6


# ---------------------------------------------------------------------------------------------------------------------
# What is not
# ---------------------------------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """Two weights of one shape, or one weight under two names."""

    def __init__(self, *, tied: bool = False, scale: float = 2.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(4, dtype=dtype))
        self.two = self.one if tied else nn.Parameter(torch.ones(4, dtype=dtype))
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + self.one) * self.two * self.scale


class Moved(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + self.one) * self.two * self.scale


class Split(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.one
        return x * self.two * self.scale


def sources(artifact: terrace.storage.artifact.Artifact) -> list[str]:
    return [layer["source"] for layer in artifact.entry().layers["layers"]]


def line_of(model: type[nn.Module], number: int) -> str:
    code = model.forward.__code__
    return f"{code.co_filename}:{code.co_firstlineno + number}"


def test_lines_are_those_of_the_caller_at_hand() -> None:
    """Where the code stands is no part of the key, and what the report shows is never another's place."""
    first, again = build(PyTorch(Plain(), (X,))), build(PyTorch(Moved(), (X,)))
    assert counts() == (1, 1)
    assert set(sources(first)) == {line_of(Plain, 1)}
    assert set(sources(again)) == {line_of(Moved, 1)}
    assert [len(sources(each)) for each in (first, again)] == [len(sources(first))] * 2
    (entry,) = cache.entries()
    assert __file__ not in entry.path.read_bytes().decode("latin-1")
    assert set(sources(build(PyTorch(Split(), (X,))))) <= {line_of(Split, 1), line_of(Split, 2)}


def test_lines_of_regions_of_torch_compile() -> None:
    for model in (Plain(), Moved()):
        torch._dynamo.reset()
        with torch.no_grad():
            torch.testing.assert_close(torch.compile(model, backend="terrace")(X), model(X))
    assert counts() == (1, 1)
    (entry,) = cache.entries()
    assert __file__ not in entry.path.read_bytes().decode("latin-1")


def test_paths_that_no_text_holds_as_they_are(tmp_path: Path) -> None:
    """Such lines are part of the key: they are not replaced."""
    found = []
    for name in ("back\\slash.py", "größe.py"):
        file = tmp_path / name
        text = "import torch\nclass M(torch.nn.Module):\n    def forward(self, x):\n        return x + 1\n"
        scope: dict[str, Any] = {}
        exec(compile(text, str(file), "exec"), scope)
        found += [sources(build(PyTorch(scope["M"](), (X,)))) for _ in range(2)]
    assert found == [[f"{tmp_path}/back\\slash.py:4"]] * 2 + [[f"{tmp_path}/größe.py:4"]] * 2
    assert counts() == (2, 2)


DIFFERENT: dict[str, Callable[[], Any]] = {
    "plain": lambda: build(PyTorch(Plain(), (X,))),
    "tied": lambda: build(PyTorch(Plain(tied=True), (X,))),
    "constant": lambda: build(PyTorch(Plain(scale=2.0000000000000004), (X,))),
    "dtype": lambda: build(PyTorch(Plain(dtype=torch.float64), (X,))),
    "shape": lambda: build(PyTorch(Plain(), (X[:2],))),
    "dynamic": lambda: build(PyTorch(Plain(), (X,), dynamic_shapes=({0: torch.export.Dim("n", max=9)},))),
    "range": lambda: build(PyTorch(Plain(), (X,), dynamic_shapes=({0: torch.export.Dim("n", max=8)},))),
    "keyword": lambda: build(PyTorch(Plain(), (), {"x": X})),
    "lines": lambda: build(PyTorch(Split(), (X,))),
    "threads": lambda: build(PyTorch(Plain(), (X,)), Request.of(Target(threads=1))),
    "features": lambda: build(PyTorch(Plain(), (X,)), Request.of(Target(features=("avx2", "fma")))),
    "flags": lambda: build(PyTorch(Plain(), (X,)), Request.of(options={"iree_flags": ["--iree-opt-level=O2"]})),
    "indices": lambda: build(PyTorch(Plain(), (X,)), Request.of(options={"check_indices": False})),
    "winograd": lambda: build(PyTorch(Plain(), (X,)), Request.of(options={"winograd": False})),
    "weights": lambda: build(PyTorch(Plain(), (X,)), Request.of(options={"quantize_weights": "int4"})),
    "groups": lambda: build(
        PyTorch(Plain(), (X,)), Request.of(options={"quantize_weights": {"type": "int8", "group": 8}})
    ),
    "text": lambda: build(Text("func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> { return %a : tensor<4xf32> }")),
}
"""Compilations no two of which may share an entry."""


def test_what_differs_has_entries_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "compile_program", lambda text, flags: b"a program")
    for number, compilation in enumerate(DIFFERENT.values(), 1):
        compilation()
        assert counts() == (0, number)
    for compilation in DIFFERENT.values():
        compilation()
    assert counts() == (len(DIFFERENT), len(DIFFERENT))
    assert len(cache.entries()) == len(DIFFERENT)


@pytest.mark.parametrize("setting", ["highest", "high"])
def test_requests_that_give_one_program_share_an_entry(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both precisions are float32 to every backend, but for CPUs with AMX."""
    monkeypatch.setattr(backend, "compile_program", lambda text, flags: b"a program")
    build(PyTorch(Plain(), (X,)))
    torch.set_float32_matmul_precision(setting)
    try:
        build(PyTorch(Plain(), (X,)), Request.of())
        build(PyTorch(Plain(), (X,)), Request.of("cpu", setting, {"passes": {}, "iree_flags": ()}))
        build(PyTorch(Plain(), (X,)), Request.of(options={"reproducer_dir": "off"}))
    finally:
        torch.set_float32_matmul_precision("highest")
    apart = setting == "high" and not missing_features(["amx-bf16"])
    assert counts() == ((2, 2) if apart else (3, 1))


def test_a_precision_that_a_backend_keeps_apart_has_an_entry_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "compile_program", lambda text, flags: b"a program")
    monkeypatch.setattr(
        CpuBackend, "precision", lambda self, request: "bf16" if request.precision == "medium" else "f32"
    )
    for _ in range(2):
        build(PyTorch(Plain(), (X,)), Request.of(precision="medium"))
        build(PyTorch(Plain(), (X,)), Request.of(precision="high"))
    assert counts() == (2, 2)


@torch.library.custom_op("terrace_test_cache::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Custom(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return twice(x) + 1


def test_an_op_of_the_users_own_has_no_fingerprint() -> None:
    """What it decomposes to is the user's code, which no key can see."""
    from terrace.frontend import fingerprint

    assert fingerprint(torch.export.export(Custom(), (X,))) is None
    assert fingerprint(torch.export.export(Plain(), (X,))) is not None


class Branches(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda v: v * self.scale, lambda v: v - 1, (x,))


def test_a_fingerprint_has_the_bodies_of_branches() -> None:
    from terrace.frontend import fingerprint

    one, other = (fingerprint(torch.export.export(Branches(scale), (X,))) for scale in (2.0, 3.0))
    assert one is not None and other is not None and one != other


def test_a_target_that_is_given_is_not_that_of_the_text() -> None:
    weights = {"weight": torch.ones(4, 4), "bias": torch.ones(4)}
    text = lower(
        PyTorch(nn.Linear(4, 4).eval(), (torch.ones(2, 4),)),
        Request.of(Target("vulkan", gpu="llvmpipe")),
        until="graph",
    ).ir["graph"]
    for given, expected in ((None, "vulkan"), ("cpu", "cpu"), (None, "vulkan")):
        assert build(Text(text, weights), Request.of(given)).target["name"] == expected


def test_options_that_no_key_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(features=()).resolve([], 1)
    plain: dict[str, Any] = {"iree_flags": ["--iree-opt-level=O2"]}
    assert cache_key.key_of("text", "content", target, plain) is not None
    assert cache_key.key_of("text", None, target, plain) is None
    assert cache_key.key_of("text", "content", target, {**plain, "calibration": [1.0]}) is None
    assert (
        cache_key.key_of("text", "content", target, {"iree_flags": [f"--iree-codegen-tuning-spec-path={tmp_path}"]})
        is None
    )
    monkeypatch.setitem(TARGETS, "cpu", Registered("mine:Backend"))
    assert cache_key.key_of("text", "content", target, plain) is None


def test_code_of_which_nothing_can_be_said_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_code, "digest", lambda: None)
    build(PyTorch(Plain(), (X,)))
    assert cache.info().count == 0 and counts() == (0, 0)


def test_code_that_was_imported_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file was another when the key was made."""
    digests = iter(["before", "before", "after"])
    monkeypatch.setattr(loaded_code, "digest", lambda: next(digests))
    build(PyTorch(Plain(), (X,)))
    assert cache.info().count == 0 and counts() == (0, 1)


def test_the_versions_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = Target(features=()).resolve([], 1)
    versions = cache_key._versions()
    assert {"python", "numpy", "iree-base-runtime", "iree-compile", "libIREECompiler.so"} <= set(versions)
    assert "none" not in versions.values()
    keys = {cache_key.key_of("text", "content", target, {})}
    for name in versions:
        monkeypatch.setattr(cache_key, "_versions", lambda name=name: {**versions, name: "another"})
        keys.add(cache_key.key_of("text", "content", target, {}))
    assert len(keys) == 1 + len(versions)
    file = tmp_path / "library"
    file.write_bytes(b"x" * 100)
    before = cache_key._identity(file)
    times = file.stat()
    file.write_bytes(b"y" * 100)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert cache_key._identity(file) != before


def test_ways_in_share_nothing_by_chance() -> None:
    target = Target(features=()).resolve([], 1)
    assert len({cache_key.key_of(kind, "content", target, {}) for kind in ("model", "region", "text")}) == 3


def test_the_code_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(features=()).resolve([], 1)
    before = cache_key.key_of("text", "content", target, {"iree_flags": []})
    assert before == cache_key.key_of("text", "content", target, {"iree_flags": []})
    monkeypatch.setattr(loaded_code, "digest", lambda: "another")
    assert before != cache_key.key_of("text", "content", target, {"iree_flags": []})


def test_a_program_that_values_went_into_is_not_kept() -> None:
    """A hardware design has weights inside."""
    build(PyTorch(nn.Linear(4, 2).eval(), (X,)), Request.of("hls"))
    assert counts() == (0, 1) and cache.info().count == 0


# ---------------------------------------------------------------------------------------------------------------------
# The store
# ---------------------------------------------------------------------------------------------------------------------


def test_an_entry_whose_text_nobody_reads_is_made_again(programs: list[str]) -> None:
    expected = terrace.compile(Plain(), (X,))(X)
    (entry,) = cache.entries()
    damaged = dataclasses.replace(read_artifact(entry.path), ir={"loop": "what is this?"}, parameters={})
    write_artifact(entry.path, damaged)
    assert torch.equal(terrace.compile(Plain(), (X,))(X), expected)
    assert torch.equal(terrace.compile(Plain(), (X,))(X), expected)
    assert len(programs) == 2 and counts() == (1, 2)


@pytest.mark.parametrize("damage", ["empty", "cut", "flip", "foreign"])
def test_a_damaged_entry_is_made_again(damage: str, programs: list[str]) -> None:
    expected = terrace.compile(Plain(), (X,))(X)
    (entry,) = cache.entries()
    contents = bytearray(entry.path.read_bytes())
    at = contents.index(b"module")
    damaged = {"empty": b"", "cut": contents[: len(contents) // 2], "foreign": b"PK\3\4 not ours", "flip": contents}
    contents[at] ^= 1
    entry.path.write_bytes(damaged[damage])
    assert torch.equal(terrace.compile(Plain(), (X,))(X), expected)
    assert torch.equal(terrace.compile(Plain(), (X,))(X), expected)
    assert len(programs) == 2 and counts() == (1, 2)


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that the system does not know, as in some containers, and no HOME."""
    for name in ("TERRACE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.warns(RuntimeWarning, match="no home directory.*set TERRACE_CACHE_DIR") as warned:
        for _ in range(2):
            assert build(PyTorch(Plain(), (X,))).program
    assert len(warned) == 1


def test_a_cache_that_cannot_be_written_warns_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TERRACE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(
        RuntimeWarning, match=r"file/cache cannot be used \(Not a directory\); compiling goes on"
    ) as warned:
        for _ in range(2):
            assert build(PyTorch(Plain(), (X,))).program
    assert len(warned) == 1
    assert cache.entries() == [] and cache.info().count == 0


def test_a_folder_of_others_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    build(PyTorch(Plain(), (X,)))

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    build(PyTorch(Plain(), (X,)))
    assert counts() == (1, 1)


def test_info_reads_well(folder: Path) -> None:
    build(PyTorch(Plain(), (X,)))
    info = cache.info()
    assert str(info) == (
        f"compile cache in {folder}: 1 entries, {info.size:,} of 1,073,741,824 bytes, 0 hits and 1 misses"
    )
