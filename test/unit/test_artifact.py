"""The `.terrace` file: written whole or not at all, mapped when read, refused when it is not what was written."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import iree.runtime as rt
import ml_dtypes
import numpy as np
import pytest
import terrace.storage.artifact
from runtime_programs import positional, tensor
from terrace.artifact import read_artifact, write_artifact
from terrace.errors import ArtifactError
from terrace.storage.artifact import Artifact, State, one_entry, verify_parameters
from terrace.storage.parameter_archive import MappedParameters

PARAMETERS = {
    "weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "transposed": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "half": np.array([1.5, -2], np.float16),
    "brain": np.array([1.5, -2], ml_dtypes.bfloat16),
    "flags": np.array([True, False, True]),
    "zero-d": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "Größe": np.array([1, 2], np.uint8),
}


ENTRY = {"signature": positional([], []).to_json(), "report": [], "layers": {}}


def small_artifact(**fields: Any) -> Artifact:
    """An artifact that no one runs."""
    values: dict[str, Any] = {
        "entries": one_entry(
            positional([tensor(["n", 3])], [tensor(["n"])], n=[0, None]), report=[{"kernel": "k0", "macs": 3}]
        ),
        "program": b"not a program" * 100,
        "parameters": PARAMETERS,
        "ir": {"graph": "module {}\n", "iree": "// größer\n"},
        "target": {"name": "cpu", "cpu_features": ["avx2"]},
        "states": [State("cache", (2, 3), "float32")],
        "terrace_version": "0.1.0",
    }
    return Artifact(**{**values, **fields})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A written artifact."""
    target = tmp_path / "model.terrace"
    write_artifact(target, small_artifact())
    return target


def test_round_trip(path: Path) -> None:
    written, found = small_artifact(), read_artifact(path)
    for field in dataclasses.fields(Artifact):
        if field.name not in ("parameters", "program", "is_from_file"):
            assert getattr(found, field.name) == getattr(written, field.name), field.name
    assert bytes(found.program) == written.program
    assert list(found.parameters) == list(PARAMETERS)
    for name, value in PARAMETERS.items():
        read = found.parameters[name]
        assert isinstance(read, np.ndarray)
        assert read.dtype == value.dtype and read.shape == value.shape
        np.testing.assert_array_equal(read, value)
        assert not read.flags.writeable
    verify_parameters(path)


def test_the_same_artifact_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.terrace"
    write_artifact(again, read_artifact(path))
    assert again.read_bytes() == path.read_bytes()


def test_other_tools_read_it(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "program.vmfb",
            "ir/graph.mlir",
            "ir/iree.mlir",
            "parameters.irpa",
            "manifest.json",
        ]
    listing = subprocess.run(["python3", "-m", "zipfile", "-l", str(path)], check=True, capture_output=True, text=True)
    assert "parameters.irpa" in listing.stdout


def test_iree_reads_the_archive(path: Path) -> None:
    parameters = read_artifact(path).parameters
    assert isinstance(parameters, MappedParameters)
    index = rt.ParameterIndex()
    index.load_from_file_handle(rt.FileHandle.wrap_memory(parameters.archive), "irpa")
    entries = dict(index.items())
    assert list(entries) == list(PARAMETERS)
    for name, value in PARAMETERS.items():
        if value.size:
            assert bytes(entries[name].file_view) == value.tobytes(), name


def test_parameters_are_aligned_views_of_the_file(path: Path) -> None:
    artifact = read_artifact(path)
    assert isinstance(artifact.parameters, MappedParameters)
    archive = np.frombuffer(artifact.parameters.archive, np.uint8)
    program = np.frombuffer(artifact.program, np.uint8)
    assert archive.ctypes.data % 4096 == 0 and program.ctypes.data % 4096 == 0
    for value in artifact.parameters.values():
        assert isinstance(value, np.ndarray)
        if value.size:
            assert value.ctypes.data % 64 == 0
            assert np.shares_memory(value, archive)


def test_parameters_are_made_one_at_a_time(tmp_path: Path) -> None:
    alive: set[int] = set()
    most = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            alive.discard(id(self))

    def make(index: int) -> np.ndarray:
        nonlocal most
        value = np.full(1000, index, np.float32).view(Counted)
        alive.add(id(value))
        most = max(most, len(alive))
        return value

    sources = {f"p{index}": lambda index=index: make(index) for index in range(5)}
    write_artifact(tmp_path / "m.terrace", small_artifact(parameters=sources))
    # ascontiguousarray keeps the one being written; the next is made after it is dropped.
    assert most <= 2
    assert read_artifact(tmp_path / "m.terrace").parameters["p4"][0] == 4  # type: ignore[index]


