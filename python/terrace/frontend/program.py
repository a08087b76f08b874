"""Reads a decomposed ExportedProgram: which placeholder is which input, parameter or buffer, what is returned.

The graph that comes out has placeholders for parameters and program arguments only, and returns the new values of
mutable buffers, then the results.
"""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, OutputSpec

from terrace.checks import Check
from terrace.errors import ModelImportError
from terrace.frontend.as_strided import rewrite_all_strided
from terrace.frontend.assertions import check_assertions
from terrace.frontend.bodies import all_graphs, attach_bodies, bodies_of, nodes_with_bodies
from terrace.frontend.body_checks import check_bodies
from terrace.frontend.checks import Checks
from terrace.frontend.complex_values import holds_complex, without_complex
from terrace.frontend.data_dependent import refuse_masks
from terrace.frontend.division_checks import check_divisions
from terrace.frontend.float8 import hold_as_float32, is_held
from terrace.frontend.index_checks import IndexBounds
from terrace.frontend.index_put import drop_empty_scatter, rewrite_along, rewrite_index_put
from terrace.frontend.merged_index import rewrite_index
from terrace.frontend.random_ops import RANDOM_BITS, number_streams
from terrace.frontend.rank_zero import give_dimensions
from terrace.frontend.size_names import SizeNames
from terrace.frontend.source import at_line
from terrace.frontend.state_guard import guard_states
from terrace.frontend.symbol_names import Symbol, SymbolNames
from terrace.frontend.symbolic_arithmetic import rewrite_arithmetic, take_for_int64
from terrace.frontend.unsigned import widen_unsigned
from terrace.frontend.view_dtype import rewrite_view_dtype

aten = torch.ops.aten

