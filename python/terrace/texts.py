"""Texts from files, which anybody may have written, for a terminal."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> str:
    """A text in one line without what moves the cursor, changes colours or turns the direction of writing."""
    return "".join(letter for letter in str(value) if letter.isprintable())
