"""Programs that are started: not from the current folder, and without Python code from there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from terrace.processes import find_program, python_command, run_program


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a planted program and a planted module."""
    monkeypatch.chdir(tmp_path)
    for name in ("g++", "planted"):
        (tmp_path / name).write_text("#!/bin/sh\ntouch ran\n")
        (tmp_path / name).chmod(0o755)
    for name in ("numpy", "argparse"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\nraise ImportError('planted')\n")
    return tmp_path


@pytest.mark.parametrize("path", ["", ".", ":{}", "{}:", "{}:.", "::{}"])
def test_the_current_folder_is_not_searched(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path.format(os.environ["PATH"]))
    assert find_program("planted") is None
    found = find_program("g++")
    assert found is None or Path(found).parent != folder
    run_program(["/bin/sh", "-c", "planted || true"], folder)
    assert not (folder / "ran").exists()


def test_a_new_python_imports_nothing_from_there(folder: Path) -> None:
    done = subprocess.run(python_command("terrace.tools.run", ["--help"]), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "usage: terrace-run" in done.stdout
    done_too = run_program([sys.executable, "-c", "import numpy"], folder)
    assert done_too.returncode == 0
    assert not (folder / "ran").exists()


def test_an_interruption_passes_where_the_program_has_ended_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in a terminal may end it first."""

    def interrupted(process: subprocess.Popen[bytes], *_: object) -> None:
        process.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_program(["/bin/true"], folder)
