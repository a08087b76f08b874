"""The compile cache: programs kept on disk, found again by what they were made from.

An entry is a `.terrace` file without parameters, named by its key (`terrace.cache_key`): weights come from the model at
hand. The environment variable TERRACE_CACHE_DIR names the folder; `off`, `0` or nothing at all turns the cache off.
Unset, it is $XDG_CACHE_HOME/terrace or ~/.cache/terrace.

    print(terrace.cache.info())          # folder, entries, bytes, limit, hits and misses of this process
    terrace.cache.entries()              # the last used first
    terrace.cache.set_limit(256 << 20)   # bytes, for this process; the least recently used go first
    terrace.cache.clear()

Any number of processes may share a folder: an entry appears whole or not at all, the last writer wins, a damaged one is
thrown away and made again. A cache that cannot be read or written warns once, and compiling goes on without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import string
import time
import warnings
from pathlib import Path

from terrace.artifact import Artifact, read_artifact, write_artifact
from terrace.errors import ArtifactError

DEFAULT_LIMIT = 1 << 30
"""The bound in bytes unless `set_limit` gives another. An entry of ResNet-50 takes 1.8 MB."""

_OFF = ("", "0", "off")
_SUFFIX = ".terrace"
_KEY_LENGTH = 64
_ABANDONED = 3600.0
"""Seconds after which a half-written file must be that of a process that was killed."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A compiled program in the cache. `used` is when it was last written or read, in seconds since the epoch."""

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
        return None if named in _OFF else Path(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification wants a relative path ignored.
    folder = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
    if not os.path.isabs(folder):
        _warn("there is no home directory for the compile cache; set TERRACE_CACHE_DIR to a folder, or to `off`")
        return None
    return Path(folder) / "terrace"


def info() -> Info:
    """How much the cache holds."""
    found = entries()
    size = sum(entry.size for entry in found)
    return Info(directory(), len(found), size, _process.limit, _process.hits, _process.misses)


def entries() -> list[Entry]:
    """What the cache holds, the last used first."""
    folder = directory()
    found = _listed(folder) if folder is not None else []
    return sorted((entry for entry in found if _is_key(entry.key)), key=lambda entry: entry.used, reverse=True)


def clear() -> int:
    """Remove all entries, and what killed processes left; returns how many files went. Other files stay.

    OSError passes through.
    """
    folder = directory()
    removed = [file for file in _listed(folder) if _is_key(file.key) or _is_abandoned(file)] if folder else []
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
    folder = directory()
    if folder is None:
        return None
    path = folder / f"{key}{_SUFFIX}"
    try:
        found = read_artifact(path)
        _process.hits += 1
        with contextlib.suppress(OSError):  # A folder that is not ours to write to is read all the same.
            os.utime(path)
        return found
    except FileNotFoundError:
        pass
    except ArtifactError:
        _remove(path)
    except OSError as error:
        _warn_of(folder, error)
    _process.misses += 1
    return None


def keep(key: str, artifact: Artifact) -> None:
    """Add the entry of `key`, and let the least recently used ones go while there is too much."""
    folder = directory()
    if folder is None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_artifact(folder / f"{key}{_SUFFIX}", dataclasses.replace(artifact, parameters={}))
        _shrink(folder)
    except OSError as error:
        _warn_of(folder, error)


def _listed(folder: Path) -> list[Entry]:
    """The files in `folder` that are ours: entries, and those that a process has not finished."""
    found: list[Entry] = []
    try:
        with os.scandir(folder) as files:
            for file in files:
                key = _key_of_file(file.name)
                if key is None:
                    continue
                with contextlib.suppress(FileNotFoundError):  # Another process removed it.
                    status = file.stat(follow_symlinks=False)
                    found.append(Entry(key, folder / file.name, status.st_size, status.st_mtime))
    except (FileNotFoundError, NotADirectoryError):
        pass
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


def _is_abandoned(file: Entry) -> bool:
    """Whether a file is half-written and its process must be gone."""
    return not _is_key(file.key) and file.used < time.time() - _ABANDONED


def _shrink(folder: Path) -> None:
    """Remove what killed processes left, and the least recently used entries beyond the limit."""
    files = sorted(_listed(folder), key=lambda entry: entry.used)
    for entry in files:
        if _is_abandoned(entry):
            _remove(entry.path)
    kept = [entry for entry in files if _is_key(entry.key)]
    size = sum(entry.size for entry in kept)
    for entry in kept:
        if size <= _process.limit:
            break
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
