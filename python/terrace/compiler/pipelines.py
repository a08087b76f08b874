"""The pipelines: named lists of passes, each with the reason why it stands where it stands."""

from __future__ import annotations

from collections.abc import Sequence

from terrace.lowering.conversion.convert_graph_to_kernel import ConvertGraphToKernel
from terrace.lowering.conversion.convert_kernel_to_loop import ConvertKernelToLoop
from terrace.lowering.kernels.group import KERNEL_TYPES
from terrace.lowering.kernels.registry import common_families
from terrace.lowering.transforms.choose_layout import ChooseLayout
from terrace.lowering.transforms.decompose_attention import DecomposeAttention
from terrace.lowering.transforms.fold_batch_norm import FoldBatchNorm
from terrace.lowering.transforms.fuse_decode import FuseDecode
from terrace.lowering.transforms.fuse_elementwise import FuseElementwise
from terrace.lowering.transforms.fuse_epilogue import FuseEpilogue
from terrace.lowering.transforms.hoist_constants import HoistConstants
from terrace.lowering.transforms.round_contractions import RoundContractions
from terrace.lowering.transforms.share_packed_tables import SharePackedTables
from terrace.lowering.transforms.simplify_graph import SimplifyGraph
from terrace.lowering.transforms.split_contractions import PARTS, SplitContractions
from terrace.passes import Pass, UpstreamPass


def preparation(decompose_attention: Pass | None = None) -> list[Pass]:
    """What the graph pipeline begins with: the ops that are left are those that calibration and quantisation see.

    All attention is decomposed, unless another pass does that.
    """
    return [
        # The importer leaves unused and repeated ops, which would count as users in the passes below.
        UpstreamPass("canonicalize"),
        UpstreamPass("cse"),
        # Identities between a convolution and its batch norm would hide the one from the other.
        SimplifyGraph(),
        # Before the layout changes: fewer ops for permutes to sink through.
        FoldBatchNorm(),
        # Before fusion: scale and mask become the epilogue of the first product.
        decompose_attention or DecomposeAttention(),
    ]


def graph_pipeline(
    generators: Sequence[str] = (),
    element_types: tuple[str, ...] = KERNEL_TYPES,
    reduced_types: tuple[str, ...] = (),
    *,
    apart: tuple[str, ...] = (),
    quantize: Pass | None = None,
    encode: Pass | None = None,
    precision: str = "f32",
) -> list[Pass]:
    """From an imported graph to fused groups: the graph dialect in and out, beside linalg that others take.

    Ops kept `apart` join no contraction. `quantize` makes integers of floats whose ranges are known; `encode` says how
    weights are stored. Operands of products in float32 are rounded to `precision`, or split into `PARTS`. Attention
    stays whole where one of the target's `generators` takes it, unless it is to be quantised, for which there are rules
    for its parts.
    """
    kernels = tuple(generators), element_types, reduced_types
    whole = DecomposeAttention(*kernels)
    return [
        *preparation(whole if quantize is None else None),
        # Before the layout changes and ops are fused: rules are written for single ops.
        *([quantize] if quantize is not None else []),
        # Before convolutions by 1x1 windows become matmuls, too: linear layers are what was asked for.
        *([encode] if encode is not None else []),
        ChooseLayout(),
        # Again: NHWC convolutions by 1x1 windows are matmuls now, and the permutes of constants merge.
        SimplifyGraph(),
        # Before fusion, which sees roots of kernels then.
        FuseDecode(*kernels),
        # As late as that, as weights are folded in float32; before fusion, which its casts join.
        *_narrowing(precision),
        # Merges what decomposition repeated (causal masks, scales), so that fused groups share operands.
        UpstreamPass("cse"),
        # Contractions choose first, as an elementwise op costs least in their epilogues; the rest groups among itself.
        FuseEpilogue(*kernels, apart=apart),
        FuseElementwise(*kernels),
        # Last, when all rewriting of weights is done: each becomes one expression.
        HoistConstants(),
        UpstreamPass("canonicalize"),
    ]


def _narrowing(precision: str) -> list[Pass]:
    """What makes operands of products in float32 narrower."""
    if precision == PARTS:
        return [SplitContractions()]
    return [RoundContractions(element_type=precision)] if precision != "f32" else []


def kernel_pipeline(
    schedule: list[Pass],
    generators: Sequence[str] = common_families(),
    element_types: tuple[str, ...] = KERNEL_TYPES,
    reduced_types: tuple[str, ...] = (),
    *,
    views: bool = False,
) -> list[Pass]:
    """From fused groups to scheduled kernels; `schedule`, what its kernels may compute with, and whether a part of a
    tensor costs nothing are the target's."""
    return [
        ConvertGraphToKernel(tuple(generators), element_types, reduced_types, views),
        # Reshapes of neighbouring kernels meet now, and most cancel.
        SimplifyGraph(),
        UpstreamPass("canonicalize"),
        UpstreamPass("cse"),
        *schedule,
    ]


def loop_pipeline(rest: list[Pass]) -> list[Pass]:
    """From scheduled kernels to loops; `rest` is what the target does with what is no kernel."""
    return [
        ConvertKernelToLoop(),
        # What is packed now need not be stored unpacked, too.
        SharePackedTables(),
        # Again: packing the weights extends their constant expressions.
        HoistConstants(),
        *rest,
        UpstreamPass("canonicalize"),
        UpstreamPass("cse"),
    ]
