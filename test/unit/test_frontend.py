"""What an imported model looks like: symbols, state, signature, locations, dynamic shapes, errors."""

from __future__ import annotations

import collections
import dataclasses
import inspect
from typing import Any

import pytest
import terrace
import torch
import torch.nn.functional as F
from terrace.dialects.context import create_context
from terrace.errors import ModelImportError
from terrace.frontend import ImportedModel, import_model, legalize
from terrace.mlir import ir, walk
from terrace.passes import describe_location
from terrace.signature import Leaf
from torch import nn

DIM = torch.export.Dim


def imported(model: nn.Module, *args: Any, **options: Any) -> ImportedModel:
    return import_model(model, args, context=create_context(), **options)


def ops(model: ImportedModel, name: str) -> list[ir.Operation]:
    return [op for op in walk(model.module.operation) if op.name == name]


def main_types(model: ImportedModel) -> list[ir.Type]:
    (main,) = ops(model, "func.func")
    return list(main.opview.type.inputs)


def names(model: ImportedModel) -> collections.Counter[str]:
    return collections.Counter(op.name for op in walk(model.module.operation))


def symbol_names(model: ImportedModel, op_name: str) -> list[str]:
    return [ir.StringAttr(op.attributes["sym_name"]).value for op in ops(model, op_name)]


class Calls(nn.Module):
    """A module around a function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


# ---------------------------------------------------------------------------------------------------------------------
# Ops
# ---------------------------------------------------------------------------------------------------------------------


def test_named_ops_stay_whole() -> None:
    """What the graph dialect names arrives as one op each, and nothing falls back to linalg."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)
            self.norm = nn.BatchNorm2d(8)
            self.group = nn.GroupNorm(2, 8)
            self.linear = nn.Linear(8, 8)
            self.layer_norm = nn.LayerNorm(8)
            self.rms_norm = nn.RMSNorm(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.group(self.norm(self.conv(x)))
            x = F.adaptive_avg_pool2d(F.max_pool2d(x, 2), 1).flatten(1)
            x = F.gelu(F.silu(F.hardswish(self.rms_norm(self.layer_norm(self.linear(x))))))
            x = x[:, None, None]
            return F.softmax(F.scaled_dot_product_attention(x, x, x), -1)

    found = names(imported(Model().eval(), torch.randn(2, 3, 8, 8)))
    whole = ("conv2d", "batch_norm", "group_norm", "max_pool2d", "matmul", "layer_norm", "rms_norm", "hardswish")
    assert all(found[f"graph.{name}"] == 1 for name in (*whole, "silu", "gelu", "attention", "softmax"))
    assert not any(name.startswith("linalg.") for name in found)


def test_ops_without_a_graph_op_become_linalg() -> None:
    found = names(imported(Calls(lambda x: torch.flip(x, (1,)) + 1), torch.randn(2, 8)))
    assert found["graph.add"] == 1
    assert any(name.startswith(("linalg.", "tm_tensor.")) for name in found)


def test_transpose_folds_into_batch_matmul() -> None:
    found = imported(Calls(lambda a, b: a @ b.transpose(-1, -2)), torch.randn(2, 3, 4, 5), torch.randn(2, 3, 6, 5))
    (product,) = ops(found, "graph.batch_matmul")
    assert ir.BoolAttr(product.attributes["transpose_rhs"]).value
    assert not ops(found, "graph.permute")


# ---------------------------------------------------------------------------------------------------------------------
# Parameters and state
# ---------------------------------------------------------------------------------------------------------------------


def test_parameters_share_memory_and_are_not_written() -> None:
    model = nn.Linear(4, 3)
    found = imported(model, torch.randn(2, 4))
    assert list(found.parameters) == symbol_names(found, "graph.parameter") == ["weight", "bias"]
    assert found.parameters["weight"].data_ptr() == model.weight.data_ptr()
    assert not found.parameters["weight"].requires_grad


def test_tied_weights_are_one_symbol() -> None:
    """The same parameter under two names, and two parameters over the same memory; a transposed view is another."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 4, bias=False)
            self.second = nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight
            self.shared = nn.Parameter(self.first.weight.data)
            self.transposed = nn.Parameter(self.first.weight.data.t())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(F.linear(self.second(self.first(x)), self.shared), self.transposed)

    found = imported(Model(), torch.randn(2, 4))
    assert len(found.parameters) == 2
    assert len(ops(found, "graph.parameter")) == len(ops(found, "graph.load")) == 2


def test_buffers_and_constants_are_parameters() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.ones(3))
            self.register_buffer("passing", torch.ones(3), persistent=False)
            self.register_buffer("unused", torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.kept + self.passing + torch.tensor([1.0, 2.0, 3.0])

    found = imported(Model(), torch.randn(3))
    assert [key for key in found.parameters if not key.startswith("lifted")] == ["kept", "passing"]
    assert [value.tolist() for key, value in found.parameters.items() if key.startswith("lifted")] == [[1.0, 2.0, 3.0]]


class Counter(nn.Module):
    """Counts its calls; `last` is written and never read."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", torch.zeros(3), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        self.last.copy_(x)
        return x + self.calls


def test_mutable_buffers_are_state() -> None:
    model = Counter()
    found = imported(model, torch.ones(3))
    assert symbol_names(found, "graph.state") == ["calls", "last"]
    assert list(found.parameters) == ["calls.initial", "last.initial"]
    assert len(ops(found, "graph.load_state")) == 1
    assert len(ops(found, "graph.store_state")) == 2
    assert len(ops(found, "func.return")[0].operands) == 1
    assert model.calls.item() == 0 and model.last.abs().sum() == 0


def test_parameter_called_main_does_not_clash() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.main

    assert list(imported(Model(), torch.ones(3)).parameters) == ["main.parameter"]


# ---------------------------------------------------------------------------------------------------------------------
# Signature and shapes
# ---------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Pair:
    left: torch.Tensor
    right: torch.Tensor | None = None


torch.export.register_dataclass(Pair)


def test_structures_constants_and_aliases() -> None:
    def function(inputs: dict[str, torch.Tensor], flag: bool, nothing: None) -> Any:
        y = inputs["x"] * 2
        return {"y": y, "list": [y, nothing, 3]}, Pair(y + 1)

    found = imported(Calls(function), {"x": torch.ones(2, 3), "unused": torch.ones(4)}, True, None)
    signature = found.signature
    assert signature.input_paths() == ["args[0]['x']", "args[0]['unused']", "args[1]"]
    assert [leaf.kind for leaf in signature.input_leaves] == ["tensor", "tensor", "constant"]
    assert signature.output_leaves == [
        Leaf("tensor", [2, 3]),
        Leaf("tensor", [2, 3], alias=0),
        Leaf("constant", value=3),
        Leaf("tensor", [2, 3]),
    ]
    assert signature.output_paths()[-1] == "result[1].left"
    (main,) = ops(found, "func.func")
    type_ = ir.FunctionType(ir.TypeAttr(main.attributes["function_type"]).value)
    assert [str(t) for t in type_.inputs] == ["tensor<2x3xf32>", "tensor<4xf32>"]
    assert len(type_.results) == 2


def test_keyword_arguments_keep_their_names() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor, *, mask: torch.Tensor) -> torch.Tensor:
            return x * mask

    found = import_model(Model(), (torch.ones(2),), {"mask": torch.ones(2)}, context=create_context())
    assert found.signature.input_paths() == ["args[0]", "kwargs['mask']"]


