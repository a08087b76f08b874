"""Texts from files, which anybody may have written, for a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """A text in one line without what moves the cursor, changes colours or turns the direction of writing."""
    return "".join(letter for letter in text if letter.isprintable())
