"""The compile cache: what is found again, what is not, what stays within bounds, and who may break it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import terrace
import torch
from terrace import cache, cache_key
from terrace.artifact import read_artifact, write_artifact
from terrace.compiler import build, build_mlir
from terrace.lowering.target.iree import toolchain
from terrace.target import TARGETS, Target
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
    really_compile = toolchain.compile_program

    def compile_program(text: str, flags: Any) -> bytes:
        given.append(text)
        return really_compile(text, flags)

    monkeypatch.setattr(toolchain, "compile_program", compile_program)
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


def saved(artifact: terrace.artifact.Artifact, path: Path) -> bytes:
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
    first, again = (saved(build(model, (x,)), tmp_path / "m.terrace") for _ in range(2))
    monkeypatch.setenv("TERRACE_CACHE_DIR", "off")
    fresh = saved(build(model, (x,)), tmp_path / "m.terrace")
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
    made = build(model, (X,))
    weights = model.state_dict()
    if level == "iree":
        weights = {name: source() for name, source in made.parameters.items()}  # type: ignore[operator]
    first, again = (saved(build_mlir(made.ir[level], weights), tmp_path / "m.terrace") for _ in range(2))
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


DIFFERENT: dict[str, Callable[[], Any]] = {
    "plain": lambda: build(Plain(), (X,)),
    "tied": lambda: build(Plain(tied=True), (X,)),
    "constant": lambda: build(Plain(scale=2.0000000000000004), (X,)),
    "dtype": lambda: build(Plain(dtype=torch.float64), (X,)),
    "shape": lambda: build(Plain(), (X[:2],)),
    "dynamic": lambda: build(Plain(), (X,), dynamic_shapes=({0: torch.export.Dim("n", max=9)},)),
    "range": lambda: build(Plain(), (X,), dynamic_shapes=({0: torch.export.Dim("n", max=8)},)),
    "keyword": lambda: build(Plain(), (), {"x": X}),
    "line": lambda: build(Moved(), (X,)),
    "threads": lambda: build(Plain(), (X,), target=Target(threads=1)),
    "features": lambda: build(Plain(), (X,), target=Target(features=("avx2", "fma"))),
    "flags": lambda: build(Plain(), (X,), options={"iree_flags": ["--iree-opt-level=O2"]}),
    "precision": lambda: build(Plain(), (X,), precision="medium"),
    "text": lambda: build_mlir("func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> { return %a : tensor<4xf32> }"),
}
"""Compilations no two of which may share an entry."""


def test_what_differs_has_entries_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "compile_program", lambda text, flags: b"a program")
    for number, compilation in enumerate(DIFFERENT.values(), 1):
        compilation()
        assert counts() == (0, number)
    for compilation in DIFFERENT.values():
        compilation()
    assert counts() == (len(DIFFERENT), len(DIFFERENT))
    assert len(cache.entries()) == len(DIFFERENT)


def test_settings_of_torch_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "compile_program", lambda text, flags: b"a program")
    build(Plain(), (X,))
    torch.set_float32_matmul_precision("medium")
    try:
        build(Plain(), (X,))
    finally:
        torch.set_float32_matmul_precision("highest")
    assert counts() == (0, 2)


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


def test_options_that_no_key_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(features=()).resolve([], 1)
    plain: dict[str, Any] = {"iree_flags": ["--iree-opt-level=O2"]}
    assert cache_key.key_of("text", target, plain) is not None
    assert cache_key.key_of(None, target, plain) is None
    assert cache_key.key_of("text", target, {**plain, "calibration": [1.0]}) is None
    assert cache_key.key_of("text", target, {"iree_flags": [f"--iree-codegen-tuning-spec-path={tmp_path}"]}) is None
    monkeypatch.setitem(TARGETS, "cpu", "mine:Backend")
    assert cache_key.key_of("text", target, plain) is None


def test_code_that_changed_since_it_was_imported_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files say what the next process will run, and not what this one runs."""
    monkeypatch.setattr(terrace, "IMPORTED_AT", 0.0)
    build(Plain(), (X,))
    assert cache.info().count == 0 and counts() == (0, 0)


