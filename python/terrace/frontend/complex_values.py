"""Complex tensors as pairs of reals: a graph that holds any is traced again, its complex ops by the rules in reals.

In the new graph a complex argument, parameter or result is a real tensor with a last axis of size 2, as
`torch.view_as_real` has it, so that nobody below this file knows complex numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import detect_fake_mode
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import Argument, Target
from torch.fx.traceback import preserve_node_meta

from terrace.errors import ModelImportError
from terrace.frontend.complex_ops import gives_complex, is_complex, leaves_of, rule_of, touches_complex
from terrace.frontend.complex_pairs import REAL_TYPES, Pair, Refused, as_tensor, to_type, view_as_complex
from terrace.frontend.complex_rules import made_of_reals
from terrace.frontend.export import composite_ops_kept
from terrace.frontend.source import at_line

Arguments = tuple[Argument | Pair, ...]


def holds_complex(graph: torch.fx.Graph) -> bool:
    """Whether any value of a graph is a complex tensor."""
    return any(gives_complex(node) for node in graph.nodes)


def as_real(value: torch.Tensor | torch.SymInt | torch.SymFloat) -> Any:
    """A complex tensor as the real one that stands for it, on its memory where that has no conjugate bit."""
    return torch.view_as_real(value.resolve_conj()) if is_complex(value) else value


def without_complex(graph: torch.fx.Graph, exported: ExportedProgram) -> torch.fx.Graph:
    """`graph`, that of a program, in real ops; placeholders and results are the same, in the same order.

    Raises `ModelImportError` for an op that has no form in reals.
    """
    _refuse_complex_states(exported)
    nodes = [node for node in graph.nodes if node.op == "placeholder"]
    traced = [node for node in nodes if isinstance(node.meta["val"], (torch.Tensor, torch.SymInt, torch.SymFloat))]
    interpreter = RealInterpreter(torch.fx.GraphModule(exported.graph_module, graph))

    interpreter.extra_traceback = False

    def run(*values: Any) -> Any:
        given = dict(zip(traced, values, strict=True))
        arguments = [given.get(node, node.meta["val"]) for node in nodes]
        return interpreter.run(*arguments, enable_io_processing=False)

    given = [as_real(node.meta["val"]) for node in traced]
    # Ops without operands are fake, too, where this mode is on.
    mode = detect_fake_mode([node.meta.get("val") for node in graph.nodes])
    assert mode is not None, "the values of an exported graph are fake"
    with torch.no_grad(), mode, enable_python_dispatcher(), composite_ops_kept() as table, preserve_node_meta():
        module = make_fx(run, decomposition_table=table)(*given)
    return _with_placeholders(module.graph, nodes, traced)


def _with_placeholders(
    graph: torch.fx.Graph, nodes: list[torch.fx.Node], traced: list[torch.fx.Node]
) -> torch.fx.Graph:
    """`graph`, whose placeholders are for `traced`, with one for each of `nodes`, by the same names."""
    whole = torch.fx.Graph()
    copies = {node: whole.placeholder(node.name) for node in nodes}
    made = [node for node in graph.nodes if node.op == "placeholder"]
    for node, copy in copies.items():
        copy.meta = {**node.meta}
    for node, source in zip(traced, made, strict=True):
        copies[node].meta["val"] = source.meta["val"]
    result = whole.graph_copy(graph, {source: copies[node] for node, source in zip(traced, made, strict=True)})
    whole.output(result)
    for node in whole.nodes:
        # Of the complex tensor; the importer would prefer it.
        node.meta.pop("tensor_meta", None)
    return whole


def _refuse_complex_states(exported: ExportedProgram) -> None:
    nodes = {node.name: node for node in exported.graph.nodes}
    for spec in exported.graph_signature.output_specs:
        node = nodes.get(spec.arg.name)
        if spec.kind == OutputKind.BUFFER_MUTATION and node is not None and is_complex(node.meta.get("val")):
            raise ModelImportError(
                f"the model writes to its buffer '{spec.target}'{at_line(node)}, which is complex: keep"
                " torch.view_as_real of it as the buffer, and use torch.view_as_complex of that"
            )


class RealInterpreter(torch.fx.Interpreter):
    """Runs a graph whose complex placeholders are given as real tensors, and gives its complex results as such."""

    def run_node(self, n: torch.fx.Node) -> Any:
        """Ops with complex operands or results go by the rules; all others are as they were."""
        if n.op == "output" or not touches_complex(n):
            return super().run_node(n)
        with self._set_current_node(n):
            if n.op == "placeholder":
                return view_as_complex(super().placeholder(n.target, (), {}))
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            return self._in_reals(n, args, kwargs)

    def _in_reals(self, node: torch.fx.Node, args: Arguments, kwargs: dict[str, Any]) -> Any:
        """What an op with complex operands or results gives."""
        result = node.meta.get("val")
        if any(
            value.dtype not in (torch.complex64, torch.complex128) for value in leaves_of(result) if is_complex(value)
        ):
            raise ModelImportError(f"{node.target}{at_line(node)} gives complex32: use complex64")
        rule = rule_of(node.target)
        kwargs = {name: REAL_TYPES.get(value, value) if name == "dtype" else value for name, value in kwargs.items()}
        found = NotImplemented
        if rule is not None:
            found = self._by_rule(rule, node, args, kwargs)
        elif isinstance(node.target, OpOverload) and not any(
            isinstance(arg, Pair) for arg in leaves_of([*args, *kwargs.values()])
        ):
            found = made_of_reals(node.target, args, kwargs)
        if found is NotImplemented:
            raise ModelImportError(
                f"{node.target} of complex tensors{at_line(node)} is not supported: write it in the real and imaginary"
                " parts, by torch.view_as_real"
            )
        return to_type(found, result)

    def _by_rule(
        self, rule: Callable[..., Any], node: torch.fx.Node, args: Arguments, kwargs: dict[str, Argument]
    ) -> Any:
        try:
            return rule(*args, **kwargs)
        except Refused as error:
            raise ModelImportError(f"{node.target}{at_line(node)} is not supported, as {error}") from error

    def output(self, target: Target, args: Arguments, kwargs: dict[str, Any]) -> Any:
        """Complex results leave as real tensors."""
        values: Any = args[0]
        return [as_tensor(value) for value in values]
