"""Files that somebody else wrote: what a crafted one can make of loading, reports and tools is an error, or nothing."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import iree.runtime as rt
import numpy as np
import pytest
import terrace
from terrace.errors import ArtifactError, TerraceError
from terrace.runtime.report import Report
from terrace.storage.artifact import Artifact, read_artifact, write_artifact
from terrace.tools.run import main as run_tool

OLD = Path(__file__).parent / "Inputs" / "format_1.terrace"
"""A convolution, a dense layer and a counter, written by the version before this test."""

X = np.linspace(-2, 2, 36, dtype=np.float32).reshape(1, 1, 6, 6)
Y = np.array([[-18.9951, 2.2946, 23.5842]], np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder: nothing may be written there but what a test writes, in `files`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    yield tmp_path
    assert os.listdir(tmp_path) == ["files"]


def rewritten(path: str, changed: Mapping[str, Any], source: Path = OLD) -> str:
    """The file with changes to its manifest, its checksums right."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            contents = old.read(info)
            if info.filename == "manifest.json":
                contents = json.dumps({**json.loads(contents), **changed}).encode()
            new.writestr(info.filename, contents)
    return path


def manifest() -> dict[str, Any]:
    with zipfile.ZipFile(OLD) as archive:
        found: dict[str, Any] = json.loads(archive.read("manifest.json"))
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The program
# ---------------------------------------------------------------------------------------------------------------------

INTERFACE: dict[str, Any] = {
    "ports": [
        {"name": "input0", "role": "input", "symbol": "", "dtype": "float32", "shape": [1, 1, 6, 6]},
        {"name": "output0", "role": "output", "symbol": "", "dtype": "float32", "shape": [1, 3]},
        {"name": "weight0", "role": "weight", "symbol": "w", "dtype": "uint8", "shape": [8]},
    ],
    "needs_ap_types": False,
}
TESTBENCH = '#include <fstream>\nint main() { std::ofstream("../../ran") << 1; return 3; }'


