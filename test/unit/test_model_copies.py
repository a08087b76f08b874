"""Copies of a compiled model: by `save`, `pickle` and `copy`, with the weights that run and the state of the moment."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import terrace
import torch
from runtime_programs import aliases_artifact, state_artifact
from terrace.errors import ArtifactError
from terrace.runtime.model import CompiledModel, _restored
from torch import nn

COPIES: dict[str, Callable[[CompiledModel], CompiledModel]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("loaded", [False, True])
def test_a_copy_has_the_state_of_the_moment_and_its_own(name: str, loaded: bool, tmp_path: Path) -> None:
    model = CompiledModel(state_artifact(), threads=1)
    if loaded:
        model.save(tmp_path / "m.terrace")
        model = terrace.load(tmp_path / "m.terrace", threads=1)
    step, where = np.ones(4, np.float32), 2
    model(step, where)
    copied = COPIES[name](model)
    assert copied.signature == model.signature and copied.target == model.target
    for key, value in model.state().items():
        np.testing.assert_array_equal(copied.state()[key], value)
    copied(step, where)
    assert not np.array_equal(copied.state()["count"], model.state()["count"])
    copied.reset()
    assert not copied.state()["count"].any()


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_gives_the_same(name: str) -> None:
    model = CompiledModel(aliases_artifact())
    value = np.arange(64, dtype=np.float32).reshape(4, 16)
    expected = model(value)
    copied = COPIES[name](model)
    del model
    for mine, other in zip(copied(value), expected, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_what_is_saved_is_what_runs(tmp_path: Path) -> None:
    """Training goes on after a model was compiled."""
    module, x = nn.Linear(4, 3).eval(), torch.ones(2, 4)
    model = terrace.compile(module, (x,))
    expected = model(x)
    with torch.no_grad():
        module.weight.fill_(7)
        module.bias.zero_()
    model.save(tmp_path / "m.terrace")
    for other in (model, terrace.load(tmp_path / "m.terrace"), *(make(model) for make in COPIES.values())):
        assert torch.equal(other(x), expected)


def test_another_process_unpickles_without_a_compiler(tmp_path: Path) -> None:
    (tmp_path / "m.pickle").write_bytes(pickle.dumps(CompiledModel(aliases_artifact(), threads=1)))
    code = (
        "import pickle, sys, numpy as np\n"
        "model = pickle.load(open('m.pickle', 'rb'))\n"
        "print(model(np.ones((4, 16), np.float32))[3].sum(), 'torch' in sys.modules, 'torch_mlir' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "128.0 False False\n"


@pytest.mark.parametrize("contents", [b"", b"no model", pickle.dumps(CompiledModel)])
def test_a_pickle_with_no_model_in_it(contents: bytes) -> None:
    with pytest.raises(ArtifactError):
        _restored(contents, None, {})
