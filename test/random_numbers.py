"""The random numbers of tests: NumPy's generator of ours and PyTorch's, which `conftest.py` seeds anew for each test.

So a test sees the same numbers alone, in another order and on any worker.
"""

from __future__ import annotations

import numpy as np
import torch

RNG = np.random.default_rng(0)


def seed() -> None:
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
    torch.manual_seed(0)
