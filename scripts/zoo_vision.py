"""Models of torchvision (all for classification and segmentation, the smaller ones for video) and of timm (the smallest
by its name of each family), with random weights, at the image sizes that they are made for.

`torchvision` installs beside PyTorch's build for CPUs, but its ops in C++ do not load: models that detect objects are
left out, which need them.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import re
from typing import Any

import torch

PARAMETERS = 90_000_000
SMALL = (
    "pico",
    "femto",
    "atto",
    "nano",
    "xxs",
    "xx_small",
    "xxt",
    "micro",
    "tiny",
    "xs",
    "_t_",
    "_t0",
    "_t",
    "small",
    "_s",
    "18",
    "b0",
    "26",
    "050",
)
"""Words for small models in timm's names, the smallest first."""


def names() -> list[str]:
    return [*(f"torchvision/{name}" for name in torchvision_names()), *(f"timm/{name}" for name in timm_names())]


def kind_of(name: str) -> str:
    return name.partition("/")[0]


def torchvision_names() -> list[str]:
    declare_ops()
    names = importlib.import_module("torchvision").models.list_models()
    return [name for name in names if not re.search("quantized|rcnn|retinanet|fcos|ssd|raft", name)]


def timm_names() -> list[str]:
    declare_ops()
    timm = importlib.import_module("timm")
    found = []
    for module in timm.list_modules():
        of_family = [name for name in timm.list_models(module=module) if not name.startswith("test_")]
        if of_family:
            found.append(min(of_family, key=rank))
    return found


def rank(name: str) -> tuple[int, int, str]:
    """The smaller models of a family first."""
    return next((place for place, word in enumerate(SMALL) if word in name), len(SMALL)), len(name), name


def declare_ops() -> None:
    """Declare what torchvision describes the results of, without which it is not imported."""
    tensors = {
        "nms": 2,
        "qnms": 2,
        "roi_align": 2,
        "roi_pool": 2,
        "ps_roi_align": 2,
        "ps_roi_pool": 2,
        "deform_conv2d": 5,
    }
    tensors |= {f"_{name}_backward": 3 for name in tensors if "nms" not in name}
    for name, count in tensors.items():
        schema = ", ".join(f"Tensor x{at}" for at in range(count))
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", f"({schema}) -> Tensor")


def build(name: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    """A model in eval mode, and its keyword arguments; raises ValueError for one that is too large."""
    torch.set_num_threads(1)
    library, _, called = name.partition("/")
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in model_of(library, called).parameters())
    if count > PARAMETERS:
        raise ValueError(f"{count / 1e6:.0f} million parameters")
    torch.manual_seed(0)
    model = model_of(library, called).eval()
    torch.manual_seed(1)
    for module in model.modules():
        # Norms as trained ones are: those of a new model do nothing.
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    main = next(iter(inspect.signature(model.forward).parameters))
    return model, {main: torch.randn(2, *shape_of(library, called, model))}


def as_double(model: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(model).double()


def model_of(library: str, name: str) -> torch.nn.Module:
    if library == "timm":
        return importlib.import_module("timm").create_model(name)
    models = importlib.import_module("torchvision").models
    takes_backbone = getattr(models.get_model_builder(name), "__module__", "").startswith(
        "torchvision.models.segmentation"
    )
    return models.get_model(name, weights=None, **({"weights_backbone": None} if takes_backbone else {}))


def shape_of(library: str, name: str, model: torch.nn.Module) -> tuple[int, ...]:
    if library == "timm":
        return tuple(model.default_cfg["input_size"])
    if re.search("mvit|swin3d", name):
        return (3, 16, 224, 224)
    if re.search("r3d|mc3|r2plus1d|s3d", name):
        return (3, 16, 64, 64)
    return (3, 299, 299) if name == "inception_v3" else (3, 224, 224)
