"""`torch.cond`, `while_loop`, `scan` and `map` in one program: bodies with kernels of ours, beside eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import terrace
import torch
from terrace.errors import CompileError, DivisionByZeroError, IndexRangeError
from torch import nn
from torch._higher_order_ops import map as torch_map
from torch._higher_order_ops import scan, while_loop
from torch.export import Dim

ROWS = torch.linspace(-1, 2, 24).reshape(6, 4)


class Model(nn.Module):
    """A function of the model and its arguments, with two layers."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.run, self.first, self.second = run, nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, *args: torch.Tensor) -> Any:
        return self.run(self, *args)


def zero() -> torch.Tensor:
    return torch.zeros((), dtype=torch.int64)


def check(run: Callable[..., Any], calls: list[tuple[torch.Tensor, ...]], **options: Any) -> Any:
    """Compile for the first of `calls`; all give what eager does, and no argument is written to."""
    model = Model(run).eval()
    compiled = terrace.compile(model, calls[0], **options)
    for arguments in calls:
        before = [argument.clone() for argument in arguments]
        with torch.no_grad():
            expected = model(*arguments)
        torch.testing.assert_close(compiled(*arguments), expected, equal_nan=True)
        torch.testing.assert_close(list(arguments), before, equal_nan=True)
    return compiled


def steps(model: Model, x: torch.Tensor, count: torch.Tensor) -> Any:
    """A loop whose body holds branches that hold branches, with weights in all of them."""

    def body(i: torch.Tensor, x: torch.Tensor) -> Any:
        def small(x: torch.Tensor) -> torch.Tensor:
            return torch.cond(x.min() < -1, lambda x: x * 0.5, lambda x: model.first(x) - 1, (x,))

        return i + 1, torch.cond(x.sum() > 0, lambda x: model.second(model.first(x).relu()), small, (x,))

    return while_loop(lambda i, x: i < count, body, (zero(), x))


def test_nested_bodies_run_kernels_of_ours() -> None:
    calls = [(ROWS, torch.tensor(3)), (-ROWS.abs(), torch.tensor(2)), (ROWS, torch.tensor(0))]
    compiled = check(steps, calls)
    text = compiled.ir("kernel")
    assert text.count("scf.while") == 1 and text.count("scf.if") == 2
    ours = [row["kernel"] for row in compiled.report().rows if row["by"] == "terrace" and row["macs"]]
    assert len(ours) >= 2
    # Each level with control flow is an entry.
    parameters = dict(Model(steps).named_parameters())
    for level in ("graph", "kernel", "loop"):
        again = terrace.compile_mlir(compiled.ir(level), parameters=parameters)
        torch.testing.assert_close(again(*calls[0]), compiled(*calls[0]))


def test_dynamic_sizes_are_carried() -> None:
    def run(model: Model, x: torch.Tensor, count: torch.Tensor) -> Any:
        def body(i: torch.Tensor, x: torch.Tensor) -> Any:
            return i + 1, model.first(x) + x.shape[0] * x.mean(0)

        return while_loop(lambda i, x: (i < count) & (x.abs().sum() < 1e4), body, (zero(), x))

    calls = [(ROWS, torch.tensor(3)), (ROWS[:2], torch.tensor(4)), (torch.zeros(9, 4), torch.tensor(0))]
    check(run, calls, dynamic_shapes=(({0: Dim.DYNAMIC}, None),))


def branches(model: Model, rows: torch.Tensor) -> Any:
    def one(rows: torch.Tensor) -> Any:
        return torch.sigmoid(model.first(rows)), rows * 2

    def other(rows: torch.Tensor) -> Any:
        return rows + 3, torch.tanh(model.first(rows))

    first, second = torch.cond(rows.mean() > 0.5, one, other, (rows,))
    return first + rows, second + 1


