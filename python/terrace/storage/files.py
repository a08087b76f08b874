"""Writing files so that a reader sees the old one or the new one, never a part, and a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO


@contextlib.contextmanager
def new_files(folder: str | os.PathLike[str]) -> Iterator[Callable[[str], BinaryIO]]:
    """A function that opens new files in `folder`, which take their names when all are written, or else vanish.

    What is there but no regular file, such as /dev/null or a pipe, is written straight away. OSError passes through.
    """
    suffix = f".{secrets.token_hex(8)}.tmp"
    with contextlib.ExitStack() as stack:
        opened: dict[Path, tuple[Path, BinaryIO]] = {}

        def create(name: str) -> BinaryIO:
            path = Path(folder) / name
            if not _is_replaced(path):
                return stack.enter_context(open(path, "wb"))
            hidden = path.with_name(f".{path.name}{suffix}")
            try:
                # Not `tempfile`: its files are for the owner's eyes only, and would stay so.
                file = stack.enter_context(open(hidden, "x+b"))
            except OSError as error:
                raise type(error)(error.errno, error.strerror, os.fspath(path)) from error
            # Until it is closed, which the death of a process does, too: see `is_abandoned`.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.callback(hidden.unlink, missing_ok=True)
            opened[path] = hidden, file
            return file

        stack.enter_context(_named(folder))
        yield create
        for _, file in opened.values():
            file.flush()
            os.fsync(file.fileno())
        for path, (hidden, _) in opened.items():
            os.replace(hidden, path)


def _is_replaced(path: Path) -> bool:
    """Whether a new file takes the place of what is at `path`: of nothing, or of a regular file.

    Asked once: between two questions another process may remove the file, and the answers would be those of a device.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:  # Nothing there; or what opening a new file beside it says better.
        return True


def is_abandoned(path: str | os.PathLike[str]) -> bool:
    """Whether nobody is writing the half-written file that `new_files` made at `path`: its process was killed."""
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading, without waiting for anything: OSError for a pipe, a device or a folder."""
    # A pipe without a writer blocks who opens it in any other way.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


@contextlib.contextmanager
def _named(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Say where, in an error that does not: writing to a full disk is one that knows no name."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise type(error)(error.errno, error.strerror, os.fspath(folder)) from error
        raise


def folder_for(owner: Any, prefix: str) -> Path:
    """A temporary folder that goes with `owner`, or with this process, but never with a forked child of it."""
    folder = tempfile.mkdtemp(prefix=prefix)
    weakref.finalize(owner, _remove_folder, folder, os.getpid())
    return Path(folder)


def _remove_folder(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def write_file(path: str | os.PathLike[str], contents: bytes | str) -> None:
    """Write one file, all of it or nothing; a text as UTF-8."""
    target = Path(path)
    with new_files(target.parent) as create:
        create(target.name).write(contents.encode() if isinstance(contents, str) else contents)
