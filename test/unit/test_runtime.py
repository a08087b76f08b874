"""Running compiled models: memory and who owns it, state, refusals. Programs are written by hand."""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import terrace
import torch
from runtime_programs import (
    BIG,
    SCALARS,
    aliases_artifact,
    aligned,
    compile_program,
    double_artifact,
    lookup_artifact,
    positional,
    run_python,
    state_artifact,
    tensor,
)
from terrace.errors import ArtifactError, InputError, TerraceError
from terrace.runtime.buffers import import_array
from terrace.runtime.device import cpu_device
from terrace.runtime.model import CompiledModel
from terrace.runtime.report import Report
from terrace.signature import DTYPES, Leaf, Signature
from terrace.storage.artifact import Artifact, State, one_entry, write_artifact
from terrace.structure import Tree

# What comes in


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 13), (64, 64), (3, 0), (1, 1000)])
def test_shapes_that_hurt(shape: tuple[int, int]) -> None:
    model = CompiledModel(double_artifact())
    value = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    result = model(value)
    assert result.shape == shape
    np.testing.assert_array_equal(result, 2 * value)


@pytest.mark.parametrize("rank", [0, 1, 4])
def test_ranks(rank: int) -> None:
    value = np.full((2,) * rank, 1.5, np.float32)
    result = CompiledModel(double_artifact(rank))(value)
    assert isinstance(result, np.ndarray) and result.shape == value.shape
    np.testing.assert_array_equal(result, 2 * value)


BASE = np.arange(24, dtype=np.float32).reshape(4, 6)
LAYOUTS: dict[str, Callable[[], np.ndarray]] = {
    "transposed": lambda: BASE.T,
    "negative strides": lambda: BASE[::-1, ::-2],
    "strided": lambda: BASE[::2, 1::2],
    "broadcast": lambda: np.broadcast_to(np.float32(3), (4, 6)),
    "unaligned": lambda: np.frombuffer(b"\0" + BASE.tobytes(), np.float32, 24, 1).reshape(4, 6),
    "off by 4": lambda: aligned([25])[1:].reshape(4, 6),
    "fortran": lambda: np.asfortranarray(BASE),
    "subclass": lambda: np.ma.masked_array(BASE),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout(layout: str) -> None:
    value = LAYOUTS[layout]()
    np.testing.assert_array_equal(CompiledModel(double_artifact())(value), 2 * np.asarray(value))


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if not dtype.startswith("float8")])
def test_dtypes(dtype: str) -> None:
    """But for float8, in which nothing is added (`test_types.py`)."""
    numpy_dtype = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    value = np.array([0, 1, 0, 3]).astype(numpy_dtype)
    expected = np.zeros(4, bool) if dtype == "bool" else value + value
    model = CompiledModel(double_artifact(1, dtype))
    result = model(value)
    assert result.dtype == numpy_dtype
    np.testing.assert_array_equal(result, expected)
    tensor_type = getattr(torch, dtype)
    found = model(torch.tensor([0, 1, 0, 3]).to(tensor_type))
    assert found.dtype == tensor_type
    assert found.tolist() == expected.tolist()


def test_aligned_memory_is_borrowed_and_other_copied() -> None:
    device = cpu_device()
    value = aligned([64])
    assert not import_array(device, value).is_copy
    value.flags.writeable = False
    assert not import_array(device, value).is_copy
    assert not import_array(device, torch.zeros(1000).numpy()).is_copy
    for copied in (aligned([65])[1:], aligned([64])[::2], aligned([64])[:0]):
        assert import_array(device, copied).is_copy


def test_a_read_only_input_works() -> None:
    value = aligned([4, 4])
    value[:] = 3
    value.flags.writeable = False
    np.testing.assert_array_equal(CompiledModel(double_artifact())(value), np.full((4, 4), 6))


def test_inputs_are_not_kept_and_may_change_after_the_call() -> None:
    model = CompiledModel(aliases_artifact())
    value = aligned([4, 16])
    before = sys.getrefcount(value)
    results = model(value)
    copies = [result.copy() for result in results]
    assert sys.getrefcount(value) == before
    value[:] = 77
    for result, copy in zip(results, copies, strict=True):
        np.testing.assert_array_equal(result, copy)


# What comes out


def test_results_share_no_memory() -> None:
    model = CompiledModel(aliases_artifact())
    value = aligned([4, 16])
    value[:] = 1
    results = model(value)
    for index, result in enumerate(results):
        assert not np.shares_memory(result, value)
        assert not any(np.shares_memory(result, other) for other in results[:index])
        # Writing to a result changes neither the input nor what a later call gives.
        result[:] = -1
    assert (value == 1).all()
    firsts = [result.flat[0] for result in model(value)]
    assert firsts == [1, 3, 3, 2, 2, 1, 1]