def turns(model: Model, rows: torch.Tensor) -> Any:
    def body(i: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> Any:
        return i + 1, torch.sigmoid(model.first(a)) + b, torch.tanh(model.second(b)) + a * rows

    _, a, b = while_loop(lambda i, a, b: i < 5, body, (zero(), rows * 2, rows + 3))
    return torch.sigmoid(a) + rows, b * rows


def places(model: Model, rows: torch.Tensor) -> Any:
    return torch.argsort(rows, dim=1, stable=True) + 1


@pytest.mark.parametrize("run", [branches, turns, places])
def test_tensors_that_share_an_allocation(run: Callable[..., Any]) -> None:
    """IREE hands on the allocation, and forgets where in it a tensor is: wrong numbers, or a crash."""
    torch.manual_seed(0)
    x = torch.randn(2, 6, 4)
    shapes = (({0: Dim.AUTO, 1: Dim.AUTO},),)
    calls = [(x,), (-x,), (torch.randn(5, 3, 4),)]
    check(lambda model, x: run(model, torch.sigmoid(x.view(-1, 4))), calls, dynamic_shapes=shapes)


class TakesInput(nn.Module):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.cond(input.sum() > 0, torch.sin, torch.cos, (input,))


def test_an_argument_that_is_called_like_a_builtin() -> None:
    """A copy of PyTorch's graph called it otherwise, and the program no longer knew it."""
    compiled = terrace.compile(TakesInput(), (ROWS,))
    torch.testing.assert_close(compiled(input=-ROWS), TakesInput()(-ROWS))


def test_a_condition_on_sizes() -> None:
    def run(model: Model, x: torch.Tensor) -> Any:
        return torch.cond(x.shape[0] > 4, model.first, lambda x: model.second(x) * 2, (x,))

    check(run, [(ROWS,), (ROWS[:3],)], dynamic_shapes=(({0: Dim.DYNAMIC},),))


def test_types_that_are_carried() -> None:
    def run(model: Model, *values: torch.Tensor) -> Any:
        def body(n: Any, a: Any, b: Any, c: Any, d: Any, e: Any, number: Any) -> Any:
            return n - 1, a / 3, b * 2 + 1, ~c, d + d, e * 1.5, number + 2

        return while_loop(lambda n, *others: n > 0, body, (*values, 5))

    values = (
        torch.tensor(3),
        torch.ones(3, dtype=torch.float64),
        torch.arange(3, dtype=torch.int32),
        torch.tensor([True, False]),
        torch.arange(5, dtype=torch.uint8) + 250,
        torch.ones(2, dtype=torch.float16),
    )
    check(run, [values])


def test_conditions_on_nan_and_branches_of_constants() -> None:
    def run(model: Model, x: torch.Tensor) -> Any:
        ones = torch.cond(x.min() < 0, lambda x: torch.ones(3), lambda x: torch.zeros(3) + x[0, 0], (x,))
        return torch.cond((x > 0).all(), lambda x: x.clone(), lambda x: x - 1, (x,)), ones

    check(run, [(ROWS,), (ROWS.abs() + 1,), (torch.full((2, 4), torch.nan).repeat(3, 1),)])


def test_branches_of_other_sizes_and_of_the_size_that_data_say() -> None:
    def run(model: Model, x: torch.Tensor) -> Any:
        chosen = torch.cond(x.min() < 0, lambda x: x[:2] * 2, lambda x: x * 1, (x,))
        return chosen.sum(0), torch.cond(x.min() < 0, lambda x: x[x > 0].sum(), lambda x: x.sum(), (x,))

    check(run, [(ROWS,), (ROWS.abs(),)])


def test_memory_that_a_body_writes_to_is_its_own() -> None:
    def run(model: Model, x: torch.Tensor, y: torch.Tensor, count: torch.Tensor) -> Any:
        def body(i: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> Any:
            here = i.reshape(1)
            return i + 1, torch.index_copy(b, 0, here, a[:1] * 2), a + torch.index_copy(y, 0, here, x[:1])

        # Both are taken twice: carried, and as they were.
        return while_loop(lambda i, *others: i < count, body, (zero(), x, y)), y + 1

    check(run, [(ROWS.clone(), ROWS + 1, torch.tensor(3))])


def test_convolutions_in_branches() -> None:
    convolutions = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval(), nn.Conv2d(3, 4, 3)
    first, norm, second = convolutions

    def run(model: Model, x: torch.Tensor) -> Any:
        return torch.cond(x.sum() > 0, lambda x: norm(first(x)).relu(), second, (x,)).mean((2, 3))

    model = Model(run)
    model.layers = nn.ModuleList(convolutions)
    images = torch.linspace(-1, 2, 192).reshape(1, 3, 8, 8)
    compiled = terrace.compile(model.eval(), (images,))
    for x in (images, -images):
        torch.testing.assert_close(compiled(x), model(x).detach(), atol=1e-5, rtol=1e-5)


def test_checks_in_bodies() -> None:
    def run(model: Model, x: torch.Tensor, i: torch.Tensor, divisor: torch.Tensor) -> Any:
        rows = torch.cond(
            x.sum() > 0,
            lambda x, i, d: (torch.index_select(x, 0, i), i // d),
            lambda x, i, d: (x[:2] * 2, (i + 1) // (d + 1)),
            (x, i, divisor),
        )
        sums = scan(lambda total, i: (total + torch.index_select(x, 0, i.reshape(1)).sum(), total * 2), x.sum() * 0, i)
        return rows, sums

    one, good = torch.tensor(1), torch.tensor([3, 0])
    compiled = check(run, [(ROWS, good, one), (-ROWS, good, torch.tensor(0))])
    for arguments, error in [
        ((ROWS, torch.tensor([3, 6]), one), IndexRangeError),
        ((-ROWS, torch.tensor([7, 0]), one), IndexRangeError),
        ((ROWS, good, torch.tensor(0)), DivisionByZeroError),
        ((-ROWS, good, torch.tensor(-1)), DivisionByZeroError),
    ]:
        with pytest.raises(error, match=r"test_control_flow\.py:\d+"):
            compiled(*arguments)


def test_scan_and_map() -> None:
    def run(model: Model, x: torch.Tensor, y: torch.Tensor) -> Any:
        def turn(state: Any, values: Any) -> Any:
            h, count = state
            new = torch.tanh(model.first(values["x"]) + h @ values["y"])
            return (new, count + 1), {"twice": new * 2, "sum": values["x"].sum()}

        stacked = scan(turn, (torch.zeros(4), zero()), {"x": x, "y": y})
        backwards = scan(lambda c, x: (c + x, c * x), torch.zeros(6), x, reverse=True, dim=1)
        return stacked, backwards, torch_map(lambda a, z: model.second(a).relu() + z, x, y[0])

    compiled = check(run, [(ROWS, torch.linspace(0, 1, 96).reshape(6, 4, 4))])
    assert compiled.ir("kernel").count("scf.for") == 3


def test_scan_over_as_many_rows_as_there_are() -> None:
    def run(model: Model, x: torch.Tensor, y: torch.Tensor) -> Any:
        return scan(lambda c, row: (c + row.sum(), model.first(row) @ y), x.sum() * 0, x)

    calls = [(ROWS, torch.ones(4, 3)), (ROWS[:2], torch.ones(4, 7))]
    check(run, calls, dynamic_shapes=(({0: Dim.DYNAMIC}, {1: Dim.DYNAMIC}),))


def test_state_that_decides() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count.add_(1)
            return torch.cond(self.count > 1, lambda x: x + self.count, lambda x: x - 1, (x,))

    compiled, model = terrace.compile(Counter(), (ROWS,)), Counter()
    for _ in range(3):
        torch.testing.assert_close(compiled(ROWS), model(ROWS))


def test_quantised_models_keep_control_flow_in_float() -> None:
    def run(model: Model, x: torch.Tensor, count: torch.Tensor) -> Any:
        return steps(model, model.first(x), count)[1]

    model, calls = Model(run).eval(), [(ROWS, torch.tensor(2))]
    compiled = terrace.compile(model, calls[0], options={"quantize": "int8", "calibration": calls})
    assert "i8" in compiled.ir("graph")
    torch.testing.assert_close(compiled(*calls[0]), model(*calls[0]).detach(), atol=0.05, rtol=0.05)


def test_the_software_gpu_runs_bodies() -> None:
    def run(model: Model, x: torch.Tensor, count: torch.Tensor) -> Any:
        return steps(model, x, count), scan(lambda c, row: (c + row, model.first(c)), x[0] * 0, x)

    check(run, [(ROWS, torch.tensor(2))], target="vulkan")


def refused(run: Callable[..., Any], *arguments: torch.Tensor, target: str = "cpu") -> str:
    with pytest.raises(CompileError, match=r"test_control_flow\.py:\d+") as raised:
        terrace.compile(Model(run).eval(), arguments, target=target)
    return str(raised.value)


def test_what_is_refused() -> None:
    buffer = torch.zeros(4)

    def write(model: Model, x: torch.Tensor) -> Any:
        return torch.cond(x.sum() > 0, lambda x: x + buffer.add_(1), lambda x: x - 1, (x,))

    def draw(model: Model, x: torch.Tensor) -> Any:
        return torch.cond(x.sum() > 0, lambda x: x + torch.rand_like(x), lambda x: x - 1, (x,))

    def look_up(model: Model, x: torch.Tensor) -> Any:
        def goes_on(i: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.index_select(x, 0, i.reshape(1)).sum() < 9

        return while_loop(goes_on, lambda i, y: (i + 1, y + 1), (zero(), x))

    assert "the model writes" in refused(write, ROWS)
    assert "random numbers" in refused(draw, ROWS)
    assert "condition of a while_loop" in refused(look_up, ROWS)


def test_hardware_refuses_control_flow() -> None:
    def run(model: Model, x: torch.Tensor) -> Any:
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))

    assert "'scf.if' op is control flow" in refused(run, ROWS, target="hls")