def test_dynamic_batch_of_an_mlp() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    found = imported(model, torch.randn(3, 4), dynamic_shapes=({0: DIM("batch", min=1, max=64)},))
    ((symbol, four),) = [leaf.shape for leaf in found.signature.input_leaves]
    assert isinstance(symbol, str) and four == 4
    assert found.signature.output_leaves[0].shape == [symbol, 2]
    assert found.signature.ranges[symbol][1] == 64
    assert [str(op.results[0].type) for op in ops(found, "graph.matmul")] == ["tensor<?x8xf32>", "tensor<?x2xf32>"]


def test_dynamic_length_of_attention() -> None:
    model = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    found = imported(model, torch.randn(2, 5, 16), dynamic_shapes=({1: DIM("length")},))
    assert len(ops(found, "graph.attention")) + len(ops(found, "graph.softmax")) == 1
    assert "?" in str(ops(found, "func.return")[0].operands[0].type)


def test_sizes_are_returned_as_numbers() -> None:
    found = imported(Calls(lambda x: (x.shape[0] * 2, x)), torch.randn(3, 4), dynamic_shapes=(({0: DIM("n")},),))
    assert found.signature.output_leaves[0] == Leaf("scalar", dtype="int64")
    assert str(ops(found, "func.return")[0].operands[0].type) == "tensor<i64>"


class Times(nn.Module):
    def forward(self, x: torch.Tensor, by: int) -> torch.Tensor:
        return x * by