def project(interface: Any = INTERFACE, **files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        named = {"interface_json": json.dumps(interface), "model_cpp": "", "testbench_cpp": TESTBENCH, **files}
        for name, contents in named.items():
            archive.writestr(name.replace("_", "."), contents)
    return packed.getvalue()


def design(program: bytes, target: str = "hls") -> Artifact:
    return dataclasses.replace(
        read_artifact(OLD),
        program=program,
        program_name="program.zip",
        parameters={"w": np.arange(8, dtype=np.uint8)},
        target={"name": target},
        states=[],
        ir={"hls": "module {}"},
    )


def with_port(**fields: Any) -> Any:
    return {**INTERFACE, "ports": [*INTERFACE["ports"][:2], {**INTERFACE["ports"][2], **fields}]}


@pytest.mark.parametrize("target", ["cpu", "vulkan", "cuda", "unheard-of", ""])
@pytest.mark.parametrize("simulate", [False, True])
def test_a_project_is_for_hardware_only(target: str, simulate: bool) -> None:
    write_artifact("files/m.terrace", design(project(), target))
    with pytest.raises(ArtifactError, match=r"is program\.vmfb, and no other"):
        terrace.load("files/m.terrace", simulate=simulate)


def test_hardware_has_no_native_program() -> None:
    with pytest.raises(ArtifactError, match=r"is program\.zip, and no other"):
        terrace.load(rewritten("files/m.terrace", {"target": {"name": "hls"}}))


BAD_PROJECTS = {
    "absolute": project(with_port(name="/tmp/written")),
    "upwards": project(with_port(name="../written")),
    "empty": project(with_port(name="")),
    "flag": project(with_port(name="-o")),
    "the binary": project(with_port(name="csim")),
    "twice": project(with_port(name="input0")),
    "no text": project(with_port(name=3)),
    "role": project(with_port(role="else")),
    "symbol": project(with_port(symbol="none")),
    "dtype": project(with_port(dtype="object")),
    "shape": project(with_port(shape=[-1])),
    "large": project(with_port(shape=[1 << 40, 1 << 40])),
    "no ports": project({"ports": [], "needs_ap_types": False}),
    "no interface": project([]),
    "deep": project(json.loads("[" * 300 + "]" * 300)),
    "path": project(**{"../written_cpp": "x"}),
    "folder": project(**{"a/b_cpp": "x"}),
    "many": project(**{f"f{number}_h": "" for number in range(100)}),
    "bomb": project(bomb_h=" " * (257 << 20)),
    "no archive": b"what is this?",
    "nothing": b"",
}


@pytest.mark.parametrize("simulate", [False, True])
@pytest.mark.parametrize("name", BAD_PROJECTS)
def test_projects_are_looked_at_before_anything_is_written(name: str, simulate: bool) -> None:
    write_artifact("files/m.terrace", design(BAD_PROJECTS[name]))
    with pytest.raises(ArtifactError, match=r"no C\+\+ project"):
        terrace.load("files/m.terrace", simulate=simulate)


def test_a_file_that_unpacks_to_more_than_it_says() -> None:
    program = bytearray(project(bomb_h="x" * 1000))
    at = program.rindex(b"PK\1\2") + 24  # The size in the directory.
    program[at : at + 4] = (10).to_bytes(4, "little")
    write_artifact("files/m.terrace", design(bytes(program)))
    with pytest.raises(TerraceError):
        terrace.load("files/m.terrace", simulate=True)


def test_simulation_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """What builds and runs the file's C++ is the call of nobody who did not ask for it."""
    write_artifact("files/m.terrace", design(project()))
    model = terrace.load("files/m.terrace")
    assert model.ir("hls") == "module {}" and "MACs" in str(model.report()) and str(model)
    for use in (lambda: model(X), lambda: copy.deepcopy(model)(X), model.cosim):
        with pytest.raises(TerraceError, match=r"terrace\.load\(path, simulate=True\)"):
            use()
    assert run_tool(["files/m.terrace", "--random", "1"]) == 1
    assert "--simulate" in capsys.readouterr().err


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="needs a C++ compiler")
def test_simulation_runs_in_a_folder_of_its_own() -> None:
    write_artifact("files/m.terrace", design(project(testbench_cpp="int main() { return 3; }")))
    model = terrace.load("files/m.terrace", simulate=True)
    with pytest.raises(TerraceError, match="failed with exit code 3"):
        model(X)


# ---------------------------------------------------------------------------------------------------------------------
# The archive and the manifest
# ---------------------------------------------------------------------------------------------------------------------


def refused(path: str, match: str | None = None) -> None:
    with pytest.raises(ArtifactError, match=match):
        terrace.load(path)


def test_members_in_the_place_of_others() -> None:
    """The directory says where members are: two names for one place, and a member within another."""
    contents = bytearray(OLD.read_bytes())
    with zipfile.ZipFile(OLD) as archive:
        second = contents.index(b"PK\1\2", archive.start_dir + 4)
    # An entry ends with the offset of its header.
    end = contents.index(b"PK\1\2", second + 4)
    contents[end - 8 : end] = bytes(8)
    Path("files/m.terrace").write_bytes(contents)
    refused("files/m.terrace", "in the place of another")


def test_a_directory_that_is_larger_than_any() -> None:
    with zipfile.ZipFile("files/m.terrace", "w") as archive:
        for number in range(2000):
            archive.writestr(f"{number:030}", b"")
    refused("files/m.terrace", "its directory has")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "[" * 100_000 + "]" * 100_000, "[[[]]]" * 2])
def test_what_json_should_not_hold(text: str) -> None:
    with zipfile.ZipFile(OLD) as old, zipfile.ZipFile("files/m.terrace", "w") as new:
        for info in old.infolist():
            contents = old.read(info)
            if info.filename == "manifest.json":
                contents = contents.rstrip()[:-1] + f', "more": {text}}}'.encode()
            new.writestr(info.filename, contents)
    refused("files/m.terrace", r"manifest\.json is not one of Terrace's")


