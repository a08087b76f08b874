"""Every pass written in Python, by name; a pass is imported when it is first looked up, so that tools start fast.

Other packages add theirs by entry points (`terrace.lowering.pipeline.pass_plugins`).
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable

from terrace.errors import PipelineError
from terrace.lowering.pipeline.pass_plugins import find_plugin, installed_names, load_plugin, plugin_names
from terrace.lowering.pipeline.upstream_passes import UPSTREAM_PASSES
from terrace.passes import Pass

# Sorted, one line each: "pass-name": "terrace.lowering.package.pass_name:PassName".
PASSES: dict[str, str] = {
    "choose-layout": "terrace.lowering.transforms.choose_layout:ChooseLayout",
    "convert-graph-to-kernel": "terrace.lowering.conversion.convert_graph_to_kernel:ConvertGraphToKernel",
    "convert-graph-to-linalg": "terrace.lowering.conversion.convert_graph_to_linalg:ConvertGraphToLinalg",
    "convert-kernel-to-loop": "terrace.lowering.conversion.convert_kernel_to_loop:ConvertKernelToLoop",
    "convert-loop-to-gpu": "terrace.lowering.target.gpu.convert_loop_to_gpu:ConvertLoopToGpu",
    "convert-loop-to-hls": "terrace.lowering.target.hls.convert_loop_to_hls:ConvertLoopToHls",
    "convert-loop-to-iree": "terrace.lowering.target.iree.convert_loop_to_iree:ConvertLoopToIree",
    "convert-torch-to-graph": "terrace.lowering.conversion.convert_torch_to_graph:ConvertTorchToGraph",
    "decompose-attention": "terrace.lowering.transforms.decompose_attention:DecomposeAttention",
    "encode-weights": "terrace.lowering.transforms.encode_weights:EncodeWeights",
    "expand-math": "terrace.lowering.target.iree.expand_math:ExpandMath",
    "fold-batch-norm": "terrace.lowering.transforms.fold_batch_norm:FoldBatchNorm",
    "fold-slices-into-extracts": ("terrace.lowering.target.iree.fold_slices_into_extracts:FoldSlicesIntoExtracts"),
    "fuse-decode": "terrace.lowering.transforms.fuse_decode:FuseDecode",
    "fuse-elementwise": "terrace.lowering.transforms.fuse_elementwise:FuseElementwise",
    "fuse-epilogue": "terrace.lowering.transforms.fuse_epilogue:FuseEpilogue",
    "hoist-constants": "terrace.lowering.transforms.hoist_constants:HoistConstants",
    "keep-denormals": "terrace.lowering.target.cpu.keep_denormals:KeepDenormals",
    "lower-tiles-to-arrays": "terrace.lowering.target.hls.lower_tiles_to_arrays:LowerTilesToArrays",
    "lower-tiles-to-invocations": "terrace.lowering.target.gpu.lower_tiles_to_invocations:LowerTilesToInvocations",
    "lower-tiles-to-vector": "terrace.lowering.target.cpu.lower_tiles_to_vector:LowerTilesToVector",
    "observe-ranges": "terrace.lowering.transforms.observe_ranges:ObserveRanges",
    "overlap-epilogues": "terrace.lowering.target.hls.overlap_epilogues:OverlapEpilogues",
    "quantize-graph": "terrace.lowering.transforms.quantize_graph:QuantizeGraph",
    "require-kernels": "terrace.lowering.target.hls.require_kernels:RequireKernels",
    "round-contractions": "terrace.lowering.transforms.round_contractions:RoundContractions",
    "schedule-kernels": "terrace.lowering.target.cpu.schedule_kernels:ScheduleKernels",
    "schedule-kernels-for-gpu": "terrace.lowering.target.gpu.schedule_kernels_for_gpu:ScheduleKernelsForGpu",
    "schedule-kernels-for-hls": "terrace.lowering.target.hls.schedule_kernels_for_hls:ScheduleKernelsForHls",
    "set-dataflow": "terrace.lowering.target.hls.set_dataflow:SetDataflow",
    "set-hardware-attributes": "terrace.lowering.target.hls.set_hardware_attributes:SetHardwareAttributes",
    "share-packed-tables": "terrace.lowering.transforms.share_packed_tables:SharePackedTables",
    "simplify-graph": "terrace.lowering.transforms.simplify_graph:SimplifyGraph",
    "split-contractions": "terrace.lowering.transforms.split_contractions:SplitContractions",
    "store-truth-as-bytes": "terrace.lowering.target.cpu.store_truth_as_bytes:StoreTruthAsBytes",
    "stream-results": "terrace.lowering.target.cpu.stream_results:StreamResults",
    "unroll-loops": "terrace.lowering.target.iree.unroll_loops:UnrollLoops",
    "use-tuned-schedules": "terrace.lowering.target.cpu.use_tuned_schedules:UseTunedSchedules",
    "verify-hardware-attributes": "terrace.lowering.target.hls.verify_hardware_attributes:VerifyHardwareAttributes",
    "verify-level": "terrace.lowering.pipeline.verify_level:VerifyLevel",
    "verify-schedules": "terrace.lowering.target.verify_schedules:VerifySchedules",
    "widen-sums": "terrace.lowering.target.cpu.widen_sums:WidenSums",
}


def has_pass(name: str) -> bool:
    """Whether `name` is a Python pass: of Terrace, or of another package. A plugin cannot take a name of MLIR's."""
    return name in PASSES or (name not in UPSTREAM_PASSES and name in plugin_names())


def is_installed(name: str) -> bool:
    """Whether every process knows the Python pass `name`, whatever file this one has loaded."""
    return name in PASSES or name in installed_names()


def find_pass(name: str) -> type[Pass]:
    """The class of the Python pass called `name`; raises `PipelineError` suggesting near names."""
    if name not in PASSES:
        if not has_pass(name):
            raise PipelineError(f"unknown pass '{name}'{suggestion(name, all_pass_names())}")
        return find_plugin(name)
    module, _, class_name = PASSES[name].partition(":")
    found: type[Pass] = getattr(importlib.import_module(module), class_name)
    return found


def load_passes(file: str) -> None:
    """Register the passes that a Python file defines; raises PipelineError if one takes a name that is known."""
    for name in load_plugin(file):
        if name in PASSES or name in UPSTREAM_PASSES:
            raise PipelineError(f"'{file}' defines a pass '{name}', which is the name of a pass of Terrace's or MLIR's")


def all_pass_names() -> list[str]:
    """The names of all passes: ours, upstream's and other packages', sorted."""
    return sorted({*PASSES, *UPSTREAM_PASSES, *plugin_names()})


def summaries(names: Iterable[str] = PASSES) -> dict[str, str]:
    """The first docstring line of each Python pass, by pass name. Imports every pass."""
    return {name: summary_of(find_pass(name)) for name in names}


def summary_of(pass_class: type[Pass]) -> str:
    """The first line of a pass's docstring."""
    return (inspect.getdoc(pass_class) or "").partition("\n")[0]


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'a' or 'b'?` with the known names nearest to `name`, or nothing when none is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(item) for item in near)}?" if near else ""
