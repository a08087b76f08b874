"""The compile cache: programs kept on disk, found again by what they were made from.

An entry is a `.terrace` file without parameters, named by its key (`terrace.storage.cache_key`): weights come from the
model at hand. The environment variable TERRACE_CACHE_DIR names the folder; `off`, `0` or nothing at all turns the cache
off. Unset, it is $XDG_CACHE_HOME/terrace or ~/.cache/terrace.

    print(terrace.cache.info())          # folder, entries, bytes, limit, hits and misses of this process
    terrace.cache.entries()              # the last used first
    terrace.cache.set_limit(256 << 20)   # bytes, for this process; the least recently used go first
    terrace.cache.clear()

Any number of processes may share a folder: an entry appears whole or not at all, the last writer wins, a damaged one is
thrown away and made again. A cache that cannot be read or written, or that others may write to, warns once, and
compiling goes on without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import string
import time
import warnings
from pathlib import Path

from terrace.errors import ArtifactError
from terrace.storage.artifact import Artifact, read_artifact, write_artifact
from terrace.storage.files import is_abandoned

DEFAULT_LIMIT = 1 << 30
"""The bound in bytes unless `set_limit` gives another. An entry of ResNet-50 takes 1.8 MB."""

_OFF = ("", "0", "off")
_SUFFIX = ".terrace"
_KEY_LENGTH = 64
_STARTING = 60.0
"""Seconds that a half-written file is left alone, whoever writes it: it is made before it is locked."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A compiled program in the cache.

    `used` is when it was last written or read, in seconds since the epoch. Where the clock has gone back, it is a
    moment after the use before.
    """

    key: str
    path: Path
    size: int
    used: float


@dataclasses.dataclass(frozen=True)
class Info:
    """The state of the cache: `directory` is None if it is off; `hits` and `misses` are of this process."""

    directory: Path | None
    count: int
    size: int
    limit: int
    hits: int
    misses: int

    def __str__(self) -> str:
        if self.directory is None:
            return "compile cache: off"
        held = f"{self.count} entries, {self.size:,} of {self.limit:,} bytes"
        return f"compile cache in {self.directory}: {held}, {self.hits} hits and {self.misses} misses"


@dataclasses.dataclass
class _Process:
    """What this process knows of its cache."""

    limit: int = DEFAULT_LIMIT
    hits: int = 0
    misses: int = 0
    warned: set[str] = dataclasses.field(default_factory=set)


_process = _Process()


def directory() -> Path | None:
    """The folder of the cache, which need not exist yet; None if the cache is off."""
    named = os.environ.get("TERRACE_CACHE_DIR")
    if named is not None:
        return None if named in _OFF else Path(os.path.expanduser(named))
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification wants a relative path ignored.
    folder = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
    if not os.path.isabs(folder):
        _warn("there is no home directory for the compile cache; set TERRACE_CACHE_DIR to a folder, or to `off`")
        return None
    return Path(folder) / "terrace"


def info() -> Info:
    """How much the cache holds; the size is that of all files that its bound counts."""
    files = _listed(directory())
    count = sum(_is_key(file.key) for file in files)
    size = sum(file.size for file in files)
    return Info(directory(), count, size, _process.limit, _process.hits, _process.misses)


def entries() -> list[Entry]:
    """What the cache holds, the last used first."""
    found = [file for file in _listed(directory()) if _is_key(file.key)]
    return sorted(found, key=lambda entry: entry.used, reverse=True)


def clear() -> int:
    """Remove all entries, and what killed processes left; returns how many files went. Other files stay.

    OSError passes through.
    """
    removed = [file for file in _listed(directory()) if _is_key(file.key) or _is_left(file)]
    for file in removed:
        file.path.unlink(missing_ok=True)
    return len(removed)


def set_limit(size: int) -> None:
    """Bound the cache to `size` bytes, now and whenever this process adds an entry."""
    if size < 0:
        raise ValueError(f"the limit of the compile cache is a number of bytes, got {size}")
    _process.limit = size
    folder = directory()
    if folder is not None:
        _shrink(folder)


def find(key: str) -> Artifact | None:
    """The entry of `key`, without parameters; None if there is none that is whole."""
    found = _read(key)
    _process.hits += found is not None
    _process.misses += found is None
    return found


def discard(key: str) -> None:
    """Remove the entry of `key`, which was found but is of no use."""
    folder = directory()
    if folder is not None:
        _process.hits, _process.misses = _process.hits - 1, _process.misses + 1
        _remove(_path_of(folder, key))


def keep(key: str, artifact: Artifact) -> None:
    """Add the entry of `key`, and let the least recently used ones go while there is too much."""
    folder = directory()
    if folder is None:
        return
    path = _path_of(folder, key)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(folder):
            return
        if not stat.S_ISREG(_mode_of(path)):
            _remove(path)
        write_artifact(path, dataclasses.replace(artifact, parameters={}, cache_key=key))
        _touch(path)
        _shrink(folder)
    except OSError as error:
        _warn_of(folder, error)


def _read(key: str) -> Artifact | None:
    folder = directory()
    if folder is None:
        return None
    path = _path_of(folder, key)
    mode = _mode_of(path)
    if not mode or not _is_ours(folder):
        return None
    try:
        found = read_artifact(path) if stat.S_ISREG(mode) else None
    except (ArtifactError, PermissionError):
        found = None
    except FileNotFoundError:  # Another process removed it.
        return None
    except OSError as error:
        _warn_of(folder, error)
        return None
    # An entry that was copied to another name is that of another program.
    if found is None or found.cache_key != key:
        _remove(path)
        return None
    _touch(path)
    return dataclasses.replace(found, cache_key="")


def _path_of(folder: Path, key: str) -> Path:
    return folder / f"{key}{_SUFFIX}"


def _mode_of(path: Path) -> int:
    """The kind and permissions of what stands at `path`, of a link its own; 0 if there is nothing."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0
    except OSError as error:
        _warn_of(path.parent, error)
        return 0


