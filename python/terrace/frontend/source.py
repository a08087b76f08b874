"""The user's source lines: found in the stack traces that torch.export keeps, without PyTorch's own frames."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from types import TracebackType
from unittest import mock

import torch
from torch.fx.experimental.proxy_tensor import PythonKeyTracer

from terrace.origins import Origin

TORCH_FOLDER = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
TERRACE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
FRAME_PREFIX = 'File "'
ONNX_FRAME = '.onnx", line '
"""In the frame of an ONNX node: the line is its number, the function its name."""


def is_user_file(path: str) -> bool:
    """Whether `path` is neither PyTorch's nor the Python package that exports for us."""
    return path.endswith((".py", ".onnx")) and not path.startswith((TORCH_FOLDER, TERRACE_FOLDER, "torch/"))


@contextlib.contextmanager
def whole_stack_traces() -> Iterator[None]:
    """Let torch.export keep all user frames of a node. It keeps those of functions called `forward` alone otherwise."""

    def keep_user_frames(tracer: PythonKeyTracer, stack: traceback.StackSummary) -> traceback.StackSummary:
        return traceback.StackSummary.from_list([frame for frame in stack if is_user_file(frame.filename)])

    with mock.patch.object(PythonKeyTracer, "_filter_traceback_frames", keep_user_frames):
        yield


def innermost_user_frame(stack_trace: str | None) -> str | None:
    """The last frame line, `File "...", line N, in f`, of `stack_trace` that is in the user's code."""
    lines = (line.strip() for line in (stack_trace or "").splitlines())
    frames = [line for line in lines if line.startswith(FRAME_PREFIX)]
    user = [frame for frame in frames if is_user_file(frame[len(FRAME_PREFIX) :].partition('"')[0])]
    return user[-1] if user else None


def describe_frame(frame: str) -> str:
    """`path:line` of a frame line."""
    path, _, rest = frame[len(FRAME_PREFIX) :].partition('"')
    return f"{path}:{rest.removeprefix(', line ').partition(',')[0]}"


def lines_of(module: torch.fx.GraphModule) -> Iterator[str | None]:
    """`path:line` of each node of a graph, those of its branches and loops too, or None for one that has none."""
    for node in module.graph.nodes:
        frame = innermost_user_frame(node.meta.get("stack_trace"))
        yield None if frame is None else describe_frame(frame)
        if node.op == "get_attr" and isinstance(body := getattr(module, str(node.target), None), torch.fx.GraphModule):
            yield from lines_of(body)


def at_line(node: torch.fx.Node) -> str:
    """` at path:line` for the user's line of a node, or nothing."""
    frame = innermost_user_frame(node.meta.get("stack_trace"))
    return f" at {describe_frame(frame)}" if frame else ""


def origin_of(node: torch.fx.Node) -> Origin | None:
    """The call in the model that a node comes from; None for what is no op.

    A program that PyTorch read from a file does not say which function was called: the op is named instead.
    """
    if not isinstance(node.target, torch._ops.OpOverload):
        return None
    modules = list(node.meta.get("nn_module_stack", {}).values())
    path = str(modules[-1][0]) if modules else ""
    frame = innermost_user_frame(node.meta.get("stack_trace")) or ""
    if ONNX_FRAME in frame:
        path = frame.partition(", in ")[2]
    call, _, number = str(node.meta.get("torch_fn", ("",))[0]).rpartition("_")
    if not call.isidentifier() or not number.isdecimal():
        call, number = node.target.overloadpacket.__name__, str(list(node.graph.nodes).index(node))
    return Origin(call.strip("_"), int(number), path)


def user_line_of_exception(trace: TracebackType | None) -> str | None:
    """`path:line` of the innermost user frame that an exception passed, or None."""
    frames = [frame for frame in traceback.extract_tb(trace) if is_user_file(frame.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def keep_user_lines(graph: torch.fx.Graph) -> None:
    """Reduce each node's stack trace to its innermost user frame, from which the importer makes its location.

    A node that PyTorch made itself takes the line of the node before it.
    """
    nodes = list(graph.nodes)
    frames = [innermost_user_frame(node.meta.get("stack_trace")) for node in nodes]
    current = next((frame for frame in frames if frame is not None), None)
    for node, frame in zip(nodes, frames, strict=True):
        current = frame or current
        if current is None:
            node.meta.pop("stack_trace", None)
        else:
            node.meta["stack_trace"] = current
