"""The distribution `mlir-terrace-runtime`: the modules that load and run a compiled model."""

import pathlib
import sys

from setuptools import setup

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from parts import BuildRuntime

setup(cmdclass={"build_py": BuildRuntime})
