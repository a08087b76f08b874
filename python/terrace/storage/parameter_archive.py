"""IREE's parameter archive (.irpa, version 0): written one parameter at a time, read in place.

IREE's own writer wants all contents in memory at once. The layout is small: a header, a table of entries, the
names, the metadata, then the contents. IREE loads what this file writes (a test compares), and the table lets
NumPy see a parameter in the mapped file without IREE.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from terrace.errors import ArtifactError
from terrace.signature import DTYPES

Array = np.ndarray[Any, np.dtype[Any]]
ParameterSource = Array | Callable[[], Array]
"""A parameter, or the function that computes it when its turn to be written comes."""

ARCHIVE_MAGIC = b"IRPA"
_HEADER = struct.Struct("<4sHHQQQQQQQQQQ")
_ENTRY = struct.Struct("<QIQQQQQQQQ")
_ENTRY_STRIDE = 80
_DATA_ENTRY = 2
_ALIGNMENT = 64
"""What IREE wants of memory that it uses in place."""


@dataclasses.dataclass(frozen=True)
class ParameterInfo:
    """What the manifest says of a parameter. The archive itself knows bytes only."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def byte_length(self) -> int:
        """The size of the contents."""
        return math.prod(self.shape) * numpy_dtype(self.dtype).itemsize


@functools.cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of one of `signature.DTYPES`."""
    return np.dtype(getattr(ml_dtypes, name) if name in BITS else name)


BITS = {"bfloat16": "int16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8"}
"""The types that ml_dtypes adds to NumPy's, and the integers as which their bits travel between it and torch."""