def test_a_value_that_eager_returns_twice_is_one_tensor() -> None:
    artifact = aliases_artifact()
    signature = artifact.entry().signature
    leaves = [*signature.output_leaves, dataclasses.replace(signature.output_leaves[3], alias=3)]
    tree = Tree("list", [Tree("leaf")] * len(leaves))
    signature = dataclasses.replace(signature, outputs=tree, output_leaves=leaves)
    results = CompiledModel(dataclasses.replace(artifact, entries=one_entry(signature)))(torch.ones(4, 16))
    assert results[7] is results[3]


def test_results_outlive_the_model_and_later_calls() -> None:
    model = CompiledModel(double_artifact())
    kept = [model(np.full((5, 5), index, np.float32)) for index in range(20)]
    del model
    gc.collect()
    noise = [np.random.default_rng(0).standard_normal((5, 5)) for _ in range(200)]
    assert len(noise) == 200
    for index, result in enumerate(kept):
        assert (result == 2 * index).all()


def test_a_result_may_be_the_last_thing_at_exit(tmp_path: Path) -> None:
    """IREE's buffers crash when they go after their device: at exit, the order is anyone's."""
    path = tmp_path / "m.terrace"
    write_artifact(path, double_artifact())
    code = """
import sys, numpy, terrace
model = terrace.load(sys.argv[1])
result = model(numpy.ones((2, 2), numpy.float32))
cycle = [result, model]; cycle.append(cycle)
views = [model(result)[0] for _ in range(3)]
print(result.sum())
"""
    assert run_python(code, str(path)) == "8.0\n"


def test_constants_none_and_structure() -> None:
    artifact = double_artifact(1)
    leaf = artifact.entry().signature.input_leaves[0]
    signature = Signature(
        Tree(
            "tuple", [Tree("tuple"), Tree("dict", [Tree("leaf"), Tree("leaf"), Tree("none")], ["scale", "x", "mask"])]
        ),
        [Leaf("constant", value=2), leaf],
        Tree("dict", [Tree("list", [Tree("leaf"), Tree("leaf")]), Tree("none")], ["out", "loss"]),
        [Leaf("constant", value="mode"), leaf],
    )
    model = CompiledModel(dataclasses.replace(artifact, entries=one_entry(signature)))
    result = model(x=np.ones(3, np.float32), mask=None, scale=2)
    assert list(result) == ["out", "loss"] and result["loss"] is None
    assert result["out"][0] == "mode"
    np.testing.assert_array_equal(result["out"][1], [2, 2, 2])


def test_scalars() -> None:
    leaves = [Leaf("scalar", dtype=dtype) for dtype in ("bool", "int64", "float64")]
    model = CompiledModel(Artifact(one_entry(positional(leaves, leaves)), compile_program(SCALARS)))
    assert model(True, 2**62, 1.0000000001) == (False, 2**62 + 1, 2.0000000002)
    result = model(False, -5, 3)
    assert result == (True, -4, 6.0) and [type(value) for value in result] == [bool, int, float]


# Torch and NumPy


def test_torch_gives_torch_and_numpy_gives_numpy() -> None:
    model = CompiledModel(double_artifact())
    assert isinstance(model(np.ones((2, 2), np.float32)), np.ndarray)
    result = model(torch.ones(2, 2))
    assert isinstance(result, torch.Tensor) and result.tolist() == [[2, 2], [2, 2]]


def test_torch_tensors_of_all_kinds() -> None:
    model = CompiledModel(double_artifact())
    value = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(model(value.T), 2 * value.T)
    needs_gradient = value.clone().requires_grad_()
    result = model(needs_gradient)
    assert torch.equal(result, 2 * value) and not result.requires_grad
    assert torch.equal(model(torch.nn.Parameter(value)), 2 * value)
    assert model(torch.ones(0, 3)).shape == (0, 3)


def test_tensors_that_are_not_on_the_cpu_are_refused() -> None:
    model = CompiledModel(double_artifact())
    with pytest.raises(
        InputError, match=r"args\[0\]: expected a tensor on the CPU, found one on meta, which has no values"
    ):
        model(torch.ones(2, 2, device="meta"))
    with pytest.raises(InputError, match="to_dense"):
        model(torch.ones(2, 2).to_sparse())
    with pytest.raises(InputError, match="found a nested tensor; pass a padded one"):
        model(torch.nested.nested_tensor([torch.ones(2)] * 2, layout=torch.jagged))
    with torch._subclasses.FakeTensorMode(), pytest.raises(InputError, match="found FakeTensor"):
        model(torch.ones(2, 2))


@pytest.mark.parametrize("value", [3, [[1.0]], np.ones((2, 2)), np.ones(2, np.float32), None, "x"])
def test_wrong_inputs_are_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"args\[0\]: expected"):
        CompiledModel(double_artifact())(value)