# Checks that export has made already; the program's signature makes them again at each call.
ASSERTIONS = {
    aten._assert_async.msg,
    aten._assert_scalar.default,
    aten._assert_tensor_metadata.default,
    aten.sym_constrain_range.default,
    aten.sym_constrain_range_for_size.default,
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A functional graph and what its placeholders and results are.

    `symbols` has an entry for each placeholder, None for an argument. `states` are the names of mutable buffers, in
    the order of the first results. `aliases` maps the number of a result to that of an earlier one that is the same
    value and stands for it. `is_seeded` says that the last placeholder is the seed of random numbers.
    `written` are the arguments that the model writes to, whose new values follow the results, and
    `returned_arguments` maps the number of a result to the one of these that it is. With `checks`, the last result says
    which of them failed.
    """

    graph: torch.fx.Graph
    symbols: list[Symbol | None]
    states: list[str]
    parameters: dict[str, torch.Tensor]
    aliases: dict[int, int]
    is_seeded: bool = False
    written: list[str] = dataclasses.field(default_factory=list)
    returned_arguments: dict[int, str] = dataclasses.field(default_factory=dict)
    checks: list[Check] = dataclasses.field(default_factory=list)
    indexed: list[tuple[Any, torch.Size]] = dataclasses.field(default_factory=list)


def read_program(
    exported: ExportedProgram, sizes: SizeNames, check_indices: bool = True, symbols_of: SymbolNames | None = None
) -> Program:
    """What `exported`, in functional form, consists of; raises `ModelImportError` for what we cannot run.

    Symbols have the names that `symbols_of` gives, by default those of a program that is alone.
    """
    refuse_unsupported(exported)
    graph = copy.deepcopy(exported.graph)
    attach_bodies(graph, exported.graph_module)
    refuse_in_bodies(graph)
    if holds_complex(graph):
        simplify(graph)
        graph = without_complex(graph, exported)
    checks = insert_checks(graph, sizes, check_indices)
    simplify(graph)
    hold_as_float32(graph)
    widen_unsigned(graph)
    states = {spec.arg.name: str(spec.target) for spec in output_specs(exported, OutputKind.BUFFER_MUTATION)}
    written = {spec.arg.name: str(spec.target) for spec in output_specs(exported, OutputKind.USER_INPUT_MUTATION)}
    aliases, returned_arguments = set_outputs(graph, exported, list(states), written)
    names = symbols_of or SymbolNames.alone(exported)
    symbols: list[Symbol | None] = []
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    for spec, node in zip(exported.graph_signature.input_specs, placeholders, strict=True):
        if spec.kind == InputKind.USER_INPUT:
            if isinstance(spec.arg, ConstantArgument):
                graph.erase_node(node)
            else:
                symbols.append(None)
        elif node.users or spec.target in states.values():
            symbols.append(names.symbol_of(str(spec.target)))
        else:
            graph.erase_node(node)
    is_seeded = number_streams(graph)
    symbols += [None] * is_seeded
    stored = [names.states[target] for target in states.values()]
    inputs = is_seeded, list(written.values()), returned_arguments
    return Program(graph, symbols, stored, names.parameters, aliases, *inputs, checks.checks, checks.indexed)


def output_specs(exported: ExportedProgram, kind: OutputKind) -> list[OutputSpec]:
    return [spec for spec in exported.graph_signature.output_specs if spec.kind == kind]


def refuse_unsupported(exported: ExportedProgram) -> None:
    refuse_effects(exported.graph)
    for spec in exported.graph_signature.input_specs:
        if spec.kind in (InputKind.CUSTOM_OBJ, InputKind.TOKEN):
            raise ModelImportError(
                f"the model holds {spec.target or spec.arg.name}, which is no tensor: move it out of the model"
            )
    for node in exported.graph.nodes:
        if is_random(node):
            raise ModelImportError(
                f"the model draws random numbers by {node.target}{at_line(node)}, which is not supported: draw them"
                " from another distribution, or pass the random tensor as an input"
            )
    for spec in output_specs(exported, OutputKind.PARAMETER_MUTATION):
        made = next(node for node in exported.graph.nodes if node.name == spec.arg.name)
        raise ModelImportError(
            f"the model writes to its parameter '{spec.target}'{at_line(made)}: a compiled program never changes "
            "parameters. Write to a clone, or keep the value in a buffer."
        )


def refuse_in_bodies(graph: torch.fx.Graph) -> None:
    """Raise for what a model may do, but not in or beside the bodies of control flow."""
    control_flow = next(nodes_with_bodies(graph), None)
    if control_flow is None:
        return
    name = f"{control_flow.target}{at_line(control_flow)}"
    graphs = list(all_graphs(graph))
    if any(map(holds_complex, graphs)):
        raise ModelImportError(
            f"the model holds complex tensors beside {name}, which is not supported: use pairs of reals"
        )
    for node in (node for body in graphs for node in body.nodes):
        if is_held(node):
            raise ModelImportError(f"the model holds float8{at_line(node)} beside {name}, which is not supported")
        if node.graph is not graph and (node.target is RANDOM_BITS or is_random(node)):
            raise ModelImportError(
                f"the model draws random numbers{at_line(node)} in the body of {name}, which is not supported: draw all"
                " before it, and pass them in"
            )


def refuse_effects(graph: torch.fx.Graph) -> None:
    """Raise for the ops that act on the world, or raise errors of their own, naming each and what it looks at."""
    lines = []
    for node in graph.find_nodes(op="call_function", target=torch.ops.higher_order.with_effects):
        made = [value for value in node.all_input_nodes if value.target is operator.getitem] or [node]
        sources = [value.all_input_nodes[0].target if value is not node else value.args[1] for value in made]
        names = dict.fromkeys(str(source) for source in sources if isinstance(source, torch._ops.OpOverload))
        lines += [f"  {at_line(node).removeprefix(' at ') or 'the model'}: torch.{name}" for name in names]
    if lines:
        text = "\n".join(dict.fromkeys(lines))
        raise ModelImportError(
            f"the model uses ops that are not supported:\n{text}\nCall them outside of the model, or write them with "
            "other PyTorch ops."
        )


def is_random(node: torch.fx.Node) -> bool:
    """Whether a node draws random numbers by itself. Attention is marked so too, but does only with dropout."""
    if node.target is RANDOM_BITS:
        return False
    if node.target == aten.scaled_dot_product_attention.default:
        return bool(node.kwargs.get("dropout_p", node.args[4] if len(node.args) > 4 else 0))
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def simplify(graph: torch.fx.Graph) -> None:
    """Rewrite to ops of one result what torch-mlir would import as opaque, and drop assertions; in bodies, too."""
    for node in nodes_with_bodies(graph):
        for body in bodies_of(node):
            simplify(body)
    rewrite_all_strided(graph)
    give_dimensions(graph)
    rewrite_arithmetic(graph)
    for node in list(graph.nodes):
        rewrite = REWRITES.get(node.target)
        if rewrite is not None:
            rewrite(graph, node)
        elif node.target in ASSERTIONS and not node.users:
            graph.erase_node(node)
    refuse_masks(graph)


def insert_checks(graph: torch.fx.Graph, sizes: SizeNames, check_indices: bool) -> Checks:
    """Let `graph` find out whether ops fail whose failure PyTorch would raise, and return that as its last value."""
    checks = Checks(sizes)
    insert_own_checks(graph, checks, check_indices)
    return checks


def insert_own_checks(graph: torch.fx.Graph, checks: Checks, check_indices: bool) -> None:
    """The same, into `checks`, which are empty."""
    check_bodies(graph, checks, lambda body, own: insert_own_checks(body, own, check_indices))
    take_for_int64(graph)
    check_assertions(graph, checks)
    check_divisions(graph, checks)
    IndexBounds(graph, checks if check_indices else None).bound()
    checks.return_code(graph)


def to_batch_norm(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    """`_native_batch_norm_legit_no_training` as `batch_norm`, which is what it came from; what it saves is empty."""
    value, weight, bias, mean, variance, momentum, epsilon = node.args
    for user in list(node.users):
        with graph.inserting_before(user):
            if user.args[1] == 0:
                arguments = (value, weight, bias, mean, variance, False, momentum, epsilon, False)
                whole = graph.call_function(aten.batch_norm.default, arguments)
            else:
                whole = graph.call_function(aten.full.default, ([0], 0.0), {"dtype": user.meta["val"].dtype})
        whole.meta = {**user.meta, "stack_trace": node.meta.get("stack_trace")}
        user.replace_all_uses_with(whole)
        graph.erase_node(user)
    if not node.users:
        graph.erase_node(node)


REWRITES: dict[object, Callable[[torch.fx.Graph, torch.fx.Node], None]] = {
    aten._native_batch_norm_legit_no_training.default: to_batch_norm,
    aten._unsafe_index_put.default: rewrite_index_put,
    aten.index.Tensor: rewrite_index,
    aten.index_add.default: rewrite_along,
    aten.index_copy.default: rewrite_along,
    aten.index_fill.int_Scalar: rewrite_along,
    aten.index_fill.int_Tensor: rewrite_along,
    aten.index_put.default: rewrite_index_put,
    aten.scatter.src: drop_empty_scatter,
    aten.scatter.value: drop_empty_scatter,
    aten.scatter_add.default: drop_empty_scatter,
    aten.scatter_reduce.two: drop_empty_scatter,
    aten.view.dtype: rewrite_view_dtype,
}


def set_outputs(
    graph: torch.fx.Graph, exported: ExportedProgram, mutated: list[str], written: dict[str, str]
) -> tuple[dict[int, int], dict[int, str]]:
    """Return the `mutated` values, each result that is no constant, once, the values `written` to arguments, and the
    outcome of the checks, if there are any.

    The results that are repeated, and those that are arguments which are written to, are what it gives back. Results
    are counted as leaves of the model's output without its None.
    """
    output, specs = graph.output_node(), non_constant_outputs(exported)
    values = dict(zip((spec.arg.name for spec in specs), output_nodes(output), strict=False))
    results: list[torch.fx.Node] = []
    aliases: dict[int, int] = {}
    first: dict[torch.fx.Node, int] = {}
    arguments = {values[name]: argument for name, argument in written.items()}
    returned: dict[int, str] = {}
    leaf = 0
    for spec in output_specs(exported, OutputKind.USER_OUTPUT):
        if isinstance(spec.arg, ConstantArgument):
            leaf += spec.arg.value is not None
            continue
        node = values[spec.arg.name]
        if node in arguments:
            returned[leaf] = arguments[node]
        elif node in first:
            aliases[leaf] = first[node]
        else:
            first[node] = leaf
            results.append(node)
        leaf += 1
    stored, outcome = [values[name] for name in mutated], output_nodes(output)[len(specs) :]
    if outcome and mutated:
        stored = guard_states(graph, outcome[0], dict(zip(states_of(graph, exported, mutated), stored, strict=True)))
    output.args = (tuple([*stored, *results, *(values[name] for name in written), *outcome]),)
    graph.eliminate_dead_code()
    return aliases, returned


def states_of(graph: torch.fx.Graph, exported: ExportedProgram, mutated: list[str]) -> list[torch.fx.Node]:
    """The placeholders of the mutable buffers whose new values are called `mutated`."""
    targets = [exported.graph_signature.buffers_to_mutate[name] for name in mutated]
    placeholders = graph.find_nodes(op="placeholder")
    specs = exported.graph_signature.input_specs
    found = {spec.target: node for spec, node in zip(specs, placeholders, strict=True)}
    return [found[target] for target in targets]


def non_constant_outputs(exported: ExportedProgram) -> list[OutputSpec]:
    return [spec for spec in exported.graph_signature.output_specs if not isinstance(spec.arg, ConstantArgument)]


def output_nodes(output: torch.fx.Node) -> list[torch.fx.Node]:
    return [value for value in output.args[0] if isinstance(value, torch.fx.Node)]  # type: ignore[union-attr]
