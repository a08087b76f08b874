"""The distribution `mlir-terrace`: all modules that are not `mlir-terrace-runtime`'s."""

import pathlib
import sys

from setuptools import setup

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "packaging"))
from parts import BuildCompiler

setup(cmdclass={"build_py": BuildCompiler})
