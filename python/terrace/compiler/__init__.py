"""The way of a model through the levels, from what is given to what runs."""

from terrace.compiler.driver import Lowered as Lowered
from terrace.compiler.driver import build as build
from terrace.compiler.driver import build_imported as build_imported
from terrace.compiler.driver import build_mlir as build_mlir
from terrace.compiler.driver import compile as compile
from terrace.compiler.driver import compile_mlir as compile_mlir
from terrace.compiler.driver import lower as lower
from terrace.compiler.driver import lower_imported as lower_imported
from terrace.compiler.driver import lower_mlir as lower_mlir
