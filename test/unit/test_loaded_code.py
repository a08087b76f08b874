"""What is said to be Terrace's code is what runs, whatever its files say meanwhile."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import terrace.compiler  # noqa: F401 - noted before a test puts the notes back as they were
from terrace import loaded_code

NAME = "terrace.lowering.test_extra"


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is noted here is forgotten."""
    for name in ("_noted", "_digests", "_mixed"):
        monkeypatch.setattr(loaded_code, name, type(getattr(loaded_code, name))(getattr(loaded_code, name)))
    yield
    sys.modules.pop(NAME, None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "extra.py"
    path.write_text("def f():\n    return 1\n")
    return path


def load(path: Path) -> ModuleType:
    """The file as a module of Terrace's, loaded as its finder would."""
    spec = importlib.util.spec_from_file_location(NAME, path, loader=loaded_code._Loader(NAME, str(path)))
    assert spec is not None and spec.loader is not None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def edit(path: Path, text: str) -> None:
    """Change a file without a change of its size and times."""
    before = path.stat()
    assert len(text) == before.st_size
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_all_loaded_modules_are_noted() -> None:
    assert loaded_code.digest() is not None
    assert "terrace.compiler" in loaded_code._noted and "terrace.dialects.graph" in loaded_code._noted


def test_an_edit_after_the_import_changes_nothing(file: Path) -> None:
    load(file)
    before = loaded_code.digest()
    edit(file, "def f():\n    return 2\n")
    assert loaded_code.digest() == before is not None


def test_code_decides_and_not_where_it_stands(file: Path, tmp_path: Path) -> None:
    load(file)
    first = loaded_code.digest()
    for text, same in (("# a comment\n\n\ndef f():\n    return 1\n", True), ("def f():\n    return 2\n", False)):
        loaded_code._noted.pop(NAME), loaded_code._digests.pop(NAME)
        other = tmp_path / "elsewhere.py"
        other.write_text(text)
        load(other)
        assert (loaded_code.digest() == first) == same


def test_code_that_was_loaded_twice(file: Path) -> None:
    """Functions of the old code may still be in use."""
    module = load(file)
    before = loaded_code.digest()
    loaded_code._Loader(NAME, str(file)).exec_module(module)
    assert loaded_code.digest() == before
    file.write_text("def f():\n    return 22\n")
    loaded_code._Loader(NAME, str(file)).exec_module(module)
    assert loaded_code.digest() is None


def test_code_that_came_by_another_way(file: Path) -> None:
    spec = importlib.util.spec_from_file_location(NAME, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert loaded_code.digest() is None


def test_processes_agree_whatever_they_have_loaded() -> None:
    code = "{}from terrace import loaded_code; print(loaded_code.digest())"
    said = {
        subprocess.run([sys.executable, "-c", code.format(first)], capture_output=True, text=True, check=True).stdout
        for first in ("", "import terrace.compiler; ")
    }
    assert len(said) == 1 and "None" not in said.pop()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = True"),
        ("x = 0.0", "x = -0.0"),
        ("f = lambda a: a", "f = lambda b: b"),
        ("x in {1, 2}", "x in {1, 3}"),
        ("def f(a=1): pass", "def f(*, a=1): pass"),
        ("class A:\n def f(self): return 'a'", "class A:\n def f(self): return b'a'"),
        ("try: f()\nexcept A: pass", "try: f()\nexcept B: pass"),
        ("x = ('a', 'b')", "x = ('a', ('b',))"),
    ],
)
def test_what_differs_has_another_hash(one: str, other: str) -> None:
    first, second, again = (
        loaded_code.code_digest(compile(text, "file.py", "exec")) for text in (one, other, f"\n\n{one}  # moved")
    )
    assert first == again != second
