"""The models that `terrace-bench` measures: those of examples/models, in float32, bfloat16 and int8.

Whole calls, with tensors of PyTorch on Terrace's side. torch is imported where a case is built.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from terrace.errors import TerraceError
from terrace.tools.bench.case import CALIBRATION, Case, Contest, in_type, like

if TYPE_CHECKING:
    import torch
    from torch import nn

MODELS_FOLDER = Path(__file__).resolve().parents[2] / "examples" / "models"
"""Where the example models lie in a checkout."""


def example(name: str, **sizes: int) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """An example model and its arguments."""
    path = MODELS_FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"terrace_bench_{name}", path)
    if spec is None or spec.loader is None or not path.exists():
        raise TerraceError(f"{path} does not exist; the models lie in a checkout of Terrace, run terrace-bench from it")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    built: tuple[nn.Module, tuple[torch.Tensor, ...]] = module.build(**sizes)
    return built


def model_case(stem: str, what: str, **sizes: int) -> Case:
    """An example model of these sizes."""
    return Case(stem, "models", what, lambda: _contest(stem, sizes))


def _contest(stem: str, sizes: dict[str, int]) -> Contest:
    model, args = example(stem, **sizes)
    _calibrate_norms(model.eval(), args)
    return Contest(model, args, {"torch": lambda: model(*args)})


def _calibrate_norms(model: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
    """Give batch norms the statistics of what flows through them, as training does: results keep their scale."""
    import torch
    from torch import nn

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # The mean of all batches.
        norm.train()
    with torch.no_grad():
        for seed in range(CALIBRATION):
            model(*like(args, seed))
    model.eval()


_LLAMA = {"layers": 12, "width": 768, "heads": 12, "groups": 4, "hidden": 2048, "vocabulary": 32000, "length": 128}

_FLOAT32 = (
    model_case("lenet", "LeNet-5, 32x32"),
    model_case("alexnet", "AlexNet, 224x224"),
    model_case("vgg16", "VGG-16, 224x224"),
    model_case("resnet18", "ResNet-18, 224x224"),
    model_case("resnet50", "ResNet-50, 224x224"),
    model_case("mobilenet_v2", "MobileNetV2, 224x224"),
    model_case("super_resolution", "super-resolution 3x, from 224x224"),
    model_case("bert_base", "BERT-base encoder, 128 tokens"),
    model_case("gpt2_small", "GPT-2 small, 128 tokens", length=128),
    model_case("llama_style", "Llama-style decoder of 100 M parameters, 128 tokens", **_LLAMA),
    model_case("vit_b16", "ViT-B/16, 224x224"),
)

_QUANTIZED = ("resnet18", "resnet50", "mobilenet_v2", "bert_base", "vit_b16")

MODELS = (
    *_FLOAT32,
    *(in_type(case, "bf16") for case in _FLOAT32),
    *(in_type(case, "i8") for case in _FLOAT32 if case.name in _QUANTIZED),
)
"""In the order in which they run."""
