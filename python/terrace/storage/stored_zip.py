"""ZIP archives whose members are stored as they are, each at an aligned offset, so that a mapped file is used
in place.

The alignment is padding in the extra field of the local header, as Android's zipalign does it; `unzip` and
Python's `zipfile` read the result. Times are constant: the same members give the same bytes.
"""

from __future__ import annotations

import dataclasses
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

from terrace.errors import ArtifactError

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")
_VERSION = 45  # the first with 64-bit sizes
_UTF8_NAMES = 0x800
_DATE = 0x21  # 1 January 1980, the first that ZIP can say
_ALIGN_FIELD = 0xD935
_IN_EXTRA = 0xFFFFFFFF
_MAX_DIRECTORY = 1 << 16


@dataclasses.dataclass(frozen=True)
class Member:
    """Where the contents of a member lie in the file."""

    name: str
    offset: int
    size: int
    crc: int


class StoredZipWriter:
    """Writes members to a seekable file opened for reading and writing; `close` writes the directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._entries: list[tuple[Member, int]] = []

    def add(self, name: str, write: Callable[[BinaryIO], None], alignment: int = 64) -> Member:
        """Add a member: `write` puts its contents at the file's position and leaves the position at their
        end.
        """
        header_at = self._file.tell()
        header_size = _LOCAL.size + len(name.encode()) + 20 + 4
        padding = -(header_at + header_size) % alignment
        offset = header_at + header_size + padding
        self._file.write(bytes(offset - header_at))
        write(self._file)
        size = self._file.tell() - offset
        member = Member(name, offset, size, self._checksum(offset, size))
        self._file.seek(header_at)
        self._file.write(_local_header(member, padding))
        self._file.seek(offset + size)
        self._entries.append((member, header_at))
        return member

    def add_bytes(self, name: str, contents: bytes | memoryview, alignment: int = 64) -> Member:
        """Add a member with these contents."""

        def write(file: BinaryIO) -> None:
            file.write(contents)

        return self.add(name, write, alignment)

    def close(self) -> None:
        """Write the central directory. The file stays open."""
        start = self._file.tell()
        for member, header_at in self._entries:
            self._file.write(_central_header(member, header_at))
        end = self._file.tell()
        count = len(self._entries)
        sizes = (count, count, end - start, start)
        self._file.write(_END64.pack(b"PK\6\6", _END64.size - 12, _VERSION, _VERSION, 0, 0, *sizes))
        self._file.write(_LOCATOR64.pack(b"PK\6\7", 0, end, 1))
        self._file.write(_END.pack(b"PK\5\6", 0, 0, count, count, _IN_EXTRA, _IN_EXTRA, 0))

    def _checksum(self, offset: int, size: int) -> int:
        """CRC of what was written, read back: contents may be patched after the fact, as a parameter table
        is.
        """
        self._file.seek(offset)
        crc = 0
        while size:
            block = self._file.read(min(size, 1 << 20))
            crc = zlib.crc32(block, crc)
            size -= len(block)
        return crc


def read_members(file: BinaryIO, mapped: memoryview) -> dict[str, Member]:
    """The members of the archive in `file`, which `mapped` maps.

    Raises `ArtifactError` if the file is no such archive or is truncated. Contents are not checked.
    """
    try:
        start = _directory_start(mapped)
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error, EOFError) as error:
        raise ArtifactError(
            f"not a Terrace model, or a truncated one ({error}); get the file again, or compile again"
        ) from error
    members: dict[str, Member] = {}
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        is_stored = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
        offset = _contents_offset(mapped, info)
        is_apart = offset is not None and end <= info.header_offset and offset + info.file_size <= start
        if not is_stored or offset is None or not is_apart or info.filename in members:
            raise ArtifactError(
                f"member {info.filename!r} is compressed, repeated, in the place of another or out of the file's "
                f"bounds: not a Terrace model, or a repacked one; use the file that Terrace wrote"
            )
        members[info.filename] = Member(info.filename, offset, info.file_size, info.CRC)
        end = offset + info.file_size
    return members


def _directory_start(mapped: memoryview) -> int:
    """Where the directory begins. Raises ValueError if it is larger than that of any model, before it is read."""
    at = len(mapped) - _END.size
    if at < 0 or mapped[at : at + 4] != b"PK\5\6":
        raise ValueError("it does not end as a ZIP archive without a comment")
    size, start = _END.unpack_from(mapped, at)[5:7]
    if start == _IN_EXTRA:
        _, _, at, _ = _LOCATOR64.unpack_from(mapped, at - _LOCATOR64.size)
        size, start = _END64.unpack_from(mapped, at)[8:10]
    if size > _MAX_DIRECTORY or start + size > at:
        raise ValueError(f"its directory has {size} bytes at {start}")
    return int(start)


def _contents_offset(mapped: memoryview, info: zipfile.ZipInfo) -> int | None:
    """Where the contents of a member begin; None if header or contents lie outside of the file."""
    at = info.header_offset
    if at < 0 or at + _LOCAL.size > len(mapped) or mapped[at : at + 4] != b"PK\3\4":
        return None
    name_length, extra_length = struct.unpack_from("<2H", mapped, at + 26)
    offset = at + _LOCAL.size + name_length + extra_length
    return offset if offset + info.file_size <= len(mapped) else None


def _local_header(member: Member, padding: int) -> bytes:
    name = member.name.encode()
    extra = struct.pack("<2H2Q2H", 1, 16, member.size, member.size, _ALIGN_FIELD, padding) + bytes(padding)
    fields = (_VERSION, _UTF8_NAMES, 0, 0, _DATE, member.crc, _IN_EXTRA, _IN_EXTRA, len(name), len(extra))
    return _LOCAL.pack(b"PK\3\4", *fields) + name + extra


def _central_header(member: Member, header_at: int) -> bytes:
    name = member.name.encode()
    extra = struct.pack("<2H3Q", 1, 24, member.size, member.size, header_at)
    lengths = (len(name), len(extra), 0, 0, 0, 0, _IN_EXTRA)
    sizes = (member.crc, _IN_EXTRA, _IN_EXTRA)
    return _CENTRAL.pack(b"PK\1\2", _VERSION, _VERSION, _UTF8_NAMES, 0, 0, _DATE, *sizes, *lengths) + name + extra