# State


def test_state_is_kept_set_and_reset() -> None:
    model = CompiledModel(state_artifact())
    one = np.ones(4, np.float32)
    kept = [model(one * index, index) for index in range(1, 4)]
    # Results of earlier calls stay what they were: state changes in place below them.
    assert [count[0] for count, _ in kept] == [1, 3, 6]
    assert [cache[:, 0].tolist() for _, cache in kept] == [
        [0, 1, 0, 0, 0, 0, 0, 0],
        [0, 1, 2, 0, 0, 0, 0, 0],
        [0, 1, 2, 3, 0, 0, 0, 0],
    ]
    state = model.state()
    assert list(state) == ["count", "cache"]
    assert state["count"].tolist() == [6] * 4
    state["count"][:] = 99
    assert model.state()["count"].tolist() == [6] * 4
    model.reset()
    assert not any(value.any() for value in model.state().values())


def test_loaded_state_is_a_copy() -> None:
    model = CompiledModel(state_artifact())
    count, cache = aligned([4]), torch.ones(8, 4)
    count[:] = 10
    model.load_state({"count": count, "cache": cache})
    count[:], cache[:] = -1, -1
    total, written = model(np.ones(4, np.float32), 0)
    assert total.tolist() == [11] * 4 and (written == 1).all()
    assert (count == -1).all() and (cache == -1).all()
    # A name that is not given keeps its value.
    model.load_state({"cache": np.zeros((8, 4), np.float32)})
    assert model.state()["count"].tolist() == [11] * 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"other": np.zeros(4)}, "no state named 'other'; the model's state: count, cache"),
        ({"count": np.zeros(3, np.float32)}, r"state\['count'\]: expected float32\[4\], found float32\[3\]"),
        ({"count": np.zeros(4)}, r"found float64\[4\]"),
    ],
)
def test_wrong_state_is_refused_whole(values: dict[str, Any], message: str) -> None:
    model = CompiledModel(state_artifact())
    with pytest.raises(InputError, match=message):
        model.load_state({"cache": np.ones((8, 4), np.float32), **values})
    assert not model.state()["cache"].any()


def test_models_do_not_share_state() -> None:
    artifact = state_artifact()
    first, second = CompiledModel(artifact), CompiledModel(artifact)
    first(np.ones(4, np.float32), 0)
    assert first.state()["count"].any() and not second.state()["count"].any()


# Parameters


def resident(code: str, path: Path) -> int:
    """KiB of private memory that a run of `code` on a model adds, in a fresh process."""
    program = f"""
import sys, numpy, terrace, re
import terrace.runtime.model
def private():
    text = open("/proc/self/smaps_rollup").read()
    return sum(int(n) for n in re.findall(r"Private_Dirty: *(\\d+)", text))
other = terrace.load(sys.argv[1])  # What models share, such as the device, is not what is measured.
before = private()
model = terrace.load(sys.argv[1])
{code}
print(private() - before)
"""
    return int(run_python(program, str(path)).split()[-1])


def test_parameters_are_mapped_and_not_copied(tmp_path: Path) -> None:
    """Loading and running a model with a 16 MiB parameter dirties almost no memory of the process's own."""
    path = tmp_path / "m.terrace"
    write_artifact(path, lookup_artifact())
    added = resident(f"assert model({BIG - 4}).tolist() == [2 * ({BIG} - 4 + i) for i in range(4)]", path)
    assert added < 2 * 1024, f"{added} KiB"
    # The measure sees a copy when there is one.
    assert resident("copy = model._artifact.parameters['w'].copy()", path) > 15 * 1024


@pytest.mark.parametrize("how", ["load(path, in_memory=True)", "pickle.loads(pickle.dumps(terrace.load(path)))"])
def test_parameters_that_are_read_have_pages_of_2_megabytes(tmp_path: Path, how: str) -> None:
    path = tmp_path / "m.terrace"
    write_artifact(path, lookup_artifact())
    code = f"""
import pickle, re, sys, terrace
from terrace import load
path = sys.argv[1]
model = {how}
open(path, "r+b").truncate(0)  # Nothing is read of the file any more.
assert model(5).tolist() == [10, 12, 14, 16]
print(sum(int(n) for n in re.findall(r"AnonHugePages: *(\\d+)", open("/proc/self/smaps").read())))
"""
    is_off = "[never]" in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    assert int(run_python(code, str(path))) >= (0 if is_off else 12 << 10)


