"""The number formats that hardware computes in: float32, or a fixed-point type of Vitis HLS."""

from __future__ import annotations

import dataclasses
import re

from terrace.errors import TargetError

FLOAT = "float"
ROUNDING = ("AP_TRN", "AP_TRN_ZERO", "AP_RND", "AP_RND_ZERO", "AP_RND_MIN_INF", "AP_RND_INF", "AP_RND_CONV")
OVERFLOW = ("AP_WRAP", "AP_SAT", "AP_SAT_ZERO", "AP_SAT_SYM")
_TEXT = re.compile(r"ap_fixed<\s*(\d+)\s*,\s*(-?\d+)\s*(?:,\s*(\w+)\s*)?(?:,\s*(\w+)\s*)?>")
MAX_WIDTH = 32
GUARD_BITS = 16
"""Bits by which a sum may outgrow a product: 65536 products of the largest numbers."""


@dataclasses.dataclass(frozen=True)
class FixedPoint:
    """`ap_fixed<width, integer, rounding, overflow>`: two's complement, `integer` bits before the point with the sign.

    The modes are Vitis HLS's, and its defaults where none are named: truncation towards minus infinity, wrap-around.
    """

    width: int
    integer: int
    rounding: str = "AP_TRN"
    overflow: str = "AP_WRAP"

    @staticmethod
    def parse(text: str) -> FixedPoint | None:
        """The format that `text` names; None for "float". Raises TargetError."""
        if text == FLOAT:
            return None
        found = _TEXT.fullmatch(text)
        if found is None:
            raise TargetError(f"number_format must be '{FLOAT}' or like 'ap_fixed<16,6,AP_RND,AP_SAT>', got '{text}'")
        rounding, overflow = found[3] or "AP_TRN", found[4] or "AP_WRAP"
        if rounding not in ROUNDING or overflow not in OVERFLOW:
            known = f"{', '.join(ROUNDING)} and {', '.join(OVERFLOW)}"
            raise TargetError(f"number_format '{text}' has an unknown mode; known are {known}")
        width, integer = int(found[1]), int(found[2])
        if not (2 <= width <= MAX_WIDTH and 1 <= integer <= width):
            raise TargetError(
                f"number_format '{text}' must have 2 to {MAX_WIDTH} bits, and 1 to all of them before the point"
            )
        return FixedPoint(width, integer, rounding, overflow)

    @property
    def text(self) -> str:
        return f"ap_fixed<{self.width}, {self.integer}, {self.rounding}, {self.overflow}>"

    @property
    def wide(self) -> FixedPoint:
        """What is computed in between loads and stores: products are exact in it, and sums of 65536 of them."""
        return dataclasses.replace(self, width=2 * self.width + GUARD_BITS, integer=2 * self.integer + GUARD_BITS)

    @property
    def fraction(self) -> int:
        """Bits after the point."""
        return self.width - self.integer

    @property
    def largest(self) -> float:
        """The largest number; of more than 54 bits, the largest that float64 holds."""
        bits = min(self.width - 1, 53)
        return (1.0 - 2.0**-bits) * 2.0 ** (self.integer - 1)

    @property
    def smallest(self) -> float:
        """The most negative number."""
        return -(2.0 ** (self.integer - 1))