@pytest.mark.parametrize("existing", [False, True])
def test_a_failing_write_leaves_what_was_there(tmp_path: Path, existing: bool) -> None:
    target = tmp_path / "model.terrace"
    if existing:
        target.write_bytes(b"before")

    def explode() -> np.ndarray:
        raise MemoryError("no room")

    with pytest.raises(MemoryError):
        write_artifact(target, small_artifact(parameters={"a": PARAMETERS["weight"], "b": explode}))
    assert [file.name for file in tmp_path.iterdir()] == (["model.terrace"] if existing else [])
    assert not existing or target.read_bytes() == b"before"


def test_a_failing_rename_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(terrace.storage.artifact.os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_artifact(tmp_path / "model.terrace", small_artifact())
    assert list(tmp_path.iterdir()) == []


def test_a_parameter_of_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="parameter 'p' has element type object"):
        write_artifact(tmp_path / "m.terrace", small_artifact(parameters={"p": np.array([{}])}))


def test_the_old_mapping_survives_a_new_file(path: Path) -> None:
    artifact = read_artifact(path)
    write_artifact(path, small_artifact(parameters={}))
    np.testing.assert_array_equal(artifact.parameters["weight"], PARAMETERS["weight"])  # type: ignore[arg-type]
    assert list(read_artifact(path).parameters) == []


def test_every_truncation_is_refused(path: Path, tmp_path: Path) -> None:
    contents = path.read_bytes()
    cut_file = tmp_path / "cut.terrace"
    cuts = [*range(0, len(contents), 97), *range(len(contents) - 120, len(contents))]
    for cut in cuts:
        cut_file.write_bytes(contents[:cut])
        with pytest.raises(ArtifactError, match=r"cut\.terrace: .*again"):
            read_artifact(cut_file)


def test_damage_is_refused_or_harmless(path: Path, tmp_path: Path) -> None:
    """Any one byte changed: an ArtifactError, or everything that is checked reads as before."""
    contents = path.read_bytes()
    reference = read_artifact(path)
    damaged = tmp_path / "damaged.terrace"
    generator = random.Random(1)
    refused = 0
    for _ in range(400):
        at = generator.randrange(len(contents))
        changed = bytearray(contents)
        changed[at] ^= generator.randrange(1, 256)
        damaged.write_bytes(changed)
        try:
            found = read_artifact(damaged)
        except ArtifactError:
            refused += 1
            continue
        assert bytes(found.program) == bytes(reference.program)
        assert found.entries == reference.entries and found.ir == reference.ir
    # Most of this small file is padding, which means nothing.
    assert refused > 50


def test_damaged_parameters_are_found_when_asked(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("parameters.irpa")
    at = contents.index(PARAMETERS["weight"].tobytes(), info.header_offset)
    contents[at] ^= 1
    path.write_bytes(contents)
    read_artifact(path)
    with pytest.raises(ArtifactError, match="parameters are damaged"):
        verify_parameters(path)


@pytest.mark.parametrize("contents", [b"", b"hello", b"\x7fELF" + bytes(1000), b"PK\3\4" + bytes(1000)])
def test_foreign_files_are_refused(tmp_path: Path, contents: bytes) -> None:
    file = tmp_path / "foreign"
    file.write_bytes(contents)
    with pytest.raises(ArtifactError, match="foreign: "):
        read_artifact(file)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_artifact(tmp_path / "none.terrace")


def test_foreign_zips_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "foreign.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.txt", "hello")
    with pytest.raises(ArtifactError, match=r"without manifest\.json"):
        read_artifact(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", "[1, 2]")
    with pytest.raises(ArtifactError, match="does not describe a Terrace model"):
        read_artifact(file)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", "{}" * 100)
    with pytest.raises(ArtifactError, match="compressed"):
        read_artifact(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 3, "terrace_version": "9.1"}, r"format version 3 \(written by Terrace 9\.1\)"),
        ({"format_version": None}, "format version None"),
        ({"format": "other"}, "does not describe"),
        ({"members": {}}, "lists no program"),
        ({"members": {"program.vmfb": {}, "parameters.irpa": {}}}, "not what was written"),
        ({"parameters": {}}, "not those that its manifest lists"),
        ({"parameters": {"x": {"shape": [3], "dtype": "object"}}}, "malformed"),
        ({"states": [{"name": "x", "shape": [-3], "dtype": "float32"}]}, "malformed"),
        ({"entries": {}}, "malformed"),
        ({"entries": {"main": {"report": [], "layers": {}}}}, "malformed"),
        ({"entries": {"main": {**ENTRY, "signature": {}}}}, "malformed"),
        ({"entries": {"main": {**ENTRY, "report": [3]}}}, "malformed"),
        ({"entries": [ENTRY]}, "malformed"),
        ({"target": 3}, "malformed"),
    ],
)
def test_manifests_are_checked(path: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    changed = tmp_path / "changed.terrace"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for info in old.infolist():
            contents = old.read(info)
            if info.filename == "manifest.json":
                contents = json.dumps({**json.loads(contents), **change}).encode()
            new.writestr(info.filename, contents)
    with pytest.raises(ArtifactError, match=message):
        read_artifact(changed)
