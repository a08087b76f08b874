"""Weights that are stored as integers: asked for by an option, or quantised by torchao before."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import terrace
import torch
from terrace.dialects.encodings import Int4Groups, Int8Groups, IntegerGroups
from terrace.errors import CompileError
from terrace.runtime.cpu_features import host_features
from torch import nn

INT4 = Int4Groups(1, 32, 0, 16)
needs_bf16_dot = pytest.mark.skipif(
    not {"avx512bf16", "avx512vl", "avx512bw"} <= set(host_features()) or "amx-bf16" in host_features(),
    reason="this CPU has no AVX-512 BF16, or a slow one",
)
ASKED: list[tuple[Any, IntegerGroups]] = [
    ("int4", INT4),
    ({"type": "int4", "group": 64, "zero_points": True}, Int4Groups(1, 64, 1, 16)),
    ("int8", Int8Groups(1, 1 << 20, 0, 16)),
    ({"type": "int8", "group": 128}, Int8Groups(1, 128, 0, 16)),
]


class Model(nn.Module):
    """Linear layers, one of them tied to an embedding, which stays as it is, and a convolution by 1x1 windows."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(50, 96)
        self.up, self.down = nn.Linear(96, 256), nn.Linear(256, 96, bias=False)
        self.head, self.conv = nn.Linear(96, 50, bias=False), nn.Conv2d(3, 3, 1)
        self.head.weight = self.tokens.weight

    def forward(self, ids: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.tokens(ids)
        x = x + self.down(nn.functional.gelu(self.up(x)))
        return self.head(x), self.conv(image)


def decoded(model: nn.Module, encoding: IntegerGroups) -> nn.Module:
    """The model with the weights of its linear layers as their encoding stands for them."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for layer in [m for m in model.modules() if isinstance(m, nn.Linear)]:
            weight = layer.weight.float().numpy()
            value = encoding.decode(encoding.encode(weight), weight.shape[1])
            layer.weight = nn.Parameter(torch.from_numpy(value).to(layer.weight.dtype))
    return model


def close(actual: torch.Tensor, wanted: torch.Tensor, bound: float = 1e-5) -> None:
    wanted = wanted.double()
    assert (actual.double() - wanted).abs().max() <= bound * wanted.abs().max()


@pytest.mark.parametrize(("asked", "encoding"), ASKED, ids=str)
@pytest.mark.parametrize("rows", [1, 20])
def test_a_model(asked: Any, encoding: IntegerGroups, rows: int) -> None:
    torch.manual_seed(0)
    model = Model().eval()
    args = torch.randint(0, 50, (rows,)), torch.randn(1, 3, 4, 4)
    compiled = terrace.compile(model, args, options={"quantize_weights": asked})
    with torch.no_grad():
        logits, _ = decoded(model, encoding)(*args)
        own = model.double()(args[0], args[1].double())
    close(compiled(*args)[0], logits)
    close(compiled(*args)[1], own[1])
    assert (compiled(*args)[0].double() - own[0]).abs().max() > 1e-4 * own[0].abs().max(), "nothing was quantised"
    assert sum("encoded_matmul" in row["op"] for row in compiled.report().rows) == 3


def test_the_artifact_holds_codes(tmp_path: Path) -> None:
    """4 bits a weight and 16 for each 32 of them; 8 and 16 for each row. What is left is the program and its texts."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 512)).eval(), torch.randn(1, 512)
    sizes = {}
    for asked in (None, "int4", "int8"):
        compiled = terrace.compile(model, (x,), options={"quantize_weights": asked})
        compiled.save(tmp_path / "model.terrace")
        sizes[asked] = (tmp_path / "model.terrace").stat().st_size
        wanted = compiled(x)
        close(terrace.load(tmp_path / "model.terrace")(x), wanted, 0)
    weights = 2 * 512 * 2048
    rest = 400_000
    assert 4 * weights < sizes[None] < 4 * weights + rest
    assert 4.5 / 8 * weights < sizes["int4"] < 4.5 / 8 * weights + rest
    assert weights < sizes["int8"] < weights + rest


def test_half_precision() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(64, 96), nn.SiLU(), nn.Linear(96, 40)).eval().bfloat16(), torch.randn(3, 64)
    compiled = terrace.compile(model, (x.bfloat16(),), options={"quantize_weights": "int4"})
    with torch.no_grad():
        wanted = decoded(model, INT4).float()(x.bfloat16().float())
    close(compiled(x.bfloat16()), wanted, 2**-6)


