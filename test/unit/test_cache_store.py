"""The folder of the compile cache: what stays within bounds, who may write to it, and what else may lie there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runtime_programs import positional, tensor
from terrace.storage import cache
from terrace.storage.artifact import Artifact, artifact_bytes, one_entry, write_artifact


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty cache."""
    monkeypatch.setenv("TERRACE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_process", cache._Process())
    return tmp_path / "cache"


@pytest.fixture
def entry() -> Artifact:
    """Something to keep, of some 10 kB."""
    return Artifact(one_entry(positional([tensor([3])], [tensor([3])])), b"x" * 10_000)


def key(number: int) -> str:
    return f"{number:064x}"


def test_the_least_recently_used_go_first(entry: Artifact, folder: Path) -> None:
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


def test_only_files_of_the_cache_are_touched(entry: Artifact, folder: Path) -> None:
    """A folder that holds more keeps it; what a killed process left goes when it is old."""
    cache.keep(key(1), entry)
    foreign = ["model.terrace", "notes.txt", f"{key(1)}.terrace.bak", ".model.terrace.0123.tmp", "ABC"]
    for name in foreign:
        (folder / name).write_text("mine")
    young, old, future, written = (folder / f".{key(number)}.terrace.0123.tmp" for number in (2, 3, 4, 5))
    for file, age in ((young, 0), (old, 7200), (future, -7200), (written, 7200)):
        file.write_text("half")
        os.utime(file, (time.time() - age, time.time() - age))
    assert [found.key for found in cache.entries()] == [key(1)] and cache.info().count == 1
    with open(written) as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        cache.keep(key(4), entry)
        assert young.exists() and written.exists() and not old.exists() and not future.exists()
        assert cache.clear() == 2 and cache.clear() == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted([*foreign, young.name, written.name])
    assert cache.clear() == 1 and not written.exists()


def test_what_is_half_written_counts(entry: Artifact, folder: Path) -> None:
    for number in range(3):
        cache.keep(key(number), entry)
    size = cache.entries()[0].size
    (folder / f".{key(7)}.terrace.0123.tmp").write_bytes(bytes(2 * size))
    assert cache.info().size == 5 * size
    cache.set_limit(4 * size)
    assert [found.key for found in cache.entries()] == [key(2), key(1)]


@pytest.mark.parametrize("shift", [-5e5, 5e5])
def test_a_clock_that_is_set_evicts_nothing_new(shift: float, entry: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.keep(key(1), entry)
    cache.keep(key(2), entry)
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + int(shift * 1e9))
    assert cache.find(key(1)) is not None
    cache.keep(key(3), entry)
    monkeypatch.setattr(time, "time_ns", now)
    cache.keep(key(4), entry)
    assert [found.key for found in cache.entries()] == [key(4), key(3), key(1), key(2)]
    cache.set_limit(2 * cache.entries()[0].size)
    assert [found.key for found in cache.entries()] == [key(4), key(3)]


def test_an_entry_under_the_name_of_another_is_refused(entry: Artifact, folder: Path) -> None:
    cache.keep(key(1), entry)
    for source in (cache.entries()[0].path.read_bytes(), artifact_bytes(entry)):
        (folder / f"{key(2)}.terrace").write_bytes(source)
        assert cache.find(key(2)) is None
        assert not (folder / f"{key(2)}.terrace").exists()
    assert cache.find(key(1)) is not None


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as own, contextlib.chdir(path.parent):
        own.bind(path.name)


def put_loop(path: Path) -> None:
    path.symlink_to(path.name)


def put_dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def put_link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def put_folder(path: Path) -> None:
    path.mkdir()


def put_unreadable(path: Path) -> None:
    path.write_text("secret")
    path.chmod(0)


IN_PLACE_OF_AN_ENTRY = [put_pipe, put_socket, put_loop, put_dangling, put_link_to_a_pipe, put_unreadable, put_folder]


@pytest.mark.parametrize("put", IN_PLACE_OF_AN_ENTRY)
def test_what_is_no_file_in_the_place_of_an_entry(put: Callable[[Path], None], entry: Artifact, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    put(folder / f"{key(1)}.terrace")
    is_folder = put is put_folder
    with pytest.warns(RuntimeWarning, match="cannot be used") if is_folder else contextlib.nullcontext():
        assert cache.find(key(1)) is None
        cache.keep(key(1), entry)
    assert (cache.find(key(1)) is None) == is_folder
    assert cache.info().count == (0 if is_folder else 1)
    cache.set_limit(0)
    cache.clear()


def test_a_folder_that_nobody_may_read(entry: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.keep(key(1), entry)

    def refuse(path: Any, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    for name in ("scandir", "open", "lstat", "utime", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    with pytest.warns(RuntimeWarning, match=r"cannot be used \(Permission denied\)"):
        assert cache.find(key(1)) is None
        assert cache.entries() == [] and cache.info().count == 0
        cache.set_limit(10)
        cache.keep(key(1), entry)


@pytest.mark.parametrize(("mode", "word"), [(0o770, "writable by others"), (0o702, "writable by others"), (0o1777, "")])
def test_a_folder_that_others_may_write_to_is_refused(mode: int, word: str, entry: Artifact, folder: Path) -> None:
    cache.keep(key(1), entry)
    folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match=f"{word}.*chmod go-w") as warned:
        assert cache.find(key(1)) is None
        cache.keep(key(2), entry)
    assert len(warned) == 1
    folder.chmod(0o755)
    assert cache.find(key(1)) is not None and cache.find(key(2)) is None


def test_a_folder_of_another_user_is_refused(entry: Artifact, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    cache.keep(key(1), entry)
    os.chown(folder, 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert cache.find(key(1)) is None


WORKER = """
import sys
from pathlib import Path
from terrace import cache
from terrace.storage.artifact import Artifact, read_artifact
entry = read_artifact(sys.argv[1])
cache._process.limit = 6 * Path(sys.argv[1]).stat().st_size
for round in range(60):
    for number in range(8):
        found = cache.find(f"{number:064x}")
        assert found is None or bytes(found.program) == bytes(entry.program)
        cache.keep(f"{(number * 3 + round) % 8:064x}", entry)
print(cache.info().count)
"""


def test_processes_that_write_read_and_evict_at_once(entry: Artifact, tmp_path: Path) -> None:
    write_artifact(tmp_path / "m.terrace", entry)
    command = [sys.executable, "-W", "error", "-c", WORKER, str(tmp_path / "m.terrace")]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], said
    assert not [path for path in cache.directory().iterdir() if path.name.startswith(".")]  # type: ignore[union-attr]


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache.directory() == tmp_path / "cache"
    for off in ("off", "0", ""):
        monkeypatch.setenv("TERRACE_CACHE_DIR", off)
        assert cache.directory() is None
    assert cache.info().directory is None and cache.clear() == 0 and str(cache.info()) == "compile cache: off"
    assert cache.find(key(1)) is None
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERRACE_CACHE_DIR", "~/kept")  # as a file of settings says it, which no shell reads
    assert cache.directory() == tmp_path / "kept"
    monkeypatch.delenv("TERRACE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.directory() == tmp_path / "xdg" / "terrace"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache.directory() == tmp_path / ".cache" / "terrace"
