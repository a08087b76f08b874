"""The `.terrace` file: a program, its parameters, its IR at every level, and a manifest, in one file.

It is a ZIP archive of stored, aligned members (`unzip -l` lists it):

    program.vmfb                 what IREE runs, or program.zip, a C++ project
    ir/{graph,kernel,loop,iree}.mlir  the levels, as text
    parameters.irpa              an IREE parameter archive, page-aligned: used where it is mapped
    manifest.json                format version, signature, target, report, and size and checksum of the
    others

Reading maps the file and checks it; nothing in it is executed or unpickled. All failures are `ArtifactError`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from terrace.errors import ArtifactError
from terrace.files import new_files
from terrace.mapping import map_file
from terrace.parameter_archive import (
    ARCHIVE_MAGIC,
    MappedParameters,
    ParameterInfo,
    ParameterSource,
    read_declared,
    write_archive,
)
from terrace.signature import DTYPES, Signature
from terrace.stored_zip import Member, StoredZipWriter, read_members

FORMAT = "terrace-model"
FORMAT_VERSION = 1
LEVELS = ("graph", "kernel", "loop", "iree")
"""The levels of IR, from the model's ops down to what IREE compiles."""

HARDWARE_LEVEL = "hls"
"""What stands in the place of "iree" where the program is a hardware design."""

TEXTS = (*LEVELS, HARDWARE_LEVEL)
"""The levels whose texts an artifact may hold."""

PROGRAMS = ("program.vmfb", "program.zip")
"""The names that the member with the program may have: one that IREE runs, and a C++ project."""

_PAGE = 4096


@dataclasses.dataclass(frozen=True)
class State:
    """A mutable buffer of the program, reached by its functions `state.get.NAME` and `state.set.NAME`."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A compiled model as data.

    `parameters` are arrays, or functions that compute one when it is written or loaded. `target` describes
    what the program was compiled for; its "cpu_features" are those that a machine must have to run it.
    `report` has a row (a dict of plain data) per kernel, `layers` what `terrace.lowering.report.layer_graph` says.
    """

    signature: Signature
    program: bytes | memoryview
    parameters: Mapping[str, ParameterSource] = dataclasses.field(default_factory=dict)
    ir: Mapping[str, str] = dataclasses.field(default_factory=dict)
    target: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    report: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    layers: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    states: list[State] = dataclasses.field(default_factory=list)
    entry: str = "main"
    program_name: str = PROGRAMS[0]
    terrace_version: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.ir) - set(TEXTS))
        if unknown:
            raise ValueError(f"unknown IR levels {unknown}; expected some of {TEXTS}")
        if self.program_name not in PROGRAMS:
            raise ValueError(f"unknown program {self.program_name!r}; expected one of {PROGRAMS}")


def write_artifact(path: str | os.PathLike[str], artifact: Artifact) -> None:
    """Write `artifact` to `path`, all of it or nothing: a failure leaves a file of that name as it was.

    Parameters are evaluated and written one at a time, so that memory holds about one. The file is written
    beside `path` and renamed, so a process that has mapped the old file keeps the old contents. OSError
    passes through.
    """
    target = Path(path)
    with new_files(target.parent) as create:
        writer = StoredZipWriter(create(target.name))
        members = [writer.add_bytes(artifact.program_name, artifact.program, _PAGE)]
        for level in TEXTS:
            if level in artifact.ir:
                members.append(writer.add_bytes(f"ir/{level}.mlir", artifact.ir[level].encode()))
        infos: dict[str, ParameterInfo] = {}
        members.append(
            writer.add("parameters.irpa", lambda out: infos.update(write_archive(out, artifact.parameters)), _PAGE)
        )
        manifest = json.dumps(_manifest(artifact, infos, members), indent=1, allow_nan=False)
        writer.add_bytes("manifest.json", manifest.encode())
        writer.close()


def read_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Map the `.terrace` file at `path` and check it.

    Program and parameters are read-only views of the mapping, which lives as long as they do. Checked are the
    directory, sizes, and the checksums of all members but the parameters (reading gigabytes of weights at
    load would defeat mapping them: `verify_parameters` does it). Raises `ArtifactError`; OSError if the file
    cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            mapped = _map(file)
            members = read_members(file, mapped)
        manifest = _read_manifest(members, mapped)
        contents = _check_members(manifest, members, mapped)
        return _from_manifest(manifest, contents)
    except ArtifactError as error:
        raise ArtifactError(f"{os.fspath(path)}: {error}") from error


def verify_parameters(path: str | os.PathLike[str]) -> None:
    """Check the checksum of the parameters too, which reads all of them. Raises `ArtifactError`."""
    with open(path, "rb") as file:
        mapped = _map(file)
        member = read_members(file, mapped).get("parameters.irpa")
    if member is None or zlib.crc32(_view(mapped, member)) != member.crc:
        raise ArtifactError(f"{os.fspath(path)}: the parameters are damaged; get the file again, or compile again")