def aligned_copy(value: Array, dtype: np.dtype[Any] | type[np.generic] | None = None) -> Array:
    """A contiguous copy at an address that IREE uses in place, converted to `dtype` if one is given."""
    kind = value.dtype if dtype is None else np.dtype(dtype)
    room = np.empty(value.size * kind.itemsize + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    copy = room[start : start + value.size * kind.itemsize].view(kind).reshape(value.shape)
    np.copyto(copy, value, casting="unsafe")
    return copy


def aligned(value: Array) -> Array:
    """`value` itself if IREE can use it in place, else a copy that it can."""
    is_aligned = value.flags.c_contiguous and value.ctypes.data % _ALIGNMENT == 0
    return value if is_aligned else aligned_copy(value)


class MappedParameters(Mapping[str, Array]):
    """The parameters in an archive, as read-only arrays on its memory: nothing is copied.

    `checksum` is the CRC-32 that the archive should have, which nothing checks here. Raises `ArtifactError` if the
    archive is malformed or disagrees with `infos`.
    """

    def __init__(self, archive: memoryview, infos: Mapping[str, ParameterInfo], checksum: int) -> None:
        self.archive = archive
        self.checksum = checksum
        self._infos = dict(infos)
        self._offsets = dict(_read_table(archive))
        lengths = {name: length for name, (_, length) in self._offsets.items()}
        if lengths != {name: info.byte_length for name, info in infos.items()}:
            raise ArtifactError(
                "the parameters in the file are not those that its manifest lists; get the file again, or compile again"
            )

    def __getitem__(self, name: str) -> Array:
        return _array_at(self.archive, self._offsets[name], self._infos[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def info(self, name: str) -> ParameterInfo:
        """Shape and dtype of a parameter, without touching it."""
        return self._infos[name]


def read_declared(archive: memoryview, declared: Mapping[str, ParameterInfo]) -> dict[str, Array]:
    """Those entries of an archive, which knows bytes only, that `declared` describes, as arrays on its memory.

    Raises `ArtifactError` if the archive is malformed, or an entry has another length than its declaration.
    """
    arrays: dict[str, Array] = {}
    for name, place in _read_table(archive):
        info = declared.get(name)
        if info is None:
            continue
        if place[1] != info.byte_length:
            raise ArtifactError(
                f"parameter '{name}' has {place[1]} bytes in the archive, but {info.byte_length} by its declaration; "
                "give the archive that belongs to the text"
            )
        arrays[name] = _array_at(archive, place, info)
    return arrays


def _array_at(archive: memoryview, place: tuple[int, int], info: ParameterInfo) -> Array:
    offset, length = place
    dtype = numpy_dtype(info.dtype)
    return np.frombuffer(archive, dtype, length // dtype.itemsize, offset).reshape(info.shape)


def write_archive(file: BinaryIO, parameters: Mapping[str, ParameterSource]) -> dict[str, ParameterInfo]:
    """Write an archive of `parameters` at the current position, which must be a multiple of 64.

    Each parameter is evaluated, written and dropped before the next one. The file must be seekable: the table
    is written last, in the room left for it. The position is left behind the archive.
    """
    start = file.tell()
    names = [name.encode() for name in parameters]
    table_start = _align(_HEADER.size, 16)
    names_start = table_start + _ENTRY_STRIDE * len(names)
    storage_start = _align(names_start + sum(map(len, names)), _ALIGNMENT)
    file.write(bytes(storage_start))
    infos: dict[str, ParameterInfo] = {}
    placed: list[tuple[int, int]] = []
    for name, source in parameters.items():
        file.write(bytes(-(file.tell() - start) % _ALIGNMENT))
        offset = file.tell() - start - storage_start
        infos[name] = _write_parameter(file, name, source)
        placed.append((offset, infos[name].byte_length))
    end = file.tell()
    # The last entry of IREE's table is not padded to the stride.
    table_length = max(_ENTRY_STRIDE * len(names) - (_ENTRY_STRIDE - _ENTRY.size), 0)
    names_length = sum(map(len, names))
    segments = (table_start, table_length, names_start, names_length, storage_start, end - start - storage_start)
    head = io.BytesIO(_HEADER.pack(ARCHIVE_MAGIC, 0, 0, _HEADER.size, 0, 0, len(names), *segments))
    name_offset = 0
    for index, (name_bytes, (offset, length)) in enumerate(zip(names, placed, strict=True)):
        head.seek(table_start + index * _ENTRY_STRIDE)
        place = (name_offset, len(name_bytes), 0, 0, _ALIGNMENT, offset, length)
        head.write(_ENTRY.pack(_ENTRY.size, _DATA_ENTRY, 0, *place))
        name_offset += len(name_bytes)
    head.seek(names_start)
    head.write(b"".join(names))
    file.seek(start)
    file.write(head.getvalue())
    file.seek(end)
    return infos


def _write_parameter(file: BinaryIO, name: str, source: ParameterSource) -> ParameterInfo:
    value = source() if callable(source) else source
    info = ParameterInfo(value.shape, value.dtype.name)
    if info.dtype not in DTYPES:
        raise ArtifactError(f"parameter {name!r} has element type {info.dtype}; expected one of {', '.join(DTYPES)}")
    # reshape before view: a 0-d array has no bytes to view.
    file.write(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    return info


def _read_table(archive: memoryview) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name, and (offset, length) of the contents in `archive`, of each entry."""
    try:
        magic, major, _, _, _, _, count, *segments = _HEADER.unpack_from(archive)
        table, _, names, _, storage, _ = segments
        if magic != ARCHIVE_MAGIC or major != 0:
            raise ValueError("no IREE parameter archive of version 0")
        offset = table
        for _ in range(count):
            size, kind, _, name_at, name_length, _, _, _, at, length = _ENTRY.unpack_from(archive, offset)
            if kind != _DATA_ENTRY or size < _ENTRY.size or storage + at + length > len(archive):
                raise ValueError("an entry lies outside of the archive")
            name = bytes(archive[names + name_at : names + name_at + name_length]).decode()
            yield name, (storage + at, length)
            offset += _align(size, 16)
    except (struct.error, ValueError, OverflowError) as error:
        raise ArtifactError(
            f"the parameter archive in the file is damaged ({error}); get the file again, or compile again"
        ) from error


def _align(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment
