"""The `.terrace` file: a program, its parameters, its IR at every level, and a manifest, in one file.

It is a ZIP archive of stored, aligned members (`unzip -l` lists it):

    program.*                    what its target runs; `terrace.target.TARGETS` says how it is called
    ir/{graph,kernel,loop,...}.mlir  the levels, as text
    parameters.irpa              an IREE parameter archive, page-aligned: used where it is mapped
    manifest.json                format version, entries with signature and report, target, and size and checksum
    of the others

Reading maps the file and checks it; nothing in it is executed or unpickled, and nothing is written. All failures are
`ArtifactError`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from terrace.errors import ArtifactError, InputError
from terrace.levels import TEXTS
from terrace.signature import Signature
from terrace.storage import manifest as manifests
from terrace.storage.files import new_files, open_regular
from terrace.storage.mapped_file import map_file, read_file
from terrace.storage.parameter_archive import (
    ARCHIVE_MAGIC,
    MappedParameters,
    ParameterInfo,
    ParameterSource,
    read_declared,
    write_archive,
)
from terrace.storage.stored_zip import Member, StoredZipWriter, read_members
from terrace.target import TARGETS, registered_as
from terrace.texts import plain

FORMAT = "terrace-model"
FORMAT_VERSION = 2
"""Files of version 1 are read, too: they have one entry, whose parts stand in the manifest itself."""
PROGRAMS = tuple(dict.fromkeys(target.program for target in TARGETS.values()))
"""The names that the member with the program may have; IREE runs those of the first."""

_PAGE = 4096


@dataclasses.dataclass(frozen=True)
class State:
    """A mutable buffer of the program, reached by its functions `state.get.NAME` and `state.set.NAME`."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Entry:
    """A function of the program that is called from outside.

    `report` has a row (a dict of plain data) per kernel, `layers` what `terrace.compiler.layer_report` says.
    """

    signature: Signature
    report: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    layers: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def one_entry(signature: Signature, **fields: Any) -> dict[str, Entry]:
    """The entries of a model that has one."""
    return {"main": Entry(signature, **fields)}


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A compiled model as data.

    `entries` are by their names, at least one. `parameters` are arrays, or functions that compute one when it is
    written or loaded. `target` describes what the program was compiled for; its "cpu_features" are those that a machine
    must have to run it. `cache_key` is that of an entry of the compile cache, and empty in any other file.
    `is_from_file` says that it was read, and not made in this process.
    """

    entries: Mapping[str, Entry]
    program: bytes | memoryview
    parameters: Mapping[str, ParameterSource] = dataclasses.field(default_factory=dict)
    ir: Mapping[str, str] = dataclasses.field(default_factory=dict)
    target: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    states: list[State] = dataclasses.field(default_factory=list)
    program_name: str = PROGRAMS[0]
    terrace_version: str = ""
    cache_key: str = ""
    is_from_file: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.ir) - set(TEXTS))
        if unknown:
            raise ValueError(f"unknown IR levels {unknown}; expected some of {TEXTS}")
        if self.program_name not in PROGRAMS:
            raise ValueError(f"unknown program {self.program_name!r}; expected one of {PROGRAMS}")
        if not self.entries:
            raise ValueError("a model has at least one entry")

    def entry(self, name: str | None = None) -> Entry:
        """The entry of this name, or the only one. Raises InputError."""
        return self.entries[find_entry(self.entries, name)]

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all entries' reports."""
        return [row for entry in self.entries.values() for row in entry.report]


def find_entry(entries: Iterable[str], name: str | None) -> str:
    """The entry of this name, or the only one of a model that has these. Raises InputError."""
    names = list(entries)
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise InputError(f"the model has several entries; name one: {', '.join(names)}")
    if name not in names:
        raise InputError(f"the model has no entry {name!r}; it has {', '.join(names)}")
    return name


def write_artifact(path: str | os.PathLike[str], artifact: Artifact) -> None:
    """Write `artifact` to `path`, all of it or nothing: a failure leaves a file of that name as it was.

    Parameters are evaluated and written one at a time, so that memory holds about one. The file is written
    beside `path` and renamed, so a process that has mapped the old file keeps the old contents. OSError
    passes through.
    """
    target = Path(path)
    with new_files(target.parent) as create:
        _write(create(target.name), artifact)


def artifact_bytes(artifact: Artifact) -> bytes:
    """What `write_artifact` would write."""
    file = io.BytesIO()
    _write(file, artifact)
    return file.getvalue()


def _write(file: BinaryIO, artifact: Artifact) -> None:
    writer = StoredZipWriter(file)
    members = [writer.add_bytes(artifact.program_name, artifact.program, _PAGE)]
    for level in TEXTS:
        if level in artifact.ir:
            members.append(writer.add_bytes(f"ir/{level}.mlir", artifact.ir[level].encode()))
    infos: dict[str, ParameterInfo] = {}
    members.append(
        writer.add("parameters.irpa", lambda out: infos.update(write_archive(out, artifact.parameters)), _PAGE)
    )
    manifest = json.dumps(_manifest(artifact, infos, members), indent=1, allow_nan=False).encode()
    if len(manifest) > manifests.MAX_BYTES:
        raise ArtifactError(f"the model's manifest would have {len(manifest)} bytes, more than can be read again")
    writer.add_bytes("manifest.json", manifest)
    writer.close()


def read_artifact(path: str | os.PathLike[str], *, in_memory: bool = False) -> Artifact:
    """Map the `.terrace` file at `path` and check it; `in_memory`, read it instead.

    Program and parameters are read-only views of that memory, which lives as long as they do. Checked are the
    directory, sizes, the checksums of all members but the parameters (reading gigabytes of weights at load would
    defeat mapping them: `verify_parameters` does it), the types of all that the manifest says, and that the program
    is one for its target. Raises `ArtifactError`; OSError if the file cannot be opened, or is none.
    """
    try:
        with open_regular(path) as file:
            return _read(file, _view_of(file, in_memory))
    except ArtifactError as error:
        raise ArtifactError(f"{os.fspath(path)}: {error}") from error


def artifact_of_bytes(contents: bytes) -> Artifact:
    """`read_artifact` for what `artifact_bytes` gave; the contents are copied, to where a page begins."""
    if not contents:
        raise ArtifactError("there is nothing in the place of a model")
    file = io.BytesIO(contents)
    return _read(file, read_file(file, len(contents)))


def _read(file: BinaryIO, view: memoryview) -> Artifact:
    members = read_members(file, view)
    manifest = _read_manifest(members, view)
    return _from_manifest(manifest, _check_members(manifest, members, view))


def verify_parameters(path: str | os.PathLike[str]) -> None:
    """Check the checksum of the parameters too, which reads all of them. Raises `ArtifactError`."""
    try:
        verify_archive(read_artifact(path))
    except ArtifactError as error:
        raise ArtifactError(f"{os.fspath(path)}: {error}") from error


def verify_archive(artifact: Artifact) -> None:
    """`verify_parameters` for an artifact that was read; one that was not has nothing to check."""
    parameters = artifact.parameters
    if isinstance(parameters, MappedParameters) and zlib.crc32(parameters.archive) != parameters.checksum:
        raise ArtifactError("the parameters are damaged; get the file again, or compile again")


def read_parameters(
    path: str | os.PathLike[str], declared: Mapping[str, ParameterInfo]
) -> Mapping[str, ParameterSource]:
    """The parameters in a `.terrace` file or in an IREE parameter archive, mapped.

    An archive knows bytes only: shape and dtype of each of its entries are what `declared` says, and entries that it
    does not name are left out. Raises `ArtifactError`; OSError if the file cannot be opened.
    """
    with open_regular(path) as file:
        is_archive = file.read(len(ARCHIVE_MAGIC)) == ARCHIVE_MAGIC
        view = _view_of(file) if is_archive else None
    if view is None:
        return read_artifact(path).parameters
    try:
        return read_declared(view, declared)
    except ArtifactError as error:
        raise ArtifactError(f"{os.fspath(path)}: {error}") from error


def _view_of(file: BinaryIO, in_memory: bool = False) -> memoryview:
    view = read_file(file, os.fstat(file.fileno()).st_size) if in_memory else map_file(file)
    if not view:
        raise ArtifactError("the file is empty; get the file again, or compile and save the model again")
    return view


