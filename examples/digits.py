"""Handwritten digits in int8: train, calibrate, compile for the CPU and for hardware, and compare every result.

Needs scikit-learn for its digits (1797 images of 8x8), and g++ to simulate the hardware. With Verilator and CIRCT the
whole network runs as SystemVerilog, too, an image after the other.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import sys
import time
from collections.abc import Callable

import numpy as np
import terrace
import torch
from sklearn.datasets import load_digits
from torch import nn

SEED = 0
TESTED = 360
EPOCHS = 40
RTL_IMAGES = 20
ALLOWED_LOSS = 0.01
"""How much accuracy int8 may lose, as a share of the test images."""


@dataclasses.dataclass(frozen=True)
class Digits:
    """Images [n, 1, 8, 8] from 0 to 1 and their digits, to train on and to test with."""

    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    @staticmethod
    def load() -> Digits:
        data = load_digits()
        order = np.random.default_rng(SEED).permutation(len(data.target))
        images = torch.from_numpy((data.images / 16).astype(np.float32))[order].unsqueeze(1)
        labels = torch.from_numpy(data.target)[order]
        return Digits(images[TESTED:], labels[TESTED:], images[:TESTED], labels[:TESTED])


def mlp() -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
    )  # fmt: skip


def cnn() -> nn.Module:
    """Two convolutions with batch norm and max-pooling, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


MODELS: dict[str, Callable[[], nn.Module]] = {"mlp": mlp, "cnn": cnn}


def train(make: Callable[[], nn.Module], digits: Digits) -> nn.Module:
    """A model of `make`, trained; the same weights in every run on one machine."""
    torch.manual_seed(SEED)
    model = make().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(digits.images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(digits.images[batch]), digits.labels[batch]).backward()
            optimizer.step()
    return model.eval()


def accuracy(scores: torch.Tensor, labels: torch.Tensor) -> float:
    return (scores.argmax(1) == labels).double().mean().item()


def compile_int8(model: nn.Module, digits: Digits, target: str) -> terrace.CompiledModel:
    """`model` in int8 for batches of all test images, its scales those of as many training images."""
    options = {"quantize": "int8", "calibration": [(digits.images[:TESTED],)]}
    return terrace.compile(model, (digits.test_images,), target=target, options=options)


def run_in_rtl(model: nn.Module, digits: Digits, images: int = RTL_IMAGES) -> tuple[bool, str]:
    """Whether `model` as SystemVerilog gives the CPU's results for some images, and what the simulation says."""
    frames = [(image.unsqueeze(0),) for image in digits.test_images[:images]]
    options = {"quantize": "int8", "calibration": [(image.unsqueeze(0),) for image in digits.images[:TESTED]]}
    cpu, hardware = (terrace.compile(model, frames[0], target=target, options=options) for target in ("cpu", "hls"))
    found = hardware.cosim_network(frames)
    scores = torch.cat([cpu(*frame) for frame in frames])
    return found.passed and torch.equal(scores, torch.from_numpy(found.results[0]).reshape(scores.shape)), str(found)


def main() -> int:
    """Returns 0 if hardware equals the CPU in every bit and int8 is as accurate as float32, else 1."""
    torch.set_num_threads(1)
    digits, failed = Digits.load(), False
    for name, make in MODELS.items():
        started = time.perf_counter()
        model = train(make, digits)
        trained = time.perf_counter() - started
        with torch.no_grad():
            exact = accuracy(model(digits.test_images), digits.test_labels)
        scores = {target: compile_int8(model, digits, target)(digits.test_images) for target in ("cpu", "hls")}
        equal = torch.equal(scores["cpu"], scores["hls"])
        quantized = accuracy(scores["cpu"], digits.test_labels)
        good = equal and exact - quantized <= ALLOWED_LOSS
        print(
            f"{name}: trained in {trained:.0f} s; accuracy {exact:.4f} in float32, {quantized:.4f} in int8; hardware"
            f" {'equals' if equal else 'DIFFERS FROM'} the CPU on {TESTED} images: {'ok' if good else 'FAILED'}"
        )
        failed = failed or not good
        if shutil.which("verilator") and importlib.util.find_spec("circt"):
            equal, report = run_in_rtl(model, digits)
            print(f"{name} in SystemVerilog, {'equal to the CPU' if equal else 'DIFFERENT'}: {report}")
            failed = failed or not equal
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
