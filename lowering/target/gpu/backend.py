"""What compiling for a GPU means: its schedules, its lowering of the loop level, and IREE's flags."""

from __future__ import annotations