def test_parameters_in_memory(tmp_path: Path) -> None:
    """A model that was not saved, and one with parameters made on demand, give what a loaded one gives."""
    artifact = aliases_artifact()
    made = dataclasses.replace(artifact, parameters={"w": lambda: np.full((4, 16), 3, np.float32)})
    path = tmp_path / "m.terrace"
    CompiledModel(made).save(path)
    value = np.ones((4, 16), np.float32)
    for model in (CompiledModel(artifact), CompiledModel(made), terrace.load(path)):
        assert [result.flat[0] for result in model(value)] == [1, 3, 3, 2, 2, 1, 1]


def test_a_missing_parameter_is_an_artifact_error() -> None:
    with pytest.raises(ArtifactError, match="IREE cannot load the program"):
        CompiledModel(dataclasses.replace(aliases_artifact(), parameters={}))


def test_a_program_that_is_none_is_an_artifact_error() -> None:
    with pytest.raises(ArtifactError, match="IREE cannot load the program"):
        CompiledModel(dataclasses.replace(aliases_artifact(), program=b"nonsense" * 100))


# The rest of the model's face


def test_ir_levels() -> None:
    model = CompiledModel(dataclasses.replace(aliases_artifact(), ir={"graph": "module {}", "iree": "x"}))
    assert model.ir("graph") == "module {}"
    with pytest.raises(TerraceError, match="no IR of level 'kernel' in this model; it has: graph, iree"):
        model.ir("kernel")


def test_report() -> None:
    rows = [
        {"kernel": "conv0", "op": "conv2d", "shape": [1, 64, 56, 56], "macs": 990, "bytes": 2048, "by": "terrace",
         "why": "", "calls": 2},
        {"kernel": "d1", "op": "softmax", "shape": "?x8", "macs": 10, "bytes": None, "by": "iree",
         "why": "no generator", "calls": 1},
    ]  # fmt: skip
    report = CompiledModel(aliases_artifact(rows)).report()
    assert report.rows == rows and report.mac_share == 0.99
    text = str(report).splitlines()
    assert text[0].split() == ["kernel", "op", "shape", "calls", "macs", "bytes", "by", "why"]
    assert "1x64x56x56" in text[2] and "2,048" in text[2] and "no generator" in text[3] and "?" in text[3]
    assert text[-2].split() == ["total", "3", "1,000", "2,048"]
    assert text[-1] == "1 of 2 kernels and 99.00% of the MACs run Terrace's code"
    assert Report([]).mac_share == 1.0 and "0 of 0" in str(Report([]))


def test_a_model_and_its_report_show_themselves() -> None:
    rows = [
        {"kernel": "a<b>", "op": "conv2d", "shape": [2], "macs": 9, "bytes": 8, "by": "iree", "why": "", "calls": 1}
    ]
    model = CompiledModel(aliases_artifact(rows))
    text = str(model).splitlines()
    assert text[0].startswith("compiled model for ") and text[-1].endswith("0.00% of the MACs run Terrace's code")
    paths = [*model.signature.input_paths(), *model.signature.output_paths()]
    assert [line.strip().partition(":")[0] for line in text[1 : 1 + len(paths)]] == paths
    page = model._repr_html_()
    assert page.startswith("<pre>compiled model") and "a&lt;b&gt;" in page and "<b>" not in page
    assert page.endswith(model.report()._repr_html_())


def test_a_program_that_does_not_fit_its_signature_is_an_error() -> None:
    artifact = aliases_artifact()
    few = dataclasses.replace(artifact, entries=one_entry(positional([tensor([4, 16])], [tensor([4, 16])])))
    with pytest.raises(TerraceError, match="results"):
        CompiledModel(few)(np.ones((4, 16), np.float32))
    ghost = dataclasses.replace(artifact, states=[State("ghost", (1,), "float32")])
    with pytest.raises(TerraceError, match=r"exports no function 'state\.get\.ghost'"):
        CompiledModel(ghost).state()


def test_loading_imports_neither_torch_nor_a_compiler(tmp_path: Path) -> None:
    path = tmp_path / "m.terrace"
    write_artifact(path, aliases_artifact())
    code = """
import sys, numpy, terrace
model = terrace.load(sys.argv[1])
assert isinstance(model(numpy.ones((4, 16), numpy.float32))[0], numpy.ndarray)
model.report(), model.signature, model.state()
print([name for name in sys.modules if name.split(".")[0] in ("torch", "torch_mlir") or "iree.compiler" in name])
"""
    assert run_python(code, str(path)) == "[]\n"


def test_importing_terrace_is_light() -> None:
    code = """
import sys, time
before = set(sys.modules)
start = time.perf_counter()
import terrace
assert time.perf_counter() - start < 0.5
heavy = [name for name in set(sys.modules) - before if name.split(".")[0] in ("torch", "torch_mlir", "iree", "numpy")]
assert terrace.InputError is not None and "load" in dir(terrace)
print(heavy)
"""
    assert run_python(code) == "[]\n"


def test_an_unknown_name_of_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        terrace.lode  # noqa: B018