def _view(view: memoryview, member: Member) -> memoryview:
    return view[member.offset : member.offset + member.size]


def _entry_manifest(entry: Entry) -> dict[str, Any]:
    return {"signature": entry.signature.to_json(), "report": entry.report, "layers": dict(entry.layers)}


def _manifest(artifact: Artifact, infos: Mapping[str, ParameterInfo], members: list[Member]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "terrace_version": artifact.terrace_version,
        "entries": {name: _entry_manifest(entry) for name, entry in artifact.entries.items()},
        "target": dict(artifact.target),
        "states": [dataclasses.asdict(state) for state in artifact.states],
        "parameters": {name: dataclasses.asdict(info) for name, info in infos.items()},
        "members": {member.name: {"size": member.size, "crc32": member.crc} for member in members},
        **({"cache_key": artifact.cache_key} if artifact.cache_key else {}),
    }


def _read_manifest(members: Mapping[str, Member], view: memoryview) -> dict[str, Any]:
    member = members.get("manifest.json")
    if member is None:
        raise ArtifactError("a ZIP file without manifest.json, so not a Terrace model; give a file that Terrace wrote")
    contents = _view(view, member)
    if zlib.crc32(contents) != member.crc:
        raise ArtifactError("manifest.json is damaged; get the file again, or compile and save the model again")
    try:
        manifest = manifests.parse(contents)
    except ValueError as error:
        raise ArtifactError(
            f"manifest.json is not one of Terrace's ({error}); give a file that Terrace wrote"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError("manifest.json does not describe a Terrace model; give a file that Terrace wrote")
    version = manifest.get("format_version")
    if version == 1:
        one = {key: manifest.get(key) for key in ("signature", "report")}
        manifest["entries"] = {manifest.get("entry"): {**one, "layers": manifest.get("layers", {})}}
    elif version != FORMAT_VERSION:
        writer = str(manifest.get("terrace_version") or "an unknown version")
        raise ArtifactError(
            f"the file has format version {version!r:.20} (written by Terrace {plain(writer):.20}), this Terrace reads "
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
            name: ParameterInfo(manifests.shape_of(info["shape"]), manifests.dtype_of(info["dtype"]))
            for name, info in manifest["parameters"].items()
        }
        entries = {manifests.name_of(name): _entry(data) for name, data in manifest["entries"].items()}
        target = manifests.target_of(manifest["target"])
        program_name = _program_name(contents, target)
        checksum = manifest["members"]["parameters.irpa"]["crc32"]
        levels = [level for level in TEXTS if f"ir/{level}.mlir" in contents]
        return Artifact(
            entries=entries,
            program=contents[program_name],
            program_name=program_name,
            parameters=MappedParameters(contents["parameters.irpa"], infos, checksum),
            ir={level: str(contents[f"ir/{level}.mlir"], "utf-8") for level in levels},
            target=target,
            states=[_state(state) for state in manifest["states"]],
            terrace_version=manifests.text_of(manifest["terrace_version"]),
            cache_key=manifests.text_of(manifest.get("cache_key", "")),
            is_from_file=True,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"the manifest is malformed ({error!r:.200}); compile and save the model again") from error


def _entry(data: Mapping[str, Any]) -> Entry:
    signature = Signature.from_json(data["signature"])
    for leaf in (*signature.input_leaves, *signature.output_leaves):
        manifests.check_leaf_shape(leaf.shape)
    return Entry(signature, manifests.rows_of(data["report"]), manifests.layers_of(data["layers"]))


def _program_name(contents: Mapping[str, memoryview], target: Mapping[str, Any]) -> str:
    """The member with the program, which must be of the kind that its target runs."""
    name = registered_as(target).program
    if any(other in contents for other in PROGRAMS if other != name) or name not in contents:
        raise ValueError(f"the program of a model for {target.get('name')!r} is {name}, and no other")
    return name


def _state(data: Mapping[str, Any]) -> State:
    return State(manifests.text_of(data["name"]), manifests.shape_of(data["shape"]), manifests.dtype_of(data["dtype"]))
