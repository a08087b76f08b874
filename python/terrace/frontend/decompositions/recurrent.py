"""LSTM, GRU and RNN layers as loops over steps.

What a step takes of the input is computed for all steps before, by one product. A step multiplies by the weights of one
gate at a time, so that what follows is computed where the product is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import torch

aten = torch.ops.aten
linear = torch.nn.functional.linear

FEW = 8
"""Steps that are no loop: one after the other they compile as fast, may be quantised, and run where no loop does."""

State = tuple[torch.Tensor, ...]
Cell = Callable[[torch.Tensor, State, Sequence[torch.Tensor]], State]
"""From what a step takes of the input, [gates, batch, size], the state and each gate's weights to the next state.

Its first tensor is the step's result."""


def lstm_cell(given: torch.Tensor, state: State, weights: Sequence[torch.Tensor]) -> State:
    h, c = state
    inner, forget, new, outer = (given[gate] + linear(h, weights[gate]) for gate in range(4))
    c = torch.sigmoid(forget) * c + torch.sigmoid(inner) * torch.tanh(new)
    h = torch.sigmoid(outer) * torch.tanh(c)
    return linear(h, weights[4]) if len(weights) > 4 else h, c


def gru_cell(given: torch.Tensor, state: State, weights: Sequence[torch.Tensor]) -> State:
    (h,) = state
    reset, keep = (torch.sigmoid(given[gate] + linear(h, weights[gate])) for gate in range(2))
    new = torch.tanh(given[2] + reset * linear(h, weights[2], weights[3] if len(weights) > 3 else None))
    return (new + keep * (h - new),)


def rnn_cell(activation: Callable[[torch.Tensor], torch.Tensor]) -> Cell:
    def cell(given: torch.Tensor, state: State, weights: Sequence[torch.Tensor]) -> State:
        return (activation(given[0] + linear(state[0], weights[0])),)

    return cell


def run(cell: Cell, given: torch.Tensor, state: State, weights: Sequence[torch.Tensor]) -> tuple[torch.Tensor, State]:
    """All steps of one direction of a layer, of [steps, gates, batch, size]: the results, and the last state."""
    if isinstance(given.shape[0], int) and given.shape[0] <= FEW:
        return steps(cell, given, state, weights)

    def turn(*values: torch.Tensor) -> list[torch.Tensor]:
        new = cell(values[len(state)], values[: len(state)], values[len(state) + 1 :])
        return [*new, new[0].clone()]

    *ended, results = torch.ops.higher_order.scan(turn, list(state), [given], tuple(weights))
    return results, tuple(ended)


def steps(cell: Cell, given: torch.Tensor, state: State, weights: Sequence[torch.Tensor]) -> tuple[torch.Tensor, State]:
    """The same, one step after the other."""
    results = []
    for number in range(given.shape[0]):
        state = cell(given[number], state, weights)
        results.append(state[0])
    return torch.stack(results), state


def layers(
    cell: Cell,
    gates: int,
    value: torch.Tensor,
    states: Sequence[torch.Tensor],
    params: Sequence[torch.Tensor],
    has_biases: bool,
    dropout: float,
    bidirectional: bool,
    batch_first: bool,
    *,
    is_projected: bool = False,
) -> tuple[torch.Tensor, ...]:
    """All layers in all directions, whose parameters follow one another in `params`, and states in each of `states`."""
    value = value.transpose(0, 1) if batch_first else value
    each = 2 + 2 * has_biases + is_projected
    groups = [params[start : start + each] for start in range(0, len(params), each)]
    ended: list[State] = []
    for first in range(0, len(groups), 1 + bidirectional):
        if first and dropout:
            value = torch.dropout(value, dropout, True)
        results = []
        for direction in range(1 + bidirectional):
            number = first + direction
            weight, own, *others = groups[number]
            bias, biases = gate_biases(cell, others[:2] if has_biases else [])
            given = value.flip(0) if direction else value
            given = linear(given, weight, bias).unflatten(2, (gates, -1)).transpose(1, 2)
            parts = [part.clone() for part in own.chunk(gates, 0)]
            weights = [*parts, *biases, *(others[-1:] if is_projected else [])]
            result, state = run(cell, given, tuple(one[number] for one in states), weights)
            results.append(result.flip(0) if direction else result)
            ended.append(state)
        value = torch.cat(results, 2) if bidirectional else results[0]
    value = value.transpose(0, 1) if batch_first else value
    return value, *(torch.stack(parts) for parts in zip(*ended, strict=True))


def gate_biases(cell: Cell, biases: Sequence[torch.Tensor]) -> tuple[torch.Tensor | None, list[torch.Tensor]]:
    """What is added to the input's products for all steps, and what a step adds to the state's: a GRU's new value."""
    if not biases:
        return None, []
    of_input, of_state = biases
    if cell is not gru_cell:
        return of_input + of_state, []
    size = of_state.shape[0] // 3
    return of_input + torch.cat([of_state[: 2 * size], torch.zeros_like(of_state[2 * size :])]), [of_state[2 * size :]]


def recurrent(cell: Cell, gates: int) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The decomposition of a layer with such a cell; an LSTM has its two states in a list."""

    def decomposed(
        value: torch.Tensor,
        state: torch.Tensor | Sequence[torch.Tensor],
        params: Sequence[torch.Tensor],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[torch.Tensor, ...]:
        states = [state] if isinstance(state, torch.Tensor) else state
        is_projected = states[0].shape[2] != states[-1].shape[2]
        drops = dropout if train else 0.0
        own = (value, states, params, has_biases, drops, bidirectional, batch_first)
        return layers(cell, gates, *own, is_projected=is_projected)

    return decomposed


def shapes_only(
    value: torch.Tensor, state: torch.Tensor | Sequence[torch.Tensor], *options: Any
) -> tuple[torch.Tensor, ...]:
    """Tensors like the results of a layer, of no values."""
    states = [state] if isinstance(state, torch.Tensor) else state
    *_, bidirectional, _ = options
    width = states[0].shape[2] * (1 + bidirectional)
    return value.new_empty(*value.shape[:2], width), *(torch.empty_like(each) for each in states)


@contextlib.contextmanager
def steps_untraced() -> Iterator[None]:
    """Let PyTorch infer the shapes of a layer while it traces without taking its steps: 512 of them took 20 s."""
    keys = (torch._C.DispatchKey.CompositeImplicitAutograd, torch._C.DispatchKey.Autograd)
    with contextlib.ExitStack() as patches:
        for op in DECOMPOSITIONS:
            patches.enter_context(mock.patch.dict(op.py_kernels, dict.fromkeys(keys, shapes_only)))
            patches.enter_context(mock.patch.object(op, "_dispatch_cache", {}))
        yield


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    aten.gru.input: recurrent(gru_cell, 3),
    aten.lstm.input: recurrent(lstm_cell, 4),
    aten.rnn_relu.input: recurrent(rnn_cell(torch.relu), 1),
    aten.rnn_tanh.input: recurrent(rnn_cell(torch.tanh), 1),
}
