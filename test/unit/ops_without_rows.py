"""Why some ops have no row in the sweep: for each reason, a pattern of their names.

A new op fits none, unless it belongs to one of the families that a pattern takes whole (`_cudnn_*`, `_foreach_*`).

What is refused is refused at compile time, with its name and the user's line.
"""

from __future__ import annotations

import re


def names(*patterns: str) -> str:
    """A pattern of ops, in any overload, whose names are one of `patterns`."""
    return rf"(?:{'|'.join(patterns)})\.\w+"


REASONS: dict[str, str] = {
    "gradients need it": names(
        r"(?!convolution_backward\.)\w*_backward\w*", r"\w+_jvp", r"\w+_grad", r"_make_dual\w*", r"_fw_primal\w*"
    ),
    "training needs it": names(
        r"_foreach_\w+",
        r"_fused_(?!dropout)\w+",
        r"_amp_\w+",
        r"batch_norm_\w+",
        "embedding_renorm",
        "_native_batch_norm_legit",
    ),
    "it is random: test_random.py": names(
        *("bernoulli", "binomial", "cauchy", "exponential", "geometric", "log_normal", "multinomial", "poisson"),
        *(r"normal\w*", r"rand\w*", "uniform", "native_dropout", "rrelu_with_noise_functional", "_fused_dropout"),
        *(r"_philox_\w+", "_sample_dirichlet", "_standard_gamma", r"fractional_max_pool\dd", "_masked_scale"),
        "_cudnn_init_dropout_state",
    ),
    "it is of complex numbers": names(
        r"_conj\w*", r"_neg_view\w*", "complex", "polar", r"view_as_(?:complex|real)\w*", r"_fft_\w+"
    ),
    "it is of sparse tensors": names(
        *(r"_?sparse_\w+", r"_(?:to|cslt)_?sparse\w*", r"_cslt_\w+", r"\w+_sparse\w*", "_coalesced?", "_spdiags"),
        *("_spsolve", "hspmm", r"_?(?:c?col|crow|row)?_?indices(?:_copy)?", r"_?values(?:_copy)?"),
        *(r"_convert_indices_\w+", "_to_dense", "_efficientzerotensor"),
    ),
    "it is of nested tensors": names(
        r"_nested_\w+", r"_jagged_\w+", r"_padded_dense_\w+", "to_padded_tensor", "_pack_padded_sequence"
    ),
    "it is of quantised types": names(
        *(r"quantize(?:d_\w+|_per_tensor_dynamic)", r"q_per_\w+", r"_empty_\w*affine\w*", "empty_quantized"),
        *(r"_?fake_quantize_\w+", r"_weight_int\dpack\w+", r"_convert_weight_\w+", r"_dyn_quant_\w+"),
    )
    + r"|quantize_per_tensor\.tensor\w*|dequantize\.tensors",
    "another device or library has it": names(
        r"_?(?:cudnn|miopen|mkldnn|mps|nnpack|triton)_\w+", "_lstm_mps", "to_mkldnn", r"_scaled_(?:grouped_)?mm\w*"
    ),
    "a backend puts it in the place of another op; export does not": names(
        *("_add_relu", "_addmm_activation", "_convolution", "_conv_depthwise2d", "conv_depthwise3d", r"slow_conv\w+"),
        *(r"_slow_conv\w+", "convolution_overrideable", r"_thnn_\w+", r"_transform\w+", "_native_multi_head_attention"),
        *("_masked_softmax", r"_scaled_dot_product_\w+", r"_(?:flash|efficient)_attention_\w+", "_stack"),
        *("_grid_sampler_2d_cpu_fallback", "_index_put_impl", "_logcumsumexp", r"_is_(?:all|any)_true"),
        *(r"_batch_norm_\w+", "native_norm", "_linalg_solve_ex", "_mixed_dtypes_linear", "_grouped_mm", "_aminmax"),
        *("_compute_linear_combination", "_new_zeros_with_same_feature_meta", "linalg__powsum", "hash_tensor"),
    )
    + r"|b?mm\.dtype",
    "programs of old alone hold it": r"norm\.(?!ScalarOpt_dim$)\w+|range\.\w+|atan2\.out",
    "it copies or changes memory; functional graphs have other ops": names(
        *(
            r"(?!index_|lift_|_to_|\w*indices_|_?values_|view_as_)\w+_copy",
            "_lazy_clone",
            r"_copy_from\w*",
            "set",
            r"resize_?",
            "_resize_output",
            "lift",
        ),
        *(
            "slice_inverse",
            r"empty_(?!like|quantized)\w+",
            "new_empty_strided",
            "_pin_memory",
            "from_file",
            "fill",
            "_foobar",
        ),
        *(r"_test_\w+", "_make_dep_token"),
    ),
    "it is of sizes or asserts: test_checks.py": names(r"sym_(?!size)\w+", r"_functional_\w+"),
    "its size depends on data: test_frontend_data_dependent.py": names(r"_?unique\w*"),
    "it is refused: a factorisation of matrices": names(
        *(r"_?linalg_(?!vector_norm|_powsum|solve_ex)\w+", r"cholesky\w*", r"_cholesky_\w+", "geqrf", "ormqr"),
        *("lu_unpack", "triangular_solve"),
    ),
    "it is refused: a special function": names(
        *(r"special_(?!xlog1py)\w+", "digamma", "lgamma", "polygamma", "i0", r"igammac?", "gcd", "lcm", "frexp"),
        "nextafter",
    ),
    "it is refused: a histogram, or a loss of sequences": names(
        "histc", r"histogram", r"_histogramdd_\w+", "segment_reduce", r"_ctc_loss", "nonzero_static"
    ),
    "it is refused: samples of volumes": names("grid_sampler_3d"),
    "it is refused: a window or the frequencies of signals": names(
        r"(?:bartlett|blackman|hamming|kaiser)_window", r"fft_r?fftfreq"
    ),
}


def reason_for(name: str) -> str | None:
    """Why the op of this name, with its overload, has no row."""
    return next((why for why, pattern in REASONS.items() if re.fullmatch(pattern, name)), None)
