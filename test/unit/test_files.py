"""Files appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from terrace.storage.files import is_abandoned, new_files, open_regular, write_file


def test_write_file_replaces_the_old_one_and_leaves_no_other(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    write_file(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_new_file_can_be_read_by_those_the_umask_allows(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        write_file(tmp_path / "a", b"")
    finally:
        os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_all_old_files_and_no_new_ones(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), new_files(tmp_path) as create:
        create("a").write(b"new")
        create("b").write(b"new")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_is_missing_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_file(tmp_path / "no" / "a", "")
    assert caught.value.filename == str(tmp_path / "no" / "a")


def test_what_is_no_regular_file_is_written_and_not_replaced(tmp_path: Path) -> None:
    """As root, /dev/null was replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(pipe, "text")
        assert os.read(reader, 16) == b"text"
    finally:
        os.close(reader)
    assert not pipe.is_file()


def test_a_file_that_goes_meanwhile_is_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process removes the old file as soon as it was looked at; the new one still takes its name at the end."""
    path, look = tmp_path / "entry", Path.stat
    path.write_text("old")

    def look_and_lose(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        status = look(self, follow_symlinks=follow_symlinks)
        if self == path:
            os.unlink(path)
        return status

    monkeypatch.setattr(Path, "stat", look_and_lose)
    with new_files(tmp_path) as create:
        file = create("entry")
        assert not os.path.exists(path)
        file.write(b"new")
    monkeypatch.undo()
    assert path.read_text() == "new"


def test_a_file_that_is_being_written_is_not_abandoned(tmp_path: Path) -> None:
    with new_files(tmp_path) as create:
        create("a")
        (half,) = tmp_path.iterdir()
        assert not is_abandoned(half)
        os.link(half, tmp_path / "killed")
    # The lock is the file's, whatever it is called, and goes with its writer.
    assert is_abandoned(tmp_path / "killed")
    assert not is_abandoned(tmp_path / "none")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path), lambda path: None])
def test_what_is_no_file_is_not_waited_for(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(OSError, match=f"{tmp_path}/a"):
        open_regular(tmp_path / "a")
    os.symlink("/dev/zero", tmp_path / "b")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "b")
