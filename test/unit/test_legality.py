"""Each level accepts its own ops and refuses those of others, naming the op and where it is."""

from __future__ import annotations

from typing import get_args

import pytest
from terrace.dialects.context import create_context
from terrace.errors import PassError
from terrace.levels import LEVELS, TEXTS
from terrace.lowering.pipeline.legality import LEGAL, check_level, legal_at
from terrace.lowering.pipeline.pass_options import option_types
from terrace.lowering.pipeline.user_passes import POINTS
from terrace.lowering.pipeline.verify_level import VerifyLevel
from terrace.lowering.target.backend import find_backend
from terrace.mlir import parse_module
from terrace.target import TARGETS

GRAPH = """
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.relu"(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""
CONSTANT = """
"graph.parameter"() {sym_name = "w", type = tensor<4xf32>} : () -> ()
"graph.constant"() ({
  %0 = "graph.load"() {symbol = @w} : () -> tensor<4xf32>
  %1 = "graph.relu"(%0) : (tensor<4xf32>) -> tensor<4xf32>
  "graph.yield"(%1) : (tensor<4xf32>) -> ()
}) {sym_name = "w_relu", type = tensor<4xf32>} : () -> ()
"""
NAMED = """
func.func @main(%x: tensor<4xf32>, %o: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%o : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""


def _check(text: str, level: str) -> None:
    check_level(parse_module(text, create_context()).operation, level)


@pytest.mark.parametrize("level", ["graph", "kernel"])
def test_graph_ops_are_legal_above_the_loops(level: str) -> None:
    _check(GRAPH, level)


@pytest.mark.parametrize("level", ["loop", "iree"])
def test_a_graph_op_left_behind_is_named(level: str) -> None:
    with pytest.raises(PassError, match=r"'graph\.relu' op is not legal at the level"):
        _check(GRAPH, level)


def test_constant_expressions_keep_graph_ops() -> None:
    _check(CONSTANT, "loop")


def test_linalg_ops_that_iree_lacks_are_refused() -> None:
    _check(NAMED, "kernel")
    with pytest.raises(PassError, match=r"'linalg\.exp' op is not known to IREE"):
        _check(NAMED, "loop")


def test_every_level_is_stated() -> None:
    assert TEXTS == ("graph", "kernel", "loop", "iree", "hls")
    assert get_args(option_types(VerifyLevel)["level"]) == TEXTS
    assert set(POINTS.values()) == set(TEXTS)
    assert tuple(LEGAL) == LEVELS
    for name, target in TARGETS.items():
        assert find_backend(name).level == target.level
        assert legal_at(target.level) == find_backend(name).legal
