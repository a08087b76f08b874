"""The driver of patterns: it ends where none matches, and tries again only what a rewrite may have changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from terrace.dialects.context import create_context
from terrace.mlir import ir, operation_of, parse_module, walk
from terrace.rewriting import MAX_REWRITES, Pattern, apply_patterns, replace


class On(Pattern):
    """A pattern of one function, that counts how often it is tried."""

    def __init__(self, op_name: str, rewrite: Callable[[ir.Operation], bool]) -> None:
        self.op_name = op_name  # type: ignore[misc]
        self.tried: list[str] = []
        self._rewrite = rewrite

    def rewrite(self, op: ir.OpView) -> bool:
        operation = op.operation
        self.tried.append(str(operation.attributes["at"].value) if "at" in operation.attributes else "")
        return self._rewrite(operation)


def parse(body: str) -> ir.Module:
    context = create_context()
    context.allow_unregistered_dialects = True
    return parse_module(f"func.func @f(%x: i32) {{ {body} return }}", context)


def names_in(module: ir.Module) -> list[str]:
    return [op.name for op in walk(module.operation) if op.name.startswith("t.")]


def make(name: str, *operands: ir.Value, results: int = 1) -> ir.Operation:
    return ir.Operation.create(name, [ir.IntegerType.get_signless(32)] * results, list(operands))


def apply(module: ir.Module, *patterns: Pattern) -> bool:
    with module.context:
        changed = apply_patterns(module.operation, patterns)
    module.operation.verify()
    return changed


def becomes(name: str) -> Callable[[ir.Operation], bool]:
    return lambda op: replace(op.opview, *make(name, *op.operands).results)


def chain(length: int) -> str:
    """%0 of the argument, each other value of the one before."""
    names = ["x", *map(str, range(length))]
    return "".join(
        f'%{b} = "t.a"(%{a}) {{at = {n}}} : (i32) -> i32\n' for n, (a, b) in enumerate(itertools.pairwise(names))
    )


@pytest.mark.parametrize("length", [0, 1, 200])
def test_each_op_is_tried_once_in_program_order_where_nothing_matches(length: int) -> None:
    module = parse(chain(length))
    pattern = On("t.a", lambda op: False)
    assert not apply(module, pattern)
    assert pattern.tried == list(map(str, range(length)))


def test_a_rewrite_makes_only_its_neighbours_tried_again() -> None:
    module = parse(chain(200))
    pattern = On("t.a", lambda op: op.attributes["at"].value == 100 and becomes("t.b")(op))
    assert apply(module, pattern)
    assert pattern.tried == [*map(str, range(200)), "99"]  # 101 was still to come.


def test_what_moves_up_one_step_at_a_time_gets_to_the_top() -> None:
    """t.up(t.a(x)) is t.a(t.up(x)): each rewrite makes the next one match, against the order of the program."""

    def move_up(op: ir.Operation) -> bool:
        inner = operation_of(op.operands[0])
        if inner is None:
            return False
        return replace(op.opview, make("t.a", make("t.up", inner.operands[0]).result).result)

    module = parse(f'{chain(200)} "t.end"(%200) : (i32) -> ()'.replace('%199 = "t.a"', '%200 = "t.up"'))
    assert apply(module, On("t.up", move_up))
    # What lies behind it is dead code.
    assert names_in(module)[199:] == ["t.up", *["t.a"] * 199, "t.end"]


def test_new_ops_are_rewritten_whether_or_not_their_results_are_used() -> None:
    def leave_two(op: ir.Operation) -> bool:
        make("t.b", op.operands[0])
        return becomes("t.b")(op)

    module = parse(chain(3))
    assert apply(module, On("t.a", leave_two), On("t.b", becomes("t.c")))
    assert names_in(module) == ["t.c"] * 6


def count_uses(value: ir.Value) -> int:
    return len(list(value.uses))


def test_users_of_a_value_that_was_there_already_are_tried_again() -> None:
    """When t.last goes, %1 has two users left, and is replaced by %x, which no new op defines; t.user matches then."""
    module = parse(
        '%1 = "t.a"(%x) : (i32) -> i32  %2 = "t.user"(%1) : (i32) -> i32  %3 = "t.user"(%1) : (i32) -> i32'
        '"t.last"(%1) : (i32) -> ()'
    )
    identity = On("t.a", lambda op: count_uses(op.results[0]) == 2 and replace(op.opview, op.operands[0]))
    user = On("t.user", lambda op: operation_of(op.operands[0]) is None and becomes("t.b")(op))
    assert apply(module, identity, user, On("t.last", lambda op: replace(op.opview)))
    assert names_in(module) == ["t.b", "t.b"]


def test_the_only_user_left_of_a_value_is_tried_again() -> None:
    module = parse('%0 = "t.of"() : () -> i32  "t.a"(%0) : (i32) -> ()  "t.last"(%0) : (i32) -> ()')
    alone = On("t.a", lambda op: count_uses(op.operands[0]) == 1 and replace(op.opview))
    assert apply(module, alone, On("t.last", lambda op: replace(op.opview)))
    assert names_in(module) == ["t.of"]


def test_an_op_changed_in_place_is_tried_again() -> None:
    def count_down(op: ir.Operation) -> bool:
        left = op.attributes["at"].value
        if left:
            op.attributes["at"] = ir.IntegerAttr.get(op.attributes["at"].type, left - 1)
        return left > 0

    module = parse('"t.a"() {at = 9} : () -> ()')
    pattern = On("t.a", count_down)
    assert apply(module, pattern)
    assert pattern.tried == [*map(str, reversed(range(10)))]


@pytest.mark.parametrize("moved", [False, True])
def test_ops_nested_in_one_that_is_erased_are_not_tried_again(moved: bool) -> None:
    """t.a waits to be tried again, for the sake of t.last, when t.outer goes: with it, or after it has moved out."""

    def unwrap(op: ir.Operation) -> bool:
        if moved:
            op.regions[0].blocks[0].operations[0].operation.move_before(op)
        return replace(op.opview)

    module = parse('"t.outer"() ({ %1 = "t.a"(%x) : (i32) -> i32  %2 = "t.last"(%1) : (i32) -> i32 }) : () -> ()')
    inner = On("t.a", lambda op: False)
    apply(module, inner, On("t.last", lambda op: replace(op.opview, op.operands[0])), On("t.outer", unwrap))
    assert names_in(module) == ["t.a"] * moved
    assert len(inner.tried) == 1 + moved


def test_patterns_are_tried_from_the_first() -> None:
    module = parse(chain(2))
    assert apply(module, On("t.a", becomes("t.b")), On("t.a", becomes("t.c")))
    assert names_in(module) == ["t.b", "t.b"]


def test_patterns_that_undo_each_other_are_an_error() -> None:
    module = parse(chain(2))
    there, back = On("t.a", becomes("t.b")), On("t.b", becomes("t.a"))
    with pytest.raises(RuntimeError, match=r"\['On', 'On'\] did not settle"):
        apply(module, there, back)
    # 2 ops, the return, the function.
    assert len(there.tried) + len(back.tried) == 5 * MAX_REWRITES + 1


def test_a_pattern_that_fails_leaves_no_mark() -> None:
    def fail(op: ir.Operation) -> bool:
        raise ValueError("no")

    module = parse(chain(1))
    before = str(module)
    with pytest.raises(ValueError, match="no"):
        apply(module, On("t.a", fail))
    assert str(module) == before
