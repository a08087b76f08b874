"""The C++ project of a hardware design, as a file holds it: checked before anything of it is used."""

from __future__ import annotations

import dataclasses
import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terrace.errors import ArtifactError
from terrace.storage import manifest
from terrace.storage.artifact import Artifact

_MAX_FILES = 64
_MAX_BYTES = 256 << 20
"""Of all files together, unpacked. Weights that are kept on chip are text in one of them."""
_FILE = re.compile(r"[A-Za-z0-9_]{1,100}\.[a-z]{1,10}")
_PORT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What Python raises for archives that are none, or of kinds that it does not read."""

BINARY = "csim"
"""What the project is built to; no port can be called so."""


@dataclasses.dataclass(frozen=True)
class Port:
    """A file that the test bench reads or writes. `symbol` names the weight of one that has the role "weight"."""

    name: str
    role: str
    symbol: str
    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Project:
    """What to build, and what to give it. Neither names of files nor those of ports leave the folder they are in."""

    contents: bytes | memoryview
    ports: Sequence[Port]
    needs_ap_types: bool

    def unpack(self, folder: Path) -> None:
        """Write the files into an empty folder. Raises `ArtifactError` if one is damaged."""
        try:
            with _opened(self.contents) as archive:
                for info in archive.infolist():
                    (folder / info.filename).write_bytes(_read(archive, info))
        except _DAMAGE as error:
            raise ArtifactError(f"the project in the program is damaged ({error}); compile the model again") from error


def read_project(artifact: Artifact) -> Project:
    """The project of an artifact whose program is one. Raises `ArtifactError`; nothing is written or run."""
    try:
        with _opened(artifact.program) as archive:
            interface = manifest.parse(_read(archive, archive.getinfo("interface.json")))
        ports = [_port(data) for data in interface["ports"]]
        _check_ports(ports, artifact)
        return Project(artifact.program, ports, bool(interface["needs_ap_types"]))
    except (*_DAMAGE, KeyError, TypeError) as error:
        raise ArtifactError(f"the program is no C++ project of Terrace's ({error}); compile the model again") from error


def _opened(contents: bytes | memoryview) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(bytes(contents)))
    infos = archive.infolist()
    names = {info.filename for info in infos}
    if len(infos) > _MAX_FILES or len(names) != len(infos) or sum(info.file_size for info in infos) > _MAX_BYTES:
        raise ValueError("it has files of one name, too many of them, or too large ones")
    wrong = next((name for name in names if not _FILE.fullmatch(name)), None)
    if wrong is not None:
        raise ValueError(f"a file is called {wrong!r:.60}")
    return archive


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The contents of a file, which are no longer than the directory says, whatever the file does."""
    with archive.open(info) as file:
        contents = file.read(info.file_size + 1)
    if len(contents) != info.file_size:
        raise ValueError(f"{info.filename} is not as long as it should be")
    return contents


def _port(data: Mapping[str, Any]) -> Port:
    port = Port(
        manifest.text_of(data["name"]),
        manifest.text_of(data["role"]),
        manifest.text_of(data["symbol"]),
        manifest.dtype_of(data["dtype"]),
        manifest.shape_of(data["shape"]),
    )
    if not _PORT.fullmatch(port.name) or port.name == BINARY:
        raise ValueError(f"a port is called {port.name!r:.60}")
    if port.role not in ("input", "output", "weight"):
        raise ValueError(f"port {port.name} has the role {port.role!r:.60}")
    return port


def _check_ports(ports: Sequence[Port], artifact: Artifact) -> None:
    """Refuse ports that are not those of the model."""
    signature = artifact.entry().signature
    inputs = [leaf for leaf in signature.input_leaves if leaf.kind != "constant"]
    outputs = [leaf for leaf in signature.output_leaves if leaf.kind != "constant" and leaf.alias is None]
    counts = [sum(port.role == role for port in ports) for role in ("input", "output")]
    if counts != [len(inputs), len(outputs)]:
        raise ValueError(f"{counts[0]} inputs and {counts[1]} outputs are not those of the signature")
    if len({port.name for port in ports}) != len(ports):
        raise ValueError("two ports have one name")
    missing = [port.symbol for port in ports if port.role == "weight" and port.symbol not in artifact.parameters]
    if missing:
        raise ValueError(f"there is no weight {missing[0]!r:.60}")
