"""Export by PyTorch, and decomposition to the ops that we import; the ops that graph names are kept whole."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import torch
from torch._dynamo.exc import TorchDynamoException
from torch.export import ExportedProgram, _trace
from torch.export.exported_program import (
    _override_composite_implicit_decomp,
    _split_decomp_table_to_cia_and_python_decomp,
)
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch_mlir.extras.fx_decomp_util import get_decomposition_table

from terrace.caller_line import calling_line, warn
from terrace.errors import ModelImportError
from terrace.frontend.before_decomposition import with_ops_replaced
from terrace.frontend.body_operands import with_distinct_operands
from terrace.frontend.complex_ops import COMPOSITE, composite_ops_of_complex
from terrace.frontend.constant_buffers import integer_buffers_known
from terrace.frontend.data_dependent import DATA_DEPENDENT
from terrace.frontend.decompositions import DECOMPOSITIONS
from terrace.frontend.decompositions.experts import OF_LIBRARIES
from terrace.frontend.decompositions.recurrent import steps_untraced
from terrace.frontend.dynamic_dimensions import DIMENSION_NAMES, SINGLE, DynamicDimensions, DynamicShapes
from terrace.frontend.random_ops import RANDOM
from terrace.frontend.scatter_reduce import SCATTER_REDUCTIONS
from terrace.frontend.script_numbers import script_numbers_in_python
from terrace.frontend.source import user_line_of_exception, whole_stack_traces
from terrace.frontend.spectra import SPECTRA
from terrace.frontend.stand_ins import StandIns
from terrace.frontend.tensor_attributes import assigned_values_apart, export_with_attributes

aten = torch.ops.aten

PARAMETER_NAMES = "terrace_parameter_names"
"""The entry of an exported graph's "meta" that holds the names of the model's positional parameters."""

KNOWN_BUFFERS = "terrace_known_buffers"
"""The entry that holds the buffers of one integer that the program has as constants, with their names."""

KEPT_WHOLE = {
    # The graph dialect has these; decomposed, nobody could tell what they were.
    aten._native_batch_norm_legit_no_training,
    aten._softmax,
    aten.avg_pool2d,
    aten.copysign,
    aten.elu,
    aten.embedding,
    aten.gelu,
    aten.group_norm,
    aten.hardsigmoid,
    aten.hardswish,
    aten.hardtanh,
    aten.layer_norm,
    aten.leaky_relu,
    aten.linear,
    aten.matmul,
    aten.max_pool2d,
    aten.pixel_shuffle,
    aten.rms_norm,
    aten.scaled_dot_product_attention,
    aten.silu,
    aten.softmax,
    aten.stack,
    # These take other negative indices than what they decompose to.
    aten.index_add,
    aten.index_copy,
    aten.index_fill,
    # PyTorch decomposes these to uninitialised tensors with odd strides, which torch-mlir cannot lower.
    aten.full,
    aten.full_like,
    aten.new_full,
    aten.new_ones,
    aten.new_zeros,
    aten.ones,
    aten.ones_like,
    aten.zeros,
    aten.zeros_like,
}


def export_program(
    model: torch.nn.Module | ExportedProgram,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    dynamic_shapes: DynamicShapes,
) -> ExportedProgram:
    """`model` as an ExportedProgram; raises `ModelImportError` with the user's line if PyTorch cannot export it."""
    if isinstance(model, ExportedProgram):
        if len(args) or kwargs or dynamic_shapes is not None:
            raise ModelImportError(
                "an ExportedProgram already has its example inputs and dynamic shapes: pass it alone, "
                "or pass the nn.Module"
            )
        return model
    if not isinstance(model, torch.nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise ModelImportError(f"expected an nn.Module or an ExportedProgram, got {type(model).__name__}")
    check_weights(model)
    check_arguments(model, args, kwargs)
    try:
        with torch.no_grad(), whole_stack_traces(), script_numbers_in_python():
            dimensions = DynamicDimensions.of(model, args, kwargs, dynamic_shapes)
            given = *dimensions.doubled(args, kwargs), dynamic_shapes
            exported = export_with_attributes(model, functools.partial(trace, model, *given))
    except ModelImportError:
        raise
    # The user's own code runs here and may raise anything; all of it is reported as one kind of error.
    except Exception as error:
        where = user_line_of_exception(error.__traceback__)
        raise ModelImportError(
            f"torch.export could not export {type(model).__name__}{f' (at {where})' if where else ''}:\n{error}\n"
            "Make `torch.export.export(model, args, kwargs, strict=False)` work first."
        ) from error
    exported.graph_module.meta[PARAMETER_NAMES] = positional_names(model)
    exported.graph_module.meta[DIMENSION_NAMES] = dimensions.names
    exported.graph_module.meta[SINGLE] = dimensions.single
    return exported


def trace(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic_shapes: DynamicShapes
) -> ExportedProgram:
    """The program as it runs in Python. What that cannot tell without the data, it may with integer buffers known.

    Else it is the program as TorchDynamo reads it: where `int` or `float` makes a number of a tensor, Python insists on
    an int, which only the data would tell.
    """
    shapes: Any = dynamic_shapes  # PyTorch's annotation leaves out some of what it takes.

    def trace_in_python() -> ExportedProgram:
        with (
            StandIns(),
            bodies_read_anew(dynamic_shapes),
            steps_untraced(),
            assigned_values_apart(model),
            warnings.catch_warnings(),
        ):
            # Recurrent layers keep a list of their parameters, which are others while PyTorch traces.
            warnings.filterwarnings("ignore", message=r"The tensor attributes? (\S+\._flat_weights\[\d+\],? )+w")
            return torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)

    try:
        return trace_in_python()
    except GuardOnDataDependentSymNode as error:
        with contextlib.suppress(GuardOnDataDependentSymNode), integer_buffers_known(model) as known:
            if known:
                exported = trace_in_python()
                exported.graph_module.meta[KNOWN_BUFFERS] = known
                return exported
        try:
            return torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=True)
        # What the user meets without Dynamo says more.
        except (TorchDynamoException, GuardOnDataDependentSymNode):
            raise error from None