def _is_ours(folder: Path) -> bool:
    """Whether nobody but us and the system's administrator can put a program there; warns if somebody can."""
    status = folder.stat()
    if status.st_uid not in (0, os.geteuid()):
        wrong = f"belongs to another user ({status.st_uid})"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = f"is writable by others (mode {stat.S_IMODE(status.st_mode):o})"
    else:
        return True
    _warn(
        f"the compile cache in {folder} is not used, since the folder {wrong}, and programs from it are run. "
        f"`chmod go-w {folder}` if it is yours alone, or set TERRACE_CACHE_DIR to another folder, or to `off`"
    )
    return False


def _touch(path: Path) -> None:
    """Note that an entry is used now: later than all others, also if the clock has gone back."""
    last = max((file.used for file in _listed(path.parent) if file.path != path), default=0)
    now = max(time.time_ns(), round(last * 1e9) + 1000)
    # A folder that is not ours to write to is read all the same; a time may be beyond what files can have.
    with contextlib.suppress(OSError, OverflowError):
        os.utime(path, ns=(now, now))


def _listed(folder: Path | None) -> list[Entry]:
    """The files in `folder` that are ours: entries, and those that a process has not finished."""
    found: list[Entry] = []
    if folder is None:
        return found
    try:
        with os.scandir(folder) as files:
            for file in files:
                key = _key_of_file(file.name)
                if key is None:
                    continue
                with contextlib.suppress(FileNotFoundError):  # Another process removed it.
                    status = file.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found.append(Entry(key, folder / file.name, status.st_size, status.st_mtime))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        _warn_of(folder, error)
    return found


def _key_of_file(name: str) -> str | None:
    """The key in the name of an entry, the whole name of a half-written one, and None for a file of somebody else."""
    key, suffix, rest = name.partition(_SUFFIX)
    if not suffix:
        return None
    if _is_key(key):
        return None if rest else key
    return name if _is_key(key.removeprefix(".")) and rest.endswith(".tmp") else None


def _is_key(text: str) -> bool:
    return len(text) == _KEY_LENGTH and set(text) <= set(string.hexdigits)


def _is_left(file: Entry) -> bool:
    """Whether a file is half-written and its process is gone. A file from the future is that of a clock gone back."""
    is_starting = abs(time.time() - file.used) < _STARTING
    return not _is_key(file.key) and not is_starting and is_abandoned(file.path)


def _shrink(folder: Path) -> None:
    """Remove what killed processes left, and the least recently used entries beyond the limit."""
    kept = []
    for file in sorted(_listed(folder), key=lambda entry: entry.used):
        if _is_left(file):
            _remove(file.path)
        else:
            kept.append(file)
    size = sum(file.size for file in kept)
    for entry in kept:
        if size <= _process.limit:
            break
        if _is_key(entry.key):
            _remove(entry.path)
            size -= entry.size


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _warn_of(path.parent, error)


def _warn_of(folder: Path, error: OSError) -> None:
    _warn(
        f"the compile cache in {folder} cannot be used ({error.strerror or error}); compiling goes on without it. "
        "Set TERRACE_CACHE_DIR to another folder, or to `off`"
    )


def _warn(message: str) -> None:
    """Warn of the same thing once in a process."""
    if message not in _process.warned:
        _process.warned.add(message)
        warnings.warn(message, RuntimeWarning, stacklevel=4)