def test_other_targets_compute_with_the_same_weights() -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(32, 8).eval(), torch.randn(2, 32)
    compiled = terrace.compile(model, (x,), target="hls", options={"quantize_weights": "int4"})
    with torch.no_grad():
        close(compiled(x), decoded(model, INT4)(x))


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 4), (4, 0), (1, 1), (17, 3)])
@pytest.mark.parametrize("asked", ["int4", {"type": "int8", "zero_points": True}], ids=str)
def test_layers_that_no_kernel_takes(inputs: int, outputs: int, asked: Any) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(inputs, outputs).eval(), torch.randn(2, 3, inputs)
    compiled = terrace.compile(layer, (x,), options={"quantize_weights": asked})
    encoding = Int4Groups(1, 32, 0, 16) if asked == "int4" else Int8Groups(1, 64, 1, 16)
    with torch.no_grad():
        wanted = decoded(layer, encoding)(x)
    assert compiled(x).shape == wanted.shape
    torch.testing.assert_close(compiled(x), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "asked", ["int3", 4, {"type": "int4", "group": 1.5}, {"group": 32}, {"type": "int8", "sign": True}, {}]
)
def test_what_is_refused(asked: Any) -> None:
    with pytest.raises(CompileError, match='option \'quantize_weights\' must be "int4" or "int8"'):
        terrace.compile(nn.Linear(4, 4), (torch.randn(1, 4),), options={"quantize_weights": asked})


def test_one_kind_of_quantisation() -> None:
    options = {"quantize_weights": "int4", "quantize": "int8", "calibration": [(torch.randn(1, 4),)]}
    with pytest.raises(CompileError, match="exclude each other"):
        terrace.compile(nn.Linear(4, 4), (torch.randn(1, 4),), options=options)
    with pytest.raises(CompileError, match="'group' must not be negative"):
        asked = {"type": "int4", "group": -1}
        terrace.compile(nn.Linear(4, 4), (torch.randn(1, 4),), options={"quantize_weights": asked})


def torchao_configs() -> dict[str, Any]:
    """What torchao exports from a CPU; its Int4WeightOnlyConfig needs another device."""
    quantization = pytest.importorskip("torchao.quantization")
    from torchao.quantization import IntxWeightOnlyConfig, MappingType, PerAxis, PerGroup

    asymmetric = MappingType.ASYMMETRIC
    return {
        "int8": quantization.Int8WeightOnlyConfig(),
        "int8 groups": quantization.Int8WeightOnlyConfig(granularity=PerGroup(32)),
        "int4 groups": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)),
        "int4 asymmetric": IntxWeightOnlyConfig(torch.int4, PerGroup(64), asymmetric),
        "int4 channels": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerAxis(0)),
        "int3": IntxWeightOnlyConfig(torch.int3, PerGroup(32), asymmetric),
        "int6": IntxWeightOnlyConfig(torch.int6, PerGroup(32), asymmetric),
    }


@pytest.mark.parametrize(
    "name", ["int8", "int8 groups", "int4 groups", "int4 asymmetric", "int4 channels", "int3", "int6"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["f32", "bf16"])
def test_torchao(name: str, dtype: torch.dtype) -> None:
    config = torchao_configs()[name]
    from torchao.quantization import quantize_

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(128, 70), nn.ReLU(), nn.Linear(70, 64), nn.ReLU(), nn.Linear(64, 32, bias=False))
    model, x = model.eval().to(dtype), torch.randn(2, 128, dtype=dtype)
    # Groups of 32 do not divide 70.
    quantize_(model, config, lambda module, _: isinstance(module, nn.Linear) and module.in_features != 70)
    compiled = terrace.compile(torch.export.export(model, (x,)))
    with torch.no_grad():
        close(compiled(x), model(x), 1e-5 if dtype == torch.float32 else 2**-6)
    assert sum("encoded_matmul" in row["op"] for row in compiled.report().rows) == 2


@needs_bf16_dot
def test_medium_precision() -> None:
    """Activations are rounded to bfloat16, and multiplied by an atom; codes are exact there."""
    torch.manual_seed(0)
    layer, x = nn.Linear(256, 96).eval(), torch.randn(3, 256)
    compiled = terrace.compile(layer, (x,), precision="medium", options={"quantize_weights": "int4"})
    assert "bf16_dot" in compiled.ir("kernel")
    with torch.no_grad():
        close(compiled(x), decoded(layer, INT4)(x.bfloat16().float()))