@contextlib.contextmanager
def bodies_read_anew(dynamic_shapes: DynamicShapes) -> Iterator[None]:
    """Let TorchDynamo, which reads the bodies of control flow, know nothing of those that it has read before.

    Of a model without dynamic sizes it keeps all. It would take them for dynamic, and then not know that two branches
    give tensors of one layout. Models are exported one at a time (`script_numbers_in_python`).
    """
    config = _trace.DEFAULT_EXPORT_DYNAMO_CONFIG
    known = dataclasses.replace(config, assume_static_by_default=dynamic_shapes is None)
    with (
        mock.patch.object(_trace, "DEFAULT_EXPORT_DYNAMO_CONFIG", known),
        mock.patch.object(torch, "compile", functools.partial(torch.compile, isolate_recompiles=True)),
    ):
        yield


def check_weights(model: torch.nn.Module) -> None:
    """Refuse a model that was built without its weights."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise ModelImportError(
                f"'{name}' of {type(model).__name__} is on the meta device, where it has no values: make room by "
                'model.to_empty(device="cpu"), and load the weights'
            )


def check_arguments(model: torch.nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> None:
    """Refuse arguments that are no tuple and no dict, and warn of a model that trains."""
    if not isinstance(args, (tuple, list)):
        raise ModelImportError(
            f"args must be a tuple, the positional arguments of the model: write (x,) for one; got"
            f" {type(args).__name__} ({calling_line()})"
        )
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise ModelImportError(
            f"kwargs must be a dict, the keyword arguments of the model; got {type(kwargs).__name__} ({calling_line()})"
        )
    trains = [
        f"'{name}' ({type(module).__name__})" if name else type(module).__name__
        for name, module in model.named_modules()
        if behaves_as_in_training(module)
    ]
    if trains:
        more = f" and {len(trains) - 1} more" if len(trains) > 1 else ""
        warn(
            f"the model is in train mode, in which {trains[0]}{more} computes something else than in inference: call"
            " model.eval() before compiling"
        )


def behaves_as_in_training(module: torch.nn.Module) -> bool:
    """Whether a module is in train mode and its own code asks for that. One that drops nothing behaves as in eval."""
    code = getattr(type(module).forward, "__code__", None)
    drops = [value for name in ("p", "dropout") if isinstance(value := getattr(module, name, None), (int, float))]
    return module.training and code is not None and "training" in code.co_names and 0 not in drops


def positional_names(model: torch.nn.Module) -> list[str]:
    """The names of the parameters of `forward` that may be given by position; "" for one that has no other way."""
    names = []
    for parameter in inspect.signature(model.forward).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            break
        names.append("" if parameter.kind == parameter.POSITIONAL_ONLY else parameter.name)
    return names


def parameter_names(exported: ExportedProgram) -> list[str]:
    """The names of the positional arguments that a call may give by name, in order."""
    given: list[str] | None = exported.graph_module.meta.get(PARAMETER_NAMES)
    if given is not None:
        return given
    # A program that the user exported knows the names of what was given, of which the first are positional.
    signature = exported.module_call_graph[0].signature
    names = (signature.forward_arg_names if signature is not None else None) or []
    assert exported.call_spec.in_spec is not None
    return list(names)[: exported.call_spec.in_spec.child(0).num_children]


def decompose(program: ExportedProgram) -> ExportedProgram:
    """`program` in functional form, in the ops that the importer takes."""
    # Otherwise fake tensors guard on sizes of 1 to order their strides, which a program of ours has not.
    without_layouts = torch.fx.experimental._config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    with torch.no_grad(), without_layouts, warnings.catch_warnings():
        # PyTorch 2.13 warns of its own copying of its own trees.
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
        program = with_distinct_operands(with_ops_replaced(program))
        table = decomposition_table() | RANDOM
        while True:
            try:
                decomposed = program.run_decompositions(dict(table))
            except GuardOnDataDependentSymNode as error:
                raise ModelImportError(
                    f"an op takes a number that depends on data, and must know it:\n{error}"
                ) from error
            # PyTorch's passes over the program, which the user's model has brought here, may raise anything.
            except Exception as error:
                raise ModelImportError(
                    f"PyTorch could not decompose the exported program:\n{error}\nMake"
                    " `torch.export.export(model, args, kwargs, strict=False).run_decompositions()` work first."
                ) from error
            composite = composite_ops_of_complex(decomposed.graph) - table.keys()
            if not composite:
                return decomposed
            table |= {op: functools.partial(op._op_dk, COMPOSITE) for op in composite}


@contextlib.contextmanager
def composite_ops_kept() -> Iterator[dict[Any, Callable[..., Any]]]:
    """Let tracing keep those composite ops whole that `decompose` keeps; gives the decompositions of all other ops.

    Only for tracing without gradients: nobody knows the derivative of a composite op.
    """
    composite, others = _split_decomp_table_to_cia_and_python_decomp(decomposition_table())
    with _override_composite_implicit_decomp(composite):
        yield others


EXPLICIT = torch._C.DispatchKey.CompositeExplicitAutograd

KEPT_BY_NAME = {"torchao::dequantize_affine"}
"""Ops of libraries that may not be there, which are kept whole, too."""


def decomposition_table() -> dict[Any, Callable[..., Any]]:
    """torch-mlir's table, without the ops that we keep whole, and with those it lacks."""
    known = get_decomposition_table().items()
    table = {op: rule for op, rule in known if op.overloadpacket not in KEPT_WHOLE and op.name() not in KEPT_BY_NAME}
    return table | DATA_DEPENDENT | DECOMPOSITIONS | SCATTER_REDUCTIONS | SPECTRA | library_ops()


def library_ops() -> dict[Any, Callable[..., Any]]:
    """Ops of libraries that something has imported; PyTorch's quantisations each as its definition in other ops."""
    names = torch._C._dispatch_get_all_op_names()
    packets = {name: name.split("::") for name in names if name in OF_LIBRARIES}
    found = {
        getattr(getattr(torch.ops, space), op).default: OF_LIBRARIES[name] for name, (space, op) in packets.items()
    }
    for name in (name for name in names if name.startswith("quantized_decomposed::")):
        packet, _, overload = name.partition("::")[2].partition(".")
        op = getattr(getattr(torch.ops.quantized_decomposed, packet), overload or "default")
        if not op._schema.is_mutable and op.has_kernel_for_dispatch_key(EXPLICIT):
            found[op] = functools.partial(op._op_dk, EXPLICIT)
    return found