def test_the_code_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(features=()).resolve([], 1)
    before = cache_key.key_of("text", target, {"iree_flags": []})
    assert before == cache_key.key_of("text", target, {"iree_flags": []})
    monkeypatch.setattr(cache_key, "_code", lambda: "another")
    assert before != cache_key.key_of("text", target, {"iree_flags": []})


def test_a_program_that_values_went_into_is_not_kept() -> None:
    """A hardware design has weights inside."""
    build(nn.Linear(4, 2).eval(), (X,), target="hls")
    assert counts() == (0, 1) and cache.info().count == 0


# ---------------------------------------------------------------------------------------------------------------------
# The store
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def entry() -> terrace.artifact.Artifact:
    """Something to keep, of some 10 kB."""
    return terrace.artifact.Artifact(build(Plain(), (X,)).signature, b"x" * 10_000)


def key(number: int) -> str:
    return f"{number:064x}"


def test_the_least_recently_used_go_first(entry: terrace.artifact.Artifact, folder: Path) -> None:
    cache.clear()
    for number in range(4):
        cache.keep(key(number), entry)
        os.utime(folder / f"{key(number)}.terrace", (number + 1.0, number + 1.0))
    assert [found.key for found in cache.entries()] == [key(3), key(2), key(1), key(0)]
    assert cache.find(key(0)) is not None
    size = cache.entries()[0].size
    cache.set_limit(3 * size)
    assert [found.key for found in cache.entries()] == [key(0), key(3), key(2)]
    cache.keep(key(9), entry)
    assert {found.key for found in cache.entries()} == {key(9), key(0), key(3)}
    assert cache.info().size <= cache.info().limit == 3 * size
    cache.set_limit(size - 1)
    assert cache.entries() == []
    with pytest.raises(ValueError, match="a number of bytes"):
        cache.set_limit(-1)


def test_only_files_of_the_cache_are_touched(entry: terrace.artifact.Artifact, folder: Path) -> None:
    """A folder that holds more keeps it; what a killed process left goes when it is old."""
    cache.clear()
    cache.keep(key(1), entry)
    foreign = ["model.terrace", "notes.txt", f"{key(1)}.terrace.bak", ".model.terrace.0123.tmp", "ABC"]
    for name in foreign:
        (folder / name).write_text("mine")
    young, old = (folder / f".{key(number)}.terrace.0123.tmp" for number in (2, 3))
    young.write_text("half")
    old.write_text("half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    assert [found.key for found in cache.entries()] == [key(1)] and cache.info().count == 1
    cache.keep(key(4), entry)
    assert young.exists() and not old.exists()
    os.utime(young, (time.time() - 60, time.time() - 60))
    assert cache.clear() == 2 and cache.clear() == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted([*foreign, young.name])


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


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache.directory() == tmp_path / "cache"
    for off in ("off", "0", ""):
        monkeypatch.setenv("TERRACE_CACHE_DIR", off)
        assert cache.directory() is None
    assert cache.info().directory is None and cache.clear() == 0 and str(cache.info()) == "compile cache: off"
    assert cache.find(key(1)) is None
    monkeypatch.delenv("TERRACE_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.directory() == tmp_path / "xdg" / "terrace"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache.directory() == tmp_path / ".cache" / "terrace"


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that the system does not know, as in some containers, and no HOME."""
    for name in ("TERRACE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.warns(RuntimeWarning, match="no home directory.*set TERRACE_CACHE_DIR") as warned:
        for _ in range(2):
            assert build(Plain(), (X,)).program
    assert len(warned) == 1


def test_a_cache_that_cannot_be_written_warns_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TERRACE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(
        RuntimeWarning, match=r"file/cache cannot be used \(Not a directory\); compiling goes on"
    ) as warned:
        for _ in range(2):
            assert build(Plain(), (X,)).program
    assert len(warned) == 1
    assert cache.entries() == [] and cache.info().count == 0


def test_a_folder_of_others_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    build(Plain(), (X,))

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    build(Plain(), (X,))
    assert counts() == (1, 1)


def test_info_reads_well(folder: Path) -> None:
    build(Plain(), (X,))
    info = cache.info()
    assert str(info) == (
        f"compile cache in {folder}: 1 entries, {info.size:,} of 1,073,741,824 bytes, 0 hits and 1 misses"
    )
