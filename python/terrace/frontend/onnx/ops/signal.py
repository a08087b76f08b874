"""Fourier transforms and what is made of them. A complex number is an axis of size 2, the last."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from terrace.frontend.onnx.node import Node
from terrace.frontend.onnx.ops.shapes import sized
from terrace.frontend.onnx.table import onnx_op
from terrace.frontend.onnx.values import as_tensor, torch_type_of


@onnx_op("DFT")
@sized
def dft(node: Node, x: Any, length: Any = None, axis: Any = None) -> Tensor:
    x = as_tensor(x)
    own = node.get("axis", 1 if node.opset < 20 else -2)
    along = (own if axis is None else node.numbers(2, axis, "an axis")[0]) % x.dim()
    size = None if length is None else node.numbers(1, length, "a length")[0]
    real, half, back = x.shape[-1] == 1, bool(node.get("onesided", 0)), bool(node.get("inverse", 0))
    if back and half:
        size = size if size is not None else 2 * (x.shape[along] - 1)
        return torch.fft.irfft(torch.complex(x[..., 0], x[..., 1]), size, along).unsqueeze(-1)
    if half:
        return torch.view_as_real(torch.fft.rfft(x[..., 0], size, along))
    value = torch.complex(x[..., 0], torch.zeros_like(x[..., 0]) if real else x[..., 1])
    return torch.view_as_real((torch.fft.ifft if back else torch.fft.fft)(value, size, along))


@onnx_op("STFT")
@sized
def stft(node: Node, signal: Any, step: Any, window: Any = None, length: Any = None) -> Tensor:
    """Frames [batch, frames, frequencies, 2] of a signal [batch, length, 1 or 2]."""
    signal = as_tensor(signal)
    hop = node.numbers(1, step, "a step")[0]
    weights = as_tensor(window) if window is not None else None
    size = node.numbers(3, length, "a length")[0] if length is not None else None
    size = size if size is not None else weights.shape[0]  # type: ignore[union-attr]
    parts = signal.unfold(1, size, hop)  # [batch, frames, 1 or 2, size]
    if weights is not None:
        parts = parts * weights
    if parts.shape[2] == 1 and node.get("onesided", 1):
        return torch.view_as_real(torch.fft.rfft(parts[:, :, 0]))
    imaginary = torch.zeros_like(parts[:, :, 0]) if parts.shape[2] == 1 else parts[:, :, 1]
    found = torch.view_as_real(torch.fft.fft(torch.complex(parts[:, :, 0], imaginary)))
    return found


@onnx_op("MelWeightMatrix")
@sized
def mel_weights(node: Node, bins: Any, length: Any, rate: Any, low: Any, high: Any) -> Tensor:
    """[length / 2 + 1, bins], triangles on the mel scale, as ONNX's reference computes them: known when it is read."""
    count, size, sampled, lower, upper = (
        node.numbers(i, value, "sizes")[0] for i, value in enumerate((bins, length, rate, low, high))
    )
    ends = 2595 * np.log10(1 + np.array([lower, upper]) / 700)
    mels = ends[0] + np.arange(count + 2) * (ends[1] - ends[0]) / (count + 2)
    places = ((size + 1) * (700 * (10 ** (mels / 2595) - 1)) // sampled).astype(int)
    found = np.zeros((size // 2 + 1, count))
    for bin_ in range(count):
        first, middle, last = places[bin_ : bin_ + 3]
        if middle == first:
            found[middle, bin_] = 1
        else:
            rising = np.arange(first, middle + 1)
            found[rising, bin_] = (rising - first) / (middle - first)
        if last != middle:
            falling = np.arange(middle, last)
            found[falling, bin_] = (last - falling) / (last - middle)
    return torch.from_numpy(found).to(torch_type_of(node.get("output_datatype", 1)))


@onnx_op("DeformConv")
def deform_conv(
    node: Node, x: Tensor, weight: Tensor, offset: Tensor, bias: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """A convolution that reads each tap where an offset moves it, between pixels: bilinear, zero outside."""
    n, channels, height, width = x.shape
    kh, kw = weight.shape[2:]
    strides, dilations = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    pads, groups, parts = node.get("pads", [0] * 4), node.get("group", 1), node.get("offset_group", 1)
    rows, columns = offset.shape[2:]
    moved = offset.reshape(n, parts, kh, kw, 2, rows, columns)
    y = moved[:, :, :, :, 0] + (
        (torch.arange(kh) * dilations[0])[:, None, None, None] + (torch.arange(rows) * strides[0] - pads[0])[:, None]
    )
    across = moved[:, :, :, :, 1] + (
        (torch.arange(kw) * dilations[1])[:, None, None] + (torch.arange(columns) * strides[1] - pads[1])
    )
    grid = torch.stack([2 * across / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
    planes = x.reshape(n * parts, channels // parts, height, width)
    taken = F.grid_sample(planes, grid.reshape(n * parts, kh * kw * rows, columns, 2), align_corners=True)
    taken = taken.reshape(n, parts, channels // parts, kh * kw, rows * columns)
    if mask is not None:
        taken = taken * mask.reshape(n, parts, 1, kh * kw, rows * columns)
    taken = taken.reshape(n, groups, -1, rows * columns)
    product = torch.matmul(weight.reshape(groups, weight.shape[0] // groups, -1), taken)
    y = product.reshape(n, weight.shape[0], rows, columns)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


@onnx_op("NonMaxSuppression")
@sized
def non_max_suppression(
    node: Node, boxes: Any, scores: Any, most: Any = None, overlap: Any = None, least: Any = None
) -> Tensor:
    """[selected, 3]: batch, class and box of what is kept, by falling score; a box falls that overlaps a kept one."""
    boxes, scores = as_tensor(boxes), as_tensor(scores)
    n, classes, count = scores.shape
    limit = node.numbers(2, most, "a number of boxes")[0] if most is not None else 0
    edge = node.numbers(3, overlap, "an overlap")[0] if overlap is not None else 0.0
    floor = node.numbers(4, least, "a score")[0] if least is not None else None
    limit = min(int(limit), count)
    if node.get("center_point_box", 0):
        corners = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)
    else:
        ends = boxes[..., :2], boxes[..., 2:]
        corners = torch.cat([torch.minimum(*ends), torch.maximum(*ends)], -1)
    a, b = corners.unsqueeze(2), corners.unsqueeze(1)
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area = (corners[..., 2:] - corners[..., :2]).prod(-1)
    union = area.unsqueeze(2) + area.unsqueeze(1) - shared
    close = (shared > edge * union).unsqueeze(1)  # [n, 1, count, count]
    live = torch.ones_like(scores, dtype=torch.bool) if floor is None else scores > floor
    picks, kept = [], []
    for _ in range(limit):
        best = torch.where(live, scores, torch.full_like(scores, -torch.inf)).argmax(-1, keepdim=True)
        kept.append(live.gather(-1, best))
        picks.append(best)
        row = close.expand(n, classes, count, count).gather(2, best.unsqueeze(-1).expand(n, classes, 1, count))
        itself = torch.arange(count) == best
        live = live & ~row.squeeze(2) & ~itself
    if not picks:
        return torch.zeros(0, 3, dtype=torch.int64)
    box, ok = torch.cat(picks, -1), torch.cat(kept, -1)
    places = torch.nonzero(ok)
    return torch.cat([places[:, :2], box[ok].unsqueeze(1)], 1)
