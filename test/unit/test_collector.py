"""Python's collector is as the user set it, whenever no compile is under way."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from terrace.collector import collecting_seldom


@pytest.fixture(autouse=True)
def threshold() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_the_last_to_end_sets_back_what_was() -> None:
    gc.set_threshold(701, 11, 12)
    first, second = collecting_seldom(), collecting_seldom()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold()[0] > 701
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (701, 11, 12)


def test_a_failure_sets_it_back() -> None:
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="x"), collecting_seldom():
        raise ValueError("x")
    assert gc.get_threshold() == before


def test_nothing_is_collected_where_the_user_said_so() -> None:
    gc.set_threshold(0)
    with collecting_seldom():
        assert gc.get_threshold()[0] == 0
    assert gc.get_threshold()[0] == 0