def read_parameters(
    path: str | os.PathLike[str], declared: Mapping[str, ParameterInfo]
) -> Mapping[str, ParameterSource]:
    """The parameters in a `.terrace` file or in an IREE parameter archive, mapped.

    An archive knows bytes only: shape and dtype of each of its entries are what `declared` says, and entries that it
    does not name are left out. Raises `ArtifactError`; OSError if the file cannot be opened.
    """
    with open(path, "rb") as file:
        is_archive = file.read(len(ARCHIVE_MAGIC)) == ARCHIVE_MAGIC
        view = _map(file) if is_archive else None
    if view is None:
        return read_artifact(path).parameters
    try:
        return read_declared(view, declared)
    except ArtifactError as error:
        raise ArtifactError(f"{os.fspath(path)}: {error}") from error


def _map(file: BinaryIO) -> memoryview:
    mapped = map_file(file)
    if not mapped:
        raise ArtifactError("the file is empty; get the file again, or compile and save the model again")
    return mapped


def _view(view: memoryview, member: Member) -> memoryview:
    return view[member.offset : member.offset + member.size]


def _manifest(artifact: Artifact, infos: Mapping[str, ParameterInfo], members: list[Member]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "terrace_version": artifact.terrace_version,
        "entry": artifact.entry,
        "signature": artifact.signature.to_json(),
        "target": dict(artifact.target),
        "states": [dataclasses.asdict(state) for state in artifact.states],
        "parameters": {name: dataclasses.asdict(info) for name, info in infos.items()},
        "report": artifact.report,
        "layers": dict(artifact.layers),
        "members": {member.name: {"size": member.size, "crc32": member.crc} for member in members},
    }


def _read_manifest(members: Mapping[str, Member], view: memoryview) -> dict[str, Any]:
    member = members.get("manifest.json")
    if member is None:
        raise ArtifactError("a ZIP file without manifest.json, so not a Terrace model; give a file that Terrace wrote")
    contents = bytes(_view(view, member))
    if zlib.crc32(contents) != member.crc:
        raise ArtifactError("manifest.json is damaged; get the file again, or compile and save the model again")
    try:
        manifest = json.loads(contents)
    except ValueError as error:
        raise ArtifactError(f"manifest.json is not JSON ({error}); give a file that Terrace wrote") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError("manifest.json does not describe a Terrace model; give a file that Terrace wrote")
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        writer = manifest.get("terrace_version") or "an unknown version"
        raise ArtifactError(
            f"the file has format version {version} (written by Terrace {writer}), this Terrace reads "
            f"{FORMAT_VERSION}; compile the model again with this version, or install that one"
        )
    return manifest


def _check_members(
    manifest: Mapping[str, Any], members: Mapping[str, Member], view: memoryview
) -> dict[str, memoryview]:
    """The contents of the members that the manifest lists, their sizes and checksums checked."""
    listed = manifest.get("members")
    has_program = isinstance(listed, dict) and any(name in listed for name in PROGRAMS)
    if not isinstance(listed, dict) or not has_program or "parameters.irpa" not in listed:
        raise ArtifactError("the manifest lists no program or parameters; compile and save the model again")
    contents: dict[str, memoryview] = {}
    for name, expected in listed.items():
        member = members.get(name)
        if member is None or expected != {"size": member.size, "crc32": member.crc}:
            raise ArtifactError(f"member {name!r} is missing or not what was written; get the file again")
        contents[name] = _view(view, member)
        if name != "parameters.irpa" and zlib.crc32(contents[name]) != member.crc:
            raise ArtifactError(f"member {name!r} is damaged; get the file again, or compile again")
    return contents


def _from_manifest(manifest: Mapping[str, Any], contents: Mapping[str, memoryview]) -> Artifact:
    try:
        infos = {
            str(name): ParameterInfo(_shape(info["shape"]), _dtype(info["dtype"]))
            for name, info in manifest["parameters"].items()
        }
        program_name = next(name for name in PROGRAMS if name in contents)
        levels = [level for level in TEXTS if f"ir/{level}.mlir" in contents]
        return Artifact(
            signature=Signature.from_json(manifest["signature"]),
            program=contents[program_name],
            program_name=program_name,
            parameters=MappedParameters(contents["parameters.irpa"], infos),
            ir={level: str(contents[f"ir/{level}.mlir"], "utf-8") for level in levels},
            target=dict(manifest["target"]),
            report=[dict(row) for row in manifest["report"]],
            layers=dict(manifest.get("layers", {})),
            states=[State(str(s["name"]), _shape(s["shape"]), _dtype(s["dtype"])) for s in manifest["states"]],
            entry=str(manifest["entry"]),
            terrace_version=str(manifest["terrace_version"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"the manifest is malformed ({error!r}); compile and save the model again") from error


def _shape(sizes: Any) -> tuple[int, ...]:
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise ValueError(f"a shape {sizes!r}")
    return tuple(sizes)


def _dtype(name: Any) -> str:
    if name not in DTYPES:
        raise ValueError(f"an element type {name!r}")
    return str(name)
