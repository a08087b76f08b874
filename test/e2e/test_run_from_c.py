"""A `.terrace` file runs without Python: IREE's own tool, which is made of its C API, takes the members of the file."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import terrace
import torch
from e2e_models import assert_close
from torch import nn


def test_iree_run_module_runs_the_members(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 10)).eval()
    x = torch.randn(2, 1, 8, 8)
    terrace.compile(model, (x,), target=terrace.Target(threads=1)).save(tmp_path / "m.terrace")
    with zipfile.ZipFile(tmp_path / "m.terrace") as archive:
        for member in ("program.vmfb", "parameters.irpa"):
            archive.extract(member, tmp_path)
    np.save(tmp_path / "x.npy", x.numpy())
    flags = ["--device=local-sync", "--module=program.vmfb", "--parameters=model=parameters.irpa", "--function=main"]
    command = [str(Path(sys.executable).with_name("iree-run-module")), *flags, "--input=@x.npy", "--output=@y.npy"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with torch.no_grad():
        assert_close(torch.from_numpy(np.load(tmp_path / "y.npy")), model(x))
