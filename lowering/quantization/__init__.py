"""Quantisation of graphs to int8: what is observed of sample inputs, scales and multipliers, and a rule for each op."""