@pytest.mark.parametrize("depth", [90, 150])
def test_deep_signatures(depth: int) -> None:
    """What is read can also be walked through."""
    data = manifest()
    tree: dict[str, Any] = {"kind": "leaf"}
    for _ in range(depth):
        tree = {"kind": "tuple", "items": [tree]}
    data["signature"]["outputs"] = tree
    rewritten("files/m.terrace", {"signature": data["signature"]})
    if depth > 100:
        refused("files/m.terrace", "nests too deeply")
    else:
        assert terrace.load("files/m.terrace")(X)


@pytest.mark.parametrize("context", ["", "{", "[" * 60 + "]" * 60, "[" * 100_000 + "]" * 100_000])
def test_contexts_of_registered_objects(context: str) -> None:
    data = manifest()
    leaf = {"kind": "registered", "items": [{"kind": "leaf"}], "type_name": "os:system", "context": context}
    data["signature"]["inputs"]["items"][0]["items"] = [leaf]
    refused(rewritten("files/m.terrace", {"signature": data["signature"]}))


@pytest.mark.parametrize("shape", [[-1], [True], [2**63], [2**40, 2**40], [1] * 65, [1.0], "x", None, [0, 2**100]])
def test_shapes(shape: Any) -> None:
    data = manifest()
    data["signature"]["input_leaves"][0]["shape"] = shape
    if shape != "x":  # The name of a size.
        refused(rewritten("files/m.terrace", {"signature": data["signature"]}))
    states = [{**data["states"][0], "shape": shape}]
    refused(rewritten("files/m.terrace", {"states": states}))
    parameters = {name: {**info, "shape": shape} for name, info in data["parameters"].items()}
    refused(rewritten("files/m.terrace", {"parameters": parameters}))


@pytest.mark.parametrize("bounds", [[1], [1, 2, 3], "n", ["1", 2], [1, 2.5], [True, None], 3, None])
def test_ranges(bounds: Any) -> None:
    signature = manifest()["signature"]
    refused(rewritten("files/m.terrace", {"signature": {**signature, "ranges": {"n": bounds}}}))


@pytest.mark.parametrize("name", ["nothing", "state.reset", "", "a\nb", "__init", None])
def test_entries_that_are_not_there(name: str) -> None:
    """A function that the program lacks, or that takes something else, is told by the call."""
    rewritten("files/m.terrace", {"entry": name})
    with pytest.raises(TerraceError):
        terrace.load("files/m.terrace")(X)


@pytest.mark.parametrize("changed", [{"cpu_features": 1.5}, {"cpu_features": [1]}, {"arch": []}, {"name": 3}])
def test_targets(changed: dict[str, Any]) -> None:
    refused(rewritten("files/m.terrace", {"target": {**manifest()["target"], **changed}}))


def test_shapes_whose_product_wraps_around() -> None:
    parameters = {
        name: {**info, "shape": [*info["shape"], 2**32, 2**32]} for name, info in manifest()["parameters"].items()
    }
    refused(rewritten("files/m.terrace", {"parameters": parameters}))


