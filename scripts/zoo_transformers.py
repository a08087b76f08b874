"""Models of the installed `transformers`, made small from their configurations, with random weights.

A configuration keeps its form (kinds of layers, patches, what parts there are) and loses its size: 2 layers and a
vocabulary of 256, and numbers in `SIZES` at most. Some have other numbers that depend on these; `build` then
takes the widths as they are, if the model is no larger than `PARAMETERS`.
"""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import transformers
from transformers.models.auto import configuration_auto, modeling_auto

Example = tuple[torch.nn.Module, dict[str, Any]]
"""A model in eval mode, and its keyword arguments."""

PARAMETERS = 70_000_000
VOCABULARY, TOKENS, LAYERS = 256, 12, 2
FIRST_WORD = 16
"""Words before this one are padding, ends and other marks."""

LAYER_COUNTS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers", "depth"),
    *("num_encoder_layers", "num_decoder_layers", "decoder_num_hidden_layers", "encoder_num_hidden_layers"),
    *("decoder_num_layers", "num_block_repeats", "num_hidden_groups_layers", "vision_layers", "text_layers"),
)
SIZES: dict[str, int] = {
    name: size
    for size, names in {
        64: "hidden_size d_model n_embd embed_dim embedding_size hidden_dim dim embedding_dim projection_dim"
        " output_hidden_size decoder_hidden_size projector_hidden_size out_hidden_size lru_width word_embed_proj_dim"
        " encoder_hidden_size text_hidden_size pooler_output_size text_embed_dim fpn_hidden_size encoder_hidden_dim",
        4: "num_attention_heads n_head num_heads n_heads encoder_attention_heads decoder_attention_heads"
        " decoder_num_attention_heads encoder_num_attention_heads index_n_heads",
        2: "num_key_value_heads encoder_num_key_value_heads decoder_num_key_value_heads",
        16: "head_dim d_kv d_head attention_head_dim v_head_dim kv_channels qk_nope_head_dim num_queries"
        " rotary_dim index_head_dim query_pre_attn_scalar mamba_d_head linear_key_head_dim linear_value_head_dim",
        128: "intermediate_size ffn_dim d_ff n_inner encoder_ffn_dim decoder_ffn_dim moe_intermediate_size"
        " shared_expert_intermediate_size ffn_hidden_size decoder_intermediate_size mlp_dim feed_forward_size d_inner"
        " max_position_embeddings n_positions max_target_positions max_sequence_length seq_length max_seq_len",
        8: "num_experts num_local_experts n_routed_experts moe_num_experts qk_rope_head_dim num_query_tokens"
        " linear_num_value_heads linear_num_key_heads mamba_n_heads",
        32: "q_lora_rank kv_lora_rank",
    }.items()
    for name in names.split()
}
"""The largest that a number may be, by its name."""
WIDE = {name: size for name, size in SIZES.items() if size not in (8, 16, 32)} | dict.fromkeys(
    ("hidden_size", "d_model", "n_embd", "embed_dim", "dim", "decoder_hidden_size", "out_hidden_size"), 512
)
"""Heads of their own size, in which the frequencies of rotary embeddings are shared, and widths for four of them."""
LEFT_OUT = {
    "transformers_version",
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "out_features",
    "out_indices",
    "stage_names",
    "per_layer_config",
}
"""Attributes that follow from others, and what speaks of layers by their number."""

BACKBONE = {
    "model_type": "resnet",
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [32, 64, 128, 256],
    "embedding_size": 32,
}
"""What stands for the backbones of timm."""
GIVEN: dict[str, Any] = {
    **{"num_experts_per_tok": 2, "vocab_size": VOCABULARY, "prediction_length": 8, "n_inner": 128},
    "pad_token_id": 1,
}
"""What configurations have no default of."""

