"""Functions that PyTorch cannot export as they are: others stand in for them while a model is traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from terrace.frontend.quantized_tensors import MAKERS

aten = torch.ops.aten


def convolution_backward(
    gradient: torch.Tensor, value: torch.Tensor, weight: torch.Tensor, bias_sizes: Any, *args: Any, **kwargs: Any
) -> Any:
    """PyTorch infers shapes only where the size of the bias is given, one for each channel of the result."""
    sizes = [gradient.shape[1]] if bias_sizes is None else bias_sizes
    return aten.convolution_backward.default(gradient, value, weight, sizes, *args, **kwargs)


STAND_INS: dict[Any, Callable[..., Any]] = {
    **MAKERS,
    aten.convolution_backward: convolution_backward,
    aten.convolution_backward.default: convolution_backward,
}


class StandIns(TorchFunctionMode):
    """Calls what stands in for a function."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        return STAND_INS.get(func, func)(*args, **(kwargs or {}))
