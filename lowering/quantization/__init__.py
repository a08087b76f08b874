"""Quantisation of graphs to int8: what is observed of sample inputs, scales and multipliers, and a rule for each op."""

from __future__ import annotations

# Importing a family registers its rules.
from terrace.lowering.quantization import op_rules, table_rules

__all__ = ["op_rules", "table_rules"]
