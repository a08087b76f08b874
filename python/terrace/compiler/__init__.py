"""The way of a model through the levels, from what is given to what runs."""

from terrace.compiler.api import compile as compile
from terrace.compiler.api import compile_mlir as compile_mlir
from terrace.compiler.cached import build as build
from terrace.compiler.driver import Lowered as Lowered
from terrace.compiler.driver import lower as lower
from terrace.compiler.entries import Entries as Entries
from terrace.compiler.request import Request as Request
from terrace.compiler.sources import Imported as Imported
from terrace.compiler.sources import Onnx as Onnx
from terrace.compiler.sources import PyTorch as PyTorch
from terrace.compiler.sources import Text as Text
