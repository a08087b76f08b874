"""`terrace-run`: arrays from files or a seed, results to files, times on stdout, one-line errors on stderr."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from runtime_programs import (
    SCALARS,
    aliases_artifact,
    compile_program,
    double_artifact,
    positional,
)
from terrace.signature import Leaf, Signature
from terrace.storage.artifact import Artifact, one_entry, write_artifact
from terrace.structure import Tree
from terrace.tools.run import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with some models."""
    monkeypatch.chdir(tmp_path)
    write_artifact("double.terrace", double_artifact())
    write_artifact("many.terrace", aliases_artifact())
    return tmp_path


def failure(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The message of a run that fails: one line, without a traceback."""
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("terrace-run: error: ")
    return error


def test_files_in_and_out(capsys: pytest.CaptureFixture[str]) -> None:
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save("x.npy", value)
    assert main(["double.terrace", "--input", "x.npy", "--output", "y.npy"]) == 0
    np.testing.assert_array_equal(np.load("y.npy"), 2 * value)
    told = capsys.readouterr()
    assert re.fullmatch(r"1 call: min [\d.]+ ms, median [\d.]+ ms, [\d.]+ calls/s\n", told.out)
    assert told.err == f"wrote y.npy: {Path('y.npy').stat().st_size} B\n"


def test_repeat_and_threads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["double.terrace", "--random", "1", "--repeat", "7", "--threads", "1"]) == 0
    assert capsys.readouterr().out.startswith("7 calls: min ")


def test_random_inputs_follow_seed_and_sizes() -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        arguments = ["--random", seed, "--size", "d0=4", "--output", f"{name}.npy"]
        assert main(["double.terrace", *arguments]) == 0
    first, same, other = np.load("a.npy"), np.load("b.npy"), np.load("c.npy")
    assert first.shape == (4, 1)
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_a_size_that_others_are_made_of() -> None:
    """By the name that the user gave the dimension."""
    artifact = double_artifact()
    leaves = [Leaf("tensor", ["2*batch", "length + 1"])]
    signature = dataclasses.replace(artifact.entry().signature, input_leaves=leaves, output_leaves=leaves, ranges={})
    write_artifact("linear.terrace", dataclasses.replace(artifact, entries=one_entry(signature)))
    sizes = ["--size", "batch=3", "--size", "length=4"]
    assert main(["linear.terrace", "--random", "1", *sizes, "--output", "y.npy"]) == 0
    assert np.load("y.npy").shape == (6, 5)


def test_sizes_that_nobody_chose_are_such_that_the_model_takes_them() -> None:
    artifact = double_artifact()
    leaves = [Leaf("tensor", ["2*half", "other"])]
    guards = [[">=", ["//", "2*half", 2], 2], ["==", ["%", "other", 3], 0]]
    signature = dataclasses.replace(
        artifact.entry().signature,
        input_leaves=leaves,
        output_leaves=leaves,
        ranges={"2*half": (2, None)},
        guards=guards,
    )
    write_artifact("guarded.terrace", dataclasses.replace(artifact, entries=one_entry(signature)))
    assert main(["guarded.terrace", "--random", "1", "--output", "y.npy"]) == 0
    assert np.load("y.npy").shape == (6, 3)
    assert main(["guarded.terrace", "--random", "1", "--size", "half=2", "--output", "y.npy"]) == 0
    assert np.load("y.npy").shape == (4, 3)


def test_many_outputs() -> None:
    assert main(["many.terrace", "--random", "1", "--output", "all.npz"]) == 0
    with np.load("all.npz") as found:
        assert found.files == [f"result[{index}]" for index in range(7)]
        assert found["result[2]"].shape == (16, 4)
    files = [f"{index}.npy" for index in range(7)]
    assert main(["many.terrace", "--random", "1", *(part for name in files for part in ("--output", name))]) == 0
    assert np.load("2.npy").shape == (16, 4)


def keyword_model() -> None:
    """double.terrace by keyword, beside a constant and a None that no one has to give."""
    artifact = double_artifact()
    inputs = Tree("dict", [Tree("leaf"), Tree("leaf"), Tree("none")], ["mode", "x", "mask"])
    leaves = [Leaf("constant", value="fast"), *artifact.entry().signature.input_leaves]
    outputs = Tree("dataclass", [Tree("leaf"), Tree("none")], ["logits", "hidden"], "not.imported:Output")
    signature = Signature(
        Tree("tuple", [Tree("tuple"), inputs]), leaves, outputs, artifact.entry().signature.output_leaves
    )
    write_artifact("keyword.terrace", dataclasses.replace(artifact, entries=one_entry(signature)))


@pytest.mark.parametrize("name", ["x.npy", "x=x.npy", "kwargs['x']=x.npy", "named.npz", "plain.npz", "x=plain.npz"])
def test_names(name: str) -> None:
    keyword_model()
    value = np.ones((2, 2), np.float32)
    np.save("x.npy", value)
    np.savez("named.npz", x=value)
    np.savez("plain.npz", value)
    assert main(["keyword.terrace", "--input", name, "--output", "y.npy"]) == 0
    np.testing.assert_array_equal(np.load("y.npy"), 2 * value)


def test_scalars_and_bfloat16() -> None:
    leaves = [Leaf("scalar", dtype=dtype) for dtype in ("bool", "int64", "float64")]
    write_artifact("scalars.terrace", Artifact(one_entry(positional(leaves, leaves)), compile_program(SCALARS)))
    np.savez("in.npz", np.array(True), np.array(4), np.array(0.5))
    assert main(["scalars.terrace", "--input", "in.npz", "--output", "out.npz"]) == 0
    with np.load("out.npz") as found:
        assert [found[name].item() for name in found.files] == [False, 5, 1.0]
    assert main(["scalars.terrace", "--random", "3"]) == 0
    write_artifact("brain.terrace", double_artifact(1, "bfloat16"))
    np.save("b.npy", np.array([1.5, 2], ml_dtypes.bfloat16))
    assert main(["brain.terrace", "--input", "b.npy", "--output", "c.npy"]) == 0
    assert np.load("c.npy").view(ml_dtypes.bfloat16).tolist() == [3, 4]


def test_signature(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["double.terrace", "--signature"]) == 0
    assert capsys.readouterr().out == "input args[0]: float32[d0, d1]\noutput result: float32[d0, d1]\n"


def test_failures(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", np.ones((2, 2)))
    Path("text.npy").write_text("hello")
    np.save("pickled.npy", np.array([{}]), allow_pickle=True)
    for arguments, message in (
        (["none.terrace"], "No such file"),
        (["text.npy"], "not a Terrace model"),
        (["double.terrace"], r"input args\[0\] \(float32\[d0, d1\]\) is not given; add --input"),
        (["double.terrace", "--input", "none.npy"], "none.npy"),
        (["double.terrace", "--input", "text.npy"], "text.npy: not an .npy or .npz file"),
        (["double.terrace", "--input", "pickled.npy"], "pickled.npy: not an .npy or .npz file of plain arrays"),
        (["double.terrace", "--input", "x.npy"], r"args\[0\]: expected float32\[d0, d1\], found float64"),
        (["double.terrace", "--input", "x.npy", "--input", "x.npy"], "takes only 1 arrays"),
        (["double.terrace", "--input", "y=x.npy"], r"no single input of that name; the inputs are args\[0\]"),
        (["double.terrace", "--random", "1", "--size", "n=3"], "dynamic sizes are d0, d1"),
        (["double.terrace", "--random", "1", "--threads", "1000"], "threads is 1000"),
        (["many.terrace", "--random", "1", "--output", "y.npy"], "1 --output files for 7 outputs"),
        (["double.terrace", "--random", "1", "--output", "no/folder/y.npy"], "no/folder"),
    ):
        captured = failure(capsys, arguments)
        assert re.search(message, captured), (arguments, captured)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--random", "x", "m"], ["m", "--repeat", "0"], ["m", "--size", "n"], ["m", "--size", "n=x"], ["m", "--what"]],
)
def test_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
