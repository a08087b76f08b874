"""Generate tokens with a decoder whose keys and values are state of the program: prompts of any length, then a token at
a time, for several streams at once.

Needs the package tokenizers, whose byte-level BPE is trained on Terrace's own documentation. The weights are random
unless `--weights` names a file of them, so what is generated is noise; it is the same as eager's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import terrace
import torch
import torch.nn.functional as F
from models.llama_style import Decoder, GroupedAttention

ROOT = Path(__file__).resolve().parents[1]


class CachedAttention(GroupedAttention):
    """Attention over all that came before, or the last of it: keys and values are kept by position."""

    def __init__(self, width: int, heads: int, groups: int, capacity: int, streams: int) -> None:
        super().__init__(width, heads, groups)
        self.register_buffer("keys", torch.zeros(streams, capacity, groups, self.head_width))
        self.register_buffer("values", torch.zeros(streams, capacity, groups, self.head_width))

    def forward(self, x: torch.Tensor, at: Places) -> torch.Tensor:
        query, key, value = (
            layer(x).unflatten(-1, (-1, self.head_width)) for layer in (self.query, self.key, self.value)
        )
        self.keys[at.streams, at.positions] = at.rotated(key)
        self.values[at.streams, at.positions] = value
        heads_first = (y.transpose(1, 2) for y in (at.rotated(query), self.keys, self.values))
        context = F.scaled_dot_product_attention(*heads_first, attn_mask=at.visible, enable_gqa=True)
        return self.output(context.transpose(1, 2).flatten(2))


class Places:
    """Where new tokens stand: `positions` [streams, tokens], and what each of them sees."""

    def __init__(self, positions: torch.Tensor, head_width: int, capacity: int, window: int | None) -> None:
        self.positions = positions
        self.streams = torch.arange(positions.shape[0])[:, None]
        frequencies = 10000.0 ** -(torch.arange(0, head_width, 2) / head_width)
        angles = (positions[..., None] * frequencies).repeat(1, 1, 2)[:, :, None]
        self.cos, self.sin = angles.cos(), angles.sin()
        keys, last = torch.arange(capacity), positions[:, None, :, None]
        self.visible = keys <= last if window is None else (keys <= last) & (keys > last - window)

    def rotated(self, x: torch.Tensor) -> torch.Tensor:
        """[streams, tokens, heads, width of a head], each pair of features turned by its position's angle."""
        first, second = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat((-second, first), dim=-1) * self.sin


class CachedDecoder(Decoder):
    """The logits of each stream's next token, after `ids` [streams, tokens], of which `counts` [streams] are its own.

    What is beyond a stream's count is padding: the next call writes over it.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        groups: int = 4,
        hidden: int = 2048,
        capacity: int = 1024,
        streams: int = 1,
        window: int | None = None,
    ) -> None:
        super().__init__(layers=layers, width=width, heads=heads, groups=groups, hidden=hidden, vocabulary=vocabulary)
        self.head_width, self.capacity, self.window = width // heads, capacity, window
        for layer in self.layers:
            layer.attention = CachedAttention(width, heads, groups, capacity, streams)
        self.register_buffer("lengths", torch.zeros(streams, dtype=torch.int64))

    def forward(self, ids: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        positions = self.lengths[:, None] + torch.arange(ids.shape[1])
        at, x = Places(positions, self.head_width, self.capacity, self.window), self.tokens(ids)
        for layer in self.layers:
            x = layer(x, at)
        self.lengths += counts
        return self.head(self.norm(x[torch.arange(ids.shape[0]), counts - 1]))


def compile_decoder(decoder: CachedDecoder, **how: Any) -> terrace.CompiledModel:
    """A program with two entries: `prefill` takes prompts of any length, `decode` a token of each stream."""
    streams = decoder.lengths.shape[0]
    length = torch.export.Dim("length", min=2, max=decoder.capacity)
    prompt = torch.zeros(streams, min(64, decoder.capacity), dtype=torch.int64)
    counts = torch.ones(streams, dtype=torch.int64)
    return terrace.compile(
        {
            "prefill": (decoder, (prompt, counts), None, {"ids": {1: length}, "counts": None}),
            "decode": (decoder, (prompt[:, :1], counts)),
        },
        **how,
    )


def sample(logits: torch.Tensor, temperature: float = 0.0, top_k: int = 0, top_p: float = 1.0) -> torch.Tensor:
    """A token of each row of `logits`: the likeliest at temperature 0, else drawn from the `top_k` likeliest (0: all),
    or from the fewest that make up `top_p` of the probability."""
    if temperature == 0:
        return logits.argmax(-1)
    values, order = (logits / temperature).sort(-1, descending=True)
    chances = values.softmax(-1)
    is_out = chances.cumsum(-1) - chances >= top_p
    if top_k:
        is_out = is_out | (torch.arange(chances.shape[-1]) >= top_k)
    drawn = torch.multinomial(chances.masked_fill(is_out, 0), 1)
    return order.gather(-1, drawn)[:, 0]


def generate(model: Any, prompts: Sequence[Sequence[int]], count: int, **how: Any) -> list[list[int]]:
    """The next `count` tokens of each prompt; `how` is as for `sample`. `model` has the entries of a decoder."""
    counts = torch.tensor([len(prompt) for prompt in prompts])
    ids = torch.zeros(len(prompts), max(2, int(counts.max())), dtype=torch.int64)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = torch.tensor(prompt)
    tokens = [sample(model["prefill"](ids, counts), **how)]
    one = torch.ones_like(counts)
    while len(tokens) < count:
        tokens.append(sample(model["decode"](tokens[-1][:, None], one), **how))
    return torch.stack(tokens, 1).tolist()


def main() -> None:
    from tokenizers import ByteLevelBPETokenizer

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("prompts", nargs="*", default=["A compiler is"], help="each is a stream of its own")
    parser.add_argument("--count", type=int, default=32, help="tokens to generate (default: 32)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0, the default, takes the likeliest token")
    parser.add_argument("--top-k", type=int, default=0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--capacity", type=int, default=1024, help="tokens that the cache holds (default: 1024)")
    parser.add_argument("--window", type=int, help="tokens that are seen (default: all)")
    parser.add_argument("--quantize-weights", choices=("int4", "int8"))
    parser.add_argument("--weights", metavar="FILE", help="a state_dict of the decoder")
    options = parser.parse_args()
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train([str(path) for path in sorted(ROOT.glob("docs/*.md"))], vocab_size=4096, show_progress=False)
    torch.manual_seed(0)
    sizes = {"layers": options.layers, "capacity": options.capacity, "window": options.window}
    decoder = CachedDecoder(tokenizer.get_vocab_size(), streams=len(options.prompts), **sizes).eval()
    if options.weights:
        decoder.load_state_dict(torch.load(options.weights, weights_only=True))
    how = {"options": {"quantize_weights": options.quantize_weights}} if options.quantize_weights else {}
    compiled = compile_decoder(decoder, **how)
    prompts = [tokenizer.encode(prompt).ids for prompt in options.prompts]
    start = time.perf_counter()
    found = generate(
        compiled, prompts, options.count, temperature=options.temperature, top_k=options.top_k, top_p=options.top_p
    )
    seconds = time.perf_counter() - start
    for prompt, tokens in zip(options.prompts, found, strict=True):
        print(f"{prompt}{tokenizer.decode(tokens)}\n")
    print(f"{len(prompts) * options.count / seconds:.1f} tokens per second, the prompts' time among it")


if __name__ == "__main__":
    main()
