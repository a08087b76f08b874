"""`torch.compile(model, backend="terrace")`.

TorchDynamo cuts Python into graphs and guards them, AOTAutograd makes each functional, and here the graph's regions
that Terrace takes become programs (`partition`, `region`), between which PyTorch runs the rest op by op.
"""

from __future__ import annotations

from terrace.torch_compile.backend import terrace

__all__ = ["terrace"]