def test_numbers_are_arguments() -> None:
    found = imported(Times(), torch.ones(3), 2, dynamic_shapes=(None, torch.export.Dim.DYNAMIC))
    assert found.signature.input_leaves == [Leaf("tensor", [3]), Leaf("scalar", dtype="int64")]
    assert [str(type_) for type_ in main_types(found)] == ["tensor<3xf32>", "tensor<i64>"]


def test_exported_programs_are_taken_as_they_are() -> None:
    program = torch.export.export(nn.Linear(4, 2), (torch.randn(3, 4),))
    found = import_model(program, context=create_context())
    assert len(ops(found, "graph.matmul")) == 1
    with pytest.raises(ModelImportError, match="already has its example inputs"):
        import_model(program, (torch.randn(3, 4),), context=create_context())


# ---------------------------------------------------------------------------------------------------------------------
# Locations and errors
# ---------------------------------------------------------------------------------------------------------------------


class Layers(nn.Module):
    """Its lines are what the tests look for."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        return torch.tanh(y)


def line_of(function: Any, text: str) -> int:
    """The line of this file on which `function` says `text`."""
    lines, start = inspect.getsourcelines(function)
    return start + next(index for index, line in enumerate(lines) if text in line)


def test_locations_are_the_users_lines() -> None:
    """Also for ops inside torch.nn's own modules."""
    found = imported(Layers(), torch.randn(2, 4))
    for name, text in (
        ("graph.matmul", "self.linear(x)"),
        ("graph.add", "self.linear(x)"),
        ("graph.tanh", "torch.tanh"),
    ):
        (op,) = ops(found, name)
        assert describe_location(op.location) == f"{__file__}:{line_of(Layers.forward, text)}:0"


def uses_lgamma(x: torch.Tensor) -> torch.Tensor:
    return torch.lgamma(x) + 1


@pytest.mark.parametrize(("function", "op"), [(uses_lgamma, "torch.aten.lgamma")])
def test_unsupported_ops_are_named_with_the_users_line(function: Any, op: str) -> None:
    with pytest.raises(ModelImportError) as caught:
        imported(Calls(function), torch.randn(2, 8))
    assert f"{__file__}:{line_of(function, 'return')}" in str(caught.value)
    assert op in str(caught.value)
    assert "other PyTorch ops" in str(caught.value)


def test_an_op_that_was_kept_whole_for_nothing_says_whose_fault_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelImportError) as caught:
        imported(Calls(uses_lgamma), torch.randn(2, 8))
    assert "KEPT_WHOLE" not in str(caught.value)
    monkeypatch.setattr(legalize, "KEPT_WHOLE", {torch.ops.aten.lgamma})
    said = r"torch\.aten\.lgamma is in KEPT_WHOLE .* returns None, it has to decompose the op by itself"
    with pytest.raises(ModelImportError, match=said):
        imported(Calls(uses_lgamma), torch.randn(2, 8))


def branches(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if x.sum() > 0 else x


def test_export_failures_name_the_users_line() -> None:
    with pytest.raises(ModelImportError, match=r"torch\.export could not export Calls") as caught:
        imported(Calls(branches), torch.randn(2))
    assert f"{__file__}:{line_of(branches, 'return')}" in str(caught.value)


class WritesParameter(nn.Module):
    """Counts its calls in a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.count = nn.Parameter(torch.zeros(2), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.count.add_(1)


def test_writing_a_parameter_is_refused() -> None:
    with pytest.raises(ModelImportError, match="writes to its parameter 'count'") as caught:
        imported(WritesParameter(), torch.randn(2))
    assert f"{__file__}:{line_of(WritesParameter.forward, 'return')}" in str(caught.value)


def draws(x: torch.Tensor) -> torch.Tensor:
    return torch.poisson(x)


def test_random_ops_without_a_decomposition_are_refused() -> None:
    with pytest.raises(ModelImportError, match="draws random numbers") as caught:
        imported(Calls(draws), torch.randn(2))
    assert f"{__file__}:{line_of(draws, 'return')}" in str(caught.value)


def test_other_objects_are_refused() -> None:
    with pytest.raises(ModelImportError, match=r"expected an nn.Module or an ExportedProgram, got int"):
        import_model(3, context=create_context())  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint64])
def test_element_types_that_are_not_imported(dtype: torch.dtype) -> None:
    with pytest.raises(
        ModelImportError,
        match=rf"'input', .* is {str(dtype)[6:]}, .* convert it, to one of .*uint8, uint32, .*complex64, complex128$",
    ):
        terrace.compile(nn.Identity(), (torch.zeros(2).to(dtype),))
