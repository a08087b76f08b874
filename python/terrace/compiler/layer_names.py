"""What the layers of a model are called: the ops that the model's author wrote, where their locations still say so."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from terrace.origins import Origin

MOVING = frozenset({"permute", "slice", "pad", "reshape", "broadcast", "concat", "cast", "quantize", "dequantize"})
"""Ops of ours that only bring data in the form that another op wants: alone, they are not what that op is."""


def add_names(layers: Sequence[dict[str, Any]], origins: Sequence[Sequence[Origin]]) -> None:
    """Give the layers that have origins `origins` ([op, submodule] each) and `called`, the ops to call them by.

    A layer is called by its own ops where the model's do not fit: it is one of several that compute one op (attention
    in parts), or brings data in the form that another layer wants. What upstream lowered has no other name than the
    model's.
    """
    computing: collections.Counter[Origin] = collections.Counter()
    for layer, found in zip(layers, origins, strict=True):
        computing.update(() if _moves(layer) else found)
    for layer, found in zip(layers, origins, strict=True):
        if not found:
            continue
        layer["origins"] = [[origin.op, origin.path] for origin in found]
        layer["module"] = next((origin.path for origin in found if origin.path), layer["module"])
        upstream = layer["kernel"].startswith(("linalg.", "tm_tensor."))
        whole = any(computing[origin] == (0 if _moves(layer) else 1) for origin in found)
        if not upstream and not whole:
            continue
        layer["called"] = [origin.op for origin in found]
        if upstream:
            layer["kernel"] = layer["op"] = "+".join(layer["called"])


def _moves(layer: Mapping[str, Any]) -> bool:
    return set(str(layer["op"]).split("+")) <= MOVING