TASKS = (
    *("CAUSAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "MASKED_LM", "CTC", "SPEECH_SEQ_2_SEQ", "IMAGE_CLASSIFICATION"),
    *("OBJECT_DETECTION", "SEMANTIC_SEGMENTATION", "UNIVERSAL_SEGMENTATION", "DEPTH_ESTIMATION"),
    *(
        "AUDIO_CLASSIFICATION",
        "VIDEO_CLASSIFICATION",
        "IMAGE_TEXT_TO_TEXT",
        "IMAGE_TO_IMAGE",
        "SEQUENCE_CLASSIFICATION",
    ),
)
"""What a model is built for: the first of these that there is a class for, or nothing, its features."""
KINDS = {
    **dict.fromkeys(("CAUSAL_LM",), "decoder"),
    **dict.fromkeys(("SEQ_TO_SEQ_CAUSAL_LM",), "encoder-decoder"),
    **dict.fromkeys(("MASKED_LM", "SEQUENCE_CLASSIFICATION"), "encoder"),
    **dict.fromkeys(("CTC", "SPEECH_SEQ_2_SEQ", "AUDIO_CLASSIFICATION"), "audio"),
    **dict.fromkeys(("IMAGE_TEXT_TO_TEXT",), "multimodal"),
}


def names() -> list[str]:
    return [kind for kind in modeling_auto.MODEL_MAPPING_NAMES if kind in configuration_auto.CONFIG_MAPPING_NAMES]


def kind_of(name: str) -> str:
    return KINDS.get(class_of(name)[0], "vision, other")


def class_of(name: str) -> tuple[str, type[torch.nn.Module]]:
    """The task and the class of the model that `name` is built as."""
    for task in TASKS:
        found = getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES").get(name)
        if found is not None:
            return task, getattr(transformers, first_of(found))
    return "", getattr(transformers, first_of(modeling_auto.MODEL_MAPPING_NAMES[name]))


def first_of(found: Any) -> str:
    return found if isinstance(found, str) else found[0]


def build(name: str) -> Example:
    """The small model of a configuration, and inputs that it runs with; raises what the last way of several raised."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    problem: Exception | None = None
    for sizes in (SIZES, WIDE, {}):
        try:
            model = small_model(name, sizes)
            inputs = inputs_of(model)
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model(**inputs)
            return model, inputs
        # Sizes that do not fit each other raise anything at all.
        except Exception as error:
            problem = problem or error
    assert problem is not None
    raise problem


def small_model(name: str, sizes: Mapping[str, int]) -> torch.nn.Module:
    kind = configuration_auto.CONFIG_MAPPING[name]
    values = smaller(kind().to_dict(), sizes)
    config = kind(**{key: value for key, value in values.items() if key != "model_type"})
    for part in parts_of(config):
        part.use_cache = False
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in class_of(name)[1](config).parameters())
    if count > PARAMETERS:
        raise ValueError(f"{count / 1e6:.0f} million parameters")
    torch.manual_seed(0)
    model = class_of(name)[1](config).eval()
    for parameter in model.parameters():
        # What begins as zero hides what it is multiplied with, and makes ties of what is ordered.
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return model


def as_double(model: torch.nn.Module) -> torch.nn.Module:
    """A copy in float64, without the products of experts that PyTorch has for other types only."""
    model = copy.deepcopy(model)
    model.set_experts_implementation("eager")
    return model.double()


def smaller(values: dict[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """A configuration's attributes with fewer layers, and with the sizes of `sizes`."""
    layers = [values[name] for name in LAYER_COUNTS if isinstance(values.get(name), int)]
    if values.get("num_key_value_heads") == values.get("num_attention_heads"):
        sizes = {name: size for name, size in sizes.items() if name != "num_key_value_heads"}
        sizes |= {"num_key_value_heads": sizes["num_attention_heads"]} if sizes else {}
    kept = ((name, value) for name, value in values.items() if name not in LEFT_OUT)
    return {
        name: GIVEN.get(name) if value is None else smaller_value(name, value, sizes, layers) for name, value in kept
    }


def smaller_value(name: str, value: Any, sizes: Mapping[str, int], layers: list[int]) -> Any:
    """One attribute; `layers` are the numbers of layers that its configuration has."""
    if isinstance(value, dict):
        if value.get("model_type") == "timm_backbone":
            return BACKBONE | {"out_features": [f"stage{at}" for at in value["out_indices"]]}
        return value if name.startswith("rope") else smaller(value, sizes)
    if isinstance(value, (list, tuple)):
        return smaller_list(name, list(value), layers)
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if name.endswith(("_token_id", "_token_index")):
        return min(value, FIRST_WORD - 4)
    most = LAYERS if name in LAYER_COUNTS else VOCABULARY if name.endswith("vocab_size") else sizes.get(name, value)
    return min(value, most)


def smaller_list(name: str, values: list[Any], layers: list[int]) -> list[Any]:
    if name.endswith("_token_id"):
        return [min(one, FIRST_WORD - 4) for one in values]
    if name == "depths":
        return [min(depth, 2) for depth in values]
    if name == "layer_types" or (len(values) in layers and len(values) > LAYERS):
        return spread(values)
    if name.endswith(("indexes", "indices")) and max(values, default=0) >= LAYERS:
        return list(range(min(LAYERS, len(values))))
    return values


def spread(values: list[Any]) -> list[Any]:
    """As many of a list of layers as there are left, of different kinds if there are."""
    other = next((value for value in values if value != values[0]), values[-1])
    return [values[0], other][:LAYERS]


def parts_of(config: Any) -> Iterator[Any]:
    yield config
    for value in vars(config).values():
        if isinstance(value, transformers.PretrainedConfig):
            yield from parts_of(value)


def inputs_of(model: torch.nn.Module) -> dict[str, Any]:
    """Inputs by the names of those that `forward` takes and we know of, for what the model calls its main one."""
    torch.manual_seed(1)
    taken = inspect.signature(model.forward).parameters
    main = model.main_input_name
    wanted = [main]
    if "pixel_values" in taken:
        wanted.append("pixel_values")
    if main == "input_ids" or ("input_ids" in taken and "pixel_values" in taken):
        wanted += ["input_ids", "attention_mask", "bbox"]
    if model.config.is_encoder_decoder and "decoder_input_ids" in taken:
        wanted.append("decoder_input_ids")
    if "input_features" in taken and "input_ids" not in wanted:
        wanted.append("input_features")
    wanted += [name for name, one in taken.items() if one.default is one.empty and name in MAKERS]
    inputs = {name: MAKERS[name](model) for name in dict.fromkeys(wanted) if name in taken and name in MAKERS}
    if "input_ids" in inputs and "pixel_values" in inputs:
        mark_images(model, inputs)
    return inputs


def words(model: torch.nn.Module) -> torch.Tensor:
    return torch.randint(FIRST_WORD, vocabulary_of(model), (2, TOKENS))


def vocabulary_of(model: torch.nn.Module) -> int:
    sizes = [getattr(part, "vocab_size", None) for part in parts_of(model.config)]
    return min([size for size in sizes if isinstance(size, int) and size > FIRST_WORD], default=VOCABULARY)


def mask(model: torch.nn.Module) -> torch.Tensor:
    """The second text is shorter."""
    found = torch.ones(2, TOKENS, dtype=torch.int64)
    found[1, TOKENS - 3 :] = 0
    return found


def boxes(model: torch.nn.Module) -> torch.Tensor:
    low = torch.randint(0, 50, (2, TOKENS, 2))
    return torch.cat([low, low + torch.randint(1, 50, (2, TOKENS, 2))], -1)


def image(model: torch.nn.Module) -> torch.Tensor:
    """Images of the size that the configuration names; frames, where there are."""
    parts = list(parts_of(model.config))
    size = first_number(parts, ("image_size", "img_size", "input_size", "crop_size"), 64)
    height, width = (size, size) if isinstance(size, int) else tuple(size)[:2]
    channels = first_number(parts, ("num_channels", "in_channels", "in_chans"), 3)
    frames = first_number(parts, ("num_frames",), None)
    shape = (2, channels, height, width) if frames is None else (1, frames, channels, height, width)
    return torch.rand(shape) * 2 - 1


def first_number(parts: list[Any], wanted: tuple[str, ...], default: Any) -> Any:
    found = (getattr(part, name, None) for part in parts for name in wanted)
    return next((value for value in found if isinstance(value, (int, list, tuple))), default)


def sound(model: torch.nn.Module) -> torch.Tensor:
    bins, length = getattr(model.config, "num_mel_bins", None), getattr(model.config, "max_length", None)
    if bins is not None and length is not None and hasattr(model.config, "frequency_stride"):
        return torch.randn(1, length, bins)
    return torch.randn(1, 4000) if not hasattr(model.config, "audio_channels") else torch.randn(1, 1, 4000)


def spectrum(model: torch.nn.Module) -> torch.Tensor:
    parts = list(parts_of(model.config))
    bins = first_number(
        parts, ("num_mel_bins", "feature_size", "input_feat_per_channel", "feature_projection_input_dim"), 80
    )
    positions = first_number(parts, ("max_source_positions",), None)
    if hasattr(model.config, "max_source_positions") and model.config.model_type not in ("speech_to_text",):
        return torch.randn(1, bins, 2 * positions)
    return torch.randn(1, 64, bins)


MAKERS: dict[str, Callable[[torch.nn.Module], Any]] = {
    "input_ids": words,
    "attention_mask": mask,
    "bbox": boxes,
    "pixel_values": image,
    "pixel_values_videos": image,
    "input_values": sound,
    "input_features": spectrum,
    "decoder_input_ids": words,
}


def mark_images(model: torch.nn.Module, inputs: dict[str, Any]) -> None:
    """Put as many marks for image tokens before each text as the model's images have features."""
    parts = list(parts_of(model.config))
    marks = [getattr(part, name, None) for part in parts for name in ("image_token_id", "image_token_index")]
    mark = next((one for one in marks if isinstance(one, int)), None)
    if mark is None or not hasattr(model, "get_image_features"):
        return
    with torch.no_grad():
        found = model.get_image_features(inputs["pixel_values"])
    features = getattr(found, "pooler_output", found)
    features = torch.cat(list(features)) if isinstance(features, (list, tuple)) else features
    count = math.prod(features.shape[:-1]) // 2
    inputs["input_ids"] = torch.cat([torch.full((2, count), mark), inputs["input_ids"]], 1)
    inputs["attention_mask"] = torch.cat([torch.ones(2, count, dtype=torch.int64), inputs["attention_mask"]], 1)