HURTFUL: list[Any] = [
    None, True, -1, 0, 2**31, 2**64, 10**400, 1.5, "", "x", "../../etc", "\x1b[2J</script><script>alert(1)</script>",
    "9" * 5000, "input 99999", [], {}, [[]], [0], [2**40, 2**40], ["n"], {"kind": "tuple"}, "hls", "float32", "main",
]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in plain data with a key or position of it."""
    for key in list(value if isinstance(value, dict) else range(len(value))):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def test_manifests_with_anything_in_them() -> None:
    """Whatever a manifest says, it is refused by an error of ours, or all can be asked of the model."""
    generator = random.Random(7)
    outcomes = {"refused": 0, "loaded": 0}
    for _ in range(250):
        data = manifest()
        members = data.pop("members")
        for _ in range(generator.choice((1, 1, 3))):
            container, key = generator.choice(list(places(data)))
            container[key] = copy.deepcopy(generator.choice(HURTFUL))
        try:
            model = terrace.load(rewritten("files/m.terrace", {**data, "members": members}))
            page = model.report().to_html()
            shown = f"{model}\n{model.report()}"
            assert "<script>alert" not in page + model._repr_html_() and "\x1b" not in shown
            model.verify()
            model(X)
            outcomes["loaded"] += 1
        except TerraceError as error:
            assert "Traceback" not in str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, IndexError, NotImplementedError])
def test_what_iree_refuses(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """IREE verifies its bytecode when it loads it, and has several words for what it finds."""

    def refuse(*_: Any, **__: Any) -> None:
        raise kind("c/runtime/src/iree/vm/bytecode/verifier.c:1583: OUT_OF_RANGE; i32 register ordinal 255")

    monkeypatch.setattr(rt.VmModule, "from_buffer", refuse)
    with pytest.raises(ArtifactError, match="IREE cannot load the program"):
        terrace.load(OLD)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file(make: Callable[[str], None]) -> None:
    make("files/m.terrace")
    with pytest.raises(OSError, match=r"files/m\.terrace"):
        terrace.load("files/m.terrace")


# ---------------------------------------------------------------------------------------------------------------------
# What is good
# ---------------------------------------------------------------------------------------------------------------------


def test_a_file_of_the_version_before(capsys: pytest.CaptureFixture[str]) -> None:
    model = terrace.load(OLD, verify=True)
    np.testing.assert_allclose(model(X), Y, rtol=1e-4)
    np.testing.assert_allclose(model(X), Y + 1, rtol=1e-4)
    assert [layer["by"] for layer in model.report().layers].count("terrace") >= 2
    assert run_tool([str(OLD), "--random", "1", "--verify"]) == 0
    assert run_tool([str(OLD), "--signature"]) == 0
    assert "input args[0]: float32[1, 1, 6, 6]" in capsys.readouterr().out


def test_damaged_parameters_are_found_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    contents = bytearray(OLD.read_bytes())
    value = np.asarray(read_artifact(OLD).parameters["fc.weight.pack"])
    contents[contents.index(value.tobytes())] ^= 1
    Path("files/m.terrace").write_bytes(contents)
    model = terrace.load("files/m.terrace")
    with pytest.raises(ArtifactError, match="parameters are damaged"):
        model.verify()
    with pytest.raises(ArtifactError, match="parameters are damaged"):
        terrace.load("files/m.terrace", verify=True)
    assert run_tool(["files/m.terrace", "--random", "1", "--verify"]) == 1
    assert "parameters are damaged" in capsys.readouterr().err


BAD = '"><script>alert(1)</script><!--'
LAYER: dict[str, Any] = {
    "id": 0, "kernel": "k", "op": "add", "shape": [2], "calls": 1, "macs": 3, "bytes": 8, "read": 4, "written": 4,
    "weights": 0, "live": 8, "by": "terrace", "why": "so", "module": "m", "source": "f.py:1", "inputs": [],
}  # fmt: skip


@pytest.mark.parametrize("key", ["id", "kernel", "op", "shape", "by", "why", "module", "source", "inputs", "symbolic"])
def test_a_page_escapes_names(key: str) -> None:
    """A report made of anything, as no file is: each place by itself."""
    bad: Any = {"shape": [BAD], "inputs": [BAD], "symbolic": {"macs": [[1, BAD]]}}.get(key, BAD)
    changed = {**LAYER, key: bad, **({"macs": None} if key == "symbolic" else {})}
    rows = [changed, {**LAYER, "id": 1, "inputs": [str(changed["id"])]}]
    report = Report(rows, {"layers": rows, "outputs": [BAD, "1"]}, BAD, [BAD])
    page = report.to_html(title=BAD) + report._repr_html_()
    assert "<script>alert" not in page and "<!--" not in page.replace("<!DOCTYPE", "")
    assert "&lt;script&gt;alert(1)" in page


def test_a_table_has_no_control_characters() -> None:
    text = str(Report([{**LAYER, "kernel": "a\x1b[31m\x07\nb\u202ec"}]))
    assert "a[31mbc" in text and all(letter.isprintable() or letter == "\n" for letter in text)
